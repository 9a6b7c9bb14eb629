-- SPDX-License-Identifier: MIT
--- Ticker: one worker makes the quotes. A slow reader is brought to the newest of each symbol,
--- one that was away gets what it missed or, when that is no longer held, a fresh snapshot.
local hark <const> = require("hark")

local SYMBOLS <const> = { "ASH", "ELM", "OAK" }
local SECONDS <const> = tonumber(hark.env.TICKER_SECONDS) or 1

local latest <const> = hark.shared("ticker")                -- one dictionary for all workers

local function quote(symbol, n)                             -- made up, and the same in every run
  return { symbol = symbol, n = n, cents = 10000 + (n + symbol:byte()) * 37 % 500 }
end

---@type hark.Script
return {
  channels = { ["ticker"] = { history = 300, ttl = "5m", slow = "latest" } },

  services = {
    quotes = {
      on  = "one",
      run = function()
        while hark.sleep(SECONDS) do                        -- nil: a newer generation took over
          local n = latest:incr("n")
          for _, symbol in ipairs(SYMBOLS) do
            local q = quote(symbol, n)
            latest:set(symbol, q)
            hark.publish("ticker", q, { event = "quote", key = symbol })
          end
        end
      end,
    },
  },

  path      = "/ticker",
  transport = { "sse", "websocket", "longpoll" },

  open = function(conn)
    local sub = conn:join("ticker")                         -- resumes after Last-Event-ID by itself
    if sub.recovered then return end
    local board = {}
    for i, symbol in ipairs(SYMBOLS) do board[i] = latest:get(symbol) or quote(symbol, 0) end
    conn:send({ quotes = board }, { event = "snapshot" })
  end,
}
