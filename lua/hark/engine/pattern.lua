-- SPDX-License-Identifier: MIT
--
-- Path patterns: `/chat/:room`, `/files/*`. A segment is literal text, `:name` (one segment), or a
-- final `*` (the rest, also empty). No magic beyond that.

local pattern = {}

--- Splits a pattern into segments and checks its form.
---@param text string
---@return table? segments list of { kind = "literal"|"name"|"rest", text }
---@return string? why
function pattern.parse(text)
  if text:sub(1, 1) ~= "/" then
    return nil, ('path %q must begin with "/"'):format(text)
  end
  local segments, seen = {}, {}
  for part in (text:sub(2) .. "/"):gmatch("([^/]*)/") do
    local name = part:match("^:([%a_][%w_]*)$")
    if #segments > 0 and segments[#segments].kind == "rest" then
      return nil, ('path %q: "*" is allowed only at the end'):format(text)
    elseif part == "*" then
      segments[#segments + 1] = { kind = "rest", text = "*" }
    elseif name then
      if seen[name] then
        return nil, ("path %q: the name :%s stands twice"):format(text, name)
      end
      seen[name] = true
      segments[#segments + 1] = { kind = "name", text = name }
    elseif part:find("[:*]") then
      return nil, ('path %q: segment %q; allowed: text, ":name", or a final "*"'):format(text, part)
    else
      segments[#segments + 1] = { kind = "literal", text = part }
    end
  end
  return segments
end

--- The pattern with its names taken out: two patterns with equal shapes match the same paths.
---@param segments table from pattern.parse
---@return string
function pattern.shape(segments)
  local parts = {}
  for i, segment in ipairs(segments) do
    parts[i] = segment.kind == "name" and ":" or segment.text
  end
  return "/" .. table.concat(parts, "/")
end

return pattern
