-- SPDX-License-Identifier: MIT
--
-- Settings of the host: DIR/hark.conf.lua (a plain table), then the environment, then flags. A
-- wrong setting names the key, the value and what is allowed. Runs in a scratch state.

local core <const> = require("hark.core")
local schema <const> = require("hark.engine.schema")
local script <const> = require("hark.engine.script")

local config = {}

local function group(rules)
  return function(value)
    if type(value) ~= "table" then return nil, "allowed: a table" end
    local problems = {}
    local checked = schema.keys("", value, rules, problems)
    if problems[1] then return nil, problems[1] end
    return checked
  end
end

local function workers(value)
  local number = math.tointeger(tonumber(value))
  if number and number >= 1 and number <= 64 then return number end
  return nil, ("%s; allowed: 1 to 64"):format(tostring(value))
end

local ADDRESS <const> = 'allowed: "HOST:PORT", "[::1]:PORT", ":PORT" or "unix:/path"'

local function address(value)
  if type(value) ~= "string" then return nil, ADDRESS end
  if value:find("^unix:/.") then return value end
  local port = value:match(":(%d+)$")
  if not port or tonumber(port) > 65535 then return nil, ("%q; %s"):format(value, ADDRESS) end
  return value
end

local function addresses(value)
  local list = type(value) == "table" and value or {}
  if type(value) == "string" then
    for part in value:gmatch("[^,%s]+") do list[#list + 1] = part end
  end
  if #list == 0 then return nil, ADDRESS end
  for _, item in ipairs(list) do
    local ok, why = address(item)
    if not ok then return nil, why end
  end
  return table.concat(list, ",")
end

local function admin_address(value)
  if value == "off" or value == false then return "off" end
  return address(value)
end

local RULES <const> = {
  listen = addresses, admin = admin_address, admin_key = "text", workers = workers,
  log_level = { "debug", "info", "warn", "error" }, access_log = "boolean",
  drain = "duration", public = "boolean",
  limits = group {
    head = "size", head_timeout = "duration", body = "size", body_timeout = "duration",
    idle_timeout = "duration", pipeline = "size", message = "size", queue = "size",
    channels = "count", run_cpu = "duration", load_cpu = "duration", run_total = "duration",
    wait = "duration", vm_memory = "size",
  },
}
for name, check in pairs(script.TRANSPORT_OPTIONS) do RULES[name] = check end

local DEFAULTS <const> = {
  listen = "127.0.0.1:8080", admin = "127.0.0.1:8081", log_level = "info", access_log = false,
  drain = 30000, public = true,
}

local LIMITS <const> = {
  head = 16 * 1024, head_timeout = 10000, body = 1024 * 1024, body_timeout = 30000,
  idle_timeout = 75000,
  pipeline = 64 * 1024, message = 64 * 1024, queue = 1024 * 1024, channels = 128,
  run_cpu = 50, load_cpu = 500, run_total = 60000, wait = 10000, vm_memory = 512 * 1024 * 1024,
}

local ENVIRONMENT <const> = { "listen", "admin", "admin_key", "workers", "log_level" }

local function from_file(text)
  if not text then return {} end
  local chunk, why = load(text, "@hark.conf.lua", "t", { os = { getenv = os.getenv } })
  if not chunk then return nil, why end
  local ok, value = core.limited("load", pcall, chunk)
  if not ok then return nil, tostring(value) end
  if type(value) ~= "table" then return nil, "hark.conf.lua must return a table of settings" end
  return value
end

local function merge(target, source, where, problems)
  local checked = schema.keys("", source, RULES, problems)
  for key, value in pairs(checked) do target[key] = value end
  for i, problem in ipairs(problems) do
    if not problem:find("^%[") then problems[i] = ("[%s] %s"):format(where, problem) end
  end
end

--- Settings in force, or every problem.
---@param conf string? text of hark.conf.lua
---@param flags table<string, string|integer> from the command line
---@return table? settings
---@return string? why
function config.load(conf, flags)
  local problems, settings = {}, {}
  for key, value in pairs(DEFAULTS) do settings[key] = value end
  local file, why = from_file(conf)
  if not file then return nil, why end
  merge(settings, file, "hark.conf.lua", problems)
  local environment = {}
  for _, key in ipairs(ENVIRONMENT) do environment[key] = os.getenv("HARK_" .. key:upper()) end
  merge(settings, environment, "environment", problems)
  merge(settings, flags, "command line", problems)
  local limits = {}
  for key, value in pairs(LIMITS) do limits[key] = value end
  for key, value in pairs(settings.limits or {}) do limits[key] = value end
  settings.limits = limits
  if #problems > 0 then
    table.sort(problems)
    return nil, table.concat(problems, "\n")
  end
  return settings
end

return config
