// SPDX-License-Identifier: MIT
//
// Server-Sent Events as a browser, a proxy and curl see them (WHATWG HTML section 9.2).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { shared } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { openEventSource, SseStream } from "./support/sse.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const run = promisify(execFile);

const FILES = {
  "feed.lua": `
local hark <const> = require("hark")
local runs = hark.shared("runs")
return {
  channels = { ["feed/:name"] = { history = 2000, ttl = "5m" }, ["log"] = { history = 10 } },
  { path = "/feed/:name", transport = { "sse", "longpoll" },
    auth = function(req)
      if req.query.gone then return nil, "moved out", 204 end
      if req.query.status then return nil, "no", tonumber(req.query.status) end
      if req.query.count then runs:incr(req.query.count) end
      return { id = req:bearer() or req.query.user or "someone" }
    end,
    open = function(conn) conn:join("feed/" .. conn.params.name) end,
    message = function(conn, text, kind)
      if text == "bad" then return nil, "bad is bad" end
      if text == "fail" then error("inner secret") end
      if text == "count" then return conn:send(tostring(runs:get(conn.query.count))) end
      return conn:send(kind .. " " .. text)
    end,
    close = function(conn, why) hark.publish("log", conn.params.name) end },
  { path = "/log", transport = "websocket", open = function(conn) conn:join("log") conn:send("ready") end },
  { path = "/beat", transport = "sse", sse = { comment = "100ms", retry = "1234ms" },
    open = function(conn) conn:send("hello", { event = "greeting" }) end },
  { path = "/say", transport = "sse", open = function(conn)
      for _, how in ipairs({ "plain", "a\\nb", "a\\rb", "a\\r\\nb", "end\\n", "\\n", "", " blank", "id: 5", ":c",
                             "x\\n\\nevent: evil\\ndata: y", "a\\n\\rb" }) do
        conn:send(how)
      end
      conn:send({ n = 1, list = require("hark").json.empty_array })
      conn:send("\\0\\255", { binary = true })
      conn:send("named", { event = "name with blanks é" })
      local ok = pcall(conn.send, conn, "x", { event = "two\\nlines" })
      local good, why = false, nil
      if ok then good, why = conn:send("x", { event = "two\\nlines" }) end
      conn:send(good and "accepted" or "refused")
    end },
  { path = "/quit", transport = "sse",
    open = function(conn) conn:send("hello") end,
    message = function(conn, text) conn:send("last words") conn:close(4001, text) end },
  { path = "/stop", transport = { "sse", "longpoll", "websocket" }, open = function(conn) conn:close(tonumber(conn.query.code), "no more") end },
  { path = "/failopen", transport = "sse", open = function() error("inner secret") end },
}`,
};

const host = shared({ before, after }, FILES);

const open = (t, path, options) => tidy(t, SseStream.open(host().port, path, options));
const source = (t, path, options) => tidy(t, openEventSource(`${host().url}${path}`, options));
let unique = 0;
const feed = () => `f${++unique}`;

