// SPDX-License-Identifier: MIT
//
// TERM: not ready first, then nobody new, everybody told when to come back, what was asked answered,
// exit status 0. Each test on a host of its own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Host } from "./support/host.mjs";
import { request } from "./support/http.mjs";
import { Raw, RawWebSocket } from "./support/raw.mjs";
import { SseStream } from "./support/sse.mjs";
import { until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "all.lua": `
local hark <const> = require("hark")
local s = hark.shared("s")
return {
  channels = { ["c"] = { history = 1000 } },
  { path = "/all", longpoll = { wait = "20s" }, open = function(conn)
      conn:join("c")
      if not conn.query.quiet then conn:send("ready") end
    end },
  { path = "/words", open = function(conn) conn:send("ready") end,
    drain = function(conn, why) conn:send("last words " .. type(why)) end },
  { path = "/slow", method = "GET", respond = function()
      s:incr("began")
      hark.sleep(0.5)
      return 200, "done"
    end },
  { path = "/began", method = "GET", respond = function() return 200, tostring(s:get("began")) end },
  { path = "/spin", method = "GET", respond = function() s:incr("began") hark.sleep(30) return 200, "too late" end },
}`,
};

/** A host that is gone at the end of the test, however the test ends. */
async function start(t, conf = `return { drain = "5s" }`) {
  const host = await Host.start(FILES, { conf, workers: 2 });
  t.after(() => host.kill());
  return host;
}

/** Asserts the end: status 0, no sanitizer. */
async function ended(host) {
  assert.equal(await host.exited(), 0, host.stderr);
  host.checkSanitizers();
  await host.kill();
}

