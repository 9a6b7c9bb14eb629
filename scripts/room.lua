-- SPDX-License-Identifier: MIT
--- A room that shows who is here and who is typing. Joins and leaves are events by themselves.
local hark <const>  = require("hark")
local token <const> = require("token")

local function room(conn) return "room/" .. conn.params.room end

local function tell_typing(conn, on)                        -- not worth keeping: no history
  return hark.publish(room(conn), { type = "typing", who = conn.user.id, on = on },
                      { history = false, except = conn })
end

---@type hark.Script
return {
  channels = { ["room/:room"] = { history = 100, presence = true } },

  path    = "/room/:room",
  codec   = "json",
  version = 2,

  auth = function(req) return token.verify(req:bearer() or req.query.token) end,

  open = function(conn)
    local sub = conn:join(room(conn), { as = conn.user.id, info = { name = conn.user.id } })
    conn:send({ type = "here", members = sub:members() })
  end,

  message = function(conn, msg)
    if type(msg) ~= "table" then return nil, "an object with a type, please" end
    if msg.type == "typing" then
      if not conn.data.typing then tell_typing(conn, true) end
      conn.data.typing = true
      conn:after(4, "quiet")                                -- set again: replaces the earlier one
    elseif msg.type == "say" and type(msg.text) == "string" then
      conn:cancel("quiet")
      conn.data.typing = nil
      return hark.publish(room(conn), { type = "said", who = conn.user.id, text = msg.text })
    else
      return nil, "send {type='typing'} or {type='say', text=...}"
    end
  end,

  timers = {                                                -- by name: a reload changes them
    quiet = function(conn)
      conn.data.typing = nil
      tell_typing(conn, false)
    end,
  },

  upgrade = function(conn, from)                            -- version 1 kept a time stamp here
    if from < 2 then conn.data.typing = conn.data.typing_since and true or nil end
  end,
}
