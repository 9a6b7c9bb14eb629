-- SPDX-License-Identifier: MIT
--- The broadcast that the bench measures: /ch/N listens to a channel, what is said on /pub/N goes
--- there. Nothing is stored for a session, so its idle memory is the engine's own. The reload
--- scenario rewrites VERSION in its copy of this file and asks /version which code is live.
local hark <const> = require("hark")

local VERSION <const> = "0"

---@type hark.Script
return {
  channels = { ["bench/:room"] = {} },

  {
    path      = "/ch/:room",
    transport = { "websocket", "sse" },

    open = function(conn)
      conn:join("bench/" .. conn.params.room)
    end,
  },

  {
    path      = "/pub/:room",
    transport = "websocket",

    message = function(conn, text)
      return hark.publish("bench/" .. conn.params.room, text)
    end,
  },

  {
    path = "/version",

    respond = function()
      return 200, VERSION
    end,
  },
}
