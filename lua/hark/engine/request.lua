-- SPDX-License-Identifier: MIT
--
-- The way of a request: route, origin, session, identity, transport. Runs as a task of its own, so
-- everything here may wait; whatever is decided ends in exactly one call that answers the request.

local core <const> = require("hark.core")
local generations <const> = require("hark.engine.generations")
local origins <const> = require("hark.engine.origins")

local request = {}

local SESSION_METHODS <const> = { "DELETE", "GET", "OPTIONS", "POST" }
local ANY_METHOD <const> = { "DELETE", "GET", "PATCH", "POST", "PUT" }
local MOVE_TRIES <const>, MOVE_PAUSE <const> = 200, 0.005 -- seconds
local TWO_WAY <const> = { "websocket", "sse", "longpoll" }
local ONE_WAY <const> = { "sse", "websocket", "longpoll" }

local function contains(list, item)
  for _, each in ipairs(list) do
    if each == item then return true end
  end
  return false
end

local function is_refusal(code)
  if math.type(code) ~= "integer" then return false end
  return code == 204 or code >= 400 and code <= 599 or code >= 3000 and code <= 4999
end

-- The third result of auth: an HTTP status, or a WebSocket close code (403 on other transports).
-- 204 says "nothing here for you" and stops an EventSource for good.
local function refuse_identity(req, why, code)
  code = code or 401
  if not is_refusal(code) then
    local text = "auth: the third result is %s; allowed: 204, 400 to 599, or 3000 to 4999"
    error(text:format(code), 0)
  end
  why = type(why) == "string" and why or "unauthorized"
  local websocket, status = req.offers.websocket, code
  if code >= 3000 and websocket then return core.reject(req, code, why) end
  if code == 204 and not websocket then return core.respond(req, 204) end
  if code == 401 then core.add_header(req, "WWW-Authenticate", "Bearer") end
  if code == 204 or code >= 3000 then status = 403 end
  return core.refuse(req, status, why)
end

-- true, user; or nothing when the request has been answered.
local function identify(req, endpoint)
  if not endpoint.auth then return true, nil end
  local user, why, code = endpoint.auth(req)
  if user == nil or user == false then
    refuse_identity(req, why, code)
    return false
  end
  return true, user
end

local function offered(endpoint)
  local list = endpoint.transport
  if type(list) == "table" then return list end
  return endpoint.message and TWO_WAY or ONE_WAY
end

local function wants_upgrade(req)
  local upgrade = req.headers.upgrade
  return upgrade ~= nil and upgrade:lower():find("websocket", 1, true) ~= nil
end

-- What the request itself asks for, before the endpoint is asked.
local function asked(req)
  if wants_upgrade(req) then return "websocket" end
  return req.offers.sse and "sse" or "longpoll"
end

local function refuse_transport(req, list)
  if #list == 1 and list[1] == "websocket" and not req.offers.sse then
    core.add_header(req, "Upgrade", "websocket")
    return core.respond(req, 426, { error = "upgrade_required", offers = list })
  end
  return core.respond(req, 406, { error = "not_acceptable", offers = list })
end

-- Name of the transport, or nil when the request has been answered.
local function choose(req, endpoint)
  if type(endpoint.transport) == "function" then
    local name = core.no_wait("transport", endpoint.transport, req)
    if name == "websocket" and not wants_upgrade(req) then
      refuse_transport(req, { "websocket" })
      return nil
    elseif name == nil then
      refuse_transport(req, TWO_WAY)
      return nil
    elseif name ~= "websocket" and name ~= "sse" and name ~= "longpoll" then
      error(('transport returned %s; allowed: "websocket", "sse", "longpoll"'):format(name), 0)
    end
    return name
  end
  local list, want = offered(endpoint), asked(req)
  if contains(list, want) then return want end
  refuse_transport(req, list)
  return nil
end

-- The client's order decides; hark.envelope is always offered.
local function first_of(offered_by_client, ours)
  for _, name in ipairs(offered_by_client) do
    if name == "hark.envelope" or contains(ours, name) then return name end
  end
  return nil
end

-- The subprotocol to answer, and whether messages travel in hark.envelope.
local function subprotocol(req, endpoint)
  local ours, chosen = endpoint.subprotocols
  if type(ours) == "function" then
    chosen = ours(req)
    if chosen ~= nil and not contains(req.subprotocols, chosen) then
      error(("subprotocols returned %s, which the client did not offer"):format(chosen), 0)
    end
  else
    chosen = first_of(req.subprotocols, ours or {})
  end
  return chosen, chosen == "hark.envelope" or req.query.envelope == "1"
end

local function accept_options(req, endpoint, transport)
  local opts = { transport = transport }
  if transport == "websocket" then
    opts.subprotocol, opts.envelope = subprotocol(req, endpoint)
  end
  return opts
end

local function same_identity(a, b)
  if type(a) == "table" and type(b) == "table" and a.id ~= nil then return a.id == b.id end
  return core.pack(a) == core.pack(b)
end

