// SPDX-License-Identifier: MIT
//
// What a script can say, seen from outside: codecs, deliver and variants, timers, requests to the
// client, plain endpoints, shared state, services, attach and detach, and errors that tell a client
// a reference and nothing more.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { shared, withHost } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { Poller } from "./support/poll.mjs";
import { SseStream } from "./support/sse.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "codec.lua": `
local function say(conn, m) return conn:send(m) end
return {
  { path = "/json", codec = "json", message = function(conn, m, kind)
      return conn:send({ got = m, type = math.type(m) or type(m), kind = kind })
    end },
  { path = "/own", message = say, codec = {
      decode = function(text) if text == "" then return nil, "empty" end return { word = text:upper() } end,
      encode = function(value) return type(value) == "table" and "<" .. value.word .. ">" or value end } },
  { path = "/plain", message = say },
  { path = "/strings", codec = "json", message = function(conn) conn:send("as it is") return conn:send({ 1, 2 }) end },
}`,
  "deliver.lua": `
local hark <const> = require("hark")
local runs = hark.shared("runs")
local function join(conn) conn:join("d/" .. conn.params.name) conn:send("ready") end
return {
  channels = { ["d/:name"] = { history = 100 } },
  { path = "/private/:name", open = join, longpoll = { wait = "20s" }, deliver = function(conn, event)
      if event.data == "not " .. (conn.query.me or "") then return nil end
      if event.data == "fail" then error("inner secret") end
      event.data = (conn.query.me or "") .. ":" .. event.data
      if event.event then event.event = event.event .. "!" end
      return event
    end },
  { path = "/variant/:name", open = join, longpoll = { wait = "20s" },
    message = function(conn, lang) conn.data.lang = lang conn:refresh() return conn:send("refreshed") end,
    deliver = hark.variant(
      function(conn) return conn.data.lang or conn.query.lang or "en" end,
      function(lang, event)
        if event.data == "not " .. lang then return nil end
        runs:incr(event.data .. " " .. lang)
        event.data = lang .. ":" .. event.data
        return event
      end) },
  { path = "/runs/:key", method = "GET", respond = function(req) return 200, tostring(runs:get(req.params.key)) end },
}`,
  "life.lua": `
local hark <const> = require("hark")
local log = function(conn, ...) hark.publish("log/" .. conn.params.name, table.concat({ ... }, " ")) end
return {
  channels = { ["log/:name"] = { history = 100 } },
  { path = "/log/:name", transport = "websocket", open = function(conn)
      conn:join("log/" .. conn.params.name, { rewind = 100 }) conn:send("ready")
    end },
  { path = "/life/:name", grace = "5s", longpoll = { wait = "20s" },
    open = function(conn) log(conn, "open", conn.transport) conn:send("ready") end,
    attach = function(conn, transport) log(conn, "attach", transport) end,
    detach = function(conn, why, clean) log(conn, "detach", type(why), tostring(clean)) end,
    message = function(conn, text)
      if text == "where" then return conn:send(conn.transport) end
      log(conn, "message", text)
    end,
    close = function(conn, why) log(conn, "close", type(why)) end },
  { path = "/timers/:name", open = function(conn) conn:send("ready") end,
    message = function(conn, text)
      local verb, name, seconds = text:match("^(%a+) (%a+) ?([%d.]*)$")
      if verb == "after" then conn:after(tonumber(seconds), name) end
      if verb == "cancel" then return conn:send("cancelled " .. tostring(conn:cancel(name))) end
    end,
    timers = {
      tick = function(conn)
        conn.data.n = (conn.data.n or 0) + 1
        conn:send("tick " .. conn.data.n)
        if conn.data.n < 3 then conn:after(0.02, "tick") end
      end,
      tock = function(conn) conn:send("tock") end,
      never = function(conn) conn:send("never") end,
      bad = function() error("inner secret") end,
    } },
  { path = "/ask", codec = "json", message = function(conn, m)
      if m.ask then
        local answer, why = conn:request({ question = m.ask }, m.seconds or 5)
        return conn:send({ answer = answer or hark.json.null, why = why })
      end
      return conn:send({ other = m })
    end },
  { path = "/facts/:a/*", open = function(conn)
      conn:send({ a = conn.params.a, rest = conn.params["*"], q = conn.query.q, ip = conn.ip, over = conn.transport,
                  user = conn.user, data = type(conn.data), backlog = math.type(conn.backlog), id = conn.id })
    end, auth = function(req) return { id = "ann", roles = { admin = true } } end },
  { path = "/full", open = function(conn) conn:send("ready") end, limits = { queue = "64KiB" },
    message = function(conn)
      for i = 1, 10000 do
        local ok, why = conn:send(("x"):rep(10000))
        if not ok then hark.publish("log/full", why) return end
      end
      hark.publish("log/full", "never full")
    end },
  { path = "/late", open = function(conn)
      conn:send("ready")
      hark.shared("late"):set("waiting", true)
      hark.sleep(0.3)
      local ok, why = conn:send("anyone?")
      local sub, why2 = conn:join("log/late")
      hark.publish("log/late", tostring(ok) .. " " .. tostring(why) .. " " .. tostring(sub) .. " " .. tostring(why2))
    end },
  { path = "/closed", open = function() return nil, "we are full" end },
  { path = "/refuse-data", message = function(conn, text)
      local ok = pcall(function()
        if text == "function" then conn.data.f = function() end end
        if text == "metatable" then conn.data.m = setmetatable({}, { __index = {} }) end
        if text == "plain" then conn.data.p = { 1, "a", { true } } end
      end)
      return conn:send(text .. " " .. tostring(ok))
    end },
}`,
  "shared.lua": `
