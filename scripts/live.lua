-- SPDX-License-Identifier: MIT
--- One address, three transports: the engine has the facts, this script the last word.
--- The page in public/ listens here three times. Change `message`, save, and watch it.
local hark <const> = require("hark")

---@type hark.Script
return {
  channels = { ["live/:id"] = { history = 200 } },

  path     = "/live/:id",
  longpoll = { batch = 32 },                                -- a late poll catches up in one answer

  transport = function(req)
    if req.query.t and req.offers[req.query.t] then return req.query.t end -- it asks, and can
    if req.offers.websocket and not req.query.readonly then return "websocket" end
    if req.offers.sse then return "sse" end
    return "longpoll"                                       -- works through anything
  end,

  open = function(conn)
    conn:join("live/" .. conn.params.id)
    conn:send({ hello = conn.id, over = conn.transport })
  end,

  message = function(conn, text)                            -- a frame, or a POST: the same thing
    local others = not conn.query.echo and conn or nil      -- ?echo=1 hears itself as well
    return hark.publish("live/" .. conn.params.id, text, { except = others })
  end,
}
