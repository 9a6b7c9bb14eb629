// SPDX-License-Identifier: MIT
//
// Long polling as a full session over many requests, on two workers: each poll has a connection of
// its own and may land anywhere.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { shared } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { BATCH, Poller, split } from "./support/poll.mjs";
import { Raw } from "./support/raw.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const run = promisify(execFile);

const FILES = {
  "box.lua": `
local hark <const> = require("hark")
local runs = hark.shared("runs")
local function endpoint(path, longpoll, more)
  local e = {
    path = path .. "/:name", transport = "longpoll", longpoll = longpoll,
    auth = function(req)
      if req.query.status then return nil, "no", tonumber(req.query.status) end
      runs:incr("auth " .. req.params.name)
      return { id = req.query.user or "someone" }
    end,
    open = function(conn)
      runs:incr("open " .. conn.params.name)
      conn:join("box/" .. conn.params.name)
      if conn.query.hello then conn:send("hello " .. conn.transport, { event = "greeting" }) end
    end,
    message = function(conn, text, kind)
      if text == "bad" then return nil, "bad is bad" end
      if text == "fail" then error("inner secret") end
      if text == "runs" then
        return conn:send({ auth = runs:get("auth " .. conn.params.name), open = runs:get("open " .. conn.params.name) })
      end
      if text == "quit" then return conn:close(4002, "enough") end
      return conn:send(kind .. " " .. text)
    end,
    close = function(conn) hark.publish("log", conn.params.name) end,
  }
  for k, v in pairs(more or {}) do e[k] = v end
  return e
end
return {
  channels = { ["box/:name"] = { history = 2000, ttl = "5m" }, ["log"] = { history = 10 } },
  endpoint("/one", { wait = "20s" }),
  endpoint("/many", { wait = "20s", batch = 50 }),
  endpoint("/few", { wait = "20s", batch = 3 }),
  endpoint("/quick", { wait = "200ms" }),
  endpoint("/brief", { wait = "200ms", grace = "400ms" }),
  { path = "/log", transport = "websocket", open = function(conn) conn:join("log") conn:send("ready") end },
}`,
};

const host = shared({ before, after }, FILES, { workers: 2 });

let unique = 0;
const fresh = () => `b${++unique}`;
const poller = (path, options) => new Poller(`${host().url}${path}`, options);
const parked = (name) => until(async () => {
  const list = (await host().api("/channels")).json().channels;
  return list.some((c) => c.name === `box/${name}` && c.subscribers > 0);
}, `somebody listens to box/${name}`);

/** A poller that has a session and a position, by one empty or full answer. */
async function settled(path, name, options) {
  const p = poller(`${path}/${name}`, options);
  const answer = p.once();
  await parked(name);
  await host().publish(`box/${name}`, "first");
  const res = await answer;
  assert.equal(res.status, 200, res.text);
  return p;
}

