// SPDX-License-Identifier: MIT
//
// RFC 6455, section by section, with frames made by hand; and npm's client for the usual life.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { shared, withHost } from "./support/host.mjs";
import { acceptOf, closing, exchange, frame, OP, Raw, RawWebSocket, upgrade } from "./support/raw.mjs";
import { tidy } from "./support/wait.mjs";
import { openWebSocket, refusedWebSocket } from "./support/websocket.mjs";

const FILES = {
  "ws.lua": `
local hark <const> = require("hark")
local function echo(conn, data, kind) return conn:send(data, { binary = kind == "binary" }) end
return {
  channels = { ["log"] = { history = 100 } },
  { path = "/echo", transport = "websocket", message = echo },
  { path = "/kind", transport = "websocket", message = function(conn, data, kind) return conn:send(kind .. ":" .. #data) end },
  { path = "/listed", transport = "websocket", subprotocols = { "chat.v2", "chat.v1" }, message = echo },
  { path = "/picky", transport = "websocket", message = echo, subprotocols = function(req)
      for _, name in ipairs(req.subprotocols) do
        if name:find("^v%d$") then return name end
      end
    end },
  { path = "/refuse", transport = "websocket", message = echo, auth = function(req)
      return nil, "not today", tonumber(req.query.code)
    end },
  { path = "/close", transport = "websocket", message = function(conn, text)
      local code, why = text:match("^(%d+) ?(.*)$")
      conn:close(tonumber(code), why)
    end },
  { path = "/slow", transport = "websocket",
    open = function(conn) hark.sleep(0.2) conn:send("opened") end,
    message = function(conn, data) hark.sleep(0.2) return conn:send(data) end },
  { path = "/fail", transport = "websocket", message = function() error("inner secret") end },
  { path = "/failopen", transport = "websocket", open = function() error("inner secret") end },
  { path = "/no", transport = "websocket", codec = "json", message = function(conn, m)
      if m.bad then return nil, "bad is bad" end
      return conn:send({ got = m })
    end },
  { path = "/log", transport = "websocket", open = function(conn) conn:join("log") conn:send("ready") end },
  { path = "/ending", transport = "websocket",
    open = function(conn) conn:send("ready") end,
    close = function(conn, why) hark.publish("log", conn.query.who .. " " .. type(why)) end },
  { path = "/burst", transport = "websocket", message = function(conn, n)
      for i = 1, tonumber(n) do conn:send("m" .. i) end
    end },
  { path = "/ping", transport = "websocket", websocket = { ping = "150ms", pong = "300ms" }, message = echo },
}`,
  "small.lua": `
return { path = "/small", transport = "websocket", limits = { message = "1KiB" },
         message = function(conn, data) return conn:send(tostring(#data)) end }`,
};

const host = shared({ before, after }, FILES);

const raw = (t, path = "/echo", options) => tidy(t, RawWebSocket.open(host().port, path, options));
const ws = (t, path = "/echo", options) => tidy(t, openWebSocket(`${host().ws}${path}`, options));

