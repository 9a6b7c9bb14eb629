-- SPDX-License-Identifier: MIT
--
-- Routes: a tree of path segments. Literal text goes before a name, a name before `*`; the search
-- steps back when a more exact branch ends in nothing. Endpoints of one path differ by method.

local pattern <const> = require("hark.engine.pattern")

local router = {}
router.__index = router
router.__name = "hark.router"

local function node()
  return { literal = {} }
end

-- The node of a pattern, made where it is missing, and the names on the way.
local function grow(at, segments)
  local names = {}
  for _, segment in ipairs(segments) do
    local branches, key = at.literal, segment.text
    if segment.kind ~= "literal" then
      names[#names + 1] = segment.text
      branches, key = at, segment.kind
    end
    branches[key] = branches[key] or node()
    at = branches[key]
  end
  return at, names
end

-- The endpoint that has this method ("*": every method) at a node.
local function holder(leaves, method)
  for _, leaf in ipairs(leaves) do
    if leaf.methods[method] then return leaf.endpoint end
  end
  return nil
end

--- An empty router.
function router.new()
  return setmetatable({ root = node() }, router)
end

--- Adds an endpoint; refuses one that could never be told from an earlier one.
---@param path string
---@param methods string[]? nil: every method
---@param endpoint any what `find` gives
---@return boolean? added
---@return string? why
---@return any? other the endpoint that stands there
function router:add(path, methods, endpoint)
  local segments, why = pattern.parse(path)
  if not segments then return nil, why end
  local at, names = grow(self.root, segments)
  at.leaves = at.leaves or {}
  local set = {}
  for _, method in ipairs(methods or { "*" }) do
    local other = holder(at.leaves, method)
    if other then return nil, ("path %q is taken already"):format(path), other end
    set[method] = true
  end
  at.leaves[#at.leaves + 1] = { methods = set, names = names, endpoint = endpoint }
  return true
end

local function descend(at, parts, index, values)
  if index > #parts then
    if at.leaves then return at end
    if at.rest then
      values[#values + 1] = ""
      return at.rest
    end
    return nil
  end
  local literal = at.literal[parts[index]]
  if literal then
    local found = descend(literal, parts, index + 1, values)
    if found then return found end
  end
  if at.name and parts[index] ~= "" then
    values[#values + 1] = parts[index]
    local found = descend(at.name, parts, index + 1, values)
    if found then return found end
    values[#values] = nil
  end
  if at.rest then
    values[#values + 1] = table.concat(parts, "/", index)
    return at.rest
  end
  return nil
end

-- "%2F" is a slash inside a segment; "%252F", "%25252F" and so on have lost one "25" too few.
local function unescaped(code)
  if code == "2F" then return "/" end
  return code:gsub("25", "") == "2F" and "%" .. code:sub(3) or nil
end

-- The path comes decoded but for these.
local function decoded(part)
  if not part:find("%", 1, true) then return part end
  return (part:gsub("%%([25]*2F)", unescaped))
end

local function leaf_for(leaves, method)
  local any
  for _, leaf in ipairs(leaves) do
    if leaf.methods[method] then return leaf end
    if leaf.methods["*"] then any = leaf end
  end
  return any
end

--- The endpoint of a request.
---@param path string decoded and normalised
---@param method string
---@return any? endpoint nil: no such path, or not with that method
---@return table? params by name; the rest of a `*` under "*"
---@return string[]? allowed methods of that path when the method is not among them
function router:find(path, method)
  local parts, values = {}, {}
  for part in (path:sub(2) .. "/"):gmatch("([^/]*)/") do parts[#parts + 1] = decoded(part) end
  if #parts > 64 then return nil end
  local at = descend(self.root, parts, 1, values)
  if not at then return nil end
  local leaf = leaf_for(at.leaves, method)
  if not leaf then
    local allowed = {}
    for _, other in ipairs(at.leaves) do
      for name in pairs(other.methods) do allowed[#allowed + 1] = name end
    end
    table.sort(allowed)
    return nil, nil, allowed
  end
  local params = {}
  for i, name in ipairs(leaf.names) do params[name] = values[i] end
  return leaf.endpoint, params
end

return router
