// SPDX-License-Identifier: MIT
//
// Every script of scripts/, served as it is on two workers: what its first lines promise, seen by
// independent clients over the transports that it is about.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { demo } from "./support/demo.mjs";
import { Host } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { Poller } from "./support/poll.mjs";
import { SseStream } from "./support/sse.mjs";
import { tidy } from "./support/wait.mjs";
import { openWebSocket, refusedWebSocket } from "./support/websocket.mjs";

let host;
before(async () => {
  host = await Host.start(await demo(), { workers: 2, env: { TICKER_SECONDS: "0.05" } });
});
after(async () => {
  await host?.stop();
});

const json = (value) => JSON.stringify(value);
const stream = (t, path, headers) => tidy(t, SseStream.open(host.port, path, { headers }));
const socket = (t, path, options) => tidy(t, openWebSocket(host.ws + path, options));

async function signIn(name) {
  const res = await post(`${host.url}/login`, json({ name }));
  assert.equal(res.status, 200, res.text);
  return { token: res.json().token, cookie: res.headers["set-cookie"][0] };
}

/** The next event of a stream whose data, as JSON, has these fields. */
async function told(sse, fields, what = json(fields)) {
  for (;;) {
    const event = await sse.next(what);
    const data = JSON.parse(event.data);
    if (Object.entries(fields).every(([key, value]) => data[key] === value)) return { ...event, data };
  }
}

describe("echo", () => {
  it("gives back text and bytes on a WebSocket", async (t) => {
    const ws = await socket(t, "/echo");
    ws.send("hello");
    assert.equal(await ws.next(), "hello");
    ws.send(Buffer.from([0, 1, 255]));
    assert.deepEqual(await ws.next(), Buffer.from([0, 1, 255]));
  });

  it("gives back a POST over its own stream or poll", async (t) => {
    const sse = await stream(t, "/echo");
    assert.equal((await post(`${host.url}/echo`, "over sse", { "hark-session": sse.session })).status, 204);
    assert.equal((await sse.next()).data, "over sse");

    const id = "a-session-that-the-client-chose";
    const poll = new Poller(`${host.url}/echo?session=${id}`).start();
    t.after(() => poll.stop());
    let res; // the first poll makes the session, and may still be on its way
    do res = await post(`${host.url}/echo?session=${id}`, "over polling"); while (res.status === 404);
    assert.equal(res.status, 204);
    assert.equal((await poll.items.next()).data, "over polling");
  });
});

describe("chat", () => {
  it("wants a name", async () => {
    const res = await request(`${host.url}/chat/a`);
    assert.equal(res.status, 401);
    assert.match(res.json().error, /1 to 32 letters/);
    assert.equal((await refusedWebSocket(`${host.ws}/chat/a?name=${"x".repeat(33)}`)).status, 401);
  });

  it("tells who comes, what is said, who goes, and the past to newcomers", async (t) => {
    const ann = await stream(t, "/chat/tea?name=ann");
    const bob = await socket(t, "/chat/tea?name=bob");
    assert.equal((await told(ann, { id: "bob" })).event, "hark.join");
    bob.send(json({ text: "hello" }));
    assert.deepEqual((await told(ann, { text: "hello" })).data, { from: "bob", text: "hello" });
    bob.send(json({ txt: "what?" }));
    let error;
    do error = await bob.json("a refusal"); while (error.event !== "hark.error");
    assert.equal(error.data.error, "text missing");
    await bob.close();
    assert.equal((await told(ann, { id: "bob" })).event, "hark.leave");
    const eve = await stream(t, "/chat/tea?name=eve");
    await told(eve, { from: "bob", text: "hello" });
  });
});

describe("live", () => {
  it("lets the client ask for a transport, and speaks to all three", async (t) => {
    const ws = await socket(t, "/live/three");
    assert.equal((await ws.json()).over, "websocket");
    const sse = await stream(t, "/live/three");
    assert.equal(JSON.parse((await sse.next()).data).over, "sse");
    const poll = new Poller(`${host.url}/live/three?t=longpoll`);
    const [{ data: hello }] = (await poll.once()).items;
    assert.equal(hello.over, "longpoll");

    ws.send("from ws");
    assert.equal((await sse.next()).data, "from ws");
    assert.equal((await poll.take(1))[0].data, "from ws");
    assert.equal((await post(`${host.url}/live/three`, "from sse", { "hark-session": sse.session })).status, 204);
    assert.equal(await ws.next(), "from sse");
    assert.equal((await poll.take(1))[0].data, "from sse");
    assert.equal((await poll.post("from poll")).status, 204);
    assert.equal(await ws.next(), "from poll", "and never its own");
    assert.equal((await sse.next()).data, "from poll");
  });

  it("lets a client that asks hear itself", async (t) => {
    const ws = await socket(t, "/live/self?echo=1");
    await ws.next("hello");
    ws.send("me");
    assert.equal(await ws.next(), "me");
  });
});

