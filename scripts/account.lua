-- SPDX-License-Identifier: MIT
--- Sign in, then hear your own channel: a token in a header, a cookie or the query, checked here
--- before any transport is accepted.
local token <const> = require("token")

---@type hark.Script
return {
  channels = {
    ["account/:id"] = {
      history = 100, ttl = "1h",
      join = function(conn, channel) return channel.id == conn.user.id end,
    },
  },

  { -- the demo believes any name; a real service asks for more
    path   = "/login",
    method = "POST",
    respond = function(req)
      local form = req:json()
      local signed, why = token.sign(type(form) == "table" and form.name)
      if not signed then return 400, { error = why } end
      return 200, { token = signed },
             { ["Set-Cookie"] = "session=" .. signed .. "; Path=/account; HttpOnly; SameSite=Lax" }
    end,
  },

  {
    path    = "/account",
    origins = { "https://app.example.com" },                -- a cookie is no proof of the page

    auth = function(req)
      return token.verify(req:bearer() or req.cookies.session or req.query.token)
    end,

    open = function(conn)
      conn:join("account/" .. conn.user.id)
      conn:send({ welcome = conn.user.id, over = conn.transport })
    end,
  },
}