describe("one poll", () => {
  it("parks until there is something, then answers the message as it is", async () => {
    const name = fresh();
    const p = poller(`/one/${name}`);
    const answer = p.once();
    await parked(name);
    await host().publish(`box/${name}`, "plain text");
    const res = await answer;
    assert.equal(res.status, 200);
    assert.equal(res.text, "plain text");
    assert.match(res.headers["content-type"], /^text\/plain; *charset=utf-8$/i);
    assert.match(res.headers["cache-control"], /no-store/);
    assert.equal(res.headers["hark-event"], undefined);
    assert.equal(split(res.headers.etag).session, res.headers["hark-session"]);
    assert.ok(split(res.headers.etag).cursor.length > 0);
  });

  it("tells the event's name in a header, JSON and binary by their type", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publish(`box/${name}`, { price: 5 }, { event: "quote" });
    const json = await p.once();
    assert.match(json.headers["content-type"], /^application\/json/);
    assert.equal(json.headers["hark-event"], "quote");
    assert.deepEqual(json.json(), { price: 5 });
    await host().publish(`box/${name}`, Buffer.from([0, 255, 10]).toString("base64"), { base64: true });
    const binary = await p.once();
    assert.match(binary.headers["content-type"], /^application\/octet-stream/);
    assert.deepEqual(binary.buffer, Buffer.from([0, 255, 10]));
  });

  it("answers at once when something waits already, one message each", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publishAll(`box/${name}`, ["a", "b", "c"]);
    assert.deepEqual((await p.take(3)).map((i) => i.data), ["a", "b", "c"]);
  });

  it("that waited in vain is 204 with the same tag", async () => {
    const name = fresh();
    const p = await settled("/quick", name);
    const before_ = p.etag;
    const res = await p.once();
    assert.equal(res.status, 204);
    assert.equal(res.headers.etag, before_);
    assert.match(res.headers["cache-control"], /no-store/);
  });

  it("the very first of all may wait in vain too, and its tag is a position", async () => {
    const name = fresh();
    const p = poller(`/quick/${name}`);
    const res = await p.once();
    assert.equal(res.status, 204);
    assert.ok(p.etag);
    await host().publish(`box/${name}`, "after the first answer");
    assert.equal((await p.once()).text, "after the first answer");
  });

  it("is refused by auth with its status", async () => {
    for (const status of [401, 403, 503]) {
      assert.equal((await request(`${host().url}/one/x?status=${status}`)).status, status);
    }
    assert.equal((await request(`${host().url}/one/x?status=4001`)).status, 403);
  });
});

describe("batches", () => {
  it("are JSON arrays with id, event and data, also for one message", async () => {
    const name = fresh();
    const p = await settled("/many", name);
    await host().publishAll(`box/${name}`, ["a", { n: 1 }]);
    await host().publish(`box/${name}`, "c", { event: "named" });
    await host().publish(`box/${name}`, Buffer.from([255]).toString("base64"), { base64: true });
    const items = [];
    while (items.length < 4) {
      const res = await p.once();
      assert.ok(res.headers["content-type"].startsWith(BATCH), res.headers["content-type"]);
      items.push(...res.json());
    }
    assert.equal(items[0].data, "a");
    assert.deepEqual(items[1].data, { n: 1 });
    assert.equal(items[2].event, "named");
    assert.deepEqual([items[3].data, items[3].base64], ["/w==", true]);
    assert.equal(new Set(items.map((i) => i.id)).size, 4);
    assert.ok(!items[0].event, "no name, no event");
  });

  it("hold no more than the script's number", async () => {
    const name = fresh();
    const p = await settled("/few", name);
    await host().publishAll(`box/${name}`, ["a", "b", "c", "d", "e", "f", "g"]);
    const sizes = [];
    const got = [];
    while (got.length < 7) {
      const res = await p.once();
      sizes.push(res.items.length);
      got.push(...res.items.map((i) => i.data));
    }
    assert.deepEqual(got, ["a", "b", "c", "d", "e", "f", "g"]);
    assert.ok(Math.max(...sizes) <= 3, sizes.join());
  });

  it("the id of an item is a cursor to go on from", async () => {
    const name = fresh();
    const p = await settled("/many", name);
    await host().publishAll(`box/${name}`, ["a", "b", "c"]);
    const items = [];
    while (items.length < 3) items.push(...(await p.once()).items);
    const res = await request(`${host().url}/many/${name}?cursor=${items[0].id}`);
    assert.deepEqual(res.json().map((i) => i.data), ["b", "c"]);
  });

  it("stay in order, thousands of them", async () => {
    const name = fresh();
    const p = await settled("/many", name);
    p.start();
    for (let i = 0; i < 1500; i += 500) {
      await host().publishAll(`box/${name}`, Array.from({ length: 500 }, (_, k) => `n${i + k}`));
    }
    const got = await p.items.take(1500);
    await p.stop();
    assert.deepEqual(got.map((i) => i.data), Array.from({ length: 1500 }, (_, i) => `n${i}`));
  });
});

