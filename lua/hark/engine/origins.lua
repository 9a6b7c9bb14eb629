-- SPDX-License-Identifier: MIT
--
-- Who may ask from a browser: the Origin check that stops cross-site WebSocket hijacking, and the
-- CORS answers (Fetch standard, section 3.2) that follow from the same list.

local core <const> = require("hark.core")

local origins = {}

local EXPOSED <const> = "ETag, Hark-Session, Hark-Event, Hark-Gap, Retry-After, X-Request-Id"
local MAX_AGE <const> = "600"

-- Host and port of an origin; a default port is left out, as browsers leave it out of both.
local function authority(origin)
  local scheme, host = origin:match("^(%a[%w+.-]*)://(.+)$")
  if not scheme then return nil end
  local default = scheme == "https" and ":443" or ":80"
  if host:sub(-#default) == default then host = host:sub(1, -#default - 1) end
  return host:lower()
end

local function bare_host(host)
  return (host or ""):lower():gsub(":443$", ""):gsub(":80$", "")
end

local function listed(list, origin)
  for _, item in ipairs(list) do
    if item == "*" then return "*" end
    if item:lower() == origin:lower() then return origin end
  end
  return nil
end

--- Checks the Origin of a request and adds the CORS fields its answer needs.
---@param req userdata
---@param list string[]? the endpoint's origins; nil: same origin only
---@return boolean allowed
function origins.check(req, list)
  local origin = req.headers.origin
  if not origin then return true end
  local same = authority(origin) ~= nil and authority(origin) == bare_host(req.host)
  local allow = list and listed(list, origin)
  if allow then
    core.add_header(req, "Access-Control-Allow-Origin", allow)
    core.add_header(req, "Access-Control-Expose-Headers", EXPOSED)
    core.add_header(req, "Vary", "Origin")
    if allow ~= "*" then core.add_header(req, "Access-Control-Allow-Credentials", "true") end
  end
  return same or allow ~= nil
end

--- Answers a preflight; the origin has been checked.
---@param req userdata
---@param methods string[]
function origins.preflight(req, methods)
  local asked = req.headers["access-control-request-headers"]
  core.respond(req, 204, nil, {
    ["Access-Control-Allow-Methods"] = table.concat(methods, ", "),
    ["Access-Control-Allow-Headers"] = asked,
    ["Access-Control-Max-Age"] = MAX_AGE,
  })
end

--- Whether this is a preflight at all.
---@param req userdata
---@return boolean
function origins.is_preflight(req)
  return req.method == "OPTIONS" and req.headers.origin ~= nil
    and req.headers["access-control-request-method"] ~= nil
end

return origins
