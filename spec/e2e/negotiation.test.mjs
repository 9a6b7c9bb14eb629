// SPDX-License-Identifier: MIT
//
// One URL, three transports: what a request shows decides, a refusal names what is offered, auth
// speaks on each of them alike, and pages of other origins stay out unless they are listed.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { shared } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { itemsOf } from "./support/poll.mjs";
import { exchange, upgrade } from "./support/raw.mjs";
import { SseStream } from "./support/sse.mjs";
import { tidy } from "./support/wait.mjs";
import { openWebSocket, refusedWebSocket } from "./support/websocket.mjs";

const FILES = {
  "all.lua": `
local function hello(conn) conn:send({ over = conn.transport, id = conn.id }) end
local function echo(conn, text) return conn:send("heard " .. text) end
local function only(path, transport) return { path = path, transport = transport, open = hello, message = echo } end
return {
  { path = "/two-way", open = hello, message = echo },
  { path = "/one-way", open = hello },
  only("/ws", "websocket"), only("/sse", "sse"), only("/poll", "longpoll"),
  only("/list", { "sse", "longpoll" }),
  { path = "/chosen", open = hello, message = echo, transport = function(req)
      if req.query.none then return nil end
      if req.query.force then return req.query.force end
      if req.query.t and req.offers[req.query.t] then return req.query.t end
      if req.offers.websocket and not req.query.readonly then return "websocket" end
      if req.offers.sse then return "sse" end
      return "longpoll"
    end },
  { path = "/wait-choose", open = hello, transport = function(req) require("hark").sleep(0.01) return "sse" end },
}`,
  "door.lua": `
return { path = "/door", open = function(conn) conn:send("in") end, message = function() end,
  auth = function(req)
    if req.query.code then return nil, "stay out", tonumber(req.query.code) end
    if req.query.fail then error("inner secret") end
    local who = req:bearer() or req.cookies.who
    if not who then return nil, "who are you?" end
    return { id = who }
  end }`,
  "cross.lua": `
local hark <const> = require("hark")
return {
  { path = "/listed", origins = { "https://app.example.com", "https://other.example.com" },
    open = function(conn) conn:send("in") end, message = function(conn, text) return conn:send(text) end },
  { path = "/any", origins = "*", open = function(conn) conn:send("in") end },
  { path = "/api", method = "POST", origins = { "https://app.example.com" }, respond = function() return 200, "done" end },
}`,
};

const host = shared({ before, after }, FILES);

const SSE = { accept: "text/event-stream" };
const get = (path, headers) => request(`${host().url}${path}`, { headers });

async function over(t, path, transport, headers = {}) {
  if (transport === "websocket") {
    const ws = await tidy(t, openWebSocket(`${host().ws}${path}`, { headers }));
    return (await ws.json()).over;
  }
  if (transport === "sse") {
    const sse = await tidy(t, SseStream.open(host().port, path, { headers }));
    return JSON.parse((await sse.next()).data).over;
  }
  return (await get(path, headers)).json().over;
}

describe("by default", () => {
  it("a request gets what it can carry", async (t) => {
    for (const path of ["/two-way", "/one-way"]) {
      for (const transport of ["websocket", "sse", "longpoll"]) {
        assert.equal(await over(t, path, transport), transport, path);
      }
    }
  });

  it("Accept decides between stream and poll, however it is written", async (t) => {
    const stream = ["text/event-stream", "text/html, text/event-stream;q=0.9", "TEXT/EVENT-STREAM", "text/event-stream, */*"];
    const poll = ["*/*", "text/*", "application/json", "text/event-stream;q=0", "text/event-streams"];
    for (const accept of stream) {
      const sse = await tidy(t, SseStream.ask(host().port, "/two-way", { headers: { Accept: accept } }));
      assert.match(sse.head.headers["content-type"] ?? "", /^text\/event-stream/, accept);
    }
    for (const accept of poll) {
      const res = await get("/two-way", { accept });
      assert.equal(res.json().over, "longpoll", accept);
    }
    assert.equal((await get("/two-way")).json().over, "longpoll");
  });

  it("the handler need not care: the same words go both ways on each", async (t) => {
    const ws = await tidy(t, openWebSocket(`${host().ws}/two-way`));
    await ws.next();
    ws.send("a");
    assert.equal(await ws.next(), "heard a");

    const sse = await tidy(t, SseStream.open(host().port, "/two-way"));
    await sse.next();
    assert.equal((await post(`${host().url}/two-way`, "a", { "hark-session": sse.session })).status, 204);
    assert.equal((await sse.next()).data, "heard a");

    const first = await get("/two-way");
    assert.equal((await post(`${host().url}/two-way`, "a", { "hark-session": first.headers["hark-session"] })).status, 204);
    const second = await get("/two-way", { "if-none-match": first.headers.etag });
    assert.equal(itemsOf(second)[0].data, "heard a");
  });
});

