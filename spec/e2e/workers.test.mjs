// SPDX-License-Identifier: MIT
//
// Four workers, one host: whichever thread a connection or a request lands on, the client sees one.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, it } from "node:test";

import { shared } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { Poller } from "./support/poll.mjs";
import { Raw } from "./support/raw.mjs";
import { SseStream } from "./support/sse.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "all.lua": `
local hark <const> = require("hark")
local counts = hark.shared("counts")
local kept = hark.keep("kept", 1, function() return { n = 0 } end)
return {
  channels = { ["all/:name"] = { history = 100 } },
  services = { once = { on = "one", run = function() counts:incr("one") hark.sleep(3600) end },
               each = { on = "each", run = function() counts:incr("each") hark.sleep(3600) end } },
  { path = "/all/:name", longpoll = { wait = "20s" },
    open = function(conn) conn:join("all/" .. conn.params.name) conn:send("ready") end,
    message = function(conn, text) return conn:send("heard " .. text) end },
  { path = "/count/:key", method = "POST", respond = function(req) return 200, tostring(counts:incr(req.params.key)) end },
  { path = "/count/:key", method = "GET", respond = function(req) return 200, tostring(counts:get(req.params.key)) end },
  { path = "/kept", method = "GET", respond = function() kept.n = kept.n + 1 return 200, tostring(kept.n) end },
}`,
};

const WORKERS = 4;
const host = shared({ before, after }, FILES, { workers: WORKERS });

let unique = 0;
const fresh = () => `w${++unique}`;

describe("workers", () => {
  it("are as many as asked for, and all of them serve", async () => {
    assert.equal((await host().status()).workers, WORKERS);
    await until(async () => {
      await request(`${host().url}/kept`);
      const seen = new Set();
      const answers = await Promise.all(Array.from({ length: 64 }, () => request(`${host().url}/kept`)));
      answers.forEach((a) => seen.add(a.text));
      // The value is each worker's own: sixty-four requests on one worker would all be different.
      return seen.size < 64;
    }, "requests land on several workers");
  });

  it("share what a script keeps in hark.shared", async () => {
    const key = fresh();
    const answers = await Promise.all(Array.from({ length: 200 }, () => post(`${host().url}/count/${key}`, "")));
    const numbers = answers.map((a) => Number(a.text)).sort((a, b) => a - b);
    assert.deepEqual(numbers, Array.from({ length: 200 }, (_, i) => i + 1));
  });

  it("run a service on one of them, or on each", async () => {
    const count = async (key) => Number((await request(`${host().url}/count/${key}`)).text);
    await until(async () => (await count("each")) === WORKERS, "each worker runs its service");
    assert.equal(await count("one"), 1);
  });
});

describe("a session", () => {
  it("is found by POST from any worker, for many streams at once", async (t) => {
    await Promise.all(Array.from({ length: 24 }, async () => {
      const name = fresh();
      const sse = await tidy(t, SseStream.open(host().port, `/all/${name}`));
      assert.equal((await sse.next()).data, "ready");
      for (let k = 0; k < 8; k++) {
        const res = await post(`${host().url}/all/${name}`, `${k}`, { "hark-session": sse.session });
        assert.equal(res.status, 204, res.text);
        assert.equal((await sse.next()).data, `heard ${k}`);
      }
    }));
  });

  it("hears its own POSTs in order, whichever worker takes each", async (t) => {
    const name = fresh();
    const sse = await tidy(t, SseStream.open(host().port, `/all/${name}`));
    assert.equal((await sse.next()).data, "ready");
    for (let k = 0; k < 40; k++) {
      assert.equal((await post(`${host().url}/all/${name}`, `${k}`, { "hark-session": sse.session })).status, 204);
    }
    const got = (await sse.take(40)).map((e) => e.data);
    assert.deepEqual(got, Array.from({ length: 40 }, (_, k) => `heard ${k}`));
  });

  it("with an id that the client chose is found by hash from any worker", async (t) => {
    await Promise.all(Array.from({ length: 12 }, async () => {
      const name = fresh();
      const chosen = `${name}_`.padEnd(26, "chosenbythisclientitself");
      const sse = await tidy(t, SseStream.open(host().port, `/all/${name}?session=${chosen}`));
      assert.equal((await sse.next()).data, "ready");
      for (let k = 0; k < 4; k++) {
        assert.equal((await post(`${host().url}/all/${name}?session=${chosen}`, `${k}`)).status, 204);
        assert.equal((await sse.next()).data, `heard ${k}`);
      }
    }));
  });

  it("is polled over kept connections that land anywhere", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    try {
      const url = `${host().url}/all/${fresh()}`;
      let res = await request(url, { agent });
      assert.equal(res.text, "ready");
      for (let k = 0; k < 10; k++) {
        const token = res.headers["hark-session"];
        assert.equal((await request(url, { method: "POST", body: `${k}`, headers: { "hark-session": token }, agent })).status, 204);
        res = await request(url, { headers: { "if-none-match": res.headers.etag }, agent });
        assert.equal(res.text, `heard ${k}`);
      }
    } finally {
      agent.destroy();
    }
  });

  it("on a pipelined connection is served in order with requests of other sessions", async (t) => {
    const [a, b] = [new Poller(`${host().url}/all/${fresh()}`), new Poller(`${host().url}/all/${fresh()}`)];
    await a.once();
    await b.once();
    await a.post("for a");
    await b.post("for b");
    const raw = await tidy(t, Raw.connect(host().port));
    const poll = (p) => `GET ${new URL(p.url).pathname} HTTP/1.1\r\nHost: a\r\nIf-None-Match: ${p.etag}\r\n\r\n`;
    raw.write(poll(a) + poll(b) + "GET /kept HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await raw.readResponse()).text, "heard for a");
    assert.equal((await raw.readResponse()).text, "heard for b");
    assert.match((await raw.readResponse()).text, /^\d+$/);
  });
});

describe("a channel", () => {
  it("reaches hundreds of connections on all workers, each message once and in order", async (t) => {
    const name = fresh();
    const clients = await Promise.all(Array.from({ length: 200 }, () => tidy(t, openWebSocket(`${host().ws}/all/${name}`))));
    await Promise.all(clients.map(async (ws) => assert.equal(await ws.next(), "ready")));
    await host().publishAll(`all/${name}`, Array.from({ length: 50 }, (_, i) => `n${i}`));
    for (const ws of clients) {
      assert.deepEqual(await ws.messages.take(50), Array.from({ length: 50 }, (_, i) => `n${i}`));
    }
    const { channels } = (await host().api("/channels")).json();
    assert.equal(channels.find((c) => c.name === `all/${name}`).subscribers, 200);
  });

  it("forgets connections that went, on all workers", async (t) => {
    const name = fresh();
    const clients = await Promise.all(Array.from({ length: 40 }, () => tidy(t, openWebSocket(`${host().ws}/all/${name}`))));
    await Promise.all(clients.map((ws) => ws.next()));
    clients.forEach((ws, i) => (i % 2 ? ws.cut() : ws.close()));
    await until(async () => {
      const { channels } = (await host().api("/channels")).json();
      return (channels.find((c) => c.name === `all/${name}`)?.subscribers ?? 0) === 0;
    }, "nobody listens");
  });
});