describe("the handshake", () => {
  it("accepts with the key's answer and no extension", async (t) => {
    const client = await raw(t, "/echo", { headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } });
    const { headers, status } = client.head;
    assert.equal(status, 101);
    assert.match(headers.upgrade, /^websocket$/i);
    assert.match(headers.connection, /^upgrade$/i);
    assert.equal(headers["sec-websocket-extensions"], undefined);
    assert.equal(headers["sec-websocket-protocol"], undefined);
    assert.ok(headers["hark-session"]?.length >= 22);
    assert.equal(headers["content-length"], undefined);
  });

  it("takes field names and tokens in any case, and lists", async () => {
    const key = "dGhlIHNhbXBsZSBub25jZQ==";
    const res = await exchange(host().port,
      `GET /echo HTTP/1.1\r\nhost: a\r\nUPGRADE: h2c, WebSocket\r\nconnection: keep-alive, UPGRADE\r\nsec-websocket-key: ${key}\r\nSEC-WEBSOCKET-VERSION: 13\r\n\r\n`);
    assert.equal(res.status, 101);
    assert.equal(res.headers["sec-websocket-accept"], acceptOf(key));
    res.raw.destroy();
  });

  it("takes a head that arrives in pieces, frames behind it in the same piece", async (t) => {
    const connection = await tidy(t, Raw.connect(host().port));
    const bytes = upgrade("/echo");
    for (let i = 0; i < bytes.length - 10; i += 7) {
      connection.write(bytes.slice(i, Math.min(i + 7, bytes.length - 10)));
      await new Promise(setImmediate);
    }
    connection.write(Buffer.concat([Buffer.from(bytes.slice(-10)), frame({ payload: "first" }), frame({ payload: "second" })]));
    assert.equal((await connection.readHead()).status, 101);
    const client = Object.assign(new RawWebSocket(), { raw: connection });
    assert.equal(await client.readMessage(), "first");
    assert.equal(await client.readMessage(), "second");
  });

  it("handles frames that came with it after `open` has run", async (t) => {
    const client = await raw(t, "/slow", { early: Buffer.concat([frame({ payload: "a" }), frame({ payload: "b" })]) });
    assert.deepEqual([await client.readMessage(), await client.readMessage(), await client.readMessage()],
                     ["opened", "a", "b"]);
  });

  const bad = {
    "no key": [{ "Sec-WebSocket-Key": null }, 400],
    "a key that is no base64": [{ "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" }, 400],
    "a key of 15 bytes": [{ "Sec-WebSocket-Key": Buffer.alloc(15).toString("base64") }, 400],
    "a key of 17 bytes": [{ "Sec-WebSocket-Key": Buffer.alloc(17).toString("base64") }, 400],
    "no version": [{ "Sec-WebSocket-Version": null }, 426],
    "version 12": [{ "Sec-WebSocket-Version": "12" }, 426],
    "version 13 and something": [{ "Sec-WebSocket-Version": "13x" }, 426],
  };
  for (const [name, [headers, status]] of Object.entries(bad)) {
    it(`refuses ${name} with ${status}`, async () => {
      const res = await exchange(host().port, upgrade("/echo", { headers }));
      assert.equal(res.status, status);
      if (status === 426) assert.match(res.headers["sec-websocket-version"], /\b13\b/);
      res.raw.destroy();
    });
  }

  it("that lacks Connection: upgrade is a plain GET, as after a proxy that stripped it", async () => {
    const res = await exchange(host().port, upgrade("/echo", { headers: { Connection: "keep-alive" } }));
    assert.equal(res.status, 426);
    assert.match(res.headers.upgrade, /websocket/i);
    assert.deepEqual(JSON.parse(res.text).offers, ["websocket"]);
    res.raw.destroy();
  });

  it("by another method or in HTTP/1.0 is none", async () => {
    const post = await exchange(host().port, upgrade("/echo").replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"));
    assert.ok(post.status >= 400 && post.status < 500, `${post.status}`);
    post.raw.destroy();
    const old = await exchange(host().port, upgrade("/echo").replace("HTTP/1.1", "HTTP/1.0"));
    assert.ok(old.status >= 400 && old.status < 500, `${old.status}`);
    old.raw.destroy();
  });

  it("to no endpoint is 404, with frames behind it never read as a request", async () => {
    const connection = await Raw.connect(host().port);
    connection.write(upgrade("/nowhere") + "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await connection.readResponse()).status, 404);
    connection.destroy();
  });

  it("is refused before 101 with any status that the script names", async () => {
    for (const code of [400, 402, 403, 404, 429, 500, 503, 599]) {
      const res = await refusedWebSocket(`${host().ws}/refuse?code=${code}`);
      assert.equal(res.status, code);
      assert.match(res.text, /not today/);
    }
    const plain = await refusedWebSocket(`${host().ws}/refuse`);
    assert.equal(plain.status, 401);
    assert.ok(plain.headers["www-authenticate"]);
    assert.equal(JSON.parse(plain.text).error, "not today");
  });

  it("is accepted and closed with a code from 3000 to 4999", async (t) => {
    for (const code of [3000, 4001, 4999]) {
      const client = await ws(t, `/refuse?code=${code}`);
      assert.deepEqual(await client.closed(), { code, reason: "not today" });
    }
  });
});

describe("subprotocols", () => {
  const chosen = async (t, path, protocols) => (await ws(t, path, { protocols })).protocol;

  it("are chosen by the client's order among the script's", async (t) => {
    assert.equal(await chosen(t, "/listed", ["x", "chat.v1", "chat.v2"]), "chat.v1");
    assert.equal(await chosen(t, "/listed", ["chat.v2", "chat.v1"]), "chat.v2");
  });

  it("are chosen by a function that sees the offer", async (t) => {
    assert.equal(await chosen(t, "/picky", ["chat", "v7"]), "v7");
  });

  it("offered in several fields are one list", async (t) => {
    const connection = await tidy(t, Raw.connect(host().port));
    connection.write(upgrade("/listed").replace("\r\n\r\n",
      "\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: chat.v2\r\n\r\n"));
    assert.equal((await connection.readHead()).headers["sec-websocket-protocol"], "chat.v2");
  });

  it("nobody agrees on are left out of the answer", async (t) => {
    const client = await raw(t, "/listed", { headers: { "Sec-WebSocket-Protocol": "x, y" } });
    assert.equal(client.head.status, 101);
    assert.equal(client.head.headers["sec-websocket-protocol"], undefined);
  });
});

describe("messages", () => {
  it("of every length form come back whole, as text and as binary", async (t) => {
    const client = await raw(t);
    for (const size of [0, 1, 125, 126, 127, 4095, 4096, 65535, 65536]) {
      const payload = Buffer.alloc(size, 0x61);
      client.send({ opcode: OP.TEXT, payload });
      assert.equal((await client.readMessage(`text of ${size}`)).length, size);
      client.send({ opcode: OP.BINARY, payload });
      const back = await client.readMessage(`binary of ${size}`);
      assert.ok(Buffer.isBuffer(back) && back.equals(payload));
    }
  });

  it("tell the script whether they are text or binary", async (t) => {
    const client = await raw(t, "/kind");
    client.send({ opcode: OP.TEXT, payload: "é" }).send({ opcode: OP.BINARY, payload: Buffer.from([0, 255]) });
    assert.equal(await client.readMessage(), "text:2");
    assert.equal(await client.readMessage(), "binary:2");
  });

  it("keep their order, thousands of them, in one piece or byte by byte", async (t) => {
    const client = await raw(t);
    client.write(Buffer.concat(Array.from({ length: 3000 }, (_, i) => frame({ payload: `n${i}` }))));
    for (let i = 0; i < 3000; i++) assert.equal(await client.readMessage(), `n${i}`);
    for (const byte of Buffer.concat([frame({ payload: "slow" }), frame({ payload: "x".repeat(200) })])) {
      client.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    assert.equal(await client.readMessage(), "slow");
    assert.equal((await client.readMessage()).length, 200);
  });

  it("are unmasked with any key, also the zero key", async (t) => {
    const client = await raw(t);
    client.send({ payload: "zero", mask: [0, 0, 0, 0] }).send({ payload: "ones", mask: [255, 255, 255, 255] });
    assert.equal(await client.readMessage(), "zero");
    assert.equal(await client.readMessage(), "ones");
  });

  it("in fragments are put together, with pings answered in between", async (t) => {
    const client = await raw(t);
    client.send({ fin: false, payload: "one " });
    client.send({ opcode: OP.PING, payload: "p1" });
    assert.deepEqual(await client.readFrame(), { fin: true, rsv: 0, opcode: OP.PONG, payload: Buffer.from("p1") });
    client.send({ fin: false, opcode: OP.CONTINUATION, payload: "" });
    client.send({ fin: false, opcode: OP.CONTINUATION, payload: "two " });
    client.send({ opcode: OP.PING, payload: "p2" });
    assert.equal((await client.readFrame()).payload.toString(), "p2");
    client.send({ opcode: OP.CONTINUATION, payload: "three" });
    assert.equal(await client.readMessage(), "one two three");
    client.send({ fin: false, opcode: OP.BINARY, payload: Buffer.from([1]) }).send({ opcode: OP.CONTINUATION, payload: Buffer.from([2]) });
    assert.deepEqual(await client.readMessage(), Buffer.from([1, 2]));
  });

  it("in a thousand fragments of one byte are put together", async (t) => {
    const client = await raw(t);
    const parts = Array.from({ length: 1000 }, (_, i) =>
      frame({ fin: i === 999, opcode: i === 0 ? OP.TEXT : OP.CONTINUATION, payload: "f" }));
    client.write(Buffer.concat(parts));
    assert.equal((await client.readMessage()).length, 1000);
  });

  it("are held back while a handler waits, control frames are not", async (t) => {
    const client = await raw(t, "/slow");
    assert.equal(await client.readMessage(), "opened");
    client.send("a").send({ opcode: OP.PING, payload: "now" });
    const first = await client.readFrame();
    assert.equal(first.opcode, OP.PONG, "the pong does not wait for the handler");
    assert.equal(await client.readMessage(), "a");
    client.send("b").send("c").send("d").send("e");
    for (const want of "bcde") assert.equal(await client.readMessage(), want);
  });

  it("from the server in a burst arrive in order", async (t) => {
    const client = await ws(t, "/burst");
    client.send("5000");
    const got = await client.messages.take(5000);
    assert.deepEqual(got, Array.from({ length: 5000 }, (_, i) => `m${i + 1}`));
  });

  it("that the script refuses are told by hark.error and change nothing else", async (t) => {
    const client = await ws(t, "/no");
    client.send('{"bad":true}');
    assert.deepEqual(await client.json(), { event: "hark.error", data: { error: "bad is bad" } });
    client.send('{"n":1}');
    assert.deepEqual(await client.json(), { got: { n: 1 } });
  });

  it("that the codec cannot read are told by hark.error and change nothing else", async (t) => {
    const client = await ws(t, "/no");
    client.send("{oops");
    const { event, data } = await client.json();
    assert.equal(event, "hark.error");
    assert.equal(data.error, "invalid_message");
    client.send('{"n":1}');
    assert.deepEqual(await client.json(), { got: { n: 1 } });
  });

  it("whose handler fails close with 1011 and a reference, nothing of the inside", async (t) => {
    for (const path of ["/fail", "/failopen"]) {
      const client = await ws(t, path);
      if (path === "/fail") client.send("x");
      const { code, reason } = await client.closed();
      assert.equal(code, 1011);
      assert.match(reason, /[\w-]{4,}/);
      assert.doesNotMatch(reason, /secret|\.lua|traceback/);
      const reference = reason.split(" ").at(-1);
      await host().logged((f) => Object.values(f).includes(reference), `reference ${reference}`);
    }
  });
});

describe("what breaks the protocol is closed with 1002:", () => {
  const text = (more) => frame({ payload: "x", ...more });
  const cases = {
    "a frame without a mask": text({ mask: false }),
    "an empty frame without a mask": frame({ mask: false }),
    "a ping without a mask": frame({ opcode: OP.PING, mask: false }),
    "reserved bit 1": text({ rsv: 4 }),
    "reserved bit 2": text({ rsv: 2 }),
    "reserved bit 3": text({ rsv: 1 }),
    "reserved bits on a ping": frame({ opcode: OP.PING, rsv: 4 }),
    "opcode 3": text({ opcode: 3 }),
    "opcode 7": text({ opcode: 7 }),
    "opcode 11": text({ opcode: 11 }),
    "opcode 15": text({ opcode: 15 }),
    "a ping in fragments": frame({ opcode: OP.PING, fin: false, payload: "x" }),
    "a close in fragments": frame({ opcode: OP.CLOSE, fin: false, payload: closing(1000) }),
    "a ping of 126 bytes": frame({ opcode: OP.PING, payload: "x".repeat(126) }),
    "a close of 126 bytes": frame({ opcode: OP.CLOSE, payload: closing(1000, "x".repeat(124)) }),
    "a continuation of nothing": text({ opcode: OP.CONTINUATION }),
    "a continuation after a whole message": Buffer.concat([text(), text({ opcode: OP.CONTINUATION })]),
    "a new message inside fragments": Buffer.concat([text({ fin: false }), text()]),
    "a length of 5 in 16 bits": frame({ payload: "hello", form: 16 }),
    "a length of 5 in 64 bits": frame({ payload: "hello", form: 64 }),
    "a length of 65535 in 64 bits": frame({ payload: "x".repeat(65535), form: 64 }),
    "a length with its highest bit set": frame({ payload: "x", form: 64, length: 1n << 63n }),
    "a close of one byte": frame({ opcode: OP.CLOSE, payload: Buffer.from([3]) }),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    it(name, async (t) => {
      const client = await raw(t);
      client.write(bytes);
      await client.expectClose(/highest bit/.test(name) ? [1002, 1009] : 1002);
    });
  }

  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
    it(`close code ${code}`, async (t) => {
      const client = await raw(t);
      client.write(frame({ opcode: OP.CLOSE, payload: closing(code) }));
      await client.expectClose(1002);
    });
  }
});

describe("text that is no UTF-8 is closed with 1007:", () => {
  const bad = {
    "a lone continuation byte": "80",
    "a lead byte alone": "c3",
    "a lead byte and ASCII": "c328",
    "an overlong slash": "c0af",
    "an overlong slash in three bytes": "e080af",
    "an overlong slash in four bytes": "f08080af",
    "a surrogate": "eda080",
    "a pair of surrogates": "eda081edb080",
    "beyond U+10FFFF": "f4908080",
    "five bytes": "f888808080",
    "FE": "fe",
    "FF": "ff",
    "three of four bytes at the end": "f09f98",
    "ASCII, then bad": "48656c6c6fff",
  };
  for (const [name, hex] of Object.entries(bad)) {
    it(name, async (t) => {
      const client = await raw(t);
      client.send({ payload: Buffer.from(hex, "hex") });
      await client.expectClose(1007);
    });
  }

  it("cut by fragments in the middle of a character it is fine", async (t) => {
    const client = await raw(t);
    const bytes = Buffer.from("κόσμε 😀 \ufeff");
    for (let i = 0; i < bytes.length; i++) {
      client.send({ fin: i === bytes.length - 1, opcode: i ? OP.CONTINUATION : OP.TEXT, payload: bytes.subarray(i, i + 1) });
    }
    assert.equal(await client.readMessage(), "κόσμε 😀 \ufeff");
    for (const edge of ["\u0000", "\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"]) {
      client.send(edge);
      assert.equal(await client.readMessage(), edge);
    }
  });

  it("across fragments", async (t) => {
    const client = await raw(t);
    client.send({ fin: false, payload: Buffer.from("f09f", "hex") });
    client.send({ fin: true, opcode: OP.CONTINUATION, payload: Buffer.from("4898", "hex") });
    await client.expectClose(1007);
  });

  it("at once, in the middle of a frame that has not arrived whole", async (t) => {
    const client = await raw(t);
    const whole = frame({ payload: Buffer.concat([Buffer.from("ok \xff", "latin1"), Buffer.alloc(1000, 0x61)]) });
    client.write(whole.subarray(0, 20));
    await client.expectClose(1007);
  });

  it("at once, in a fragment of a message that is not finished", async (t) => {
    const client = await raw(t);
    client.send({ fin: false, payload: Buffer.from("ok \xc0\x80", "latin1") });
    await client.expectClose(1007);
  });

  it("in the reason of a close", async (t) => {
    const client = await raw(t);
    client.write(frame({ opcode: OP.CLOSE, payload: Buffer.from("03e8ff", "hex") }));
    await client.expectClose([1007, 1002]);
  });

  it("but a binary message may hold anything", async (t) => {
    const client = await raw(t);
    client.send({ opcode: OP.BINARY, payload: Buffer.from("ff80c0", "hex") });
    assert.deepEqual(await client.readMessage(), Buffer.from("ff80c0", "hex"));
  });
});

describe("sizes over the limit are closed with 1009:", () => {
  it("a frame, as soon as its header says so", async (t) => {
    const client = await raw(t);
    client.write(frame({ payload: "x".repeat(65537) }).subarray(0, 20));
    await client.expectClose(1009);
  });

  it("a frame of four gigabytes that never comes", async (t) => {
    const client = await raw(t);
    client.write(frame({ payload: "x", form: 64, length: 1n << 32n }));
    await client.expectClose(1009);
  });

  it("the sum of fragments", async (t) => {
    const client = await raw(t);
    client.send({ fin: false, payload: "x".repeat(40000) });
    client.send({ fin: false, opcode: OP.CONTINUATION, payload: "x".repeat(40000) });
    await client.expectClose(1009);
  });

  it("a message over the script's own limit", async (t) => {
    const client = await raw(t, "/small");
    client.send("x".repeat(1024));
    assert.equal(await client.readMessage(), "1024");
    client.send("x".repeat(1025));
    await client.expectClose(1009);
  });
});

describe("ping and pong", () => {
  it("each ping gets its pong, with its bytes", async (t) => {
    const client = await raw(t);
    for (const payload of [Buffer.alloc(0), Buffer.from("hello"), Buffer.alloc(125, 0xfe)]) {
      client.send({ opcode: OP.PING, payload });
      const pong = await client.readFrame();
      assert.equal(pong.opcode, OP.PONG);
      assert.ok(pong.payload.equals(payload));
    }
  });

  it("an unasked pong is ignored", async (t) => {
    const client = await raw(t);
    client.send({ opcode: OP.PONG, payload: "who asked" }).send("still here");
    assert.equal(await client.readMessage(), "still here");
  });

  it("many pings at once do not pile up in front of the data for ever", async (t) => {
    const client = await raw(t);
    client.write(Buffer.concat([...Array.from({ length: 2000 }, (_, i) => frame({ opcode: OP.PING, payload: String(i) })),
                                frame({ payload: "data" })]));
    assert.equal(await client.readMessage(), "data");
  });

  it("the server pings a silent client and keeps one that answers", async (t) => {
    const client = await raw(t, "/ping");
    for (let i = 0; i < 3; i++) {
      const ping = await client.readFrame("a ping");
      assert.equal(ping.opcode, OP.PING);
      client.send({ opcode: OP.PONG, payload: ping.payload });
    }
    client.send("alive");
    assert.equal(await client.readMessage(), "alive");
  });

  it("npm's client answers by itself", async (t) => {
    const client = await ws(t, "/ping");
    await client.pings.take(3);
    client.send("alive");
    assert.equal(await client.next(), "alive");
  });

  it("the server leaves one that does not answer", async (t) => {
    const client = await raw(t, "/ping");
    assert.equal((await client.readFrame()).opcode, OP.PING);
    await client.raw.closed("the server to give up");
  });
});

describe("closing", () => {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
    it(`by the client with ${code} is answered with it`, async (t) => {
      const client = await raw(t);
      client.close(code, "going");
      await client.expectClose(code);
    });
  }

  for (const code of [1000, 1001, 1003, 1008, 1011, 1013, 3000, 4000, 4999]) {
    it(`by the script with ${code} and a reason`, async (t) => {
      const client = await raw(t, "/close");
      client.send(`${code} because`);
      assert.deepEqual(await client.expectClose(code), { code, reason: "because" });
    });
  }

  it("without a code is answered without one", async (t) => {
    const client = await raw(t);
    client.close();
    await client.expectClose([1005, 1000]);
  });

  it("ends what is read: a message behind it is not handled", async (t) => {
    const client = await raw(t);
    client.write(Buffer.concat([frame({ payload: "before" }), frame({ opcode: OP.CLOSE, payload: closing(1000) }), frame({ payload: "after" })]));
    client.closeSent = true;
    assert.equal(await client.readMessage(), "before");
    assert.equal((await client.readClose()).code, 1000);
    await client.raw.closed();
    assert.equal(client.raw.buffer.length, 0);
  });

  it("lets what was sent before it arrive", async (t) => {
    const client = await raw(t, "/burst");
    client.send("200").close(1000);
    for (let i = 1; i <= 200; i++) assert.equal(await client.readMessage(), `m${i}`);
    assert.equal((await client.readClose()).code, 1000);
  });

  it("runs the script's close once, however it ended", async (t) => {
    const log = await ws(t, "/log");
    assert.equal(await log.next(), "ready");
    const polite = await ws(t, "/ending?who=polite");
    await polite.next();
    await polite.close(1000);
    assert.equal(await log.next(), "polite string");
    const cut = await ws(t, "/ending?who=cut");
    await cut.next();
    cut.cut();
    assert.equal(await log.next(), "cut string");
    const fin = await raw(t, "/ending?who=fin");
    await fin.readMessage();
    fin.raw.socket.end();
    assert.equal(await log.next(), "fin string");
    const wrong = await raw(t, "/ending?who=wrong");
    await wrong.readMessage();
    wrong.send({ opcode: 5 });
    assert.equal(await log.next(), "wrong string");
    assert.equal(log.messages.size, 0);
  });
});

describe("limits from the host's settings", () => {
  it("bound the message", async () => {
    await withHost(FILES, { conf: `return { limits = { message = "2KiB" } }` }, async (own) => {
      const client = await RawWebSocket.open(own.port, "/echo");
      client.send("x".repeat(2048));
      assert.equal((await client.readMessage()).length, 2048);
      client.send("x".repeat(2049));
      await client.expectClose(1009);
    });
  });
});