local function start(req, entry, params, id)
  local endpoint = entry.endpoint
  local known, user = identify(req, endpoint)
  if not known then return end
  local transport = choose(req, endpoint)
  if not transport then return end
  local opts = accept_options(req, endpoint, transport)
  opts.id, opts.user, opts.params, opts.query = id, user, params, req.query
  core.accept(req, entry.slot, opts)
end

-- An id that the client made up is bound to who it was: each request says so again.
local function is_bound_to(req, endpoint, conn)
  local known, user = identify(req, endpoint)
  if not known then return false end
  if same_identity(user, core.conn_user(conn)) then return true end
  core.refuse(req, 403, "session_forbidden")
  return false
end

-- A GET for a session that lives: the next poll, or a new connection that carries it on.
local function continue(req, entry, conn)
  local transport = choose(req, entry.endpoint)
  if transport == "longpoll" and conn.transport == "longpoll" then return core.poll(req, conn) end
  if transport then
    core.attach(req, conn, accept_options(req, entry.endpoint, transport))
  end
end

local function refuse_method(req, allowed)
  core.respond(req, 405, { error = "method_not_allowed" }, { Allow = table.concat(allowed, ", ") })
end

-- A request that carries the id of a session of this worker, or of one that is gone.
local function request_of(req, entry, params, id, kind)
  local conn = core.session(id)
  if not conn or core.conn_slot(conn) ~= entry.slot then
    if req.method ~= "GET" then return core.refuse(req, 404, "session_unknown") end
    return start(req, entry, params, kind == "chosen" and id or nil)
  end
  if kind == "chosen" and not is_bound_to(req, entry.endpoint, conn) then return end
  if req.method == "POST" then return core.post(req, conn) end
  if req.method == "DELETE" then return core.delete(req, conn) end
  return continue(req, entry, conn)
end

-- To the owner; an earlier answer of a pipelining client may still be on its way out.
local function move(req, owner)
  for _ = 1, MOVE_TRIES do
    local moved, why = core.move(req, owner)
    if moved or why == "closed" then return end
    core.sleep(MOVE_PAUSE)
  end
  core.refuse(req, 503, "busy")
end

-- Requests of an endpoint that carries sessions: to the worker that owns the session, if any.
local function session_request(req, entry, params)
  local method, id = req.method, core.session_id(req)
  if not contains(SESSION_METHODS, method) then return refuse_method(req, SESSION_METHODS) end
  if not id and method ~= "GET" then return core.refuse(req, 400, "session_required") end
  if not id then return start(req, entry, params, nil) end
  local owner, kind = core.owner(id)
  if not owner then return core.refuse(req, 400, "session_invalid") end
  if owner ~= core.worker() and not core.was_moved(req) then
    return move(req, owner)
  end
  return request_of(req, entry, params, id, kind)
end

-- Plain endpoints answer HEAD as they answer GET.
local function with_head(methods)
  local list = table.move(methods, 1, #methods, 1, {})
  if contains(list, "GET") and not contains(list, "HEAD") then list[#list + 1] = "HEAD" end
  table.sort(list)
  return list
end

-- Endpoints with `respond`: plain HTTP.
local function plain_request(req, entry)
  local known, user = identify(req, entry.endpoint)
  if not known then return end
  core.set_user(req, user)
  local status, body, headers = entry.endpoint.respond(req)
  if status == nil then
    return core.refuse(req, 422, type(body) == "string" and body or "refused")
  end
  if math.type(status) ~= "integer" or status < 200 or status > 599 then
    error(("respond: the status is %s; allowed: 200 to 599, or nil and a reason"):format(status), 0)
  end
  core.respond(req, status, body, headers)
end

local function allowed_methods(entry)
  if not entry.endpoint.respond then return SESSION_METHODS end
  return with_head(entry.endpoint.method or ANY_METHOD)
end

-- HEAD asks for what GET would answer; OPTIONS for what the path knows.
local function find(req, method)
  local entry, params, allowed = generations.find(req.path, method)
  if not entry and method == "HEAD" then entry, params = generations.find(req.path, "GET") end
  if not entry and method == "OPTIONS" and allowed then
    entry, params = generations.find(req.path, allowed[1])
  end
  return entry, params, allowed
end

--- Serves one request; called by the dispatcher in a task.
---@param req userdata
function request.serve(req)
  if req.target == "*" then return core.respond(req, 204) end
  local preflight = origins.is_preflight(req)
  local method = preflight and req.headers["access-control-request-method"] or req.method
  local entry, params, allowed = find(req, method)
  if not entry then
    if allowed then return refuse_method(req, with_head(allowed)) end
    if core.static(req) then return end
    return core.refuse(req, 404, "not_found")
  end
  core.set_params(req, params)
  if not origins.check(req, entry.endpoint.origins) then
    return core.refuse(req, 403, "origin_refused")
  end
  if preflight then return origins.preflight(req, allowed_methods(entry)) end
  if req.method == "OPTIONS" then
    return core.respond(req, 204, nil, { Allow = table.concat(allowed_methods(entry), ", ") })
  end
  if entry.endpoint.respond then return plain_request(req, entry) end
  return session_request(req, entry, params)
end

return request
