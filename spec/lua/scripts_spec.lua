-- SPDX-License-Identifier: MIT
--
-- The demo scripts without a host: each is a value that can be loaded and called. The `hark` they
-- get here is a small stand-in that writes down what they do.

package.path = "./lua/?.lua;./scripts/lib/?.lua;" .. package.path

local script = require("hark.engine.script")

local SCRIPTS <const> = {
  "account", "chat", "echo", "inbox", "live", "publish", "room", "ticker", "translate",
}

local published, hark

--- JSON enough for the stand-in: tables travel as themselves.
local function stand_in()
  published = {}
  local shared = {}
  local function dictionary(name)
    shared[name] = shared[name] or {}
    local values = shared[name]
    return {
      get = function(_, key) return values[key] end,
      set = function(_, key, value) values[key] = value return true end,
      incr = function(_, key) values[key] = (values[key] or 0) + 1 return values[key] end,
    }
  end
  hark = {
    env = {}, shared = dictionary,
    json = { encode = function(v) return v end, decode = function(v) return v end },
    hmac = { sha256 = function(key, data)
      local sum = 5381
      for c in (key .. "\0" .. data):gmatch(".") do sum = (sum * 33 + c:byte()) & 0xffffffff end
      return ("%08x"):format(sum)
    end },
    equal = function(a, b) return a == b end,
    variant = function(key, fn)
      return setmetatable({ key = key, fn = fn }, { __name = "hark.variant" })
    end,
    publish = function(channel, data, opts)
      published[#published + 1] = { channel = channel, data = data, opts = opts or {} }
      return "1:" .. #published
    end,
  }
  package.loaded.hark, package.loaded.token, package.loaded.words = hark, nil, nil
end

local function load_script(name)
  return dofile(("scripts/%s.lua"):format(name))
end

--- A connection that writes down what a script does with it.
local function connection(fields)
  local conn = {
    id = "c1", user = { id = "ann" }, params = {}, query = {}, data = {},
    transport = "websocket", sent = {}, joins = {}, timers = {},
  }
  for key, value in pairs(fields or {}) do conn[key] = value end
  function conn:send(data, opts)
    self.sent[#self.sent + 1] = { data = data, opts = opts }
    return true
  end
  function conn:join(channel, opts)
    self.joins[#self.joins + 1] = { channel = channel, opts = opts }
    if self.refuses then return nil, "not yours" end
    return { recovered = false, members = function() return { { id = "ann" } } end }
  end
  function conn:close(code, why) self.closed = { code, why } return true end
  function conn:after(seconds, timer) self.timers[timer] = seconds return true end
  function conn:cancel(timer) self.timers[timer] = nil return true end
  return conn
end

local function request(fields)
  local req = { query = {}, cookies = {}, headers = {} }
  for key, value in pairs(fields) do req[key] = value end
  function req:bearer() return self.token end
  function req:json() return self.value, self.value == nil and "no JSON" or nil end
  return req
end

describe("the demo", function()
  before_each(stand_in)
  after_each(function() package.loaded.hark = nil end)

  it("is made of scripts under 60 lines that the engine accepts, without a clash", function()
    local paths, channels = {}, {}
    for _, name in ipairs(SCRIPTS) do
      local lines = 0
      for _ in io.lines(("scripts/%s.lua"):format(name)) do lines = lines + 1 end
      assert.is_true(lines < 60, name)
      local app, why = script.describe(load_script(name))
      assert.is_nil(why)
      for _, endpoint in ipairs(app.endpoints) do
        assert.is_nil(paths[endpoint.shape], endpoint.path)
        paths[endpoint.shape] = true
      end
      for _, channel in ipairs(app.channels) do
        assert.is_nil(channels[channel.pattern], channel.pattern)
        channels[channel.pattern] = true
      end
    end
  end)

  it("echoes in kind", function()
    local conn = connection()
    load_script("echo").message(conn, "\1\2", "binary")
    assert.same({ data = "\1\2", opts = { binary = true } }, conn.sent[1])
  end)

  it("chats under a name from the query", function()
    local chat = load_script("chat")
    assert.is_nil((chat.auth(request { query = {} })))
    assert.is_nil((chat.auth(request { query = { name = "" } })))
    assert.is_nil((chat.auth(request { query = { name = ("x"):rep(33) } })))
    assert.same({ id = "ann" }, chat.auth(request { query = { name = "ann" } }))
    local conn = connection { params = { room = "tea" } }
    chat.open(conn)
    assert.same({ channel = "chat/tea", opts = { as = "ann", rewind = 50 } }, conn.joins[1])
    assert.same({ nil, "text missing" }, { chat.message(conn, { txt = "hi" }) })
    assert.same({ nil, "text missing" }, { chat.message(conn, 3) })
    chat.message(conn, { text = "hi" })
    assert.same({ from = "ann", text = "hi" }, published[1].data)
  end)

  it("chooses a transport among those that got through", function()
    local choose = load_script("live").transport
    local all = { websocket = true, sse = true, longpoll = true }
    assert.equal("websocket", choose(request { offers = all }))
    assert.equal("sse", choose(request { offers = all, query = { readonly = "1" } }))
    assert.equal("longpoll", choose(request { offers = { longpoll = true } }))
    assert.equal("longpoll", choose(request { offers = all, query = { t = "longpoll" } }))
    assert.equal("websocket", choose(request { offers = all, query = { t = "pigeon" } }))
  end)

  it("sends live messages to others, and to the sender who asks for it", function()
    local live = load_script("live")
    local conn = connection { params = { id = "demo" } }
    live.message(conn, "hi")
    assert.equal(conn, published[1].opts.except)
    conn.query = { echo = "1" }
    live.message(conn, "hi")
    assert.is_nil(published[2].opts.except)
  end)

  it("believes its own tokens only, until they end", function()
    local token = require("token")
    local good = token.sign("ann")
    assert.equal("ann", token.verify(good).id)
    assert.is_nil((token.verify(nil)))
    assert.is_nil((token.verify("ann")))
    assert.is_nil((token.verify(good:gsub("^ann", "bob"))))
    assert.is_nil((token.verify(token.sign("ann", -1))))
    for _, name in ipairs { "", "a b", "a.b", ("x"):rep(33), 7 } do
      assert.is_nil((token.sign(name)), tostring(name))
    end
  end)

  it("signs in by header, cookie or query", function()
    local account = load_script("account")
    local login, endpoint = account[1], account[2]
    assert.equal(400, (login.respond(request {})))
    assert.equal(400, (login.respond(request { value = { name = "a b" } })))
    local status, body, headers = login.respond(request { value = { name = "ann" } })
    assert.equal(200, status)
    assert.matches("^session=ann%.", headers["Set-Cookie"])
    for _, fields in ipairs { { token = body.token }, { cookies = { session = body.token } },
                              { query = { token = body.token } } } do
      assert.equal("ann", endpoint.auth(request(fields)).id)
    end
    local user, why = endpoint.auth(request {})
    assert.is_nil(user)
    assert.matches("POST your name to /login", why)
    local join = account.channels["account/:id"].join
    assert.is_true(join(connection(), { id = "ann" }))
    assert.is_false(join(connection(), { id = "bob" }))
  end)

  it("keeps an inbox for its owner", function()
    local inbox = load_script("inbox")
    local conn = connection { query = { user = "bob" }, refuses = true }
    inbox.open(conn)
    assert.same({ 4403, "not your inbox" }, conn.closed)
    conn = connection { query = { user = "bob/*" } }
    inbox.open(conn)
    assert.same({ 4403, "no such user" }, conn.closed)
    assert.same({}, conn.joins)
    assert.is_nil((inbox.message(conn, { to = "../x", text = "hi" })))
    inbox.message(conn, { to = "bob", text = "hi" })
    assert.same({ from = "ann", text = "hi" }, published[1].data)
    assert.equal("inbox/bob", published[1].channel)
    assert.is_nil((inbox.message(conn, { to = "bob" })))
    assert.is_nil(inbox.deliver(conn, { data = '{"draft":true}' }))
    local event = { data = '{"draft":false}' }
    assert.equal(event, inbox.deliver(conn, event))
  end)

  it("tells a room who types, once, and that it ended", function()
    local room = load_script("room")
    local conn = connection { params = { room = "tea" } }
    room.open(conn)
    assert.same({ type = "here", members = { { id = "ann" } } }, conn.sent[1].data)
    room.message(conn, { type = "typing" })
    room.message(conn, { type = "typing" })
    assert.equal(1, #published)
    assert.same({ type = "typing", who = "ann", on = true }, published[1].data)
    assert.is_false(published[1].opts.history)
    assert.equal(4, conn.timers.quiet)
    room.timers.quiet(conn)
    assert.is_false(published[2].data.on)
    room.message(conn, { type = "typing" })
    room.message(conn, { type = "say", text = "hi" })
    assert.is_nil(conn.timers.quiet)
    assert.is_nil(conn.data.typing)
    assert.same({ type = "said", who = "ann", text = "hi" }, published[4].data)
    assert.is_nil((room.message(conn, { type = "shout" })))
    conn.data = { typing_since = 7 }
    room.upgrade(conn, 1)
    assert.is_true(conn.data.typing)
  end)

  it("ticks until another generation takes over", function()
    local ticker = load_script("ticker")
    local turns = 0
    hark.sleep = function()
      turns = turns + 1
      if turns > 2 then return nil, "retired" end
      return true
    end
    ticker.services.quotes.run()
    assert.equal(6, #published)
    assert.same({ event = "quote", key = "ELM" }, published[2].opts)
    assert.equal(2, published[6].data.n)
    local conn = connection()
    ticker.open(conn)
    assert.equal("snapshot", conn.sent[1].opts.event)
    assert.equal(2, conn.sent[1].data.quotes[3].n)
  end)

  it("says a status in the reader's language", function()
    local translate = load_script("translate")
    local deliver = translate.deliver
    assert.equal("de", deliver.key(connection { query = { lang = "de" } }))
    assert.equal("en", deliver.key(connection { query = { lang = "tlh" } }))
    local event = deliver.fn("de", { data = { status = "shipped" } })
    assert.same({ status = "shipped", text = "unterwegs", made = 1 }, event.data)
    assert.is_nil((translate.message(connection { params = { id = "7" } }, { status = "lost" })))
    translate.message(connection { params = { id = "7" } }, { status = "placed" })
    assert.equal("order/7", published[1].channel)
  end)

  it("publishes for a backend that has the key", function()
    local publish = load_script("publish")
    assert.is_nil((publish.auth(request { token = "guess" })))
    assert.is_table(publish.auth(request { token = "demo-key" }))
    assert.equal(400, (publish.respond(request {})))
    assert.equal(422, (publish.respond(request { value = { channel = "live/a" } })))
    assert.equal(422, (publish.respond(request { value = { channel = "live/a", data = 5 } })))
    local status, body = publish.respond(request {
      value = { channel = "live/a", data = "hi", event = "note" },
      headers = { ["idempotency-key"] = "k" },
    })
    assert.equal(200, status)
    assert.equal("1:1", body.position)
    assert.same({ event = "note", once = "k" }, published[1].opts)
    hark.publish = function() error("publish.lua:1: channel \"x\" is not declared") end
    status, body = publish.respond(request { value = { channel = "x", data = "hi" } })
    assert.equal(422, status)
    assert.matches("^no script declares", body.error)
    hark.publish = function() return nil, "closed" end
    status, body = publish.respond(request { value = { channel = "x", data = "hi" } })
    assert.equal(503, status)
    assert.equal("closed", body.error)
  end)
end)
