-- SPDX-License-Identifier: MIT
--- A long-poll inbox: each user reads one channel, and nothing is lost between two polls.
local hark <const>  = require("hark")
local token <const> = require("token")

local function is_name(text) return type(text) == "string" and text:find("^[%w_-]+$") ~= nil end

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
    if not is_name(whose) then return conn:close(4403, "no such user") end
    local sub = conn:join("inbox/" .. whose, { rewind = 50 })
    if not sub then conn:close(4403, "not your inbox") end
  end,

  message = function(conn, msg)
    if type(msg) ~= "table" or not is_name(msg.to) or type(msg.text) ~= "string" then
      return nil, "send {to=..., text=...}"
    end
    return hark.publish("inbox/" .. msg.to, { from = conn.user.id, text = msg.text })
  end,

  deliver = function(_, event)                              -- last look before it leaves
    if event.data:find('"draft":true', 1, true) then return nil end
    return event
  end,
}
