// SPDX-License-Identifier: MIT
//
// The admin address: health, metrics that Prometheus accepts, status, publishing, and what can be
// listed and ended, all but health and metrics behind the key.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import net from "node:net";
import { after, before, describe, it } from "node:test";

import { Host, shared, withHost } from "./support/host.mjs";
import { coded, request } from "./support/http.mjs";
import { Poller } from "./support/poll.mjs";
import { SseStream } from "./support/sse.mjs";
import { tidy, until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "news.lua": `
local hark <const> = require("hark")
return {
  channels = { ["news/:id"] = { history = 2000 }, ["log"] = { history = 10 } },
  { path = "/news/:id", auth = function(req) return { id = req.query.user or "someone" } end,
    open = function(conn) conn:join("news/" .. conn.params.id) conn:send("ready") conn:send(conn.id) end,
    message = function(conn) error("inner") end },
  { path = "/hello", method = "GET", respond = function() return 200, "hello" end },
}`,
};

const host = shared({ before, after }, FILES, { workers: 2 });

let unique = 0;
const fresh = () => `a${++unique}`;
const publish = (body, headers) => host().api("/publish", { method: "POST", body, headers });

async function listener(t, id, query = "") {
  const ws = await tidy(t, openWebSocket(`${host().ws}/news/${id}${query}`));
  assert.equal(await ws.next(), "ready");
  ws.id = await ws.next();
  return ws;
}

describe("health", () => {
  it("is alive and ready, without a key", async () => {
    assert.equal((await request(`${host().admin}/healthz`)).status, 200);
    assert.equal((await request(`${host().admin}/readyz`)).status, 200);
  });

  it("is on the admin address alone", async () => {
    for (const path of ["/healthz", "/readyz", "/metrics", "/status", "/publish"]) {
      assert.equal((await request(`${host().url}${path}`)).status, 404, path);
    }
  });
});

describe("metrics", () => {
  it("are what promtool accepts", async (t) => {
    const res = await request(`${host().admin}/metrics`);
    assert.equal(res.status, 200);
    assert.match(res.headers["content-type"], /^text\/plain; ?version=0\.0\.4/);
    const tool = spawnSync("promtool", ["check", "metrics"], { input: res.text, encoding: "utf8" });
    if (tool.error?.code === "ENOENT") return t.diagnostic("promtool is not installed; checked by hand only");
    assert.equal(tool.status, 0, tool.stdout + tool.stderr);
  });

  it("have HELP and TYPE once each, counters named _total, and no sample without them", async () => {
    const { text } = await request(`${host().admin}/metrics`);
    const types = new Map();
    for (const line of text.split("\n")) {
      const type = /^# TYPE (\S+) (\S+)$/.exec(line);
      if (type) {
        assert.ok(!types.has(type[1]), `${type[1]} twice`);
        types.set(type[1], type[2]);
        if (type[2] === "counter") assert.match(type[1], /_total$/);
        assert.ok(text.includes(`# HELP ${type[1]} `), type[1]);
      }
      const sample = /^([a-zA-Z_:][\w:]*)(\{.*\})? \S+$/.exec(line);
      if (sample) assert.ok(types.has(sample[1].replace(/_(bucket|sum|count)$/, "")) || types.has(sample[1]), sample[1]);
      assert.ok(line === "" || line.startsWith("# ") || sample, `a line of the format, not ${line}`);
    }
    assert.ok(types.size > 10);
  });

  it("count what happens", async (t) => {
    const sum = async (name) => [...await host().metrics()].filter(([k]) => k === name || k.startsWith(`${name}{`))
      .reduce((s, [, v]) => s + v, 0);
    const before_ = { opened: await sum("hark_sessions_opened_total"), published: await sum("hark_messages_published_total"),
                      errors: await sum("hark_handler_errors_total") };
    const id = fresh();
    const ws = await listener(t, id);
    await host().publishAll(`news/${id}`, ["a", "b", "c"]);
    await ws.messages.take(3);
    ws.send("x");
    await ws.closed();
    assert.equal(await sum("hark_sessions_opened_total"), before_.opened + 1);
    assert.equal(await sum("hark_messages_published_total"), before_.published + 3);
    assert.equal(await sum("hark_handler_errors_total"), before_.errors + 1);
  });
});

describe("the key", () => {
  it("is needed for everything that tells or changes", async () => {
    const calls = [["GET", "/status"], ["GET", "/sessions"], ["GET", "/channels"], ["POST", "/publish"], ["POST", "/disconnect"],
                   ["DELETE", "/sessions/x"], ["DELETE", "/channels/x"]];
    for (const [method, path] of calls) {
      for (const key of [null, "wrong", `${host().key}x`, host().key.slice(0, -1)]) {
        const res = await host().api(path, { method, key, body: method === "POST" ? { channel: "news/x", data: "x" } : undefined });
        assert.equal(res.status, 401, `${method} ${path}`);
        assert.match(res.headers["www-authenticate"], /Bearer/);
      }
    }
  });

  it("that was made at the start cannot be guessed", () => {
    assert.ok(host().key.length >= 22, host().key);
  });

  it("may come from the settings", async () => {
    await withHost(FILES, { conf: `return { admin_key = "chosen-by-the-operator" }` }, async (own) => {
      assert.equal((await own.api("/status", { key: "chosen-by-the-operator" })).status, 200);
      assert.equal((await own.api("/status", { key: "x" })).status, 401);
    });
  });
});