describe("TERM", () => {
  it("closes WebSockets with 1012 and a delay to come back after, spread over them", async (t) => {
    const host = await start(t);
    const clients = await Promise.all(Array.from({ length: 30 }, () => openWebSocket(`${host.ws}/all`)));
    await Promise.all(clients.map((ws) => ws.next()));
    host.signal("SIGTERM");
    const delays = [];
    for (const ws of clients) {
      const { code, reason } = await ws.closed();
      assert.equal(code, 1012);
      const m = /^retry=(\d+)$/.exec(reason);
      assert.ok(m, reason);
      delays.push(Number(m[1]));
    }
    assert.ok(new Set(delays).size > 10, `spread, not ${delays}`);
    await ended(host);
  });

  it("tells SSE the delay as retry, then ends the stream cleanly", async (t) => {
    const host = await start(t);
    const streams = await Promise.all(Array.from({ length: 20 }, () => SseStream.open(host.port, "/all")));
    await Promise.all(streams.map((s) => s.next()));
    host.signal("SIGTERM");
    const delays = [];
    for (const sse of streams) {
      assert.equal(await sse.ended(), "clean");
      assert.ok(Number.isInteger(sse.retry) && sse.retry > 0);
      delays.push(sse.retry);
    }
    assert.ok(new Set(delays).size > 5, `spread, not ${delays}`);
    await ended(host);
  });

  it("answers parked polls with 503 and Retry-After", async (t) => {
    const host = await start(t);
    const polls = Array.from({ length: 10 }, () => request(`${host.url}/all?quiet=1`));
    await until(async () => (await host.status()).sessions.longpoll === 10, "ten polls are parked");
    host.signal("SIGTERM");
    for (const poll of polls) {
      const res = await poll;
      assert.equal(res.status, 503);
      assert.ok(Number(res.headers["retry-after"]) >= 1);
      assert.equal(res.json().error, "draining");
    }
    await ended(host);
  });

  it("lets the script say last words on each transport", async (t) => {
    const host = await start(t);
    const ws = await openWebSocket(`${host.ws}/words`);
    const sse = await SseStream.open(host.port, "/words");
    assert.equal(await ws.next(), "ready");
    assert.equal((await sse.next()).data, "ready");
    host.signal("SIGTERM");
    assert.equal(await ws.next(), "last words string");
    assert.equal((await sse.next()).data, "last words string");
    assert.equal((await ws.closed()).code, 1012);
    assert.equal(await sse.ended(), "clean");
    await ended(host);
  });

  it("finishes what was asked, and says Connection: close", async (t) => {
    const host = await start(t);
    const raw = await Raw.connect(host.port);
    raw.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    await until(async () => (await request(`${host.url}/began`)).text === "1", "the handler runs");
    host.signal("SIGTERM");
    const res = await raw.readResponse();
    assert.equal(res.text, "done");
    assert.match(res.headers.connection, /close/i);
    await raw.closed();
    await ended(host);
  });

  it("is told by /readyz while it lasts, and nobody new gets in", async (t) => {
    const host = await start(t);
    const held = await Raw.connect(host.port);
    held.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    await until(async () => (await request(`${host.url}/began`)).text === "1", "the handler runs");
    host.signal("SIGTERM");
    await until(async () => (await request(`${host.admin}/readyz`)).status === 503, "not ready");
    await until(async () => {
      const answer = await request(`${host.url}/began`).catch((e) => e);
      return answer instanceof Error || answer.status === 503;
    }, "nobody new is let in");
    assert.equal((await held.readResponse()).text, "done");
    await ended(host);
  });

  it("closes idle connections and waits for no silent one", async (t) => {
    const host = await start(t);
    const idle = await Raw.connect(host.port);
    idle.write("GET /began HTTP/1.1\r\nHost: a\r\n\r\n");
    await idle.readResponse();
    const silent = await Raw.connect(host.port);
    host.signal("SIGTERM");
    await idle.closed();
    await silent.closed();
    await ended(host);
  });

  it("ends at its deadline, whatever handlers and clients do", async (t) => {
    const host = await start(t, `return { drain = "500ms" }`);
    const raw = await Raw.connect(host.port);
    raw.write("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
    await until(async () => (await request(`${host.url}/began`)).text === "1", "the handler runs");
    const rude = await RawWebSocket.open(host.port, "/all"); // will not answer the close frame
    assert.equal(await rude.readMessage(), "ready");
    const stalled = await RawWebSocket.open(host.port, "/all");
    assert.equal(await stalled.readMessage(), "ready");
    stalled.raw.stall();
    for (let i = 0; i < 10; i++) await host.publishAll("c", Array.from({ length: 50 }, () => "x".repeat(10000)));
    host.signal("SIGTERM");
    await ended(host);
    [raw, rude, stalled].forEach((c) => c.destroy());
  });

  it("a second time does not wait any longer", async (t) => {
    const host = await start(t, `return { drain = "30s" }`);
    const raw = await Raw.connect(host.port);
    raw.write("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
    await until(async () => (await request(`${host.url}/began`)).text === "1", "the handler runs");
    host.signal("SIGTERM");
    await until(async () => (await request(`${host.admin}/readyz`).catch(() => ({}))).status !== 200, "draining");
    host.signal("SIGTERM");
    await ended(host);
    raw.destroy();
  });

  it("with nobody here ends at once; INT is the same", async (t) => {
    for (const signal of ["SIGTERM", "SIGINT"]) {
      const host = await start(t);
      host.signal(signal);
      await ended(host);
    }
  });

  it("is no silent loss for those who come back to the next process: a gap is told", async (t) => {
    const first = await start(t);
    const sse = await SseStream.open(first.port, "/all?quiet=1");
    await first.publish("c", "a");
    const { id } = await sse.next();
    first.signal("SIGTERM");
    await sse.ended();
    await ended(first);
    const second = await start(t);
    await second.publish("c", "while away");
    const again = await SseStream.open(second.port, "/all?quiet=1", { headers: { "Last-Event-ID": id } });
    assert.equal((await again.next()).event, "hark.gap");
    await second.publish("c", "b");
    assert.equal((await again.blocks.find((b) => b.data === "b", "what comes after the gap")).data, "b");
    again.destroy();
    await second.stop();
  });
});