describe("what is not offered", () => {
  const refusals = [
    ["/ws", "a plain GET", {}, 426, ["websocket"]],
    ["/ws", "an event stream", SSE, 406, ["websocket"]],
    ["/sse", "a plain GET", {}, 406, ["sse"]],
    ["/poll", "an event stream", SSE, 406, ["longpoll"]],
  ];
  for (const [path, what, headers, status, offers] of refusals) {
    it(`${what} to ${path} is ${status} and names the offer`, async () => {
      const res = await get(path, headers);
      assert.equal(res.status, status);
      assert.deepEqual(res.json().offers, offers);
      if (status === 426) assert.match(res.headers.upgrade, /websocket/i);
    });
  }

  it("a WebSocket to an endpoint without it is 406, before 101", async () => {
    for (const [path, offers] of [["/sse", ["sse"]], ["/poll", ["longpoll"]], ["/list", ["sse", "longpoll"]]]) {
      const res = await refusedWebSocket(`${host().ws}${path}`);
      assert.equal(res.status, 406);
      assert.deepEqual(JSON.parse(res.text).offers, offers);
    }
  });

  it("an unknown path is 404 on each, before any upgrade", async () => {
    assert.equal((await refusedWebSocket(`${host().ws}/nowhere`)).status, 404);
    assert.equal((await get("/nowhere", SSE)).status, 404);
    assert.equal((await get("/nowhere")).status, 404);
    assert.equal((await post(`${host().url}/nowhere`, "x")).status, 404);
  });

  it("other methods are 405", async () => {
    for (const method of ["PUT", "PATCH", "HEAD"]) {
      const res = await request(`${host().url}/two-way`, { method });
      assert.equal(res.status, 405, method);
      assert.match(res.headers.allow, /GET/);
    }
  });
});

describe("a transport function", () => {
  it("has the last word, with what really got through before its eyes", async (t) => {
    assert.equal(await over(t, "/chosen", "websocket"), "websocket");
    assert.equal(await over(t, "/chosen", "sse"), "sse");
    assert.equal(await over(t, "/chosen", "longpoll"), "longpoll");
    assert.equal(await over(t, "/chosen?t=longpoll", "longpoll", SSE), "longpoll");
    assert.equal((await get("/chosen?t=websocket")).json().over, "longpoll", "it asks, but cannot");
  });

  it("sees no upgrade where a proxy took Connection away", async () => {
    const res = await exchange(host().port, upgrade("/chosen", { headers: { Connection: "keep-alive" } }));
    assert.equal(res.status, 200);
    assert.equal(JSON.parse(res.text).over, "longpoll");
    res.raw.destroy();
  });

  it("may stream to a plain GET", async (t) => {
    const sse = await tidy(t, SseStream.open(host().port, "/chosen?force=sse", { headers: { Accept: "*/*" } }));
    assert.equal(JSON.parse((await sse.next()).data).over, "sse");
  });

  it("that wants what cannot be, or nothing, is a refusal", async () => {
    assert.equal((await get("/chosen?force=websocket")).status, 426);
    assert.equal((await get("/chosen?none=1")).status, 406);
    assert.equal((await get("/chosen?force=pigeon")).status, 500, "a mistake of the script");
  });

  it("cannot wait", async () => {
    const res = await get("/wait-choose");
    assert.equal(res.status, 500);
    await host().logged((f) => /transport/.test(JSON.stringify(f)) && /wait/.test(JSON.stringify(f)), "that transport cannot wait");
  });
});

