// SPDX-License-Identifier: MIT
//
// The tests' own tools against small Node servers: when these pass, a failure elsewhere is the host's.

import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { WebSocketServer } from "ws";

import { Host, parseLog } from "./host.mjs";
import { request } from "./http.mjs";
import { itemsOf, Poller, split } from "./poll.mjs";
import { acceptOf, closing, exchange, frame, OP, Raw, RawWebSocket } from "./raw.mjs";
import { openEventSource, SseParser, SseStream } from "./sse.mjs";
import { DeadlineError, Inbox, until, within } from "./wait.mjs";
import { openWebSocket, refusedWebSocket } from "./websocket.mjs";

function listen(server) {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

describe("waiting", () => {
  it("fails with the name of what was awaited", async () => {
    await assert.rejects(within(new Promise(() => {}), "godot", 5), (e) => e instanceof DeadlineError && /godot/.test(e.message));
  });

  it("gives what the probe gives once it is true", async () => {
    let n = 0;
    assert.equal(await until(() => (++n === 3 ? "three" : null), "three"), "three");
  });

  it("keeps the order of an inbox and tells its end", async () => {
    const inbox = new Inbox();
    inbox.push(1);
    const later = inbox.take(3);
    inbox.push(2);
    inbox.push(3);
    assert.deepEqual(await later, [1, 2, 3]);
    inbox.push(4);
    inbox.push(5);
    assert.equal(await inbox.find((n) => n > 4), 5);
    inbox.end("done");
    await assert.rejects(inbox.next(), /done/);
  });
});

describe("the log reader", () => {
  it("reads plain and quoted values", () => {
    const f = parseLog('2026-01-01T00:00:00.000Z WARN event=reload app=chat result=refused error="chat.lua:3: \\"x\\" = y" n=5');
    assert.equal(f.level, "warn");
    assert.equal(f.event, "reload");
    assert.equal(f.error, 'chat.lua:3: "x" = y');
    assert.equal(f.n, "5");
  });
});

// A stand-in for the host: prints the two lines, reloads on a changed file, ends on TERM.
const STAND_IN = `#!/usr/bin/env node
const fs = require("node:fs"), http = require("node:http"), dir = process.argv[3];
if (!fs.existsSync(dir + "/a.lua")) { console.error("T ERROR event=start error=\\"a.lua: missing\\""); process.exit(1); }
const server = http.createServer((req, res) => res.end(JSON.stringify({ position: req.headers.authorization })));
server.listen(0, "127.0.0.1", () => {
  const port = server.address().port;
  console.log("listen http://127.0.0.1:" + port);
  console.log("admin http://127.0.0.1:" + port + " key=secret");
});
fs.watch(dir, (_, name) => name === "a.lua" && console.error("T INFO event=reload app=a result=ok generation=2"));
process.on("SIGTERM", () => { console.error(process.env.LAST_WORDS ?? ""); process.exit(Number(process.env.STATUS ?? 0)); });
`;

describe("the host's keeper", () => {
  let dir, before_;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "hark-standin-"));
    await writeFile(join(dir, "bin"), STAND_IN);
    await chmod(join(dir, "bin"), 0o755);
    before_ = process.env.HARK_BIN;
    process.env.HARK_BIN = join(dir, "bin");
  });
  after(async () => {
    if (before_ === undefined) delete process.env.HARK_BIN;
    else process.env.HARK_BIN = before_;
    await rm(dir, { recursive: true });
  });

  it("starts, publishes with the key, sees a reload, stops", async () => {
    const host = await Host.start({ "a.lua": "return {}" });
    assert.equal(await host.publish("c", "x"), "Bearer secret");
    await host.write("a.lua", "return { }");
    assert.equal((await host.reloaded("a")).generation, "2");
    await host.stop();
  });

  it("fails on an exit status and on a sanitizer's report", async () => {
    const bad = await Host.start({ "a.lua": "" }, { env: { STATUS: "3" } });
    await assert.rejects(bad.stop(), /exit status 3/);
    const leaky = await Host.start({ "a.lua": "" }, { env: { LAST_WORDS: "==1==ERROR: LeakSanitizer: detected" } });
    await assert.rejects(leaky.stop(), /sanitizer/);
  });

  it("tells why a start failed", async () => {
    await assert.rejects(Host.start({}), /a\.lua: missing/);
    assert.equal((await Host.fails({})).code, 1);
  });
});