describe("status", () => {
  it("tells version, workers, apps and sessions", async (t) => {
    const id = fresh();
    await listener(t, id);
    const sse = await tidy(t, SseStream.open(host().port, `/news/${id}`));
    await sse.next();
    const status = await host().status();
    assert.match(status.version, /^\d+\.\d+\.\d+/);
    assert.equal(status.workers, 2);
    assert.equal(status.draining, false);
    const app = status.apps.find((a) => a.name === "news");
    assert.ok(app.generation >= 1);
    assert.equal(app.stale, false);
    assert.ok(status.sessions.websocket >= 1);
    assert.ok(status.sessions.sse >= 1);
  });
});

describe("POST /publish", () => {
  it("of one message answers its position", async (t) => {
    const id = fresh();
    const ws = await listener(t, id);
    const res = await publish({ channel: `news/${id}`, data: "hello" });
    assert.equal(res.status, 200);
    assert.match(res.json().position, /^[^:]+:\d+$/);
    assert.equal(await ws.next(), "hello");
  });

  it("of an array answers each, in order, good and bad", async (t) => {
    const id = fresh();
    const ws = await listener(t, id);
    const res = await publish([{ channel: `news/${id}`, data: "a" }, { data: "no channel" }, { channel: `news/${id}`, data: { n: 2 } },
                               { channel: "x".repeat(300), data: "b" }]);
    assert.equal(res.status, 200);
    const [a, none, b, long] = res.json();
    assert.ok(a.position && b.position && none.error && long.error);
    assert.equal(await ws.next(), "a");
    assert.deepEqual(JSON.parse(await ws.next()), { n: 2 });
  });

  it("takes a thousand at once, and not one more", async (t) => {
    const id = fresh();
    const ws = await listener(t, id);
    const many = (n) => Array.from({ length: n }, (_, i) => ({ channel: `news/${id}`, data: `${i}` }));
    assert.equal((await publish(many(1000))).status, 200);
    assert.equal((await ws.messages.take(1000)).at(-1), "999");
    const over = await publish(many(1001));
    assert.equal(over.status, 413);
    assert.ok(over.json().error);
  });

  it("with an Idempotency-Key, or `once`, happens once and answers the same position", async (t) => {
    const id = fresh();
    const ws = await listener(t, id);
    const order = { channel: `news/${id}`, data: "paid" };
    const first = await publish(order, { "idempotency-key": id });
    const again = await publish(order, { "idempotency-key": id });
    const inside = await publish({ ...order, once: id });
    assert.equal(first.status, 200);
    assert.deepEqual(again.json(), first.json());
    assert.deepEqual(inside.json(), first.json());
    await publish({ channel: `news/${id}`, data: "next" });
    assert.deepEqual(await ws.messages.take(2), ["paid", "next"]);
  });

  it("passes event and key on", async (t) => {
    const id = fresh();
    const sse = await tidy(t, SseStream.open(host().port, `/news/${id}`));
    await sse.take(2);
    await publish({ channel: `news/${id}`, data: "x", event: "flash", key: "k" });
    const event = await sse.next();
    assert.deepEqual([event.event, event.data], ["flash", "x"]);
  });

  it("of nonsense is 400 with what is wrong", async () => {
    const wrong = ["", "{", "5", '"x"', "null", "[]", "{}", '{"channel":5,"data":"x"}', '{"channel":"","data":"x"}',
                   '{"channel":"news/x"}', '{"channel":"news/x","data":"x","event":5}', '{"channel":"news/x","data":"x","event":"a\\nb"}',
                   '{"channel":"news/x","data":"!","base64":true}', `${"[".repeat(3000)}${"]".repeat(3000)}`];
    for (const body of wrong) {
      const res = await publish(body);
      assert.equal(res.status, 400, `${body.slice(0, 40)}: ${res.status} ${res.text}`);
      assert.ok(res.json().error.length > 0);
    }
  });

  it("takes no other method, and other paths are 404", async () => {
    const res = await host().api("/publish");
    assert.equal(res.status, 405);
    assert.match(res.headers.allow, /POST/);
    assert.equal((await host().api("/nothing")).status, 404);
  });
});

