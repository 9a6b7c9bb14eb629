// SPDX-License-Identifier: MIT
//
// Channels on two workers: one order for everybody, presence, what may be left out of the log, and
// what happens to a reader who does not read.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { shared } from "./support/host.mjs";
import { Poller } from "./support/poll.mjs";
import { RawWebSocket } from "./support/raw.mjs";
import { SseStream } from "./support/sse.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "room.lua": `
local hark <const> = require("hark")
local function room(conn) return "room/" .. conn.params.name end
return {
  channels = {
    ["room/:name"] = { history = 5000, presence = true },
    ["aged/:name"] = { history = 100, ttl = "300ms" },
    ["sized/:name"] = { history = 1000, bytes = "2KiB" },
    ["bare/:name"] = {},
    ["close/:name"] = { history = 10, slow = "close" },
    ["oldest/:name"] = { history = 10, slow = "oldest" },
    ["latest/:name"] = { history = 10, slow = "latest" },
    ["deep/:name"] = { history = 100000, bytes = "64MiB", slow = "close" },
    ["private/:owner"] = { history = 10, join = function(conn, ch) return ch.owner == conn.query.as, "not yours" end },
  },
  { path = "/room/:name", codec = "json",
    open = function(conn)
      conn:join(room(conn), { as = conn.query.as, info = conn.query.as and { color = conn.query.color },
                              rewind = tonumber(conn.query.rewind) })
      conn:send({ ready = true })
    end,
    message = function(conn, m)
      local opts = { event = m.event, once = m.once, key = m.key, except = m.except and conn or nil }
      if m.history == false then opts.history = false end
      if m.members then return conn:send({ members = conn:joined(room(conn)):members() }) end
      if m.presence then return conn:send({ presence = hark.presence(room(conn)) }) end
      if m.held then
        local list = {}
        for i, e in ipairs(hark.history(m.channel or room(conn), { limit = m.held })) do list[i] = e.data end
        return conn:send({ held = #list > 0 and list or hark.json.empty_array })
      end
      if m.leave then return conn:send({ left = conn:leave(room(conn)), again = conn:leave(room(conn)) }) end
      local position, why = hark.publish(m.channel or room(conn), m.say, opts)
      if not position then return nil, why end
      if m.tell then conn:send({ position = position }) end
    end },
  { path = "/of/:kind/:name", open = function(conn)
      local sub, why = conn:join(conn.params.kind .. "/" .. conn.params.name, { rewind = tonumber(conn.query.rewind) })
      conn:send(sub and "ready" or "no: " .. tostring(why))
    end },
}`,
};

const host = shared({ before, after }, FILES, { workers: 2, conf: `return { limits = { queue = "64KiB" } }` });

let unique = 0;
const fresh = () => `c${++unique}`;

async function member(t, name, query = "") {
  const ws = await tidy(t, openWebSocket(`${host().ws}/room/${name}${query}`));
  // With rewind, history may come before the greeting; it is put back for the test to look at.
  const early = [];
  for (;;) {
    const m = await ws.json();
    if (m.ready) break;
    early.push(m);
  }
  ws.early = early;
  ws.say = (m) => ws.send(JSON.stringify(m));
  return ws;
}

async function listener(t, kind, name, query = "") {
  const ws = await tidy(t, openWebSocket(`${host().ws}/of/${kind}/${name}${query}`));
  return ws;
}

const isNotice = (m) => typeof m === "object" && typeof m.event === "string" && m.event.startsWith("hark.");

async function said(ws) {
  for (;;) {
    const m = await ws.json();
    if (!isNotice(m)) return m;
  }
}

describe("order", () => {
  it("is the same for every subscriber on every worker, with many publishers at once", async (t) => {
    const name = fresh();
    const [PUBLISHERS, EACH, LISTENERS] = [8, 250, 12];
    const listeners = await Promise.all(Array.from({ length: LISTENERS }, () => member(t, name)));
    const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => member(t, name)));
    for (let i = 0; i < EACH; i++) {
      publishers.forEach((p, k) => p.say({ say: { from: k, n: i } }));
    }
    const total = PUBLISHERS * EACH;
    const sequences = await Promise.all(listeners.map(async (l) => {
      const got = [];
      while (got.length < total) got.push(await said(l));
      return got;
    }));
    for (const sequence of sequences) assert.deepEqual(sequence, sequences[0]);
    for (let k = 0; k < PUBLISHERS; k++) {
      const mine = sequences[0].filter((m) => m.from === k).map((m) => m.n);
      assert.deepEqual(mine, Array.from({ length: EACH }, (_, i) => i), "what one says stays in its order");
    }
  });

  it("holds for those who join in the middle: history, then live, no hole, no double", async (t) => {
    const name = fresh();
    const publisher = await member(t, name);
    const COUNT = 2000;
    const pump = (async () => {
      for (let i = 0; i < COUNT; i++) {
        publisher.say({ say: { n: i } });
        if (i % 50 === 0) await new Promise(setImmediate);
      }
    })();
    const late = [];
    for (let k = 0; k < 10; k++) late.push(await member(t, name, "?rewind=5000"));
    await pump;
    for (const ws of late) {
      const got = ws.early.map((m) => m.n);
      while (got.length < COUNT) got.push((await said(ws)).n);
      assert.deepEqual(got, Array.from({ length: COUNT }, (_, i) => i));
    }
  });

  it("keeps channels apart", async (t) => {
    const names = [fresh(), fresh(), fresh()];
    const members = await Promise.all(names.map((n) => member(t, n)));
    members.forEach((m, i) => m.say({ say: { to: names[i] } }));
    for (const [i, m] of members.entries()) {
      assert.deepEqual(await said(m), { to: names[i] });
      assert.equal(m.messages.size, 0);
    }
  });
});

describe("history", () => {
  it("gives a newcomer the last n, and no more than is held", async (t) => {
    const name = fresh();
    await host().publishAll(`room/${name}`, ["1", "2", "3", "4", "5"].map((n) => ({ n })));
    for (const [rewind, want] of [[2, ["4", "5"]], [99, ["1", "2", "3", "4", "5"]], [0, []]]) {
      const ws = await member(t, name, `?rewind=${rewind}`);
      assert.deepEqual(ws.early.map((m) => m.n), want);
    }
  });

  it("is bounded by age", async (t) => {
    const name = fresh();
    await host().publish(`aged/${name}`, "soon gone");
    const now = await listener(t, "aged", name, "?rewind=10");
    assert.deepEqual(await now.messages.take(2), ["soon gone", "ready"]);
    const ws = await member(t, name);
    await until(async () => {
      ws.say({ held: 10, channel: `aged/${name}` });
      return (await said(ws)).held.length === 0;
    }, "the message is too old");
  });

  it("is bounded by bytes", async (t) => {
    const name = fresh();
    await host().publishAll(`sized/${name}`, Array.from({ length: 20 }, (_, i) => `${i} ${"x".repeat(300)}`));
    const ws = await listener(t, "sized", name, "?rewind=1000");
    const got = [];
    for (;;) {
      const m = await ws.next();
      if (m === "ready") break;
      got.push(Number(m.split(" ")[0]));
    }
    assert.ok(got.length >= 1 && got.length <= 6, `${got.length} kept`);
    assert.deepEqual(got, Array.from({ length: got.length }, (_, i) => 20 - got.length + i), "the newest are kept");
  });

  it("of none is a channel that is only live", async (t) => {
    const name = fresh();
    await host().publish(`bare/${name}`, "unheard");
    const ws = await listener(t, "bare", name, "?rewind=10");
    assert.equal(await ws.next(), "ready");
    await host().publish(`bare/${name}`, "heard");
    assert.equal(await ws.next(), "heard");
  });

  it("can be read by a script", async (t) => {
    const name = fresh();
    await host().publishAll(`room/${name}`, ["a", "b", "c"]);
    const ws = await member(t, name);
    ws.say({ held: 2 });
    assert.deepEqual((await said(ws)).held, ["b", "c"]);
  });

  it("is cleared by the admin without moving positions", async (t) => {
    const name = fresh();
    const ws = await listener(t, "close", name);
    assert.equal(await ws.next(), "ready");
    await host().publish(`close/${name}`, "a");
    assert.equal((await host().api(`/channels/${encodeURIComponent(`close/${name}`)}`, { method: "DELETE" })).status, 204);
    await host().publish(`close/${name}`, "b");
    assert.deepEqual(await ws.messages.take(2), ["a", "b"]);
  });
});

describe("publishing", () => {
  it("outside the log reaches who is here, and nobody later", async (t) => {
    const name = fresh();
    const [a, b] = [await member(t, name), await member(t, name)];
    a.say({ say: { typing: true }, history: false });
    assert.deepEqual(await said(b), { typing: true });
    a.say({ say: { n: 1 } });
    assert.deepEqual(await said(b), { n: 1 });
    const late = await member(t, name, "?rewind=10");
    assert.deepEqual(late.early, [{ n: 1 }]);
  });

  it("can leave out the one who says it", async (t) => {
    const name = fresh();
    const [a, b] = [await member(t, name), await member(t, name)];
    a.say({ say: { n: 1 }, except: true });
    a.say({ say: { n: 2 } });
    assert.deepEqual(await said(b), { n: 1 });
    assert.deepEqual(await said(b), { n: 2 });
    assert.deepEqual(await said(a), { n: 2 });
  });

  it("with the same idempotency key happens once, and gives the same position, on any worker", async (t) => {
    const name = fresh();
    const members = await Promise.all(Array.from({ length: 6 }, () => member(t, name)));
    const positions = [];
    for (const m of members) {
      m.say({ say: { n: 1 }, once: `${name}-1`, tell: true });
      positions.push(await m.messages.find((text) => text.includes("position")));
    }
    assert.equal(new Set(positions).size, 1);
    members[0].say({ say: { n: 2 } });
    for (const m of members) assert.deepEqual(await m.messages.find((text) => text.includes('"n":2')), '{"n":2}');
    const held = await member(t, name, "?rewind=10");
    assert.deepEqual(held.early, [{ n: 1 }, { n: 2 }]);
  });

  it("to a name that is no channel name is refused, with a reason", async (t) => {
    const ws = await member(t, fresh());
    for (const channel of ["", "a\nb", "a\0b", "x".repeat(256)]) {
      ws.say({ say: "x", channel });
      const m = await ws.json();
      assert.equal(m.event, "hark.error", JSON.stringify(channel));
      assert.ok(m.data.error.length > 0);
    }
  });

  it("under a name of the host's own is refused: no message can pass for a gap", async (t) => {
    const name = fresh();
    const ws = await member(t, name);
    ws.say({ say: { n: 1 }, event: "hark.gap" });
    assert.equal((await ws.json()).event, "hark.error");
    const res = await host().api("/publish", { method: "POST", body: { channel: `room/${name}`, data: "x", event: "hark.gap" } });
    assert.equal(res.status, 400);
  });

  it("of the same bytes arrives as those bytes: text, JSON, binary", async (t) => {
    const name = fresh();
    const ws = await listener(t, "bare", name);
    assert.equal(await ws.next(), "ready");
    await host().publish(`bare/${name}`, "é\u0000\u{1f600}");
    const exact = `{"channel":"bare/${name}","data":{"a":12345678901234567,"b":[1,{"c":null}],"d":[]}}`;
    assert.equal((await host().api("/publish", { method: "POST", body: exact })).status, 200);
    await host().publish(`bare/${name}`, "AP8=", { base64: true });
    assert.equal(await ws.next(), "é\u0000\u{1f600}");
    const json = await ws.next();
    assert.match(json, /"a": ?12345678901234567\b/);
    assert.deepEqual(JSON.parse(json).b, [1, { c: null }]);
    assert.deepEqual(JSON.parse(json).d, []);
    assert.deepEqual(await ws.next(), Buffer.from([0, 255]));
  });
});

describe("presence", () => {
  const notice = (ws, event, id) => ws.messages.find((text) => {
    const m = JSON.parse(text);
    return m.event === event && m.data?.id === id;
  }, `${event} ${id}`);

  it("tells who comes and who goes, across workers", async (t) => {
    const name = fresh();
    const watcher = await member(t, name);
    for (let i = 0; i < 6; i++) {
      const ws = await member(t, name, `?as=u${i}&color=red`);
      const join = JSON.parse(await notice(watcher, "hark.join", `u${i}`));
      assert.deepEqual(join.data, { channel: `room/${name}`, id: `u${i}`, info: { color: "red" } });
      if (i % 2) ws.cut();
      else await ws.close();
      const leave = JSON.parse(await notice(watcher, "hark.leave", `u${i}`));
      assert.equal(leave.data.channel, `room/${name}`);
    }
  });

  it("lists members with their info, each once, to any worker", async (t) => {
    const name = fresh();
    await Promise.all(["ann", "bob", "cy"].map((id) => member(t, name, `?as=${id}&color=${id}`)));
    await member(t, name, "?as=ann&color=ann");
    for (let i = 0; i < 4; i++) {
      const ws = await member(t, name);
      for (const ask of ["members", "presence"]) {
        ws.say({ [ask]: true });
        const answer = (await said(ws))[ask].sort((a, b) => a.id.localeCompare(b.id));
        assert.deepEqual(answer, ["ann", "bob", "cy"].map((id) => ({ id, info: { color: id } })));
      }
    }
  });

  it("counts the connections of one member: joined and left are told once", async (t) => {
    const name = fresh();
    const watcher = await member(t, name);
    const first = await member(t, name, "?as=twice");
    await notice(watcher, "hark.join", "twice");
    const second = await member(t, name, "?as=twice");
    await first.close();
    const marker = await member(t, name);
    marker.say({ say: { marker: 1 } });
    const between = [];
    for (;;) {
      const m = await watcher.json();
      if (m.marker) break;
      between.push(m);
    }
    assert.deepEqual(between.filter((m) => m.data?.id === "twice"), []);
    await second.close();
    await notice(watcher, "hark.leave", "twice");
  });

  it("ends with leave, and does not move positions", async (t) => {
    const name = fresh();
    const watcher = await member(t, name);
    const ws = await member(t, name, "?as=quitter");
    await notice(watcher, "hark.join", "quitter"); // who came and went within one turn is not told of
    ws.say({ leave: true });
    assert.deepEqual(await said(ws), { left: true, again: false });
    await notice(watcher, "hark.leave", "quitter");
    watcher.say({ say: { n: 1 } });
    assert.deepEqual(await said(watcher), { n: 1 });
    assert.equal(ws.messages.size, 0, "who left hears nothing");
    const late = await member(t, name, "?rewind=10");
    assert.deepEqual(late.early, [{ n: 1 }]);
  });
});

describe("joining", () => {
  it("is the channel's to allow", async (t) => {
    const mine = await listener(t, "private", "ann", "?as=ann");
    assert.equal(await mine.next(), "ready");
    const other = await listener(t, "private", "ann", "?as=bob");
    assert.match(await other.next(), /^no: /);
    await host().publish("private/ann", "secret");
    assert.equal(await mine.next(), "secret");
    assert.equal(other.messages.size, 0);
  });
});

describe("a reader who does not read", () => {
  const BLOCK = "x".repeat(8000);
  const burst = (channel, n, from = 0) => host().publishAll(channel,
    Array.from({ length: n }, (_, i) => JSON.stringify({ n: from + i, pad: BLOCK })));

  /** Publishes until the reader's kernel buffers and queue must be full, beside one who reads. */
  async function flood(t, kind, name, blocks = 1500) {
    const ws = await tidy(t, RawWebSocket.open(host().port, `/of/${kind}/${name}`));
    assert.equal(await ws.readMessage(), "ready");
    const other = await listener(t, kind, name);
    assert.equal(await other.next(), "ready");
    ws.raw.stall();
    for (let i = 0; i < blocks; i += 50) {
      await burst(`${kind}/${name}`, 50, i);
      const heard = await other.messages.take(50);
      assert.equal(JSON.parse(heard[49]).n, i + 49, "the one who reads is not held up");
    }
    return ws;
  }

  it("is closed by default, with a code that invites to come back", async (t) => {
    const ws = await flood(t, "close", fresh());
    ws.raw.unstall();
    let last = -1;
    for (;;) {
      const f = await ws.readFrame().catch(() => null);
      if (f === null) break; // cut without a close frame would be a failure:
      if (f.opcode === 8) {
        assert.ok([1008, 1013].includes(f.payload.readUInt16BE()), `${f.payload.readUInt16BE()}`);
        return;
      }
      const { n } = JSON.parse(f.payload);
      assert.equal(n, last + 1, "no hole before the close");
      last = n;
    }
    assert.fail("the connection ended without a close frame");
  });

  for (const kind of ["oldest", "latest"]) {
    it(`under "${kind}" loses some, is told a gap, and goes on with the newest`, async (t) => {
      const name = fresh();
      const ws = await flood(t, kind, name);
      ws.raw.unstall();
      await host().publish(`${kind}/${name}`, JSON.stringify({ n: "last" }));
      let [last, gaps] = [-1, 0];
      let hole = false;
      for (;;) {
        const m = JSON.parse(await ws.readMessage());
        if (m.event === "hark.gap") {
          gaps += 1;
          hole = true;
          continue;
        }
        if (m.n === "last") break;
        assert.ok(m.n > last, "in order, none twice");
        if (m.n !== last + 1) assert.ok(hole, `a hole between ${last} and ${m.n} without a gap`);
        hole = false;
        last = m.n;
      }
      assert.ok(gaps > 0, "a gap is told");
      if (kind === "oldest") assert.equal(last, 1499, "the newest are there"); // latest: of one key, the last alone
    });
  }

  it("that fell behind within history loses nothing: it reads on from the log", async (t) => {
    const name = fresh();
    const ws = await flood(t, "deep", name);
    ws.raw.unstall();
    for (let n = 0; n < 1500; n++) assert.equal(JSON.parse(await ws.readMessage()).n, n);
    await host().publish(`deep/${name}`, JSON.stringify({ n: "live again" }));
    assert.equal(JSON.parse(await ws.readMessage()).n, "live again");
  });

  it("on long poll goes on behind a gap", async () => {
    const name = fresh();
    const p = new Poller(`${host().url}/of/close/${name}`);
    assert.equal((await p.once()).text, "ready");
    for (let i = 0; i < 200; i += 50) await burst(`close/${name}`, 50, i);
    const seen = [];
    while (seen.at(-1) !== 199) seen.push(...(await p.take(1)).map((i) => (i.event === "hark.gap" ? "gap" : JSON.parse(i.data).n)));
    const gap = seen.indexOf("gap"); // the few that were queued for it before it fell behind may come first
    assert.deepEqual(seen, [...Array.from({ length: gap }, (_, n) => n), "gap", ...Array.from({ length: 10 }, (_, n) => 190 + n)]);
  });

  it("on SSE comes back where it was", async (t) => {
    const name = fresh();
    const sse = await SseStream.open(host().port, `/of/close/${name}`);
    assert.equal((await sse.next()).data, "ready");
    await host().publish(`close/${name}`, "a");
    const { id } = await sse.next();
    sse.cut();
    await host().publish(`close/${name}`, "b");
    const again = await tidy(t, SseStream.open(host().port, `/of/close/${name}`, { headers: { "Last-Event-ID": id } }));
    const got = (await again.take(2)).map((e) => e.data).filter((d) => d !== "ready");
    assert.deepEqual(got, ["b"]);
  });

  it("under \"latest\" keeps the newest of each key", async (t) => {
    const name = fresh();
    const ws = await flood(t, "latest", name, 800);
    const keyed = (key, n) => ({ channel: `latest/${name}`, data: JSON.stringify({ key, n, pad: BLOCK }), key });
    for (let round = 0; round < 20; round++) {
      const body = ["a", "b", "c"].map((key) => keyed(key, round));
      assert.equal((await host().api("/publish", { method: "POST", body })).status, 200);
    }
    ws.raw.unstall();
    const newest = {};
    while (["a", "b", "c"].some((key) => newest[key] !== 19)) {
      const m = JSON.parse(await ws.readMessage());
      if (m.key) {
        assert.ok(!(newest[m.key] >= m.n), "never back in time");
        newest[m.key] = m.n;
      }
    }
  });
});
