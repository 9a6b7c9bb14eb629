-- SPDX-License-Identifier: MIT
--- Echo: what a client says comes back to that client alone, over whichever transport it has.
--- A WebSocket frame and a POST beside SSE or long polling arrive in the same `message`.

---@type hark.Script
return {
  path      = "/echo",
  transport = { "websocket", "sse", "longpoll" },

  message = function(conn, data, kind)
    return conn:send(data, { binary = kind == "binary" })
  end,
}