describe("room", () => {
  it("lets nobody in without a token", async () => {
    assert.equal((await request(`${host.url}/room/a`)).status, 401);
    assert.equal((await request(`${host.url}/room/a?token=ann.9999999999.00`)).status, 401);
  });

  it("shows who is here and who is typing, to the others", async (t) => {
    const [ann, bob] = [await signIn("ann"), await signIn("bob")];
    const a = await socket(t, `/room/tea?token=${ann.token}`);
    const here = await until(a, "here");
    assert.deepEqual(here.members, [{ id: "ann", info: { name: "ann" } }]);
    const b = await stream(t, "/room/tea", { authorization: `Bearer ${bob.token}` });
    assert.deepEqual((await told(b, { type: "here" })).data.members.map((m) => m.id).sort(), ["ann", "bob"]);

    a.send(json({ type: "typing" }));
    a.send(json({ type: "typing" }));
    a.send(json({ type: "say", text: "hello" }));
    assert.equal((await told(b, { type: "typing" })).data.on, true);
    assert.equal((await told(b, {})).data.text, "hello", "typing is told once");
    const said = await until(a, "said");
    assert.deepEqual(said, { type: "said", who: "ann", text: "hello" });
    a.send(json({ type: "typing" }));
    assert.equal((await told(b, { type: "typing" })).data.on, true);
    assert.equal((await told(b, { type: "typing" })).data.on, false, "the timer says that it ended");
  });

  async function until(ws, type) {
    for (;;) {
      const message = await ws.json(type);
      if (message.type === type) return message;
    }
  }
});

describe("ticker", () => {
  it("begins with a snapshot, goes on with quotes, and resumes without a second snapshot", async (t) => {
    const first = await stream(t, "/ticker");
    const snapshot = await first.next("the snapshot");
    assert.equal(snapshot.event, "snapshot");
    assert.deepEqual(JSON.parse(snapshot.data).quotes.map((q) => q.symbol), ["ASH", "ELM", "OAK"]);
    const quotes = await first.take(6);
    for (const quote of quotes) assert.equal(quote.event, "quote");
    assert.deepEqual(quotes.map((q) => JSON.parse(q.data).symbol), ["ASH", "ELM", "OAK", "ASH", "ELM", "OAK"]);
    first.cut();
    const n = JSON.parse(quotes.at(-1).data).n;
    const again = await stream(t, "/ticker", { "last-event-id": quotes.at(-1).id });
    const [next] = await again.take(1);
    assert.equal(next.event, "quote");
    assert.deepEqual([JSON.parse(next.data).symbol, JSON.parse(next.data).n], ["ASH", n + 1]);
  });
});

describe("inbox", () => {
  it("keeps messages for its owner alone, in batches, and hides drafts", async () => {
    const [ann, bob] = [await signIn("ann"), await signIn("bob")];
    const mine = new Poller(`${host.url}/inbox`, { headers: { authorization: `Bearer ${ann.token}` } });
    await host.publish("inbox/ann", { text: "secret", draft: true });
    await host.publish("inbox/ann", { text: "one" });
    const [one] = await mine.take(1);
    assert.deepEqual(one.data, { text: "one" });

    const his = new Poller(`${host.url}/inbox?token=${bob.token}`);
    await host.publish("inbox/bob", { text: "for bob" });
    await his.take(1);
    assert.equal((await his.post(json({ to: "ann", text: "hi ann" }))).status, 204);
    assert.equal((await his.post(json({ to: "ann" }))).status, 422);
    assert.deepEqual((await mine.take(1))[0].data, { from: "bob", text: "hi ann" });

    const nosy = await request(`${host.url}/inbox?user=ann&token=${bob.token}`);
    assert.equal(nosy.status, 410, "the join check refuses");
    assert.equal(nosy.json().code, 4403);
    assert.equal((await request(`${host.url}/inbox`)).status, 401);
  });
});

