-- SPDX-License-Identifier: MIT
--- A long-poll inbox: each user reads one channel, and nothing is lost between two polls.
local hark <const>  = require("hark")
local token <const> = require("token")

---@type hark.Script
return {
  channels = {
    ["inbox/:user"] = {
      history = 500, ttl = "24h",
      join = function(conn, channel) return channel.user == conn.user.id end, -- yours, or nobody's
    },
  },

  path      = "/inbox",
  codec     = "json",
  transport = "longpoll",
  longpoll  = { wait = "25s", batch = 50 },

  auth = function(req) return token.verify(req:bearer() or req.query.token) end,

  open = function(conn)
    local whose = conn.query.user or conn.user.id
    local sub, why = conn:join("inbox/" .. whose, { rewind = 50 })
    if not sub then conn:close(4403, why) end
  end,

  message = function(conn, msg)
    if type(msg) ~= "table" or type(msg.to) ~= "string" or type(msg.text) ~= "string" then
      return nil, "send {to=..., text=...}"
    end
    return hark.publish("inbox/" .. msg.to, { from = conn.user.id, text = msg.text })
  end,

  deliver = function(_, event)                              -- last look before it leaves
    if event.data:find('"draft":true', 1, true) then return nil end
    return event
  end,
}
