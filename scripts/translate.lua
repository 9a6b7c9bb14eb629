-- SPDX-License-Identifier: MIT
--- One event, many languages: `deliver` runs once per language, never once per client.
--- `made` counts the runs, so two readers of one language see the same number.
local hark <const>  = require("hark")
local words <const> = require("words")

local made <const> = hark.shared("translate")

---@type hark.Script
return {
  channels = { ["order/:id"] = { history = 20, ttl = "1h" } },

  path  = "/orders/:id",
  codec = "json",

  open = function(conn)
    conn:join("order/" .. conn.params.id)
  end,

  message = function(conn, msg)
    if type(msg) ~= "table" or not words.en[msg.status] then
      return nil, "status must be placed, packed, shipped or delivered"
    end
    return hark.publish("order/" .. conn.params.id, { status = msg.status }, { event = "status" })
  end,

  deliver = hark.variant(
    function(conn) return words[conn.query.lang] and conn.query.lang or "en" end,
    function(lang, event)
      local status <const> = hark.json.decode(event.data).status
      local said   <const> = (words[lang] or words.en)[status] or status
      event.data = hark.json.encode({ status = status, text = said, made = made:incr(lang) })
      return event
    end),
}