describe("the tag", () => {
  it("releases a message only when a later poll brings it", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publishAll(`box/${name}`, ["a", "b"]);
    for (let i = 0; i < 3; i++) {
      const lost = await p.once({ keep: false });
      assert.equal(lost.text, "a", "an answer that was written is not an answer that arrived");
    }
    assert.equal((await p.once()).text, "a");
    assert.equal((await p.once()).text, "b");
  });

  it("does so for what the script sent to this client alone", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    assert.equal((await p.post("x")).status, 204);
    assert.equal((await p.post("y")).status, 204);
    assert.equal((await p.once({ keep: false })).text, "text x");
    assert.equal((await p.once()).text, "text x");
    assert.equal((await p.once()).text, "text y");
  });

  it("releases a whole batch or nothing", async () => {
    const name = fresh();
    const p = await settled("/few", name);
    await host().publishAll(`box/${name}`, ["a", "b", "c", "d"]);
    const lost = await p.once({ keep: false });
    const again = await p.once();
    assert.deepEqual(again.items.slice(0, lost.items.length), lost.items);
    assert.deepEqual((await p.take(4 - again.items.length)).map((i) => i.data), ["a", "b", "c", "d"].slice(again.items.length));
  });

  it("may come back weak or with what a proxy hung on to it", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publish(`box/${name}`, "next");
    const inner = p.etag.slice(1, -1);
    for (const tag of [`W/"${inner}"`, `"${inner}-gzip"`, `W/"${inner}-gzip"`, `"${inner};gzip"`, `"${inner}--gzip"`, `"${inner}-br"`,
                       `"other", "${inner}"`]) {
      const res = await p.once({ keep: false, headers: { "if-none-match": tag } });
      assert.equal(res.status, 200, tag);
      assert.equal(res.text, "next", tag);
    }
  });

  it("may come as query, which goes before the header", async () => {
    const name = fresh();
    const p = await settled("/one", name, { by: "query" });
    await host().publishAll(`box/${name}`, ["a", "b"]);
    const first = p.etag;
    assert.deepEqual((await p.take(2)).map((i) => i.data), ["a", "b"]);
    const { session, cursor } = split(p.etag);
    const late = request(`${host().url}/one/${name}?session=${session}&cursor=${cursor}`, { headers: { "if-none-match": first } });
    await host().publish(`box/${name}`, "c");
    assert.equal((await late).text, "c");
  });

  it("may come in halves: the session as header, the cursor as query", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publish(`box/${name}`, "a");
    const { session, cursor } = split(p.etag);
    const res = await request(`${host().url}/one/${name}?cursor=${cursor}`, { headers: { "hark-session": session } });
    assert.equal(res.text, "a");
    assert.equal(res.headers["hark-session"], session);
  });

  it("of garbage is 400", async () => {
    const p = await settled("/one", fresh());
    const { session } = split(p.etag);
    for (const cursor of ["garbage", "AAAA", "!"]) {
      const res = await request(p.url, { headers: { "if-none-match": `"${session}~${cursor}"` } });
      assert.equal(res.status, 400, cursor);
      assert.equal(res.json().error, "cursor_invalid");
    }
  });
});