describe("the answer", () => {
  it("has the headers that keep proxies from buffering or keeping it", async (t) => {
    const sse = await open(t, `/feed/${feed()}`, { headers: { "Accept-Encoding": "gzip, br" } });
    const { headers } = sse.head;
    assert.match(headers["cache-control"], /no-store|no-cache/);
    assert.equal(headers["x-accel-buffering"], "no");
    assert.equal(headers["content-encoding"], undefined);
    assert.equal(headers["content-length"], undefined);
    assert.ok(headers["hark-session"].length >= 22);
    assert.ok(headers["x-request-id"]);
  });

  it("begins at once, before anything is published, with the time to wait before a retry", async (t) => {
    const sse = await open(t, "/beat");
    await sse.next();
    assert.equal(sse.retry, 1234);
  });

  it("over HTTP/1.0 is unframed and ends with the connection", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`, { version: "1.0" });
    assert.equal(sse.head.headers["transfer-encoding"], undefined);
    await host().publish(`feed/${name}`, "hi");
    assert.equal((await sse.next()).data, "hi");
  });

  it("is there for curl -N", async () => {
    const { stdout } = await run("curl", ["-sSN", "--max-time", "10", "-H", "Accept: text/event-stream", "--limit-rate", "1M",
                                          "-o", "-", "--head", `${host().url}/feed/x`]).catch((e) => e);
    assert.match(stdout, /^HTTP\/1\.1 405/, "HEAD on a stream makes no sense");
  });

  it("is a refusal for an EventSource when auth says so", async (t) => {
    for (const status of [401, 403, 404, 429, 503]) {
      const refused = await SseStream.ask(host().port, `/feed/x?status=${status}`);
      assert.equal(refused.head.status, status);
      refused.destroy();
    }
    const client = await source(t, "/feed/x?status=403");
    await client.errors.next();
    await until(() => client.source.readyState === 2, "the EventSource gives up");
  });

  it("is 204 to stop an EventSource for good", async (t) => {
    const client = await source(t, "/feed/x?gone=1");
    assert.equal((await client.answers.next()).status, 204);
    await until(() => client.source.readyState === 2, "the EventSource stops");
  });

  it("is a refusal when the script closes in open before it has said anything: 204, or 403 with its reason", async (t) => {
    for (const [code, status] of [[1000, 204], [4003, 403]]) {
      const client = await source(t, `/stop?code=${code}`);
      assert.equal((await client.answers.next()).status, status);
      await until(() => client.source.readyState === 2, "the EventSource stops");
      const sse = await request(`${host().url}/stop?code=${code}`, { headers: { accept: "text/event-stream" } });
      assert.equal(sse.text, status === 204 ? "" : '{"error":"no more"}');
      const poll = await request(`${host().url}/stop?code=${code}`);
      assert.equal(poll.status, 410);
      assert.deepEqual(poll.json(), { error: "session_closed", code, reason: "no more" });
      const ws = await tidy(t, openWebSocket(`${host().ws}/stop?code=${code}`));
      assert.deepEqual(await ws.closed(), { code, reason: "no more" });
    }
  });

  it("when open fails is an error with a reference, and nothing of the inside", async (t) => {
    const sse = await SseStream.ask(host().port, "/failopen");
    t.after(() => sse.destroy());
    assert.equal(sse.head.status, 500);
    const body = (await sse.raw.read(Number(sse.head.headers["content-length"]))).toString();
    assert.match(JSON.parse(body).reference, /^[\w-]{4,}$/);
    assert.doesNotMatch(body, /secret|\.lua/);
  });
});

describe("events", () => {
  it("carry data and an id each", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    await host().publish(`feed/${name}`, "one");
    await host().publish(`feed/${name}`, "two");
    const [one, two] = await sse.take(2);
    assert.equal(one.event, "message");
    assert.deepEqual([one.data, two.data], ["one", "two"]);
    assert.ok(one.id && two.id && one.id !== two.id);
    assert.match(one.id, /^[\w-]+$/);
  });

  it("have the name they were published with", async (t) => {
    const name = feed();
    const client = await source(t, `/feed/${name}`, { names: ["quote"] });
    await client.opened();
    await host().publish(`feed/${name}`, { price: 5 }, { event: "quote" });
    const got = await client.events.next();
    assert.equal(got.event, "quote");
    assert.deepEqual(JSON.parse(got.data), { price: 5 });
  });

  const said = ["plain", "a\nb", "a\nb", "a\nb", "end\n", "\n", "", " blank", "id: 5", ":c",
                "x\n\nevent: evil\ndata: y", "a\n\nb", '{"n":1,"list":[]}'];

  it("keep data of every line ending, for a reader by the book", async (t) => {
    const sse = await open(t, "/say", { keep: true });
    const events = await sse.take(said.length + 3);
    assert.deepEqual(events.slice(0, said.length - 1).map((e) => e.data), said.slice(0, -1));
    assert.deepEqual(JSON.parse(events[said.length - 1].data), { n: 1, list: [] });
    assert.ok(events.slice(0, said.length).every((e) => e.event === "message"), "no event was smuggled in");
    assert.equal(events[said.length].data, Buffer.from([0, 255]).toString("base64"));
    assert.equal(events[said.length + 1].event, "name with blanks é");
    assert.equal(events[said.length + 2].data, "refused");
    assert.ok(!sse.text.includes("\r"), "no CR on the wire");
  });

  it("keep data of every line ending, for npm's EventSource", async (t) => {
    const client = await source(t, "/say");
    const events = await client.events.take(said.length);
    assert.deepEqual(events.slice(0, said.length - 1).map((e) => e.data), said.slice(0, -1));
  });

  it("whose name would break the stream are refused where they are published", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    for (const event of ["a\nb", "a\rb", "a\0b"]) {
      const res = await host().api("/publish", { method: "POST", body: { channel: `feed/${name}`, data: "x", event } });
      assert.ok(res.status >= 400 && res.status < 500, `${res.status}`);
      assert.ok(res.json().error);
    }
    await host().publish(`feed/${name}`, "clean");
    assert.equal((await sse.next()).data, "clean");
  });

  it("of the largest size, made of line ends, arrive whole", async (t) => {
    const name = feed();
    const client = await source(t, `/feed/${name}`);
    await client.opened();
    const text = "ab\n".repeat(20000) + "é".repeat(1000);
    await host().publish(`feed/${name}`, text);
    assert.equal((await client.events.next()).data, text);
  });

  it("stay in order, thousands of them", async (t) => {
    const name = feed();
    const client = await source(t, `/feed/${name}`);
    await client.opened();
    for (let i = 0; i < 3000; i += 500) {
      await host().publishAll(`feed/${name}`, Array.from({ length: 500 }, (_, k) => `n${i + k}`));
    }
    const got = await client.events.take(3000);
    assert.deepEqual(got.map((e) => e.data), Array.from({ length: 3000 }, (_, i) => `n${i}`));
  });

  it("outside the log do not move the id", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    await host().publish(`feed/${name}`, "kept");
    const kept = await sse.next();
    const token = sse.session;
    await post(`${host().url}/feed/${name}`, "direct", { "hark-session": token });
    const direct = await sse.next();
    assert.equal(direct.data, "text direct");
    assert.equal(sse.lastEventId, kept.id);
  });
});

describe("heartbeats", () => {
  it("are comments, which no client shows", async (t) => {
    const sse = await open(t, "/beat");
    assert.deepEqual(await sse.next(), { id: undefined, event: "greeting", data: "hello" });
    for (let i = 0; i < 3; i++) await sse.blocks.find((b) => b.comments.length > 0 && b.data === undefined, "a comment");
  });
});

describe("coming back", () => {
  it("with Last-Event-ID gives what was missed, then live", async (t) => {
    const name = feed();
    const first = await open(t, `/feed/${name}`);
    await host().publishAll(`feed/${name}`, ["a", "b"]);
    const [a] = await first.take(2);
    first.cut();
    await host().publishAll(`feed/${name}`, ["c", "d"]);
    const again = await open(t, `/feed/${name}`, { headers: { "Last-Event-ID": a.id } });
    assert.deepEqual((await again.take(3)).map((e) => e.data), ["b", "c", "d"]);
    await host().publish(`feed/${name}`, "e");
    assert.equal((await again.next()).data, "e");
  });

  it("by ?cursor= works for those who cannot set a header, and goes before it", async (t) => {
    const name = feed();
    const first = await open(t, `/feed/${name}`);
    await host().publishAll(`feed/${name}`, ["a", "b", "c"]);
    const [a, b] = await first.take(3);
    const again = await open(t, `/feed/${name}?cursor=${b.id}`);
    assert.equal((await again.next()).data, "c");
    const both = await open(t, `/feed/${name}?cursor=${b.id}`, { headers: { "Last-Event-ID": a.id } });
    assert.equal((await both.next()).data, "c");
  });

  it("without an id starts live", async (t) => {
    const name = feed();
    const first = await open(t, `/feed/${name}`);
    await host().publish(`feed/${name}`, "old");
    await first.next();
    const fresh = await open(t, `/feed/${name}`);
    await host().publish(`feed/${name}`, "new");
    assert.equal((await fresh.next()).data, "new");
  });

  it("loses nothing when the cut came before the first event", async (t) => {
    const name = feed();
    const first = await open(t, `/feed/${name}`);
    await first.blocks.find((b) => b.id !== undefined, "a bare id");
    first.cut();
    await host().publish(`feed/${name}`, "while away");
    const again = await open(t, `/feed/${name}`, { headers: { "Last-Event-ID": first.lastEventId } });
    assert.equal((await again.next()).data, "while away");
  });

  it("with garbage is 400", async () => {
    for (const id of ["garbage", "!!!", "AAAA", "a".repeat(3000)]) {
      const sse = await SseStream.ask(host().port, "/feed/x", { headers: { "Last-Event-ID": id } });
      assert.equal(sse.head.status, 400, id.slice(0, 20));
      sse.destroy();
      const query = await request(`${host().url}/feed/x?cursor=${encodeURIComponent(id)}`, { headers: { accept: "text/event-stream" } });
      assert.equal(query.status, 400, id.slice(0, 20));
      assert.equal(query.json().error, "cursor_invalid");
    }
  });

  it("with an empty id is a fresh start", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`, { headers: { "Last-Event-ID": "" } });
    await host().publish(`feed/${name}`, "x");
    assert.equal((await sse.next()).data, "x");
  });
});

