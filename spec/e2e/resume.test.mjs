// SPDX-License-Identifier: MIT
//
// Cut and come back, on each transport, while others publish: nothing is lost, nothing comes twice,
// and what history no longer holds is told as a gap. On two workers, so that a client comes back to
// another one than it left.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { shared } from "./support/host.mjs";
import { request } from "./support/http.mjs";
import { Poller } from "./support/poll.mjs";
import { RawWebSocket } from "./support/raw.mjs";
import { openEventSource, SseStream } from "./support/sse.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "log.lua": `
local hark <const> = require("hark")
local function open(conn)
  for name in conn.params.names:gmatch("[^,]+") do conn:join("log/" .. name) end
end
local function me(req) return { id = req.query.me or "anybody" } end
local function told(conn)
  local sub = conn:join("log/" .. conn.params.names)
  conn:send({ recovered = sub.recovered, missed = sub.missed, position = sub.position })
end
return {
  channels = { ["log/:name"] = { history = 5000, ttl = "5m" }, ["short/:name"] = { history = 3 } },
  { path = "/log/:names", open = open, auth = me, sse = { retry = "50ms" }, longpoll = { batch = 20, wait = "20s" } },
  { path = "/raw/:names", open = open, longpoll = { wait = "20s" } },
  { path = "/told/:names", open = told, longpoll = { wait = "20s", batch = 20 } },
  { path = "/short/:name", longpoll = { wait = "20s" },
    open = function(conn) conn:join("short/" .. conn.params.name) end },
  { path = "/handled/:name", longpoll = { wait = "20s", batch = 20 },
    open = function(conn) conn:join("short/" .. conn.params.name) end,
    gap = function(conn, channel, from, to)
      conn:send({ snapshot = channel, from = type(from), to = type(to) }, { event = "snapshot" })
    end },
  { path = "/graced/:names", open = open, auth = me, grace = "5s",
    message = function(conn, text) return conn:send("heard " .. text) end },
}`,
};

const host = shared({ before, after }, FILES, { workers: 2 });

let unique = 0;
const fresh = () => `r${++unique}`;
const ENVELOPE = { protocols: ["hark.envelope"] };

/** Publishes 0..n-1 to `channel` in small pieces, without waiting for anybody. */
async function publishing(channel, n, piece = 7) {
  for (let i = 0; i < n; i += piece) {
    await host().publishAll(channel, Array.from({ length: Math.min(piece, n - i) }, (_, k) => `n${i + k}`));
  }
}

const numbers = (n, from = 0) => Array.from({ length: n }, (_, i) => `n${from + i}`);

/** Messages of an envelope connection, without the engine's greeting. */
async function envelope(client) {
  for (;;) {
    const m = await client.json("an envelope");
    if (m.event !== "hark.open") return m;
  }
}

const listeners = (channel, n = 1) => until(async () => {
  const { channels } = (await host().api("/channels")).json();
  return channels.some((c) => c.name === channel && c.subscribers >= n);
}, `${n} listen to ${channel}`);

describe("cut again and again while others publish, nothing is lost or doubled:", () => {
  const COUNT = 2000;

  it("SSE by Last-Event-ID", async () => {
    const name = fresh();
    let sse = await SseStream.open(host().port, `/log/${name}`);
    let seen = (await sse.blocks.find((b) => b.id !== undefined, "a position")).id;
    const publisher = publishing(`log/${name}`, COUNT);
    const got = [];
    while (got.length < COUNT) {
      for (let i = 0; i < 97 && got.length < COUNT; i++) {
        const event = await sse.next();
        got.push(event.data);
        seen = event.id ?? seen;
      }
      sse.cut(); // what has arrived but was not looked at counts for nothing
      sse = await SseStream.open(host().port, `/log/${name}`, { headers: { "Last-Event-ID": seen } });
    }
    sse.destroy();
    await publisher;
    assert.deepEqual(got, numbers(COUNT));
  });

  it("SSE by npm's EventSource, which does it by itself", async (t) => {
    const name = fresh();
    const client = await tidy(t, openEventSource(`${host().url}/log/${name}?me=${name}`));
    await client.opened();
    await host().publish(`log/${name}`, "begin");
    await client.events.next();
    const publisher = publishing(`log/${name}`, COUNT);
    const got = [];
    while (got.length < COUNT) {
      got.push((await client.events.next()).data);
      if (got.length % 500 === 0 && got.length < COUNT) {
        const { sessions } = (await host().api("/sessions")).json();
        for (const s of sessions.filter((s) => s.transport === "sse" && s.user === name)) {
          assert.equal((await host().api(`/sessions/${s.id}`, { method: "DELETE" })).status, 204);
        }
      }
    }
    await publisher;
    assert.deepEqual(got, numbers(COUNT));
    assert.ok(client.answers.size > 1, "it was cut");
  });

  it("long polling by tag, with every third answer lost", async () => {
    const name = fresh();
    const p = new Poller(`${host().url}/log/${name}`);
    const first = p.once();
    await listeners(`log/${name}`);
    await host().publish(`log/${name}`, "begin");
    assert.deepEqual((await first).items.map((i) => i.data), ["begin"]);
    const publisher = publishing(`log/${name}`, COUNT);
    const got = [];
    for (let i = 0; got.length < COUNT; i++) {
      const lost = i % 3 === 2;
      const res = await p.once({ keep: !lost });
      assert.equal(res.status, 200);
      if (!lost) got.push(...res.items.map((item) => item.data));
    }
    await publisher;
    assert.deepEqual(got, numbers(COUNT));
  });

  it("long polling by cursor alone, a new session each time", async () => {
    const name = fresh();
    const first = request(`${host().url}/log/${name}`);
    await listeners(`log/${name}`);
    await host().publish(`log/${name}`, "begin");
    let { id } = (await first).json()[0];
    const publisher = publishing(`log/${name}`, 300);
    const got = [];
    while (got.length < 300) {
      const res = await request(`${host().url}/log/${name}?cursor=${id}`);
      for (const item of res.json()) {
        got.push(item.data);
        id = item.id;
      }
    }
    await publisher;
    assert.deepEqual(got, numbers(300));
  });

  it("WebSocket with hark.envelope and ?cursor=", async () => {
    const name = fresh();
    let ws = await openWebSocket(`${host().ws}/log/${name}`, ENVELOPE);
    assert.equal(ws.protocol, "hark.envelope");
    await listeners(`log/${name}`);
    await host().publish(`log/${name}`, "begin");
    let { id } = await envelope(ws);
    const publisher = publishing(`log/${name}`, COUNT);
    const got = [];
    while (got.length < COUNT) {
      for (let i = 0; i < 211 && got.length < COUNT; i++) {
        const m = await envelope(ws);
        got.push(m.data);
        id = m.id;
      }
      ws.cut();
      ws = await openWebSocket(`${host().ws}/log/${name}?cursor=${id}`, ENVELOPE);
    }
    ws.destroy();
    await publisher;
    assert.deepEqual(got, numbers(COUNT));
  });

  it("from one transport to the next with the same cursor", async (t) => {
    const name = fresh();
    const ws = await tidy(t, openWebSocket(`${host().ws}/log/${name}?envelope=1`));
    await listeners(`log/${name}`);
    await host().publishAll(`log/${name}`, numbers(3));
    const seen = await envelope(ws);
    assert.equal(seen.data, "n0");
    ws.cut();
    const sse = await tidy(t, SseStream.open(host().port, `/log/${name}?cursor=${seen.id}`));
    const second = await sse.next();
    assert.equal(second.data, "n1");
    sse.cut();
    const poll = await request(`${host().url}/log/${name}?cursor=${second.id}`);
    assert.equal(poll.json()[0].data, "n2");
    const again = await tidy(t, openWebSocket(`${host().ws}/log/${name}?envelope=1&cursor=${second.id}`));
    assert.equal((await envelope(again)).data, "n2");
  });
});

describe("one cursor", () => {
  it("holds the positions of all channels of a session", async (t) => {
    const names = Array.from({ length: 5 }, fresh);
    const path = `/log/${names.join(",")}`;
    const sse = await tidy(t, SseStream.open(host().port, path));
    await sse.blocks.find((b) => b.id !== undefined, "a position");
    for (const name of names) await host().publishAll(`log/${name}`, [`${name} a`, `${name} b`]);
    const seen = await sse.take(7);
    sse.cut();
    for (const name of names) await host().publish(`log/${name}`, `${name} c`);
    const again = await tidy(t, SseStream.open(host().port, path, { headers: { "Last-Event-ID": seen[6].id } }));
    const rest = await again.take(8);
    const all = [...seen, ...rest].map((e) => e.data);
    for (const name of names) {
      assert.deepEqual(all.filter((d) => d.startsWith(`${name} `)), [`${name} a`, `${name} b`, `${name} c`]);
    }
    assert.equal(again.blocks.size, 0);
  });

  it("of an idle channel is no gap, even when its messages are gone", async (t) => {
    const [busy, idle] = [fresh(), fresh()];
    await host().publish(`log/${idle}`, "long ago");
    const sse = await tidy(t, SseStream.open(host().port, `/log/${busy},${idle}`));
    await sse.blocks.find((b) => b.id !== undefined, "a position");
    await host().publish(`log/${busy}`, "x");
    await sse.next();
    sse.cut();
    assert.equal((await host().api(`/channels/${encodeURIComponent(`log/${idle}`)}`, { method: "DELETE" })).status, 204);
    await host().publish(`log/${busy}`, "y");
    const again = await tidy(t, SseStream.open(host().port, `/log/${busy},${idle}`, { headers: { "Last-Event-ID": sse.lastEventId } }));
    const next = await again.next();
    assert.deepEqual([next.event, next.data], ["message", "y"]);
  });

  it("tells the script whether it was recovered, and what was missed", async (t) => {
    const name = fresh();
    const fresh_ = await tidy(t, SseStream.open(host().port, `/told/${name}`));
    const first = JSON.parse((await fresh_.next()).data);
    assert.equal(first.recovered ?? false, false, "a newcomer has nothing to recover");
    await host().publish(`log/${name}`, "a");
    const { id } = await fresh_.next();
    await host().publish(`log/${name}`, "b");
    const again = await tidy(t, SseStream.open(host().port, `/told/${name}`, { headers: { "Last-Event-ID": id } }));
    const events = await again.take(2);
    const told = events.find((e) => e.data.startsWith("{"));
    assert.equal(JSON.parse(told.data).recovered, true);
    assert.ok(events.some((e) => e.data === "b"));
  });

  it("joins nothing by itself: joining is what authorises", async (t) => {
    const [mine, other] = [fresh(), fresh()];
    const both = await tidy(t, SseStream.open(host().port, `/log/${mine},${other}`));
    await both.blocks.find((b) => b.id !== undefined, "a position");
    await host().publish(`log/${mine}`, "a");
    const { id } = await both.next();
    both.cut();
    await host().publish(`log/${other}`, "secret");
    await host().publish(`log/${mine}`, "b");
    const again = await tidy(t, SseStream.open(host().port, `/log/${mine}`, { headers: { "Last-Event-ID": id } }));
    assert.equal((await again.next()).data, "b");
  });

  it("may go by, and a dozen bytes of it changed do not crash anything", async () => {
    const name = fresh();
    const sse = await SseStream.open(host().port, `/log/${name}`);
    await sse.blocks.find((b) => b.id !== undefined, "a position");
    sse.destroy();
    const id = sse.lastEventId;
    for (let i = 0; i < id.length; i++) {
      const changed = id.slice(0, i) + (id[i] === "A" ? "B" : "A") + id.slice(i + 1);
      const res = await SseStream.ask(host().port, `/log/${name}?cursor=${changed}`);
      assert.ok(res.head.status === 200 || res.head.status === 400, `${res.head.status}`);
      res.destroy();
    }
    for (let n = 0; n < id.length; n++) {
      const res = await SseStream.ask(host().port, `/log/${name}?cursor=${id.slice(0, n)}`);
      assert.ok(n === 0 ? res.head.status === 200 : res.head.status === 400, `${n} of ${id.length}: ${res.head.status}`);
      res.destroy();
    }
  });
});

describe("a gap", () => {
  /** A cursor behind which more was published than history holds (3). */
  async function outrun(name) {
    const sse = await SseStream.open(host().port, `/short/${name}`);
    await sse.blocks.find((b) => b.id !== undefined, "a position");
    await host().publish(`short/${name}`, "seen");
    const { id } = await sse.next();
    sse.destroy();
    await host().publishAll(`short/${name}`, ["1", "2", "3", "4", "5"]);
    return id;
  }

  function isGap(data, name) {
    const gap = typeof data === "string" ? JSON.parse(data) : data;
    assert.equal(gap.channel, `short/${name}`);
    assert.equal(typeof gap.from, "string");
    assert.equal(typeof gap.to, "string");
    assert.notEqual(gap.from, gap.to);
  }

  it("is told on SSE before what is left", async (t) => {
    const name = fresh();
    const id = await outrun(name);
    const sse = await tidy(t, SseStream.open(host().port, `/short/${name}`, { headers: { "Last-Event-ID": id } }));
    const [gap, ...rest] = await sse.take(4);
    assert.equal(gap.event, "hark.gap");
    isGap(gap.data, name);
    assert.deepEqual(rest.map((e) => e.data), ["3", "4", "5"]);
  });

  it("is told on a raw WebSocket as a text frame", async (t) => {
    const name = fresh();
    const id = await outrun(name);
    const ws = await tidy(t, openWebSocket(`${host().ws}/short/${name}?cursor=${id}`));
    const gap = await ws.json();
    assert.equal(gap.event, "hark.gap");
    isGap(gap.data, name);
    assert.deepEqual(await ws.messages.take(3), ["3", "4", "5"]);
  });

  it("is told in the envelope", async (t) => {
    const name = fresh();
    const id = await outrun(name);
    const ws = await tidy(t, openWebSocket(`${host().ws}/short/${name}?cursor=${id}`, ENVELOPE));
    const gap = await envelope(ws);
    assert.equal(gap.event, "hark.gap");
    isGap(gap.data, name);
    assert.equal((await envelope(ws)).data, "3");
  });

  it("is told on a raw long poll as an item, and in a header", async () => {
    const name = fresh();
    const id = await outrun(name);
    const p = new Poller(`${host().url}/short/${name}`);
    const res = await request(`${p.url}?cursor=${id}`);
    assert.equal(res.status, 200);
    assert.equal(res.headers["hark-event"], "hark.gap");
    isGap(res.text, name);
    isGap(res.headers["hark-gap"], name);
    p.etag = res.headers.etag;
    assert.deepEqual((await p.take(3)).map((i) => i.data), ["3", "4", "5"]);
  });

  it("is the script's to handle: its snapshot takes the notice's place", async (t) => {
    const name = fresh();
    const id = await outrun(name);
    const sse = await tidy(t, SseStream.open(host().port, `/handled/${name}`, { headers: { "Last-Event-ID": id } }));
    const events = await sse.take(4);
    const snapshot = events.find((e) => e.event === "snapshot");
    assert.deepEqual(JSON.parse(snapshot.data), { snapshot: `short/${name}`, from: "string", to: "string" });
    assert.ok(!events.some((e) => e.event === "hark.gap"));
    assert.deepEqual(events.filter((e) => e.event === "message").map((e) => e.data), ["3", "4", "5"]);
  });

  it("is told for an epoch that this host never had", async (t) => {
    const name = fresh();
    const id = await outrun(name);
    const other = Buffer.from(id, "base64url");
    // Of one channel's cursor some byte belongs to the epoch; at least one of these is well-formed and foreign.
    let told = 0;
    for (let i = 0; i < other.length; i++) {
      const bytes = Buffer.from(other);
      bytes[i] ^= 0x55;
      const sse = await SseStream.ask(host().port, `/short/${name}?cursor=${bytes.toString("base64url")}`);
      if (sse.head.status === 200) {
        const text = (await sse.raw.readUntil("\n\n", "a block")).toString();
        await host().publish(`short/${name}`, "now");
        const all = text + (await sse.raw.readUntil("now", "an event")).toString();
        if (/event: ?hark\.gap/.test(all)) told += 1;
      }
      sse.destroy();
    }
    assert.ok(told > 0);
  });

  it("is not told when exactly all of history is missing", async (t) => {
    const name = fresh();
    const sse = await SseStream.open(host().port, `/short/${name}`);
    await sse.blocks.find((b) => b.id !== undefined, "a position");
    await host().publish(`short/${name}`, "seen");
    const { id } = await sse.next();
    sse.destroy();
    await host().publishAll(`short/${name}`, ["1", "2", "3"]);
    const again = await tidy(t, SseStream.open(host().port, `/short/${name}`, { headers: { "Last-Event-ID": id } }));
    assert.deepEqual((await again.take(3)).map((e) => [e.event, e.data]), [["message", "1"], ["message", "2"], ["message", "3"]]);
  });
});

describe("hark.envelope", () => {
  it("frames every message with id, event and data, and leaves what the client sends alone", async (t) => {
    const name = fresh();
    for (const open of [["", ENVELOPE], ["?envelope=1", {}]]) {
      const ws = await tidy(t, openWebSocket(`${host().ws}/graced/${name}${open[0]}`, open[1]));
      ws.send("hi");
      const direct = await envelope(ws);
      assert.equal(direct.data, "heard hi");
      await host().publish(`log/${name}`, { n: 1 }, { event: "named" });
      const m = await envelope(ws);
      assert.equal(m.event, "named");
      assert.deepEqual(m.data, { n: 1 });
      assert.match(m.id, /^[\w-]+$/);
      await host().publish(`log/${name}`, Buffer.from([255]).toString("base64"), { base64: true });
      const binary = await envelope(ws);
      assert.deepEqual([binary.data, binary.base64], ["/w==", true]);
      ws.destroy();
    }
  });

  it("gives a position before the first message, so that an early cut loses nothing", async (t) => {
    const name = fresh();
    const ws = await openWebSocket(`${host().ws}/log/${name}`, ENVELOPE);
    const hello = await ws.json("a position");
    assert.equal(hello.event, "hark.open");
    ws.cut();
    await host().publish(`log/${name}`, "while away");
    const again = await tidy(t, openWebSocket(`${host().ws}/log/${name}?cursor=${hello.id}`, ENVELOPE));
    assert.equal((await envelope(again)).data, "while away");
  });

  it("with a cursor of garbage is refused with 400, before 101", async () => {
    await assert.rejects(openWebSocket(`${host().ws}/log/x?cursor=garbage`, ENVELOPE), (e) => e.status === 400);
  });

  it("raw frames stay raw when nobody asks for it", async (t) => {
    const name = fresh();
    const ws = await tidy(t, RawWebSocket.open(host().port, `/raw/${name}`));
    await listeners(`log/${name}`);
    await host().publish(`log/${name}`, "just this");
    assert.equal(await ws.readMessage(), "just this");
  });
});

describe("grace", () => {
  it("keeps the session of a cut WebSocket, which comes back over a WebSocket too", async (t) => {
    const name = fresh();
    const first = await openWebSocket(`${host().ws}/graced/${name}`, ENVELOPE);
    await listeners(`log/${name}`);
    await host().publish(`log/${name}`, "a");
    const { id } = await envelope(first);
    first.cut();
    await host().publish(`log/${name}`, "b");
    const again = await tidy(t, openWebSocket(`${host().ws}/graced/${name}?session=${first.session}&cursor=${id}`, ENVELOPE));
    assert.equal((await envelope(again)).data, "b");
    again.send("hi");
    assert.equal((await envelope(again)).data, "heard hi");
    assert.equal(again.session, first.session);
  });

  it("lets a newer connection of the session replace the older, on which nothing more arrives", async (t) => {
    const name = fresh();
    const older = await tidy(t, openWebSocket(`${host().ws}/graced/${name}`));
    older.send("hi");
    assert.equal(await older.next(), "heard hi");
    const newer = await tidy(t, openWebSocket(`${host().ws}/graced/${name}?session=${older.session}`));
    assert.deepEqual(await older.closed(), { code: 1008, reason: "replaced" });
    await host().publish(`log/${name}`, "for the newer");
    assert.equal(await newer.next(), "for the newer");
    const sse = await tidy(t, SseStream.open(host().port, `/graced/${name}?session=${older.session}`));
    assert.deepEqual(await newer.closed(), { code: 1008, reason: "replaced" });
    await host().publish(`log/${name}`, "for the stream");
    assert.equal((await sse.next()).data, "for the stream");
    const last = await tidy(t, openWebSocket(`${host().ws}/graced/${name}?session=${older.session}`));
    assert.equal(await sse.ended(), "clean");
    last.send("hi");
    assert.equal(await last.next(), "heard hi");
  });

  it("is not for a client that said goodbye: close code 1000 ends it at once", async () => {
    const name = fresh();
    const ws = await openWebSocket(`${host().ws}/graced/${name}`);
    ws.send("hi");
    await ws.next();
    await ws.close(1000);
    const url = `${host().url}/graced/${name}`;
    await until(async () => (await request(url, { method: "POST", body: "x", headers: { "hark-session": ws.session } })).status === 404,
                "the session is gone", 4000);
  });

  it("keeps the session of a cut stream: the same one goes on with what it missed", async (t) => {
    const name = fresh();
    const sse = await SseStream.open(host().port, `/graced/${name}?me=${name}`);
    await sse.blocks.find((b) => b.id !== undefined, "a position");
    const { session } = sse;
    const { sessions } = (await host().api("/sessions")).json();
    const before_ = sessions.find((s) => s.user === name);
    await host().publish(`log/${name}`, "a");
    await sse.next();
    sse.cut();
    await host().publish(`log/${name}`, "b");
    const again = await tidy(t, SseStream.open(host().port, `/graced/${name}?session=${session}`,
                                               { headers: { "Last-Event-ID": sse.lastEventId } }));
    assert.equal((await again.next()).data, "b");
    const after_ = (await host().api("/sessions")).json().sessions.filter((s) => s.user === name);
    assert.deepEqual(after_.map((s) => s.id), [before_.id]);
  });
});
