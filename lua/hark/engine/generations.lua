-- SPDX-License-Identifier: MIT
--
-- One worker's apps: staged generations (prepared, not yet serving), the committed one of each
-- app, and the routes over all of them. A commit happens between two handler runs and swaps
-- everything at once; sessions point to slots, so their next event finds the new code.

local api <const> = require("hark.engine.api")
local core <const> = require("hark.core")
local router <const> = require("hark.engine.router")
local sandbox <const> = require("hark.engine.sandbox")
local script <const> = require("hark.engine.script")
local services <const> = require("hark.engine.services")

local generations = {}

local HANDLERS <const> = {
  "open", "message", "close", "attach", "detach", "gap", "drain", "timers", "codec", "upgrade",
}
local RETIRE_SPREAD_MS <const> = 5000

local committed = {} -- name -> app
local staged = {}    -- sequence -> { name -> app }
local routes = router.new()
local settings = {}

--- Host settings (engine.config), before the first generation.
function generations.configure(given)
  settings = given
end

local function pick(name, key, endpoint, default)
  local own, host = endpoint[name], settings[name]
  return own and own[key] or host and host[key] or default
end

-- The numbers a session lives by, from endpoint, script and host, in this order. Limits of a script
-- can only lower the host's.
local function policy_of(app, endpoint)
  local function limit(key, default)
    local host = settings.limits and settings.limits[key] or default
    local own = endpoint.limits and endpoint.limits[key] or app.limits[key]
    return own and math.min(own, host) or host
  end
  return {
    message_bytes = limit("message", 64 * 1024), queue_bytes = limit("queue", 1024 * 1024),
    channels = limit("channels", 128), grace_ms = endpoint.grace or 0,
    poll_grace_ms = pick("longpoll", "grace", endpoint, 30000),
    poll_wait_ms = pick("longpoll", "wait", endpoint, 45000),
    poll_batch = pick("longpoll", "batch", endpoint, 1),
    ping_ms = pick("websocket", "ping", endpoint, 25000),
    pong_ms = pick("websocket", "pong", endpoint, 10000),
    comment_ms = pick("sse", "comment", endpoint, 15000),
    retry_ms = pick("sse", "retry", endpoint, 2000),
  }
end

local function spec_of(app, endpoint)
  local spec = {
    app = app.name, generation = app.generation, path = endpoint.path,
    version = endpoint.version or 0, policy = policy_of(app, endpoint),
  }
  for _, name in ipairs(HANDLERS) do spec[name] = endpoint[name] end
  local deliver = endpoint.deliver
  if type(deliver) == "table" then spec.variant = deliver else spec.deliver = deliver end
  return spec
end

local function key_of(app, endpoint)
  local methods = endpoint.method and table.concat(endpoint.method, ",") or ""
  return table.concat({ app.name, endpoint.path, methods }, "\0")
end

local function build_routes(apps)
  local built = router.new()
  for _, app in pairs(apps) do
    for _, endpoint in ipairs(app.endpoints) do
      local entry = { endpoint = endpoint, key = key_of(app, endpoint), app = app }
      local methods = endpoint.respond and endpoint.method or nil
      local added, why = built:add(endpoint.path, methods, entry)
      if not added then return nil, ("%s: %s"):format(app.name, why) end
    end
  end
  return built
end

local function traced(chunk)
  local ok, value = xpcall(chunk, function(problem)
    if type(problem) ~= "string" then return tostring(problem) end
    return debug.traceback(problem, 2)
  end)
  if ok then return value end
  return nil, value
end

local function prepare_app(item)
  local app = {
    name = item.name, folder = item.folder, main = item.main, files = item.files,
    generation = item.generation, loading = true,
  }
  local value, why = sandbox.run(app, {
    load = function(chunk) return core.limited("load", traced, chunk) end,
  })
  if why then return nil, why end
  local described, problem = script.describe(value)
  if not described then return nil, problem end
  for key, field in pairs(described) do app[key] = field end
  return app
end

--- Loads the new generations of a bundle beside the running ones.
---@param bundle table { sequence, apps = { { name, generation, main, folder, files } } }
---@return table failures error text by app name
function generations.prepare(bundle)
  local ready, failures = {}, {}
  for _, item in ipairs(bundle.apps) do
    local app, why = prepare_app(item)
    if app then ready[item.name] = app else failures[item.name] = why end
  end
  staged[bundle.sequence] = ready
  return failures
end

--- Throws prepared generations away.
function generations.abort(sequence)
  staged[sequence] = nil
end

local function channels_of(apps)
  local list, seen = {}, {}
  for _, app in pairs(apps) do
    for _, channel in ipairs(app.channels) do
      if not seen[channel.pattern] then -- equal patterns have equal options: the look saw to that
        seen[channel.pattern] = true
        list[#list + 1] = channel
      end
    end
  end
  return list
end

local function swap_slots(app, old)
  local live = {}
  for _, endpoint in ipairs(app and app.endpoints or {}) do
    local key = key_of(app, endpoint)
    live[key] = true
    core.slot_set(core.slot(key), spec_of(app, endpoint))
  end
  for _, endpoint in ipairs(old and old.endpoints or {}) do
    local key = key_of(old, endpoint)
    if not live[key] then
      local slot = core.slot(key)
      core.retire(slot, "endpoint gone", RETIRE_SPREAD_MS)
      core.slot_clear(slot)
    end
  end
end

--- Makes prepared generations the serving ones, and removes apps that are gone.
---@param order table { sequence, apps = names, gone = names }
---@return string? problem
function generations.commit(order)
  local ready = staged[order.sequence] or {}
  staged[order.sequence] = nil
  local next_apps = {}
  for name, app in pairs(committed) do next_apps[name] = app end
  for _, name in ipairs(order.apps) do next_apps[name] = ready[name] end
  for _, name in ipairs(order.gone) do next_apps[name] = nil end
  local built, why = build_routes(next_apps)
  if not built then return why end
  local old = committed
  committed, routes = next_apps, built
  core.channels_set(channels_of(committed))
  for _, name in ipairs(order.gone) do swap_slots(nil, old[name]) end
  for _, name in ipairs(order.apps) do
    local app = committed[name]
    app.loading = false
    if app.on_loaded then app.on_loaded() end
    api.commit_kept(app)
    swap_slots(app, old[name])
  end
  for _, name in ipairs(order.gone) do services.swap(name, {}) end
  for _, name in ipairs(order.apps) do services.swap(name, committed[name].services) end
  return nil
end

--- The endpoint of a path: { endpoint, slot, app } and its params; or nil and the methods allowed.
function generations.find(path, method)
  local entry, params, allowed = routes:find(path, method)
  if entry and not entry.slot then entry.slot = core.slot(entry.key) end
  return entry, params, allowed
end

--- Name and generation of each serving app, sorted.
function generations.list()
  local list = {}
  for name, app in pairs(committed) do
    list[#list + 1] = { name = name, generation = app.generation, endpoints = #app.endpoints }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return generations
