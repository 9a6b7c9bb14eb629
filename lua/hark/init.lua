-- SPDX-License-Identifier: MIT
--
-- `require "hark"` in plain lua5.4: JSON and digests as scripts have them, and a gateway in this
-- process that serves a directory of scripts. (Inside a script `require "hark"` is the app's own
-- table, see engine/api.lua.)

local core <const> = require("hark.core")

local hark = {
  version = core.version, json = core.json, hmac = core.hmac, digest = core.digest,
  equal = core.equal, random = core.random, base64 = core.base64,
}

local OPTIONS <const> = {
  scripts = "string", listen = "string", admin = "string", workers = "number", run = "boolean",
  degraded = "boolean",
}

-- The directory that holds hark/*.lua: where this file was found.
local function lua_path()
  local file = assert(package.searchpath("hark.engine", package.path))
  return (file:gsub("/hark/engine/init%.lua$", ""))
end

local function check(options)
  if type(options) ~= "table" then error("hark.serve: a table of options is missing", 3) end
  for key, value in pairs(options) do
    if OPTIONS[key] ~= type(value) then
      local wanted = OPTIONS[key] or "one of scripts, listen, admin, workers, run, degraded"
      error(("hark.serve: %s is a %s; allowed: %s"):format(tostring(key), type(value), wanted), 3)
    end
  end
  if not options.scripts then error("hark.serve: scripts is missing, a directory", 3) end
end

--- Serves a directory of scripts; see docs/guide.md for settings. Runs until the gateway is
--- stopped, or with `run = false` returns it at once: `server:address()`, `:admin()`,
--- `:drain(seconds)`, `:join()`, `:stop()`; it is stopped when it is collected or leaves a
--- `<close>` variable.
---
--- `local server <close> = hark.serve { scripts = "handlers", run = false }`
---@param options table { scripts, listen, admin, workers, run, degraded }
---@return userdata? server nil when a setting or script is wrong
---@return string? why
function hark.serve(options)
  check(options)
  local server, why = core.gateway {
    directory = options.scripts, lua_path = lua_path(), listen = options.listen,
    admin = options.admin, workers = options.workers, degraded = options.degraded,
  }
  if not server then return nil, why end
  local started, problem = server:start()
  if not started then
    server:stop()
    return nil, problem
  end
  if options.run ~= false then server:join() end
  return server
end

return hark
