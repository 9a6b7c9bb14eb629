-- SPDX-License-Identifier: MIT
--
-- Looks at the value a script returned: turns it into a plain description of endpoints, channels
-- and services, or a list of everything that is wrong with it. Nothing is registered here.

local pattern <const> = require("hark.engine.pattern")
local schema <const> = require("hark.engine.schema")

local script = {}

local TRANSPORTS <const> = { websocket = true, sse = true, longpoll = true }
local METHOD <const> = "^[%u]+$"

local function methods(value)
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" or #list == 0 then return nil, 'allowed: "POST" or a list of methods' end
  for _, method in ipairs(list) do
    if type(method) ~= "string" or not method:find(METHOD) then
      return nil, ('%s is no method; allowed: names like "GET", "POST"'):format(tostring(method))
    end
  end
  return list
end

local function transports(value)
  if type(value) == "function" then return value end
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" or #list == 0 then
    return nil, 'allowed: "websocket", "sse", "longpoll", a list of these, or a function'
  end
  for _, name in ipairs(list) do
    if not TRANSPORTS[name] then
      local text = '%q is no transport; allowed: "websocket", "sse", "longpoll"'
      return nil, text:format(tostring(name))
    end
  end
  return list
end

local function codec(value)
  if value == "json" then return value end
  if type(value) == "table" then
    for key, fn in pairs(value) do
      if key ~= "decode" and key ~= "encode" then
        return nil, ("%s is no key of a codec; allowed: decode, encode"):format(tostring(key))
      elseif type(fn) ~= "function" then
        return nil, ("codec.%s is no function"):format(key)
      end
    end
    return value
  end
  return nil, 'allowed: "json" or { decode = function, encode = function }'
end

local function is_origin(text)
  if type(text) ~= "string" then return false end
  return text == "*" or text == "null" or text:find("^%a[%w+.-]*://[^/]+$") ~= nil
end

local function origins(value)
  if value == "*" then return { "*" } end
  if type(value) ~= "table" then
    return nil, 'allowed: "*" or a list like { "https://app.example.com" }'
  end
  for _, origin in ipairs(value) do
    if not is_origin(origin) then
      local text = '%q is no origin; allowed: "scheme://host[:port]" without a path, or "*"'
      return nil, text:format(tostring(origin))
    end
  end
  return value
end

local function subprotocols(value)
  if type(value) == "function" then return value end
  return schema.value("", value, "texts")
end

local function deliver(value)
  if type(value) == "function" then return value end
  local variant = type(value) == "table" and getmetatable(value)
  if variant and variant.__name == "hark.variant" then return value end
  return nil, "allowed: a function or hark.variant(key, fn)"
end

local function timers(value)
  if type(value) ~= "table" then return nil, "allowed: a table of functions by name" end
  for name, fn in pairs(value) do
    if type(name) ~= "string" or type(fn) ~= "function" then
      return nil, ("%s: allowed: a function by name"):format(tostring(name))
    end
  end
  return value
end

local function from_one(value)
  if math.type(value) == "integer" and value >= 1 and value <= 1000 then return value end
  return nil, tostring(value) .. "; allowed: 1 to 1000"
end

-- A check for a table with its own keys; the first problem is the message.
local function options(rules, example)
  return function(value)
    if type(value) ~= "table" then return nil, "allowed: a table like " .. example end
    local problems = {}
    local checked = schema.keys("", value, rules, problems)
    if problems[1] then return nil, problems[1] end
    return checked
  end
end

--- The option tables of the three transports; an endpoint's go before those of hark.conf.lua.
script.TRANSPORT_OPTIONS = {
  websocket = options({ ping = "duration", pong = "duration" }, '{ ping = "25s", pong = "10s" }'),
  sse = options({ comment = "duration", retry = "duration" }, '{ comment = "15s", retry = "2s" }'),
  longpoll = options({ wait = "duration", grace = "duration", batch = from_one },
    '{ wait = "45s", grace = "30s", batch = 1 }'),
}

local limits <const> = options({
  message = "size", body = "size", queue = "size", channels = "count", run_cpu = "duration",
}, '{ message = "64KiB", queue = "1MiB", run_cpu = "50ms" }')

local ENDPOINT_RULES <const> = {
  path = "text", method = methods, origins = origins, auth = "function", transport = transports,
  subprotocols = subprotocols, codec = codec, open = "function", message = "function",
  close = "function", attach = "function", detach = "function", gap = "function",
  drain = "function", deliver = deliver, timers = timers, respond = "function",
  upgrade = "function",
  version = "count", limits = limits, grace = "duration",
}
for name, check in pairs(script.TRANSPORT_OPTIONS) do ENDPOINT_RULES[name] = check end

local CHANNEL_RULES <const> = {
  history = "count", ttl = "duration", bytes = "size", presence = "boolean",
  slow = { "close", "oldest", "latest" }, join = "function", publish = "function",
}

local SCRIPT_RULES <const> = {
  channels = "table", services = "table", limits = limits, version = "count", check = "function",
}

local SERVICE_RULES <const> = { run = "function", on = { "one", "each" }, every = "duration" }

