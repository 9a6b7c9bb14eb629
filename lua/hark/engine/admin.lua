-- SPDX-License-Identifier: MIT
--
-- The admin address: health, metrics, status, publishing, sessions, channels. Served by worker 0;
-- what the other workers know is asked from them. Reading health and metrics is open, all else
-- wants the key.

local core <const> = require("hark.core")
local counters <const> = require("hark.engine.counters")
local generations <const> = require("hark.engine.generations")
local reload <const> = require("hark.engine.reload")
local router <const> = require("hark.engine.router")

local admin = {}

local ASK_SECONDS <const> = 5
local PUBLISH_MAX <const> = 1000
local DISCONNECTED <const> = 1008

local function apps()
  local list, stale = generations.list(), reload.stale()
  local named = {}
  for _, app in ipairs(list) do
    named[app.name] = true
    app.stale, app.error = stale[app.name] ~= nil, stale[app.name]
  end
  for name, why in pairs(stale) do
    if not named[name] then
      list[#list + 1] = { name = name, generation = 0, stale = true, error = why }
    end
  end
  return core.json.array(list)
end

local function healthz(req)
  if req.query.strict and next(reload.stale()) then
    return core.respond(req, 503, { status = "stale", stale = reload.stale() })
  end
  core.respond(req, 200, { status = "alive", stale = next(reload.stale()) ~= nil })
end

local function readyz(req)
  if core.draining() then return core.respond(req, 503, { status = "draining" }) end
  core.respond(req, 200, { status = "ready" })
end

local METRICS_TYPE <const> = "text/plain; version=0.0.4; charset=utf-8"

local function metrics(req)
  core.respond(req, 200, core.metrics() .. counters.render(), { ["Content-Type"] = METRICS_TYPE })
end

local function status(req)
  local stats, _, count = core.stats(), core.worker()
  core.respond(req, 200, {
    version = core.version, workers = count, draining = core.draining(), apps = apps(),
    sessions = {
      websocket = stats.sessions_websocket, sse = stats.sessions_sse,
      longpoll = stats.sessions_longpoll,
    },
  })
end

local SHAPE <const> = '{"channel": NAME, "data": VALUE}'

-- The bytes of a publish order, or nil and why not.
local function data_of(item)
  local data = item.data
  if data == nil then return nil, "data is missing; give " .. SHAPE end
  if item.base64 == true then
    local bytes = type(data) == "string" and core.base64.decode(data)
    if not bytes then return nil, "data is no base64 text" end
    return bytes
  end
  if type(data) == "string" or type(data) == "table" then return data end
  return core.json.encode(data)
end

-- The options of a publish order, or nil and why not.
local function options_of(item, once)
  local options = { once = once, binary = item.base64 == true or nil }
  for _, key in ipairs { "event", "key", "once" } do
    local value = item[key]
    if value ~= nil and type(value) ~= "string" then
      return nil, ("%s is %s; allowed: a string"):format(key, type(value))
    end
    options[key] = value or options[key]
  end
  return options
end

-- One publish order: { position } or { error }.
local function publish_one(item, once)
  if type(item) ~= "table" or type(item.channel) ~= "string" then
    return { error = "channel is missing; give " .. SHAPE }
  end
  local data, wrong = data_of(item)
  if not data then return { error = wrong } end
  local options, unfit = options_of(item, once)
  if not options then return { error = unfit } end
  local ok, position, why = pcall(core.publish, item.channel, data, options)
  if not ok then return { error = (tostring(position):gsub("^[^:]+:%d+: ", "")) } end
  return position and { position = position } or { error = why }
end

local function publish(req)
  local value, why = req:json()
  if value == nil or type(value) ~= "table" then
    why = tostring(why or type(value))
    return core.refuse(req, 400, "the body is no JSON object or array: " .. why)
  end
  if #value == 0 and value.channel ~= nil then
    local result = publish_one(value, req.headers["idempotency-key"])
    return core.respond(req, result.error and 400 or 200, result)
  elseif #value == 0 then
    return core.refuse(req, 400, ("channel is missing; give %s or an array of these"):format(SHAPE))
  elseif #value > PUBLISH_MAX then
    local text = ("%d messages; allowed: %d in one request"):format(#value, PUBLISH_MAX)
    return core.refuse(req, 413, text)
  end
  local results = core.json.array {}
  for i, item in ipairs(value) do results[i] = publish_one(item) end
  core.respond(req, 200, results)
end

--- This worker's sessions, for core.ask.
function admin.own_sessions()
  return core.sessions()
end

--- Ends one session of this worker; true when it was here.
function admin.close_own(id)
  return core.close_session(id, DISCONNECTED, "disconnected")
end

--- Ends a user's sessions of this worker; how many.
function admin.disconnect_own(user)
  return core.disconnect(user, DISCONNECTED, "disconnected")
end

local function ask(req, name, value)
  local replies, why = core.ask(name, value, ASK_SECONDS)
  if not replies then core.refuse(req, 503, why) end
  return replies
end

local function sessions(req)
  local replies = ask(req, "sessions", true)
  if not replies then return end
  local all = core.json.array {}
  for _, list in ipairs(replies) do
    for _, item in ipairs(list) do all[#all + 1] = item end
  end
  core.respond(req, 200, { sessions = all })
end

local function close_session(req, params)
  local replies = ask(req, "close_session", params.id)
  if not replies then return end
  for _, closed in ipairs(replies) do
    if closed then return core.respond(req, 204) end
  end
  core.refuse(req, 404, "session_unknown")
end

local function disconnect(req)
  local value = req:json()
  if type(value) ~= "table" or value.user == nil then
    return core.refuse(req, 400, 'user is missing; give {"user": ID}')
  end
  local replies = ask(req, "disconnect", value.user)
  if not replies then return end
  local closed = 0
  for _, count in ipairs(replies) do closed = closed + count end
  core.respond(req, 200, { closed = closed })
end

local function channels(req)
  core.respond(req, 200, { channels = core.json.array(core.channels()) })
end

local function clear_channel(req, params)
  local ok, why = core.clear(params["*"])
  if not ok then return core.refuse(req, 404, why) end
  core.respond(req, 204)
end

local function reload_now(req)
  core.spawn(reload.run)
  core.respond(req, 202, { status = "looking" })
end

local routes <const> = router.new()
local OPEN <const>, KEY <const> = false, true

for _, row in ipairs {
  { "GET", "/healthz", OPEN, healthz }, { "GET", "/readyz", OPEN, readyz },
  { "GET", "/metrics", OPEN, metrics }, { "GET", "/status", KEY, status },
  { "POST", "/publish", KEY, publish }, { "GET", "/sessions", KEY, sessions },
  { "DELETE", "/sessions/:id", KEY, close_session }, { "POST", "/disconnect", KEY, disconnect },
  { "GET", "/channels", KEY, channels }, { "DELETE", "/channels/*", KEY, clear_channel },
  { "POST", "/reload", KEY, reload_now },
} do
  assert(routes:add(row[2], { row[1] }, { needs_key = row[3], serve = row[4] }))
end

--- Serves one request of the admin address; called by C in a task.
---@param req userdata
function admin.serve(req)
  local entry, params, allowed = routes:find(req.path, req.method)
  if not entry and req.method == "HEAD" then entry, params = routes:find(req.path, "GET") end
  if not entry then
    if allowed then
      local headers = { Allow = table.concat(allowed, ", ") }
      return core.respond(req, 405, { error = "method_not_allowed" }, headers)
    end
    return core.refuse(req, 404, "not_found")
  end
  if entry.needs_key and not core.equal(req:bearer() or "", core.settings.admin_key) then
    core.add_header(req, "WWW-Authenticate", "Bearer")
    return core.refuse(req, 401, "unauthorized")
  end
  entry.serve(req, params)
end

return admin