describe("auth", () => {
  it("lets in by header and by cookie, on each transport", async (t) => {
    for (const headers of [{ authorization: "Bearer ann" }, { cookie: "x=1; who=ann" }]) {
      const ws = await tidy(t, openWebSocket(`${host().ws}/door`, { headers }));
      assert.equal(await ws.next(), "in");
      const sse = await tidy(t, SseStream.open(host().port, "/door", { headers }));
      assert.equal((await sse.next()).data, "in");
      assert.equal((await get("/door", headers)).text, "in");
    }
  });

  it("says no with 401 and its reason, on each transport", async () => {
    for (const res of [await refusedWebSocket(`${host().ws}/door`), await get("/door", SSE), await get("/door")]) {
      assert.equal(res.status, 401);
      assert.equal(JSON.parse(res.text).error, "who are you?");
      assert.match(res.headers["www-authenticate"], /Bearer/);
      assert.equal(res.headers["hark-session"], undefined);
    }
  });

  it("says no with a status of its own, on each transport", async () => {
    for (const code of [400, 403, 404, 410, 429, 503]) {
      const path = `/door?code=${code}`;
      for (const res of [await refusedWebSocket(`${host().ws}${path}`), await get(path, SSE), await get(path)]) {
        assert.equal(res.status, code);
        assert.equal(JSON.parse(res.text).error, "stay out");
      }
    }
  });

  it("with a code from 3000 to 4999 closes the WebSocket with it, and is 403 elsewhere", async (t) => {
    for (const code of [3000, 4401, 4999]) {
      const ws = await tidy(t, openWebSocket(`${host().ws}/door?code=${code}`));
      assert.deepEqual(await ws.closed(), { code, reason: "stay out" });
      assert.equal((await get(`/door?code=${code}`, SSE)).status, 403);
      assert.equal((await get(`/door?code=${code}`)).status, 403);
    }
  });

  it("with 204 ends it for good, and is 403 for a WebSocket", async () => {
    assert.equal((await get("/door?code=204", SSE)).status, 204);
    assert.equal((await get("/door?code=204")).status, 204);
    assert.equal((await refusedWebSocket(`${host().ws}/door?code=204`)).status, 403);
  });

  it("with any other code is a mistake of the script: 500", async () => {
    for (const code of [101, 200, 302, 999, 5000]) {
      assert.equal((await get(`/door?code=${code}`)).status, 500, String(code));
    }
  });

  it("that fails lets nobody in: 500 with a reference", async () => {
    for (const res of [await refusedWebSocket(`${host().ws}/door?fail=1`), await get("/door?fail=1", SSE), await get("/door?fail=1")]) {
      assert.equal(res.status, 500);
      assert.ok(JSON.parse(res.text).reference);
      assert.doesNotMatch(res.text, /secret|\.lua/);
    }
  });
});

