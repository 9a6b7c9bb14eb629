-- SPDX-License-Identifier: MIT
--
-- The environment a script runs in: a read-only base of safe functions, its own `require` for the
-- modules of its generation, and the `hark` module put together for its app. Text chunks only.

local api <const> = require("hark.engine.api")

local sandbox = {}

local BASE <const> = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
  "rawlen", "rawset", "select", "tonumber", "tostring", "type", "xpcall", "_VERSION", "warn",
}
local LIBRARIES <const> = { "string", "table", "math", "utf8", "coroutine" }
local OS <const> = { "time", "clock", "date", "difftime" }

-- Finalizers run with hooks off, so nothing could stop an endless one: scripts get none. <close>
-- covers the need. Weak tables with metamethods meet a defect of Lua 5.4.4 under memory pressure.
local function safe_setmetatable(value, meta)
  if type(meta) == "table" then
    if rawget(meta, "__gc") ~= nil then
      error("setmetatable: __gc is not allowed in scripts; use a <close> variable", 2)
    elseif rawget(meta, "__mode") ~= nil then
      error("setmetatable: __mode is not allowed in scripts", 2)
    end
  end
  return setmetatable(value, meta)
end

-- Strings share one metatable with the engine: not for scripts to bend.
local function safe_getmetatable(value)
  if type(value) == "string" then return nil end
  return getmetatable(value)
end

local function safe_load(chunk, name, _, env)
  return load(chunk, name, "t", env)
end

local function copy(names, from)
  local to = {}
  for _, name in ipairs(names) do to[name] = from[name] end
  return to
end

local function whole(library)
  local to = {}
  for name, value in pairs(library) do to[name] = value end
  return to
end

local function read_only(values, what)
  return setmetatable({}, {
    __index = values,
    __newindex = function(_, key)
      error(("%s: %q cannot be set; use a local"):format(what, tostring(key)), 2)
    end,
    __pairs = function() return pairs(values) end,
    __metatable = false,
  })
end

-- Where a module name may live: beside the app's own init.lua, then in lib/.
local function candidates(app, name)
  local path = name:gsub("%.", "/")
  local list = { ("lib/%s.lua"):format(path), ("lib/%s/init.lua"):format(path) }
  if app.folder then
    table.insert(list, 1, ("%s/%s.lua"):format(app.name, path))
    table.insert(list, 2, ("%s/%s/init.lua"):format(app.name, path))
  end
  return list
end

local function module_of(app, name, level)
  if type(name) ~= "string" or not name:find("^[%w_.-]+$") or name:find("..", 1, true) then
    error(("require: %q is no module name"):format(tostring(name)), level)
  end
  local list = candidates(app, name)
  for _, file in ipairs(list) do
    local text = app.files[file]
    app.closure[file] = text or false
    if text then return file, text end
  end
  error(("require: no module %q; looked for %s"):format(name, table.concat(list, ", ")), level)
end

-- Names that a text requires with a plain string, wherever in it.
local function required_names(text)
  local names = {}
  for name in text:gmatch("require%s*%(?%s*[\"']([%w_.-]+)[\"']") do names[#names + 1] = name end
  return names
end

--- Adds to the closure what its files require later than while they are loading (in a handler): a
--- generation has all its modules from the beginning.
---@param app table after sandbox.run
function sandbox.complete(app)
  local waiting = {}
  for _, text in pairs(app.closure) do waiting[#waiting + 1] = text or nil end
  while #waiting > 0 do
    for _, name in ipairs(required_names(table.remove(waiting))) do
      for _, file in ipairs(candidates(app, name)) do
        local known, text = app.closure[file], app.files[file]
        if known == nil then
          app.closure[file] = text or false
          waiting[#waiting + 1] = text
        end
        if text then break end
      end
    end
  end
end

--- Loads an app's main file and runs it.
---@param app table { name, folder, main, files = { [path] = bytes } }; `closure` is filled in
---@param mode table { load = function(chunk) -> value, under its budget; declare = boolean }
---@return any? value what the script returned
---@return string? why compile error, or error with traceback
function sandbox.run(app, mode)
  app.closure = {}
  local env = copy(BASE, _G)
  for _, name in ipairs(LIBRARIES) do env[name] = read_only(whole(_G[name]), name) end
  env.string = whole(_G.string)
  env.string.dump = nil
  env.os = read_only(copy(OS, os), "os")
  env.setmetatable, env.getmetatable, env.load = safe_setmetatable, safe_getmetatable, safe_load
  local hark = read_only(api.for_app(app, mode), "hark")
  local loaded = { hark = hark }

  local globals
  local function compile(file, text)
    return load(text, "@" .. file, "t", globals)
  end

  function env.require(name)
    local found = loaded[name]
    if found ~= nil then return found end
    local file, text = module_of(app, name, 3)
    local chunk, why = compile(file, text)
    if not chunk then error(why, 0) end
    loaded[name] = true
    local value = chunk(name, file)
    if value ~= nil then loaded[name] = value end
    return loaded[name], file
  end

  env.print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    hark.log.info(table.concat(parts, "\t"))
  end
  env.string = read_only(env.string, "string")
  globals = read_only(env, "global variable")
  env._G = globals

  local text = app.files[app.main]
  app.closure[app.main] = text
  local chunk, why = compile(app.main, text)
  if not chunk then
    return nil, why:find(app.main, 1, true) and why or ("%s: %s"):format(app.main, why)
  end
  return mode.load(chunk)
end

return sandbox