-- What comes of a script's own keys and of endpoint keys: both may stand at the top.
local TOP_RULES <const> = {}
for key, rule in pairs(ENDPOINT_RULES) do TOP_RULES[key] = rule end
for key, rule in pairs(SCRIPT_RULES) do TOP_RULES[key] = rule end

local HANDLERS <const> = { "open", "message", "respond", "auth", "deliver" }

local function check_endpoint(where, endpoint, problems)
  local prefix = where == "" and "" or where .. ": "
  if not endpoint.path then
    problems[#problems + 1] = prefix .. 'path is missing; a string like "/chat/:room"'
    return
  end
  local segments, why = pattern.parse(endpoint.path)
  if not segments then
    problems[#problems + 1] = prefix .. why
    return
  end
  endpoint.shape = pattern.shape(segments)
  local some = false
  for _, name in ipairs(HANDLERS) do some = some or endpoint[name] ~= nil end
  if not some then
    local text = "%spath %q has no handler; give it open, message or respond"
    problems[#problems + 1] = text:format(prefix, endpoint.path)
  end
  if endpoint.respond then
    for _, key in ipairs { "open", "message", "transport", "deliver", "codec", "subprotocols" } do
      if endpoint[key] ~= nil then
        local text = "%srespond and %s do not go together: respond is plain HTTP"
        problems[#problems + 1] = text:format(prefix, key)
      end
    end
  elseif endpoint.method then
    problems[#problems + 1] = prefix .. "method is for endpoints with respond"
  end
end

local CHANNEL_SEGMENT <const> = "^:?[^:*%c]*$"

-- What is wrong with a channel's name or pattern, or nil.
local function channel_name_problem(name)
  if type(name) ~= "string" or name == "" or #name > 255 then
    return "the key must be a channel name or pattern of 1 to 255 bytes"
  end
  for part in (name .. "/"):gmatch("([^/]*)/") do
    if part ~= "*" and not part:find(CHANNEL_SEGMENT) then
      return ('segment %q; allowed: text, ":name", or a final "*"'):format(part)
    end
  end
  return nil
end

local function channel_of(name, checked)
  return {
    pattern = name, history = checked.history or 0, bytes = checked.bytes or 1024 * 1024,
    ttl_ms = checked.ttl or 300000, presence = checked.presence or false,
    slow = checked.slow or "close", join = checked.join, publish = checked.publish,
  }
end

local function check_channels(given, problems)
  local list = {}
  for name, channel in pairs(given) do
    local where = ("channels[%q]"):format(tostring(name))
    local problem = channel_name_problem(name)
    if not problem and type(channel) ~= "table" then problem = "must be a table of options" end
    if problem then
      problems[#problems + 1] = ("%s: %s"):format(where, problem)
    else
      list[#list + 1] = channel_of(name, schema.keys(where, channel, CHANNEL_RULES, problems))
    end
  end
  table.sort(list, function(a, b) return a.pattern < b.pattern end)
  return list
end

local function check_services(given, problems)
  local list = {}
  for name, service in pairs(given) do
    local where = "services." .. tostring(name)
    if type(name) ~= "string" then
      problems[#problems + 1] = where .. ": a service needs a name"
    elseif type(service) == "function" then
      list[#list + 1] = { name = name, run = service, on = "one" }
    elseif type(service) == "table" then
      local checked = schema.keys(where, service, SERVICE_RULES, problems)
      if not checked.run then
        problems[#problems + 1] = where .. ".run is missing; a function"
      end
      checked.name, checked.on = name, checked.on or "one"
      list[#list + 1] = checked
    else
      problems[#problems + 1] = where .. ': allowed: a function or { run = function, on = "one" }'
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function endpoints_of(value, top, problems)
  local list = {}
  if top.path or #value == 0 and top.open then
    check_endpoint("", top, problems)
    list[1] = top
  end
  for i, item in ipairs(value) do
    local where = ("[%d]"):format(i)
    if type(item) ~= "table" then
      problems[#problems + 1] = ("%s is %s; allowed: endpoints (tables)"):format(where, type(item))
    else
      local endpoint = schema.keys(where, item, ENDPOINT_RULES, problems)
      endpoint.version = endpoint.version or top.version
      check_endpoint(where, endpoint, problems)
      list[#list + 1] = endpoint
    end
  end
  return list
end

--- Describes what a script returned.
---@param value any
---@return table? app { endpoints, channels, services, limits, version, check }
---@return string? why every problem, one a line
function script.describe(value)
  if type(value) ~= "table" then
    return nil, ("the script must return a table, it returned %s (is the file cut off?)"):format(
      value == nil and "nothing" or type(value))
  end
  local problems = {}
  local top = schema.keys("", value, TOP_RULES, problems, true)
  local app = {
    endpoints = endpoints_of(value, top, problems),
    channels = check_channels(top.channels or {}, problems),
    services = check_services(top.services or {}, problems),
    limits = top.limits or {}, version = top.version or 0, check = top.check,
  }
  if #problems == 0 and #app.endpoints + #app.channels + #app.services == 0 then
    problems[1] = "the table holds no endpoint, channels or services; give it a path and a handler"
  end
  if #problems > 0 then
    table.sort(problems)
    return nil, table.concat(problems, "\n")
  end
  return app
end

return script