describe("one session over many requests", () => {
  it("opens once and asks auth once", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publishAll(`box/${name}`, ["a", "b", "c"]);
    await p.take(3);
    await p.post("runs");
    assert.deepEqual((await p.once()).json(), { auth: 1, open: 1 });
  });

  it("is the same for many at once, whichever worker each request lands on", async () => {
    const names = Array.from({ length: 12 }, fresh);
    const pollers = await Promise.all(names.map((name) => settled("/one", name)));
    await Promise.all(pollers.map(async (p, i) => {
      for (let k = 0; k < 5; k++) {
        assert.equal((await p.post(`m${k}`)).status, 204);
        assert.equal((await p.once()).text, `text m${k}`, names[i]);
      }
    }));
  });

  it("keeps what comes between two polls", async () => {
    const name = fresh();
    const p = await settled("/many", name);
    await host().publishAll(`box/${name}`, ["a", "b"]);
    await p.post("c");
    assert.deepEqual((await p.take(3)).map((i) => i.data).sort(), ["a", "b", "text c"]);
  });

  it("tells what open sent, in the first answer", async () => {
    const res = await request(`${host().url}/one/${fresh()}?hello=1`);
    assert.equal(res.text, "hello longpoll");
    assert.equal(res.headers["hark-event"], "greeting");
  });

  it("lets a newer poll win: the older gets an empty answer", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    const polls = [p.once({ keep: false }), p.once({ keep: false })];
    const [first, newer] = await Promise.race(polls.map(async (poll, i) => [await poll, polls[1 - i]]));
    assert.equal(first.status, 204, "whichever came first");
    assert.equal(first.text, "");
    await host().publish(`box/${name}`, "for the newer");
    assert.equal((await newer).text, "for the newer");
  });

  it("goes on when a parked poll is cut", async () => {
    const name = fresh();
    const p = await settled("/one", name);
    const raw = await Raw.connect(host().port);
    raw.write(`GET /one/${name} HTTP/1.1\r\nHost: a\r\nIf-None-Match: ${p.etag}\r\n\r\n`);
    raw.cut();
    await host().publish(`box/${name}`, "not lost");
    assert.equal((await p.once()).text, "not lost");
    await p.post("runs");
    assert.deepEqual((await p.once()).json(), { auth: 1, open: 1 });
  });

  it("can be polled over one kept connection too", async (t) => {
    const name = fresh();
    const p = await settled("/one", name);
    await host().publishAll(`box/${name}`, ["a", "b", "c"]);
    const raw = await tidy(t, Raw.connect(host().port));
    let tag = p.etag;
    for (const want of ["a", "b", "c"]) {
      raw.write(`GET /one/${name} HTTP/1.1\r\nHost: a\r\nIf-None-Match: ${tag}\r\n\r\n`);
      const res = await raw.readResponse();
      assert.equal(res.text, want);
      tag = res.headers.etag;
    }
  });

  it("can have an id that the client chose, so that even a lost first answer loses nothing", async () => {
    const name = fresh();
    const chosen = `${name}_`.padEnd(30, "0123456789");
    const url = `${host().url}/one/${name}?session=${chosen}`;
    const raw = await Raw.connect(host().port);
    raw.write(`GET /one/${name}?session=${chosen} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await parked(name);
    raw.cut();
    await host().publish(`box/${name}`, "while away");
    const res = await request(url);
    assert.equal(res.text, "while away");
    assert.equal(res.headers["hark-session"], chosen);
  });

  it("of another identity is refused", async () => {
    const name = fresh();
    const chosen = `${name}_`.padEnd(30, "9876543210");
    const url = `${host().url}/quick/${name}?session=${chosen}`;
    assert.equal((await request(`${url}&user=ann`)).status, 204);
    assert.equal((await request(`${url}&user=bob`)).status, 403);
    assert.equal((await post(`${url}&user=bob`, "x")).status, 403);
    assert.equal((await post(`${url}&user=ann`, "x")).status, 204);
  });
});

describe("POST to the same URL", () => {
  it("is a message: 204, and the script's answer comes by the next poll", async () => {
    const p = await settled("/one", fresh());
    const res = await p.post("hello");
    assert.equal(res.status, 204);
    assert.equal((await p.once()).text, "text hello");
    assert.equal((await p.post("x", { "content-type": "application/octet-stream" })).status, 204);
    assert.equal((await p.once()).text, "binary x");
  });

  it("wakes a parked poll", async () => {
    const p = await settled("/one", fresh());
    const answer = p.once();
    assert.equal((await p.post("ping")).status, 204);
    assert.equal((await answer).text, "text ping");
  });

  it("is 422 for the script's refusal, 400 without a session, 404 for an unknown one, 500 for a broken handler", async () => {
    const p = await settled("/one", fresh());
    const refused = await p.post("bad");
    assert.equal(refused.status, 422);
    assert.deepEqual(refused.json(), { error: "bad is bad" });
    const none = await post(p.url, "x");
    assert.equal(none.status, 400);
    assert.equal(none.json().error, "session_required");
    const unknown = await post(p.url, "x", { "hark-session": "B".repeat(p.session.length) });
    assert.equal(unknown.status, 404);
    assert.equal(unknown.json().error, "session_unknown");
    const broken = await p.post("fail");
    assert.equal(broken.status, 500);
    assert.match(broken.json().reference, /^[\w-]{4,}$/);
    const large = await p.post("x".repeat(70_000));
    assert.equal(large.status, 413, "a message is bounded like a frame");
    assert.equal((await p.post("fine")).status, 204);
  });

  it("may use the tag as a session: If-None-Match is for GET alone, the header or query for POST", async () => {
    const p = await settled("/one", fresh());
    const { session } = split(p.etag);
    assert.equal((await request(`${p.url}?session=${session}`, { method: "POST", body: "x" })).status, 204);
  });
});

describe("the end", () => {
  it("comes after the grace time without a poll, and only then", async (t) => {
    const log = await tidy(t, openWebSocket(`${host().ws}/log`));
    assert.equal(await log.next(), "ready");
    const name = fresh();
    const p = await settled("/brief", name);
    assert.equal((await p.once()).status, 204);
    assert.equal((await p.post("still there")).status, 204);
    assert.equal(await log.messages.find((m) => m === name), name);
    assert.equal((await p.post("gone")).status, 404);
  });

  it("is no loss: a poll with a tag of a session that is gone opens a new one at that position", async (t) => {
    const log = await tidy(t, openWebSocket(`${host().ws}/log`));
    assert.equal(await log.next(), "ready");
    const name = fresh();
    const p = await settled("/brief", name);
    const old = p.session;
    await log.messages.find((m) => m === name);
    await host().publishAll(`box/${name}`, ["a", "b"]);
    assert.deepEqual((await p.take(2)).map((i) => i.data), ["a", "b"]);
    assert.notEqual(p.session, old);
  });

  it("by the script answers the parked poll with 410 and the reason", async () => {
    const p = await settled("/one", fresh());
    const answer = p.once();
    assert.equal((await p.post("quit")).status, 204);
    const res = await answer;
    assert.equal(res.status, 410);
    assert.deepEqual(res.json(), { error: "session_closed", code: 4002, reason: "enough" });
  });
});

describe("DELETE", () => {
  it("ends the session for its own client", async (t) => {
    const log = await tidy(t, openWebSocket(`${host().ws}/log`));
    assert.equal(await log.next(), "ready");
    const name = fresh();
    const p = await settled("/one", name);
    const end = (session) => request(p.url, { method: "DELETE", headers: session ? { "hark-session": session } : {} });
    assert.equal((await end()).status, 400);
    assert.equal((await end("C".repeat(p.session.length))).status, 404);
    assert.equal((await end(p.session)).status, 204);
    assert.equal(await log.messages.find((m) => m === name), name);
    assert.equal((await p.post("x")).status, 404);
  });
});

describe("curl", () => {
  it("as docs/clients.md shows it: ask, keep the tag, ask again", async () => {
    const name = fresh();
    const url = `${host().url}/one/${name}`;
    const first = run("curl", ["-sS", "--max-time", "20", "-D", "-", url]);
    await parked(name);
    await host().publish(`box/${name}`, "one");
    const { stdout } = await first;
    assert.match(stdout, /\r\n\r\none$/);
    const tag = /^etag: (.*)\r$/im.exec(stdout)[1];
    await host().publish(`box/${name}`, "two");
    const second = await run("curl", ["-sS", "--max-time", "20", "-H", `If-None-Match: ${tag}`, url]);
    assert.equal(second.stdout, "two");
  });
});
