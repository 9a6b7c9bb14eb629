-- SPDX-License-Identifier: MIT
--- One Lua call a message, and one answer: what a handler costs.

---@type hark.Script
return {
  path      = "/echo",
  transport = "websocket",

  message = function(conn, text)
    return conn:send(text)
  end,
}