describe("pages of another origin", () => {
  const at = () => `127.0.0.1:${host().port}`;
  const evil = { origin: "https://evil.example.com" };

  it("are kept out where no origin is listed, on each transport and for POST", async () => {
    assert.equal((await refusedWebSocket(`${host().ws}/two-way`, { headers: evil })).status, 403);
    for (const res of [await get("/two-way", { ...SSE, ...evil }), await get("/two-way", evil), await post(`${host().url}/two-way`, "x", evil)]) {
      assert.equal(res.status, 403);
      assert.equal(res.json().error, "origin_refused");
      assert.equal(res.headers["access-control-allow-origin"], undefined);
    }
  });

  it("that only look like ours are kept out too", async () => {
    for (const origin of ["null", `http://${at()}.evil.example`, `http://127.0.0.1:1`, `http://evil@${at()}`, "http://localhost"]) {
      const res = await refusedWebSocket(`${host().ws}/two-way`, { headers: { origin } });
      assert.equal(res.status, 403, origin);
    }
  });

  it("our own and those without a page are let in; a proxy may have taken TLS off", async (t) => {
    assert.equal((await get("/two-way", { origin: `https://${at()}` })).status, 200);
    const ws = await tidy(t, openWebSocket(`${host().ws}/two-way`, { headers: { origin: `http://${at()}` } }));
    assert.equal((await ws.json()).over, "websocket");
    assert.equal((await get("/two-way", { origin: `http://${at()}` })).status, 200);
    assert.equal((await get("/two-way")).status, 200);
  });

  it("are let in where they are listed, with the headers that their page needs", async (t) => {
    const origin = "https://app.example.com";
    const ws = await tidy(t, openWebSocket(`${host().ws}/listed`, { headers: { origin } }));
    assert.equal(await ws.next(), "in");
    const sse = await tidy(t, SseStream.open(host().port, "/listed", { headers: { Origin: origin } }));
    const poll = await get("/listed", { origin });
    for (const headers of [sse.head.headers, poll.headers]) {
      assert.equal(headers["access-control-allow-origin"], origin);
      assert.equal(headers["access-control-allow-credentials"], "true");
      assert.match(headers.vary, /origin/i);
      assert.match(headers["access-control-expose-headers"], /ETag/i);
      for (const name of ["Hark-Session", "Hark-Event", "Hark-Gap"]) {
        assert.match(headers["access-control-expose-headers"], new RegExp(name, "i"));
      }
    }
    const sent = await post(`${host().url}/listed`, "x", { origin, "hark-session": poll.headers["hark-session"] });
    assert.equal(sent.status, 204);
    assert.equal(sent.headers["access-control-allow-origin"], origin);
    assert.equal((await get("/listed", evil)).status, 403);
    assert.equal((await refusedWebSocket(`${host().ws}/listed`, { headers: evil })).status, 403);
  });

  it("get errors that their script can read, when listed", async () => {
    const res = await post(`${host().url}/listed`, "x", { origin: "https://app.example.com" });
    assert.equal(res.status, 400);
    assert.equal(res.headers["access-control-allow-origin"], "https://app.example.com");
  });

  it("are all let in by a star, without credentials", async () => {
    const res = await get("/any", evil);
    assert.equal(res.status, 200);
    assert.equal(res.headers["access-control-allow-origin"], "*");
    assert.equal(res.headers["access-control-allow-credentials"], undefined);
  });

  const preflight = (path, headers) => request(`${host().url}${path}`, { method: "OPTIONS", headers });

  it("may ask beforehand (preflight)", async () => {
    const res = await preflight("/listed", {
      origin: "https://other.example.com",
      "access-control-request-method": "POST",
      "access-control-request-headers": "hark-session, content-type, authorization",
    });
    assert.equal(res.status, 204);
    assert.equal(res.headers["access-control-allow-origin"], "https://other.example.com");
    assert.match(res.headers["access-control-allow-methods"], /POST/);
    for (const name of ["hark-session", "content-type", "authorization"]) {
      assert.match(res.headers["access-control-allow-headers"], new RegExp(name, "i"));
    }
    assert.ok(Number(res.headers["access-control-max-age"]) > 0);
    const api = await preflight("/api", { origin: "https://app.example.com", "access-control-request-method": "POST" });
    assert.equal(api.status, 204);
    assert.match(api.headers["access-control-allow-methods"], /POST/);
  });

  it("hear no when they ask beforehand and are not listed", async () => {
    for (const path of ["/listed", "/two-way", "/api"]) {
      const res = await preflight(path, { ...evil, "access-control-request-method": "POST" });
      assert.equal(res.status, 403, path);
      assert.equal(res.headers["access-control-allow-origin"], undefined);
    }
  });

  it("reach plain endpoints by the same rule", async () => {
    const listed = await post(`${host().url}/api`, "x", { origin: "https://app.example.com" });
    assert.equal(listed.status, 200);
    assert.equal(listed.headers["access-control-allow-origin"], "https://app.example.com");
    assert.equal((await post(`${host().url}/api`, "x", evil)).status, 403);
    assert.equal((await post(`${host().url}/api`, "x")).status, 200);
  });
});