describe("raw HTTP", () => {
  let server, port;
  before(async () => {
    server = http.createServer((req, res) => {
      if (req.url === "/chunked") {
        res.write("ab");
        res.end("cd");
      } else if (req.url === "/close") {
        res.useChunkedEncodingByDefault = false;
        res.shouldKeepAlive = false;
        res.removeHeader("Transfer-Encoding");
        res.end("until the end");
      } else {
        res.setHeader("Content-Length", 5);
        res.end("hello");
      }
    });
    port = await listen(server);
  });
  after(() => server.close());

  it("reads sized, chunked and unframed bodies and HEAD", async () => {
    const raw = await Raw.connect(port);
    raw.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /chunked HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await raw.readResponse()).text, "hello");
    assert.equal((await raw.readResponse()).text, "abcd");
    const head = await raw.readResponse("HEAD");
    assert.equal(head.headers["content-length"], "5");
    assert.equal(head.text, "");
    raw.destroy();
    const last = await exchange(port, "GET /close HTTP/1.0\r\nHost: a\r\n\r\n");
    assert.equal(last.text, "until the end");
  });

  it("tells how a connection ended", async () => {
    const cutter = net.createServer((socket) => socket.resetAndDestroy());
    const cutPort = await listen(cutter);
    const raw = await Raw.connect(cutPort).catch((e) => e);
    if (raw instanceof Raw) assert.equal(await raw.closed(), "ECONNRESET");
    cutter.close();
    const bad = await exchange(port, "BAD\r\n\r\n");
    assert.equal(bad.status, 400);
    assert.equal(await bad.raw.closed(), "end");
  });

  it("asks simply", async () => {
    assert.equal((await request(`http://127.0.0.1:${port}/`)).text, "hello");
  });
});