describe("account", () => {
  it("takes a token from header, cookie and query, and says what is missing", async (t) => {
    const { token, cookie } = await signIn("ann");
    for (const [path, headers] of [["/account", { authorization: `Bearer ${token}` }],
                                   ["/account", { cookie: cookie.split(";")[0] }],
                                   [`/account?token=${token}`, {}]]) {
      const sse = await stream(t, path, headers);
      assert.deepEqual(JSON.parse((await sse.next()).data), { welcome: "ann", over: "sse" });
    }
    const res = await request(`${host.url}/account`);
    assert.equal(res.status, 401);
    assert.match(res.json().error, /POST your name to \/login/);
    assert.match((await request(`${host.url}/account?token=${token}0`)).json().error, /signature/);
    assert.equal((await post(`${host.url}/login`, json({ name: "a b" }))).status, 400);
    assert.match(cookie, /HttpOnly/);
  });

  it("lets the listed page in, and no other", async (t) => {
    const { cookie } = await signIn("ann");
    const headers = { cookie: cookie.split(";")[0], origin: "https://app.example.com" };
    const sse = await stream(t, "/account", headers);
    assert.equal(sse.head.headers["access-control-allow-origin"], "https://app.example.com");
    assert.equal((await refusedWebSocket(`${host.ws}/account`, {
      headers: { ...headers, origin: "https://evil.example" },
    })).status, 403);
  });
});

describe("translate", () => {
  it("says one event in each reader's language, made once per language and worker", async (t) => {
    const readers = [];
    for (const lang of ["en", "de", "de", "de", "tlh"]) readers.push(await stream(t, `/orders/7?lang=${lang}`));
    const texts = { placed: ["ordered", "bestellt"], shipped: ["on its way", "unterwegs"] };
    for (const [status, [english, german]] of Object.entries(texts)) {
      const { session } = readers[0];
      assert.equal((await post(`${host.url}/orders/7`, json({ status }), { "hark-session": session })).status, 204);
      const heard = await Promise.all(readers.map((sse) => told(sse, { status })));
      assert.deepEqual(heard.map(({ data }) => data.text), [english, german, german, german, english]);
      for (const { event } of heard) assert.equal(event, "status");
      const runs = new Set(heard.slice(1, 4).map(({ data }) => data.made));
      assert.ok(runs.size <= 2, "three German readers on two workers: at most two runs");
    }
    const { session } = readers[0];
    assert.equal((await post(`${host.url}/orders/7`, json({ status: "lost" }), { "hark-session": session })).status, 422);
  });
});

describe("publish", () => {
  const publish = (body, key = "demo-key", headers = {}) =>
    post(`${host.url}/publish`, json(body), { ...(key && { authorization: `Bearer ${key}` }), ...headers });

  it("reaches those who listen, once for each idempotency key", async (t) => {
    const ws = await socket(t, "/live/desk");
    await ws.next("hello");
    const once = { "idempotency-key": "order-1" };
    const [first, second] = [
      await publish({ channel: "live/desk", data: "one" }, "demo-key", once),
      await publish({ channel: "live/desk", data: "one" }, "demo-key", once),
    ];
    assert.equal(first.status, 200, first.text);
    assert.deepEqual(second.json(), first.json());
    await publish({ channel: "live/desk", data: { two: 2 } });
    assert.deepEqual([await ws.next(), await ws.json()], ["one", { two: 2 }]);
  });

  it("refuses who has no key, and what it does not understand", async () => {
    assert.equal((await publish({ channel: "live/a", data: "x" }, null)).status, 401);
    assert.equal((await publish({ channel: "live/a", data: "x" }, "guess")).status, 401);
    assert.equal((await post(`${host.url}/publish`, "{", { authorization: "Bearer demo-key" })).status, 400);
    for (const body of [{ data: "x" }, { channel: "live/a" }, { channel: "live/a", data: 7 },
                        { channel: "live/a", data: "x", event: 7 }, { channel: "nobody/declares", data: "x" }]) {
      assert.equal((await publish(body)).status, 422, json(body));
    }
    assert.equal((await request(`${host.url}/publish`)).status, 405);
  });
});
