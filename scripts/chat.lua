-- SPDX-License-Identifier: MIT
--- Chat: one room per path, the last 50 lines for newcomers, and who comes and goes.
local hark <const> = require("hark")

---@type hark.Script
return {
  channels = { ["chat/:room"] = { history = 50, presence = true } },

  path  = "/chat/:room",
  codec = "json",

  auth = function(req)
    local name = req.query.name
    if not name or name == "" or #name > 32 then
      return nil, "tell us a name of 1 to 32 letters: ?name="
    end
    return { id = name }
  end,

  open = function(conn)
    conn:join("chat/" .. conn.params.room, { as = conn.user.id, rewind = 50 })
  end,

  message = function(conn, msg)
    if type(msg) ~= "table" or type(msg.text) ~= "string" then return nil, "text missing" end
    return hark.publish("chat/" .. conn.params.room, { from = conn.user.id, text = msg.text })
  end,
}