local hark <const> = require("hark")
local s = hark.shared("box")
return {
  { path = "/shared/:op", method = "POST", respond = function(req)
      local op, a = req.params.op, req:json() or {}
      if op == "set" then return 200, { ok = s:set(a.key, a.value, a.ttl) } end
      if op == "get" then local v = s:get(a.key) return 200, { value = v == nil and hark.json.null or v, type = math.type(v) or type(v) } end
      if op == "add" then return 200, { ok = s:add(a.key, a.value) } end
      if op == "incr" then return 200, { value = s:incr(a.key, a.by) } end
      if op == "update" then return 200, { value = s:update(a.key, function(v) return (v or 0) + 1 end) } end
      if op == "function" then local f = function() end return 200, { ok = pcall(s.set, s, "f", f) and s:set("f", f) == true } end
    end },
  { path = "/tools", method = "POST", respond = function(req)
      local value, why = req:json()
      return 200, {
        json = hark.json.encode(value == nil and { why = why } or value),
        hmac = hark.hmac.sha256("key", "The quick brown fox jumps over the lazy dog"),
        equal = { hark.equal("a", "a"), hark.equal("a", "b"), hark.equal("a", "aa") },
        env = hark.env.E2E_VALUE, none = hark.env.E2E_NONE == nil,
      }
    end },
  { path = "/echo", respond = function(req)
      return 200, { method = req.method, body = req.body, bearer = req:bearer(), cookies = req.cookies, host = req.host, ip = req.ip }
    end },
  { path = "/item", method = "GET", respond = function() return 200, "get" end },
  { path = "/item", method = { "PUT", "DELETE" }, respond = function(req) return 200, req.method end },
  { path = "/no", respond = function() return nil, "not like this" end },
  { path = "/guarded", auth = function(req) return req.query.me and { id = req.query.me } end,
    respond = function(req) return 200, "in" end },
}`,
  "service.lua": `
local hark <const> = require("hark")
local s = hark.shared("service")
return {
  channels = { ["beat"] = { history = 10 } },
  services = {
    beat = { on = "one", run = function()
      while hark.sleep(0.05) do hark.publish("beat", tostring(s:incr("beats"))) end
    end },
    shaky = { on = "one", run = function()
      if s:incr("tries") < 3 then error("not yet") end
      s:set("settled", true)
      hark.sleep(3600)
    end },
  },
  { path = "/beat", transport = "websocket", open = function(conn) conn:join("beat") end },
  { path = "/shaky", method = "GET", respond = function() return 200, { tries = s:get("tries"), settled = s:get("settled") or false } end },
}`,
  "bad.lua": `