describe("raw WebSocket", () => {
  let http1, wss, port;
  before(async () => {
    http1 = http.createServer((_, res) => {
      res.statusCode = 403;
      res.end('{"error":"no"}');
    });
    wss = new WebSocketServer({ noServer: true });
    http1.on("upgrade", (req, socket, head) => {
      if (req.url === "/no") {
        socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        return;
      }
      wss.handleUpgrade(req, socket, head, (ws) => {
        ws.on("error", () => {}); // the tests break the protocol on purpose
        ws.on("message", (data, binary) => ws.send(data, { binary }));
      });
    });
    port = await listen(http1);
  });
  after(() => {
    for (const ws of wss.clients) ws.terminate();
    http1.close();
  });

  it("knows the key of RFC 6455 section 1.3", () => {
    assert.equal(acceptOf("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  it("encodes the examples of RFC 6455 section 5.7", () => {
    assert.deepEqual(frame({ payload: "Hello", mask: false }), Buffer.from("810548656c6c6f", "hex"));
    assert.deepEqual(frame({ payload: "Hello", mask: [0x37, 0xfa, 0x21, 0x3d] }), Buffer.from("818537fa213d7f9f4d5158", "hex"));
    assert.deepEqual(frame({ fin: false, payload: "Hel", mask: false }), Buffer.from("010348656c", "hex"));
    assert.deepEqual(frame({ opcode: OP.BINARY, payload: Buffer.alloc(256), mask: false }).subarray(0, 4), Buffer.from("827e0100", "hex"));
    assert.deepEqual(frame({ opcode: OP.BINARY, payload: Buffer.alloc(65536), mask: false }).subarray(0, 10),
                     Buffer.from("827f0000000000010000", "hex"));
    assert.deepEqual(closing(1000, "x"), Buffer.from("03e878", "hex"));
  });

  it("talks to a server of others: echo, fragments, early frames, close", async () => {
    const ws = await RawWebSocket.open(port, "/", { early: frame({ payload: "early" }) });
    assert.equal(await ws.readMessage(), "early");
    for (const size of [0, 125, 126, 65535, 65536]) {
      ws.send({ opcode: OP.BINARY, payload: Buffer.alloc(size, 7) });
      assert.equal((await ws.readMessage()).length, size);
    }
    ws.send({ fin: false, payload: "a" }).send({ opcode: OP.PING, payload: "p" }).send({ opcode: OP.CONTINUATION, payload: "b" });
    assert.equal((await ws.readFrame()).opcode, OP.PONG);
    assert.equal(await ws.readMessage(), "ab");
    ws.close(3001, "bye");
    await ws.expectClose(3001);
  });

  it("sees a protocol error answered", async () => {
    const ws = await RawWebSocket.open(port, "/");
    ws.send({ mask: false, payload: "x" });
    await ws.expectClose(1002);
  });

  it("wraps npm's client and its refusals", async () => {
    const ws = await openWebSocket(`ws://127.0.0.1:${port}/`);
    ws.send("hi");
    assert.equal(await ws.next(), "hi");
    assert.equal((await ws.close(1000)).code, 1000);
    assert.equal((await refusedWebSocket(`ws://127.0.0.1:${port}/no`)).status, 403);
  });
});

describe("Server-Sent Events", () => {
  let server, port;
  const seen = [];
  before(async () => {
    server = http.createServer((req, res) => {
      seen.push(req.headers["last-event-id"]);
      if (seen.length > 2) {
        res.writeHead(204).end();
        return;
      }
      res.writeHead(200, { "content-type": "text/event-stream", "hark-session": "tok" });
      res.write(": hello\n\nretry: 5\n\nid: 1\nda");
      res.end("ta: a\ndata: b\n\nevent: named\r\ndata:x\r\n\r\n");
    });
    port = await listen(server);
  });
  after(() => server.close());

  it("parses every line ending in every split", () => {
    const text = "id: 7\r\ndata: é1\rdata:2\n\n:c\nretry: 9\r\rdata\n\n";
    for (let cut = 0; cut <= text.length; cut++) {
      const blocks = [];
      const parser = new SseParser((b) => blocks.push(b));
      parser.feed(text.slice(0, cut));
      parser.feed(text.slice(cut));
      assert.deepEqual(blocks, [
        { comments: [], id: "7", data: "é1\n2" },
        { comments: ["c"], retry: "9" },
        { comments: [], data: "" },
      ], `cut at ${cut}`);
    }
  });

  it("reads a stream to its clean end", async () => {
    const sse = await SseStream.open(port, "/");
    assert.equal(sse.session, "tok");
    assert.deepEqual(await sse.take(2), [
      { id: "1", event: "message", data: "a\nb" },
      { id: undefined, event: "named", data: "x" },
    ]);
    assert.equal(await sse.ended(), "clean");
    assert.equal(sse.retry, 5);
    assert.equal(sse.lastEventId, "1");
  });

  it("wraps npm's client, which comes back with the id and stops at 204", async () => {
    const source = openEventSource(`http://127.0.0.1:${port}/`, { names: ["named"] });
    await source.opened();
    assert.deepEqual(await source.events.take(2), [
      { event: "message", data: "a\nb", id: "1" },
      { event: "named", data: "x", id: "" },
    ]);
    await source.answers.take(2);
    assert.equal(seen[2], "1");
    await until(() => source.source.readyState === 2, "the source gives up");
    source.destroy();
  });
});

describe("the long-poll client", () => {
  let server, port;
  const asked = [];
  before(async () => {
    let n = 0;
    server = http.createServer((req, res) => {
      asked.push([req.headers["if-none-match"], req.url]);
      n += 1;
      res.setHeader("etag", `"s~${n}"`);
      res.setHeader("hark-session", "s");
      if (n === 2) return res.writeHead(204).end();
      if (n === 3) {
        res.setHeader("content-type", "application/vnd.hark.batch+json");
        return res.end('[{"id":"3","data":"c"},{"id":"4","event":"e","data":"d"}]');
      }
      res.setHeader("hark-event", "named");
      return res.end(`m${n}`);
    });
    port = await listen(server);
  });
  after(() => server.close());

  it("keeps the tag and reads both forms", async () => {
    const poller = new Poller(`http://127.0.0.1:${port}/p`);
    assert.deepEqual((await poller.take(3)).map((i) => [i.event, i.data]), [["named", "m1"], ["message", "c"], ["e", "d"]]);
    assert.deepEqual(asked.map((a) => a[0]), [undefined, '"s~1"', '"s~2"']);
    poller.by = "query";
    await poller.once({ keep: false });
    assert.equal(asked.at(-1)[1], "/p?session=s&cursor=3");
    assert.deepEqual(split('W/"a~b"'), { session: "a", cursor: "b" });
    assert.deepEqual(itemsOf({ status: 204 }), []);
  });
});