describe("sessions", () => {
  it("are listed by their public name, never by their token", async (t) => {
    const id = fresh();
    const ws = await listener(t, id, "?user=ann");
    const res = await host().api("/sessions");
    assert.equal(res.status, 200);
    const mine = res.json().sessions.find((s) => s.id === ws.id);
    assert.ok(mine, "as conn.id tells the script");
    assert.equal(mine.path, "/news/:id", "the endpoint's path");
    assert.equal(mine.transport, "websocket");
    assert.equal(mine.user, "ann");
    assert.equal(mine.app, "news");
    assert.ok(!res.text.includes(ws.session), "a token is a secret");
  });

  it("are ended one by one, on whichever worker", async (t) => {
    for (let i = 0; i < 6; i++) {
      const ws = await listener(t, fresh());
      assert.equal((await host().api(`/sessions/${ws.id}`, { method: "DELETE" })).status, 204);
      assert.deepEqual(await ws.closed(), { code: 1008, reason: "disconnected" });
      assert.equal((await host().api(`/sessions/${ws.id}`, { method: "DELETE" })).status, 404);
    }
    assert.equal((await host().api("/sessions/nonsense", { method: "DELETE" })).status, 404);
  });

  it("on SSE and long poll are told why they end", async (t) => {
    const id = fresh();
    const sse = await tidy(t, SseStream.open(host().port, `/news/${id}`));
    const [, mine] = await sse.take(2);
    assert.equal((await host().api(`/sessions/${mine.data}`, { method: "DELETE" })).status, 204);
    const last = await sse.next();
    assert.equal(last.event, "hark.close");
    assert.deepEqual(JSON.parse(last.data), { code: 1008, reason: "disconnected" });
    assert.equal(await sse.ended(), "clean");
    const poll = new Poller(`${host().url}/news/${id}`);
    const [, name] = await poll.take(2);
    const parked = poll.once();
    assert.equal((await host().api(`/sessions/${name.data}`, { method: "DELETE" })).status, 204);
    const res = await parked;
    // Unless it came before the poll: then the poll is a newcomer's, who is greeted.
    assert.ok(res.status === 410 || res.text === "ready", `${res.status} ${res.text}`);
    if (res.status === 410) assert.deepEqual(res.json(), { error: "session_closed", code: 1008, reason: "disconnected" });
  });

  it("of one user are ended together, and nobody else's", async (t) => {
    const [user, id] = [fresh(), fresh()];
    const his = await Promise.all(Array.from({ length: 5 }, () => listener(t, id, `?user=${user}`)));
    const other = await listener(t, id, "?user=other");
    const res = await host().api("/disconnect", { method: "POST", body: { user } });
    assert.equal(res.status, 200);
    assert.deepEqual(res.json(), { closed: 5 });
    for (const ws of his) assert.equal((await ws.closed()).code, 1008);
    await host().publish(`news/${id}`, "still");
    assert.equal(await other.next(), "still");
    assert.deepEqual((await host().api("/disconnect", { method: "POST", body: { user: "nobody" } })).json(), { closed: 0 });
    assert.equal((await host().api("/disconnect", { method: "POST", body: {} })).status, 400);
  });
});

describe("channels", () => {
  it("are listed with subscribers, position and what they hold", async (t) => {
    const id = fresh();
    const [a, b] = [await listener(t, id), await listener(t, id)];
    await host().publishAll(`news/${id}`, ["1", "2", "3"]);
    const position = await host().publish(`news/${id}`, "4");
    const channel = (await host().api("/channels")).json().channels.find((c) => c.name === `news/${id}`);
    assert.equal(channel.subscribers, 2);
    assert.equal(channel.messages, 4);
    assert.equal(channel.position, position);
    a.destroy();
    b.destroy();
    await until(async () => {
      const now = (await host().api("/channels")).json().channels.find((c) => c.name === `news/${id}`);
      return now?.subscribers === 0 && now.messages === 4;
    }, "a channel outlives its subscribers while it holds something");
  });

  it("are cleared by name, percent-coded", async () => {
    const id = fresh();
    await host().publishAll(`news/${id}`, ["1", "2"]);
    assert.equal((await host().api(`/channels/${coded(`news/${id}`)}`, { method: "DELETE" })).status, 204);
    const channel = (await host().api("/channels")).json().channels.find((c) => c.name === `news/${id}`);
    assert.equal(channel?.messages ?? 0, 0);
    assert.equal((await host().api(`/channels/${coded(`news/${fresh()}`)}`, { method: "DELETE" })).status, 404);
  });
});

describe("the address", () => {
  it("can be turned off, and a wrong setting is exit status 2 that names it", async () => {
    const off = await Host.fails(FILES, { args: ["--admin", "nonsense"] });
    assert.equal(off.code, 2);
    assert.match(off.stderr, /admin/);
    assert.match(off.stderr, /nonsense/);
    const key = await Host.fails(FILES, { conf: `return { worker = 3 }` });
    assert.equal(key.code, 2);
    assert.match(key.stderr, /worker\b.*workers/s, "names the key and the one that was meant");
    assert.doesNotMatch(key.stderr, /traceback/);
  });

  it("that is taken is exit status 3, also when another hark has it", async (t) => {
    const other = net.createServer();
    await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
    t.after(() => other.close());
    for (const port of [other.address().port, host().port, host().adminPort]) {
      for (const flag of ["--listen", "--admin"]) {
        const taken = await Host.fails(FILES, { args: [flag, `127.0.0.1:${port}`] });
        assert.equal(taken.code, 3, `${flag} ${port}`);
        assert.match(taken.stderr, new RegExp(String(port)));
      }
    }
  });
});
