-- SPDX-License-Identifier: MIT
--
-- The `hark` module as one app sees it: the engine's calls, plus what belongs to the app (keep, the
-- place where a script is loaded). While a script is loading only declarations are offered.

local core <const> = require("hark.core")

local api = {}

local VARIANT <const> = { __name = "hark.variant" }

-- Values that live as long as the worker, by app and name: { value, version }.
local kept <const> = {}

--- A `deliver` that runs once per message and key instead of once per client.
---@param key fun(conn): string|number|boolean
---@param fn fun(key, event): table?
local function variant(key, fn)
  if type(key) ~= "function" or type(fn) ~= "function" then
    error("hark.variant(key, fn): both must be functions", 2)
  end
  return setmetatable({ key = key, fn = fn }, VARIANT)
end

local env <const> = setmetatable({}, {
  __index = function(_, name) return os.getenv(tostring(name)) end,
  __newindex = function() error("hark.env is read only", 2) end,
  __metatable = false,
})

local function not_while_loading(name)
  return function()
    local text = "hark.%s cannot be called while a script is loading; call it from a handler"
    error(text:format(name), 2)
  end
end

-- keep(name, version, make): one value per worker that outlives generations. A new version asks
-- make for a new value from the old one; the old value serves until the commit.
local function keeper(app)
  app.kept = {}
  return function(name, version, make)
    if type(name) ~= "string" or type(make) ~= "function" then
      error("hark.keep(name, version, make): a string, a version, a function", 2)
    end
    local slot = ("%s\0%s"):format(app.name, name)
    local staged = app.kept[slot]
    if staged then return staged.value end
    local old = kept[slot]
    if not (old and old.version == version) then
      local value = make(old and old.value, old and old.version)
      if value == nil then error(("hark.keep(%q): make must return a value"):format(name), 2) end
      old = { value = value, version = version }
    end
    app.kept[slot] = old
    return old.value
  end
end

--- Makes the kept values of a committed generation the current ones.
function api.commit_kept(app)
  for slot, item in pairs(app.kept or {}) do kept[slot] = item end
end

local DECLARATIONS <const> = {
  json = core.json, hmac = core.hmac, digest = core.digest, equal = core.equal,
  random = core.random, base64 = core.base64, log = core.log, shared = core.shared,
  now = core.now, env = env, variant = variant, version = core.version,
}

local ACTIONS <const> = { "publish", "history", "presence", "sleep" }

--- The table that `require "hark"` gives inside an app.
---@param app table
---@param mode table { declare = true while a script is looked at in the scratch state }
---@return table
function api.for_app(app, mode)
  local hark = {}
  for name, value in pairs(DECLARATIONS) do hark[name] = value end
  hark.keep = keeper(app)
  for _, name in ipairs(ACTIONS) do
    local refuse, act = not_while_loading(name), core[name]
    hark[name] = function(...)
      if app.loading then return refuse() end
      if mode.declare then return mode.stand_in(name, ...) end
      return act(...)
    end
  end
  if not mode.declare then
    -- Past loading the engine's functions themselves serve: no wrapper on the hot path.
    app.on_loaded = function()
      for _, name in ipairs(ACTIONS) do hark[name] = core[name] end
    end
  end
  return hark
end

return api