describe("the way back: POST beside the stream", () => {
  it("reaches the same session by header or by query, whichever worker takes it", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    const url = `${host().url}/feed/${name}`;
    const byHeader = await post(url, "hello", { "hark-session": sse.session });
    assert.equal(byHeader.status, 204);
    assert.equal(byHeader.text, "");
    assert.equal((await sse.next()).data, "text hello");
    assert.equal((await post(`${url}?session=${sse.session}`, "again")).status, 204);
    assert.equal((await sse.next()).data, "text again");
    const octets = await post(url, "raw", { "hark-session": sse.session, "content-type": "application/octet-stream" });
    assert.equal(octets.status, 204);
    assert.equal((await sse.next()).data, "binary raw");
  });

  it("tells the script's refusal, no token, an unknown token, a broken handler", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    const url = `${host().url}/feed/${name}`;
    const refused = await post(url, "bad", { "hark-session": sse.session });
    assert.equal(refused.status, 422);
    assert.equal(refused.json().error, "bad is bad");
    const none = await post(url, "x");
    assert.equal(none.status, 400);
    assert.equal(none.json().error, "session_required");
    const unknown = await post(url, "x", { "hark-session": "A".repeat(sse.session.length) });
    assert.equal(unknown.status, 404);
    assert.equal(unknown.json().error, "session_unknown");
    const broken = await post(url, "fail", { "hark-session": sse.session });
    assert.equal(broken.status, 500);
    assert.ok(broken.json().reference);
    assert.doesNotMatch(broken.text, /secret|\.lua/);
    assert.equal((await post(url, "still here", { "hark-session": sse.session })).status, 204);
    assert.equal((await sse.next()).data, "text still here");
    assert.equal((await post(url, Buffer.from([0xff]), { "hark-session": sse.session })).status, 400, "text is UTF-8");
  });

  it("works with an id that the client chose, for EventSource cannot read headers", async (t) => {
    const name = feed();
    const chosen = `${name}_`.padEnd(24, "abcdefghijklmnopqrstuvwxyz");
    const url = `${host().url}/feed/${name}?session=${chosen}&user=ann`;
    const client = await source(t, `/feed/${name}?session=${chosen}&user=ann`);
    await client.opened();
    assert.equal((await post(url, "hello")).status, 204);
    assert.equal((await client.events.next()).data, "text hello");
  });

  it("to an id that the client chose is bound to who opened it", async (t) => {
    const name = feed();
    const chosen = `${name}_`.padEnd(24, "zyxwvutsrqponmlkjihgfedcba");
    const url = `${host().url}/feed/${name}?session=${chosen}`;
    await open(t, `/feed/${name}?session=${chosen}&user=ann`);
    const stolen = await post(`${url}&user=bob`, "hello");
    assert.equal(stolen.status, 403);
    assert.equal(stolen.json().error, "session_forbidden");
    const taken = await SseStream.ask(host().port, `/feed/${name}?session=${chosen}&user=bob`);
    assert.equal(taken.head.status, 403);
    taken.destroy();
  });

  it("refuses an id that can be guessed", async () => {
    for (const bad of ["short", "a".repeat(21), "a".repeat(129), `${"a".repeat(22)}!`, `${"a".repeat(22)}%20`]) {
      const res = await request(`${host().url}/feed/x?session=${bad}`, { headers: { accept: "text/event-stream" } });
      assert.equal(res.status, 400, bad);
      assert.equal(res.json().error, "session_invalid", bad);
    }
  });

  it("does not run auth again for a session that has it", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}?count=${name}`);
    for (let i = 0; i < 3; i++) await post(`${host().url}/feed/${name}?count=${name}`, "count", { "hark-session": sse.session });
    assert.deepEqual((await sse.take(3)).map((e) => e.data), ["1", "1", "1"]);
  });
});

describe("the end", () => {
  it("runs the script's close when the client goes, and ends the session", async (t) => {
    const log = await tidy(t, openWebSocket(`${host().ws}/log`));
    assert.equal(await log.next(), "ready");
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    await sse.blocks.next();
    sse.cut();
    assert.equal(await log.messages.find((m) => m === name), name);
    const res = await post(`${host().url}/feed/${name}`, "x", { "hark-session": sse.session });
    assert.equal(res.status, 404);
  });

  it("by the client's DELETE ends the stream", async (t) => {
    const name = feed();
    const sse = await open(t, `/feed/${name}`);
    const res = await request(`${host().url}/feed/${name}`, { method: "DELETE", headers: { "hark-session": sse.session } });
    assert.equal(res.status, 204);
    assert.equal(await sse.ended(), "clean");
  });

  it("by the script tells code and reason, then ends the stream cleanly", async (t) => {
    const sse = await open(t, "/quit");
    assert.equal((await sse.next()).data, "hello");
    await post(`${host().url}/quit`, "enough", { "hark-session": sse.session });
    assert.equal((await sse.next()).data, "last words");
    const last = await sse.next();
    assert.equal(last.event, "hark.close");
    assert.deepEqual(JSON.parse(last.data), { code: 4001, reason: "enough" });
    assert.equal(await sse.ended(), "clean");
  });
});
