-- SPDX-License-Identifier: MIT
--- For backends: POST {channel, data, event?} with the key, and everyone who listens hears it.
local hark <const> = require("hark")

local KEY <const> = hark.env.PUBLISH_KEY or "demo-key"

---@type hark.Script
return {
  path   = "/publish",
  method = "POST",

  auth = function(req)
    if hark.equal(req:bearer() or "", KEY) then return { id = "backend" } end
    return nil, "send the publish key as a bearer token"
  end,

  respond = function(req)
    local order, why = req:json()
    if type(order) ~= "table" then return 400, { error = why or "an object, please" } end
    local kind <const> = type(order.data)
    if type(order.channel) ~= "string" or (kind ~= "string" and kind ~= "table")
       or (order.event ~= nil and type(order.event) ~= "string") then
      return 422, { error = "channel: string, data: string or object, event: string or absent" }
    end
    local ok, position, refused = pcall(hark.publish, order.channel, order.data, {
      event = order.event,
      once  = req.headers["idempotency-key"],               -- a repeated POST publishes once
    })
    if not ok then return 422, { error = "no script declares that channel, or no such event" } end
    if not position then return 503, { error = refused } end
    return 200, { position = position }
  end,
}