local hark <const> = require("hark")
return {
  { path = "/bad/:where",
    auth = function(req) if req.params.where == "auth" then error("inner secret") end return {} end,
    open = function(conn) if conn.params.where == "open" then error("inner secret") end conn:send("ready") end,
    message = function(conn, text)
      if conn.params.where == "message" then error("inner secret " .. text) end
      if conn.params.where == "table" then error({ code = "inner secret" }) end
      if conn.params.where == "nil" then local x = nil; return x.y end
      if conn.params.where == "unknown" then return conn:send("x", { evnet = "y" }) end
      if conn.params.where == "type" then return conn:send(function() end) end
      return conn:send(text)
    end },
  { path = "/boom", respond = function() error("inner secret") end },
  { path = "/status", respond = function(req) return tonumber(req.query.s) or req.query.s, "x" end },
  { path = "/deep", respond = function() local t = {} t.t = t return 200, t end },
}`,
};

const host = shared({ before, after }, FILES, { workers: 2, env: { E2E_VALUE: "from outside" } });

const ws = (t, path, options) => tidy(t, openWebSocket(`${host().ws}${path}`, options));
let unique = 0;
const fresh = () => `s${++unique}`;

describe("codec", () => {
  it("json decodes what comes in and keeps integers; tables go out as JSON", async (t) => {
    const client = await ws(t, "/json");
    for (const [text, type] of [['{"a":[]}', "table"], ["12345678901234567", "integer"], ["1.5", "float"], ['"s"', "string"], ["true", "boolean"]]) {
      client.send(text);
      const back = await client.next();
      assert.ok(back.includes(`"got":${text}`), `${text} -> ${back}`);
      assert.equal(JSON.parse(back).type, type);
    }
    const sse = await tidy(t, SseStream.open(host().port, "/json"));
    assert.equal((await post(`${host().url}/json`, '{"n":1}', { "hark-session": sse.session })).status, 204);
    assert.deepEqual(JSON.parse((await sse.next()).data).got, { n: 1 });
  });

  it("refuses what it cannot decode: POST 400, WebSocket hark.error, and lives on", async (t) => {
    const client = await ws(t, "/json");
    for (const text of ["{", "", "[1,]", "{'a':1}", "1 2", "\u0000", "[".repeat(5000)]) {
      client.send(text);
      assert.equal((await client.json()).event, "hark.error", text.slice(0, 10));
    }
    const sse = await tidy(t, SseStream.open(host().port, "/json"));
    const res = await post(`${host().url}/json`, "{", { "hark-session": sse.session });
    assert.equal(res.status, 400);
    assert.equal(res.json().error, "invalid_message");
    client.send("1");
    assert.equal((await client.json()).got, 1);
  });

  it("of the script's own works both ways", async (t) => {
    const client = await ws(t, "/own");
    client.send("word");
    assert.equal(await client.next(), "<WORD>");
    client.send("");
    assert.equal((await client.json()).event, "hark.error");
  });

  it("left out passes strings as they are; with json strings still go as they are", async (t) => {
    const plain = await ws(t, "/plain");
    plain.send('{"not": "parsed"}');
    assert.equal(await plain.next(), '{"not": "parsed"}');
    const strings = await ws(t, "/strings");
    strings.send("1");
    assert.equal(await strings.next(), "as it is");
    assert.equal(await strings.next(), "[1,2]");
  });
});

describe("deliver", () => {
  it("looks at each message for one client: changes it, or keeps it back", async (t) => {
    const name = fresh();
    const [ann, bob] = [await ws(t, `/private/${name}?me=ann`), await ws(t, `/private/${name}?me=bob`)];
    const sse = await tidy(t, SseStream.open(host().port, `/private/${name}?me=cy`));
    await Promise.all([ann.next(), bob.next(), sse.next()]);
    await host().publish(`d/${name}`, "hi", { event: "greet" });
    await host().publish(`d/${name}`, "not bob");
    await host().publish(`d/${name}`, "end");
    assert.deepEqual(await ann.messages.take(3), ["ann:hi", "ann:not bob", "ann:end"]);
    assert.deepEqual(await bob.messages.take(2), ["bob:hi", "bob:end"]);
    const events = await sse.take(3);
    assert.deepEqual(events.map((e) => [e.event, e.data]), [["greet!", "cy:hi"], ["message", "cy:not bob"], ["message", "cy:end"]]);
  });

  it("that keeps one back moves the position past it", async (t) => {
    const name = fresh();
    const sse = await SseStream.open(host().port, `/private/${name}?me=bob`);
    await sse.next();
    await host().publishAll(`d/${name}`, ["a", "not bob", "b"]);
    const [, b] = await sse.take(2);
    sse.cut();
    await host().publish(`d/${name}`, "c");
    const again = await tidy(t, SseStream.open(host().port, `/private/${name}?me=bob`, { headers: { "Last-Event-ID": b.id } }));
    const got = (await again.take(2)).map((e) => e.data).filter((d) => d !== "ready");
    assert.deepEqual(got, ["bob:c"]);
  });

  it("that fails keeps that one message back and is logged", async (t) => {
    const name = fresh();
    const client = await ws(t, `/private/${name}?me=x`);
    await client.next();
    await host().publishAll(`d/${name}`, ["fail", "fine"]);
    assert.equal(await client.next(), "x:fine");
    await host().logged((f) => /deliver\.lua:\d+/.test(JSON.stringify(f)), "the error in deliver");
  });

  it("in variants runs once a variant and worker, not once a client, on every transport", async (t) => {
    const name = fresh();
    const clients = await Promise.all(Array.from({ length: 30 }, (_, i) => ws(t, `/variant/${name}?lang=${i % 2 ? "de" : "en"}`)));
    await Promise.all(clients.map((c) => c.next()));
    const sse = await tidy(t, SseStream.open(host().port, `/variant/${name}?lang=de`));
    await sse.next();
    await host().publish(`d/${name}`, name);
    for (const [i, c] of clients.entries()) assert.equal(await c.next(), `${i % 2 ? "de" : "en"}:${name}`);
    assert.equal((await sse.next()).data, `de:${name}`);
    for (const lang of ["en", "de"]) {
      const runs = Number((await request(`${host().url}/runs/${encodeURIComponent(`${name} ${lang}`)}`)).text);
      assert.ok(runs >= 1 && runs <= 4, `${runs} runs for ${lang} on two workers`);
    }
  });

  it("in variants can keep a message back for one of them, and the key can be taken anew", async (t) => {
    const name = fresh();
    const [en, de] = [await ws(t, `/variant/${name}?lang=en`), await ws(t, `/variant/${name}?lang=de`)];
    await Promise.all([en.next(), de.next()]);
    await host().publishAll(`d/${name}`, ["not de", "x"]);
    assert.deepEqual(await en.messages.take(2), ["en:not de", "en:x"]);
    assert.equal(await de.next(), "de:x");
    de.send("fr");
    assert.equal(await de.next(), "refreshed");
    await host().publish(`d/${name}`, "y");
    assert.equal(await de.next(), "fr:y");
  });
});

describe("the life of a connection", () => {
  it("is told in order: open, messages, close", async (t) => {
    const name = fresh();
    const client = await ws(t, `/timers/${name}`);
    assert.equal(await client.next(), "ready");
    const log = await ws(t, `/log/${name}`);
    await log.next();
    const life = await ws(t, `/life/${name}?x=1`);
    assert.equal(await life.next(), "ready");
    life.send("a");
    life.send("b");
    await life.close(1000);
    const told = [];
    while (!told.at(-1)?.startsWith("close")) told.push(await log.next());
    assert.equal(told[0], "open websocket");
    assert.deepEqual(told.filter((m) => m.startsWith("message")), ["message a", "message b"]);
    assert.equal(told.at(-1), "close string");
  });

  it("goes on over a swap of transports: detach, attach, the same session", async (t) => {
    const name = fresh();
    const log = await ws(t, `/log/${name}`);
    await log.next();
    const life = await ws(t, `/life/${name}`);
    assert.equal(await life.next(), "ready");
    assert.equal(await log.next(), "open websocket");
    life.cut();
    assert.match(await log.messages.find((m) => m.startsWith("detach")), /^detach string (true|false)$/);
    const sse = await tidy(t, SseStream.open(host().port, `/life/${name}?session=${life.session}`));
    assert.equal(await log.messages.find((m) => m.startsWith("attach")), "attach sse");
    assert.equal((await post(`${host().url}/life/${name}`, "where", { "hark-session": life.session })).status, 204);
    assert.equal((await sse.next()).data, "sse");
  });

  it("has its facts: params, rest, query, ip, user, transport", async (t) => {
    const client = await ws(t, "/facts/one/two/three?q=%20x");
    const facts = await client.json();
    assert.deepEqual({ ...facts, id: undefined }, { a: "one", rest: "two/three", q: " x", ip: "127.0.0.1", over: "websocket",
      user: { id: "ann", roles: { admin: true } }, data: "table", backlog: "integer", id: undefined });
    assert.ok(facts.id.length > 0);
    assert.notEqual(facts.id, client.session, "the token stays the client's secret");
  });

  it("keeps plain values only in conn.data", async (t) => {
    const client = await ws(t, "/refuse-data");
    for (const [text, ok] of [["plain", true], ["function", false], ["metatable", false]]) {
      client.send(text);
      assert.equal(await client.next(), `${text} ${ok}`);
    }
  });

  it("that has ended answers nil, 'closed' to a handler that still runs", async (t) => {
    const log = await ws(t, "/log/late");
    assert.equal(await log.next(), "ready");
    const late = await ws(t, "/late");
    assert.equal(await late.next(), "ready");
    late.cut();
    assert.match(await log.next(), /^nil closed nil closed$/);
  });

  it("that does not read makes send say 'full' at the script's limit", async (t) => {
    const log = await ws(t, "/log/full");
    assert.equal(await log.next(), "ready");
    const full = await ws(t, "/full");
    assert.equal(await full.next(), "ready");
    full.socket._socket.pause();
    full.send("go");
    assert.equal(await log.next(), "full");
  });
});

describe("open", () => {
  it("may refuse with nil and a reason, which every transport tells", async (t) => {
    const client = await ws(t, "/closed");
    assert.deepEqual(await client.closed(), { code: 1008, reason: "we are full" });
    const sse = await request(`${host().url}/closed`, { headers: { accept: "text/event-stream" } });
    assert.deepEqual([sse.status, sse.text], [403, '{"error":"we are full"}']);
    const poll = await request(`${host().url}/closed`);
    assert.equal(poll.status, 410);
    assert.deepEqual(poll.json(), { error: "session_closed", code: 1008, reason: "we are full" });
  });
});

describe("timers", () => {
  it("run by name, again and again when they set themselves", async (t) => {
    const client = await ws(t, "/timers/x");
    await client.next();
    client.send("after tick 0.01");
    assert.deepEqual(await client.messages.take(3), ["tick 1", "tick 2", "tick 3"]);
  });

  it("are replaced when set again, and cancelled by name", async (t) => {
    const client = await ws(t, "/timers/x");
    await client.next();
    client.send("after never 0.2");
    client.send("cancel never");
    assert.equal(await client.next(), "cancelled true");
    client.send("cancel never");
    assert.equal(await client.next(), "cancelled false");
    client.send("after tock 30");
    client.send("after tock 0.05");
    assert.equal(await client.next(), "tock");
    client.send("after tock 0.4");
    assert.equal(await client.next(), "tock", "and never the cancelled one before it");
    assert.equal(client.messages.size, 0);
  });

  it("run on SSE and long poll alike", async (t) => {
    const sse = await tidy(t, SseStream.open(host().port, "/timers/y"));
    assert.equal((await sse.next()).data, "ready");
    await post(`${host().url}/timers/y`, "after tock 0.01", { "hark-session": sse.session });
    assert.equal((await sse.next()).data, "tock");
    const poll = new Poller(`${host().url}/timers/y`);
    assert.equal((await poll.once()).text, "ready");
    await poll.post("after tock 0.01");
    assert.equal((await poll.once()).text, "tock");
  });

  it("that fail close with 1011", async (t) => {
    const client = await ws(t, "/timers/x");
    await client.next();
    client.send("after bad 0.01");
    assert.equal((await client.closed()).code, 1011);
  });
});

describe("conn:request", () => {
  it("asks the client; its next message is the answer, the one after a message again", async (t) => {
    const client = await ws(t, "/ask");
    client.send('{"ask":"who?"}');
    assert.deepEqual(await client.json(), { question: "who?" });
    client.send('{"me":1}');
    client.send('{"other":2}');
    assert.deepEqual(await client.json(), { answer: { me: 1 } });
    assert.deepEqual(await client.json(), { other: { other: 2 } });
  });

  it("does not wait for ever", async (t) => {
    const client = await ws(t, "/ask");
    client.send('{"ask":"who?","seconds":0.1}');
    await client.json();
    assert.deepEqual(await client.json(), { answer: null, why: "timeout" });
  });
});

describe("respond", () => {
  it("sees the request", async () => {
    const res = await request(`${host().url}/echo`, { method: "PATCH", body: "body", headers: { authorization: "Bearer t.o.k", cookie: "a=1; b=2" } });
    const seen = res.json();
    assert.equal(seen.method, "PATCH");
    assert.equal(seen.body, "body");
    assert.equal(seen.bearer, "t.o.k");
    assert.deepEqual(seen.cookies, { a: "1", b: "2" });
    assert.equal(seen.host, `127.0.0.1:${host().port}`);
    assert.equal(seen.ip, "127.0.0.1");
  });

  it("is routed by method, one path with several", async () => {
    assert.equal((await request(`${host().url}/item`)).text, "get");
    assert.equal((await request(`${host().url}/item`, { method: "PUT" })).text, "PUT");
    assert.equal((await request(`${host().url}/item`, { method: "DELETE" })).text, "DELETE");
    const res = await post(`${host().url}/item`, "");
    assert.equal(res.status, 405);
    assert.deepEqual(res.headers.allow.split(/, */).filter((m) => !["HEAD", "OPTIONS"].includes(m)).sort(), ["DELETE", "GET", "PUT"]);
  });

  it("may refuse with a reason, and auth goes before it", async () => {
    const res = await request(`${host().url}/no`);
    assert.equal(res.status, 422);
    assert.deepEqual(res.json(), { error: "not like this" });
    assert.equal((await request(`${host().url}/guarded`)).status, 401);
    assert.equal((await request(`${host().url}/guarded?me=x`)).text, "in");
  });
});

describe("the module", () => {
  it("has JSON that keeps integers and empty arrays, an HMAC, equal and the environment", async () => {
    const res = await post(`${host().url}/tools`, '{"n":9007199254740993,"e":[],"o":{},"f":1.5,"s":"\\u00e9\\ud83d\\ude00","x":null}');
    const seen = res.json();
    assert.match(seen.json, /"n":9007199254740993\b/);
    const back = JSON.parse(seen.json);
    assert.deepEqual([back.e, back.f, back.s], [[], 1.5, "é😀"]);
    assert.equal(seen.hmac, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    assert.deepEqual(seen.equal, [true, false, false]);
    assert.equal(seen.env, "from outside");
    assert.equal(seen.none, true);
    assert.match((await post(`${host().url}/tools`, "{nonsense")).json().json, /why/);
  });

  it("shares values between workers, with a time to live", async () => {
    const box = async (op, arg) => (await post(`${host().url}/shared/${op}`, JSON.stringify(arg))).json();
    const key = fresh();
    for (const value of ["text", 5, 1.5, true, [1, 2], { a: { b: ["c"] } }]) {
      assert.equal((await box("set", { key, value })).ok, true);
      assert.deepEqual((await box("get", { key })).value, value);
    }
    assert.equal((await box("add", { key, value: 1 })).ok, false);
    assert.equal((await box("add", { key: `${key}+`, value: 1 })).ok, true);
    assert.equal((await box("incr", { key: `${key}n` })).value, 1);
    assert.equal((await box("incr", { key: `${key}n`, by: 5 })).value, 6);
    await Promise.all(Array.from({ length: 50 }, () => box("update", { key: `${key}u` })));
    assert.equal((await box("get", { key: `${key}u` })).value, 50, "no update is lost between workers");
    await box("set", { key: `${key}t`, value: 1, ttl: 0.1 });
    await until(async () => (await box("get", { key: `${key}t` })).type === "nil", "it is gone");
    assert.equal((await box("function", {})).ok, false);
  });
});

describe("services", () => {
  it("work in the background and publish", async (t) => {
    const client = await ws(t, "/beat");
    const [a, b, c] = (await client.messages.take(3)).map(Number);
    assert.deepEqual([b, c], [a + 1, a + 2]);
  });

  it("that fail are started again", async () => {
    await until(async () => (await request(`${host().url}/shaky`)).json().settled, "the third try");
    assert.equal((await request(`${host().url}/shaky`)).json().tries, 3);
  });
});

describe("errors", () => {
  const inside = /secret|\.lua|traceback|attempt/;

  it("of a handler close the WebSocket with 1011 and a reference that the log knows with file and line", async (t) => {
    for (const where of ["message", "table", "nil", "unknown", "type", "open"]) {
      const client = await ws(t, `/bad/${where}`);
      if (where !== "open") {
        assert.equal(await client.next(), "ready");
        client.send("x");
      }
      const { code, reason } = await client.closed();
      assert.equal(code, 1011, where);
      assert.doesNotMatch(reason, inside, where);
      const reference = reason.split(" ").at(-1);
      assert.match(reference, /^[\w-]{4,}$/, where);
      const line = await host().logged((f) => Object.values(f).includes(reference), `reference ${reference} of ${where}`);
      assert.match(JSON.stringify(line), where === "table" ? /bad/ : /bad\.lua:\d+/, where);
    }
  });

  it("of a POST's handler are 500 with a reference, and the session lives", async (t) => {
    const sse = await tidy(t, SseStream.open(host().port, "/bad/message"));
    assert.equal((await sse.next()).data, "ready");
    for (let i = 0; i < 2; i++) {
      const res = await post(`${host().url}/bad/message`, "x", { "hark-session": sse.session });
      assert.equal(res.status, 500);
      assert.match(res.json().reference, /^[\w-]{4,}$/);
      assert.doesNotMatch(res.text, inside);
    }
  });

  it("of auth and respond are 500 with a reference", async () => {
    for (const path of ["/bad/auth", "/boom", "/deep", "/status?s=99", "/status?s=600", "/status?s=x", "/status?s=101"]) {
      const res = await request(`${host().url}${path}`);
      assert.equal(res.status, 500, path);
      assert.match(res.json().reference, /^[\w-]{4,}$/, path);
      assert.doesNotMatch(res.text, inside, path);
    }
  });
});

describe("the scripts of the demo", () => {
  it("are served as they are: the directory itself is a fixture", async () => {
    const { readdir, readFile } = await import("node:fs/promises");
    const root = new URL("../../scripts/", import.meta.url);
    const files = {};
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = `${entry.path ?? entry.parentPath}/${entry.name}`;
      files[path.slice(new URL(root).pathname.length).replace(/^\/+/, "")] = await readFile(path);
    }
    await withHost(files, { workers: 2 }, async (own) => {
      const { apps } = await own.status();
      assert.ok(apps.length >= 6);
      assert.deepEqual(apps.filter((a) => a.stale), []);
      assert.equal((await request(`${own.url}/`)).status, 200);

      const echo = await openWebSocket(`${own.ws}/echo`);
      echo.send("hello");
      assert.equal(await echo.next(), "hello");

      const ann = await openWebSocket(`${own.ws}/chat/lobby?name=ann`);
      const bob = await SseStream.open(own.port, "/chat/lobby?name=bob");
      ann.send(JSON.stringify({ text: "hi" }));
      const heard = await bob.blocks.find((b) => b.data?.includes('"text"'), "what ann said");
      assert.deepEqual(JSON.parse(heard.data), { from: "ann", text: "hi" });
      [echo, ann, bob].forEach((c) => c.destroy());
    });
  });
});
