// SPDX-License-Identifier: MIT
//
// HTTP/1.1 on the level of bytes: RFC 9112 framing, limits and deadlines, and everything that two
// parsers could read differently (request smuggling), each refused with 400 and a closed connection.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { shared, withHost } from "./support/host.mjs";
import { request } from "./support/http.mjs";
import { exchange, Raw } from "./support/raw.mjs";
import { tidy } from "./support/wait.mjs";

const run = promisify(execFile);

const WEB = `
local hark <const> = require("hark")
return {
  { path = "/hello", method = "GET", respond = function() return 200, "hello" end },
  { path = "/length", method = "POST", respond = function(req) return 200, tostring(#req.body) end },
  { path = "/body", method = "POST", respond = function(req)
      return 200, req.body, { ["Content-Type"] = "application/octet-stream" }
    end },
  { path = "/what/:name", method = "GET", respond = function(req)
      return 200, { method = req.method, path = req.path, name = req.params.name, query = req.query,
                    host = req.host, x = req.headers["x-thing"], cookie = req.cookies.a, id = req.id }
    end },
  { path = "/slow", method = "GET", respond = function(req)
      hark.sleep(tonumber(req.query.s) or 0.2)
      return 200, "slow"
    end },
  { path = "/headers", method = "GET", respond = function()
      return 201, nil, { ["X-One"] = "1", ["Set-Cookie"] = { "a=1", "b=2" } }
    end },
  { path = "/split", method = "GET", respond = function(req)
      return 200, "x", { ["X-Bad"] = "a\\r\\nX-Injected: yes" }
    end },
  { path = "/table", method = "GET", respond = function() return 200, { list = {}, n = 12345678901234567 } end },
  { path = "/nothing", method = "GET", respond = function() return 204 end },
  { path = "/big", method = "GET", respond = function() return 200, ("x"):rep(1000000) end },
  { path = "/broken", method = "GET", respond = function() error("the inner secret") end },
}
`;

const host = shared({ before, after }, { "web.lua": WEB });

const get = (path, more = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

async function open(t) {
  return tidy(t, Raw.connect(host().port));
}

describe("connections", () => {
  it("serve many requests, one after the other", async (t) => {
    const raw = await open(t);
    for (let i = 0; i < 20; i++) {
      raw.write(get("/hello"));
      const res = await raw.readResponse();
      assert.equal(res.status, 200);
      assert.equal(res.text, "hello");
      assert.notEqual(res.headers.connection, "close");
    }
  });

  it("answer pipelined requests in order, also when an early one is slow", async (t) => {
    const raw = await open(t);
    raw.write(get("/slow") + get("/hello") +
              "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/what/x"));
    assert.equal((await raw.readResponse()).text, "slow");
    assert.equal((await raw.readResponse()).text, "hello");
    assert.equal((await raw.readResponse()).text, "3");
    assert.equal(JSON.parse((await raw.readResponse()).text).name, "x");
  });

  it("answer a hundred pipelined requests that arrive in one piece", async (t) => {
    const raw = await open(t);
    raw.write(Array.from({ length: 100 }, (_, i) => get(`/what/${i}`)).join(""));
    for (let i = 0; i < 100; i++) assert.equal(JSON.parse((await raw.readResponse()).text).name, String(i));
  });

  it("take a request that arrives byte by byte", async (t) => {
    const raw = await open(t);
    const bytes = "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (const byte of bytes) {
      raw.write(byte);
      await new Promise(setImmediate);
    }
    assert.equal((await raw.readResponse()).text, "3");
  });

  it("close after the answer when the client says so", async (t) => {
    const raw = await open(t);
    raw.write(get("/hello", "Connection: close\r\n") + get("/hello"));
    const res = await raw.readResponse();
    assert.equal(res.text, "hello");
    assert.match(res.headers.connection, /close/i);
    assert.equal(await raw.closed(), "end");
    assert.equal(raw.buffer.length, 0, "the second request is not answered");
  });

  it("speak HTTP/1.0: closed after the answer, kept when asked", async (t) => {
    const once = await exchange(host().port, "GET /hello HTTP/1.0\r\n\r\n");
    assert.equal(once.text, "hello");
    assert.equal(await once.raw.closed(), "end");
    const raw = await open(t);
    for (let i = 0; i < 2; i++) {
      raw.write("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
      const res = await raw.readResponse();
      assert.equal(res.text, "hello");
      assert.match(res.headers.connection, /keep-alive/i);
    }
  });

  it("answer a client that has sent FIN behind its request", async (t) => {
    const raw = await tidy(t, Raw.connect(host().port, { allowHalfOpen: true }));
    raw.socket.end(get("/slow"));
    assert.equal((await raw.readResponse()).text, "slow");
    await raw.closed();
  });

  it("survive a client that goes away before the answer", async (t) => {
    const raw = await open(t);
    raw.write(get("/slow?s=0.05"));
    raw.cut();
    assert.equal((await request(`${host().url}/slow?s=0.1`)).text, "slow");
  });

  it("skip an empty line before a request (RFC 9112 section 2.2)", async (t) => {
    const raw = await open(t);
    raw.write(`\r\n${get("/hello")}\r\n${get("/hello")}`);
    assert.equal((await raw.readResponse()).text, "hello");
    assert.equal((await raw.readResponse()).text, "hello");
  });

  it("deliver a large answer whole to a slow reader", async (t) => {
    const raw = await open(t);
    raw.stall();
    raw.write(get("/big") + get("/hello"));
    raw.unstall();
    assert.equal((await raw.readResponse()).body.length, 1000000);
    assert.equal((await raw.readResponse()).text, "hello");
  });
});

describe("targets", () => {
  it("are decoded: path parts, query, cookies", async () => {
    const res = await request(`${host().url}/what/a%20%C3%A9%2Fb?q=1+2%263&flag&x=%7B`,
                              { headers: { cookie: "b=2; a=1", "x-thing": "  padded  " } });
    const seen = res.json();
    assert.equal(seen.name, "a é/b");
    assert.equal(seen.query.q, "1 2&3");
    assert.equal(seen.query.flag, "");
    assert.equal(seen.query.x, "{");
    assert.equal(seen.cookie, "1");
    assert.equal(seen.x, "padded");
  });

  it("in absolute form are routed by their path, and their authority is the host (RFC 9112 section 3.2.2)", async () => {
    const res = await exchange(host().port, "GET http://example.test:81/what/abs?q=2 HTTP/1.1\r\nHost: other\r\n\r\n");
    const seen = JSON.parse(res.text);
    assert.equal(seen.name, "abs");
    assert.equal(seen.path, "/what/abs");
    assert.equal(seen.query.q, "2");
    assert.equal(seen.host, "example.test:81");
    res.raw.destroy();
  });

  it("OPTIONS * asks for the whole server", async () => {
    const res = await exchange(host().port, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(res.status, 204);
    res.raw.destroy();
  });

  it("that no endpoint has are 404, in JSON", async () => {
    const res = await request(`${host().url}/no/such`);
    assert.equal(res.status, 404);
    assert.match(res.headers["content-type"], /^application\/json/);
    assert.equal(res.json().error, "not_found");
  });

  it("with broken percent-coding are refused", async () => {
    const res = await exchange(host().port, get("/what/%zz"));
    assert.equal(res.status, 400);
  });
});

describe("methods", () => {
  it("HEAD gets GET's head without a body", async (t) => {
    const raw = await open(t);
    raw.write("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello"));
    const res = await raw.readResponse("HEAD");
    assert.equal(res.status, 200);
    assert.equal(res.headers["content-length"], "5");
    assert.equal((await raw.readResponse()).text, "hello");
  });

  it("that an endpoint does not have are 405 with Allow", async () => {
    const res = await request(`${host().url}/hello`, { method: "DELETE" });
    assert.equal(res.status, 405);
    assert.deepEqual(res.headers.allow.split(/, */).filter((m) => m !== "OPTIONS").sort(), ["GET", "HEAD"]);
    const other = await request(`${host().url}/length`);
    assert.equal(other.status, 405);
    assert.match(other.headers.allow, /POST/);
  });

  it("OPTIONS on a known path tells what is allowed", async () => {
    const res = await request(`${host().url}/length`, { method: "OPTIONS" });
    assert.equal(res.status, 204);
    assert.match(res.headers.allow, /POST/);
  });

  it("that nobody knows are refused", async () => {
    const res = await exchange(host().port, "BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.ok([400, 501].includes(res.status), `${res.status}`);
    await res.raw.closed();
  });

  it("CONNECT is no way through", async () => {
    const res = await exchange(host().port, "CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n");
    assert.ok(res.status >= 400, `${res.status}`);
    res.raw.destroy();
  });
});

describe("bodies", () => {
  it("by length and by chunks, with extensions and trailers, all reach the handler", async (t) => {
    const raw = await open(t);
    const head = "POST /body HTTP/1.1\r\nHost: a\r\n";
    raw.write(`${head}Content-Length: 11\r\n\r\nhello world`);
    assert.equal((await raw.readResponse()).text, "hello world");
    raw.write(`${head}Transfer-Encoding: chunked\r\n\r\n` +
              "5;name=\"v\";flag\r\nhello\r\n006\r\n world\r\n0\r\nX-Trailer: t\r\nContent-Length: 3\r\n\r\n" + get("/hello"));
    assert.equal((await raw.readResponse()).text, "hello world");
    assert.equal((await raw.readResponse()).text, "hello", "a trailer changes nothing behind it");
    raw.write(`${head}Content-Length: 0\r\n\r\n`);
    assert.equal((await raw.readResponse()).text, "");
    raw.write(`${head}\r\n`);
    assert.equal((await raw.readResponse()).text, "", "no framing is no body");
  });

  it("keep every byte", async (t) => {
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256));
    const res = await request(`${host().url}/body`, { method: "POST", body: bytes });
    assert.deepEqual(res.buffer, bytes);
  });

  it("up to the limit are taken, in both framings", async () => {
    const whole = "x".repeat(1024 * 1024);
    assert.equal((await request(`${host().url}/length`, { method: "POST", body: whole })).text, String(whole.length));
    const chunked = await request(`${host().url}/length`,
                                  { method: "POST", body: whole, headers: { "transfer-encoding": "chunked" } });
    assert.equal(chunked.text, String(whole.length));
  });

  it("over the limit by length are refused before they are sent", async () => {
    const res = await exchange(host().port, "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
    assert.equal(res.status, 413);
    assert.equal(JSON.parse(res.text).error, "body_too_large");
    assert.equal(JSON.parse(res.text).limit, 1048576);
    assert.match(res.headers.connection, /close/i);
    await res.raw.closed();
  });

  it("over the limit by chunks are refused where they pass it", async () => {
    const raw = await Raw.connect(host().port);
    raw.write("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    for (let i = 0; i < 17; i++) raw.write(chunk);
    const res = await raw.readResponse();
    assert.equal(res.status, 413);
    await raw.closed();
  });

  it("with an endless chunk extension are refused", async () => {
    const raw = await Raw.connect(host().port);
    raw.write(`POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;${"e".repeat(40000)}`);
    const res = await raw.readResponse();
    assert.ok([400, 413, 431].includes(res.status), `${res.status}`);
    await raw.closed();
  });

  it("with endless trailers are refused", async () => {
    const raw = await Raw.connect(host().port);
    raw.write("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    raw.write("X-T: abcdefgh\r\n".repeat(4000));
    const res = await raw.readResponse();
    assert.ok([400, 431].includes(res.status), `${res.status}`);
    await raw.closed();
  });
});

describe("Expect: 100-continue", () => {
  it("is answered when the body is wanted", async (t) => {
    const raw = await open(t);
    raw.write("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert.equal((await raw.readHead()).status, 100);
    raw.write("body");
    assert.equal((await raw.readResponse()).text, "4");
  });

  it("is not needed when the body is here already", async (t) => {
    const raw = await open(t);
    raw.write("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
    let res = await raw.readResponse("POST");
    if (res.status === 100) res = await raw.readResponse("POST");
    assert.equal(res.text, "4");
  });

  it("is refused at once for a body that is too large, and at the latest behind 100 for a path that is not there", async (t) => {
    const large = await exchange(host().port,
      "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
    assert.equal(large.status, 413);
    const missing = await open(t);
    missing.write("POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let res = await missing.readHead();
    if (res.status === 100) { // RFC 9110 section 10.1.1: says that the head is fine, not that the answer will be
      missing.write("body");
      res = await missing.readHead();
    }
    assert.equal(res.status, 404);
  });

  it("with anything else in it is 417", async () => {
    const res = await exchange(host().port,
      "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: miracles\r\n\r\n");
    assert.equal(res.status, 417);
    res.raw.destroy();
  });

  it("works with curl, which waits for it", async () => {
    const { stdout } = await run("curl", ["-sS", "--max-time", "10", "-H", "Expect: 100-continue",
                                          "--data-binary", "abc", `${host().url}/length`]);
    assert.equal(stdout, "3");
  });
});

describe("what two parsers could read differently is refused and the connection closed:", () => {
  const post = (fields, body = "") => `POST /length HTTP/1.1\r\n${fields}\r\n${body}`;
  const H = "Host: a\r\n";
  const te = (body) => post(`${H}Transfer-Encoding: chunked\r\n`, body);
  const cases = {
    "length and chunks together": post(`${H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`, "0\r\n\r\n"),
    "chunks and length together": post(`${H}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n`, "0\r\n\r\n"),
    "two different lengths": post(`${H}Content-Length: 4\r\nContent-Length: 5\r\n`, "abcde"),
    "two equal lengths": post(`${H}Content-Length: 4\r\nContent-Length: 4\r\n`, "abcd"),
    "a list of lengths": post(`${H}Content-Length: 4, 4\r\n`, "abcd"),
    "a length with a plus": post(`${H}Content-Length: +4\r\n`, "abcd"),
    "a negative length": post(`${H}Content-Length: -4\r\n`, "abcd"),
    "a hexadecimal length": post(`${H}Content-Length: 0x4\r\n`, "abcd"),
    "a length with a blank inside": post(`${H}Content-Length: 4 4\r\n`, "abcd"),
    "an empty length": post(`${H}Content-Length:\r\n`, "abcd"),
    "a length beyond 64 bits": post(`${H}Content-Length: 18446744073709551620\r\n`, "abcd"),
    "a bare LF after the request line": `GET /hello HTTP/1.1\nHost: a\r\n\r\n`,
    "a bare LF after a field": `GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n`,
    "a bare LF as the last line": `GET /hello HTTP/1.1\r\nHost: a\r\n\n`,
    "bare LFs throughout": "GET /hello HTTP/1.1\nHost: a\n\n",
    "a bare CR in a value": `GET /hello HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n`,
    "a bare CR that hides a length": post(`${H}Dummy:\rContent-Length: 3\r\n`, "abc"),
    "a bare CR before the end of the head": `GET /hello HTTP/1.1\r\nHost: a\r\n\rX`,
    "a bare CR in the request line": `GET /hello\rX HTTP/1.1\r\nHost: a\r\n\r\n`,
    "a folded field": `GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n`,
    "a field folded by a tab": `GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n`,
    "a fold as the first field": `GET /hello HTTP/1.1\r\n Host: a\r\n\r\n`,
    "a blank before the colon": `GET /hello HTTP/1.1\r\nHost : a\r\n\r\n`,
    "a tab before the colon": `GET /hello HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n`,
    "a blank before the colon of a length": post(`${H}Content-Length : 4\r\n`, "abcd"),
    "a field without a colon": `GET /hello HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n`,
    "a field without a name": `GET /hello HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n`,
    "a name that is no token": `GET /hello HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n`,
    "a name with bytes beyond ASCII": `GET /hello HTTP/1.1\r\nHost: a\r\nX\xe9: z\r\n\r\n`,
    "a NUL in a value": `GET /hello HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n`,
    "a NUL in a name": `GET /hello HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n`,
    "a control byte in a value": `GET /hello HTTP/1.1\r\nHost: a\r\nX: y\x01z\r\n\r\n`,
    "no host": "GET /hello HTTP/1.1\r\n\r\n",
    "two hosts": "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": "GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "a host with a blank": "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a host with a path": "GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": "GET /hello HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "version 2.0": "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n",
    "version 1.2": "GET /hello HTTP/1.2\r\nHost: a\r\n\r\n",
    "version 0.9": "GET /hello HTTP/0.9\r\nHost: a\r\n\r\n",
    "a version of three digits": "GET /hello HTTP/1.10\r\nHost: a\r\n\r\n",
    "a lower-case version": "GET /hello http/1.1\r\nHost: a\r\n\r\n",
    "no version": "GET /hello\r\nHost: a\r\n\r\n",
    "two blanks in the request line": "GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "two blanks before the version": "GET /hello  HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab in the request line": "GET\t/hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "a blank behind the version": "GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a blank before the method": " GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "a lower-case method": "get /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target that is no path": "GET hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with bytes beyond ASCII": "GET /what/\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a control byte": "GET /what/\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a fragment": "GET /what/x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "chunks in HTTP/1.0": "POST /length HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks that are not the last coding": post(`${H}Transfer-Encoding: chunked, gzip\r\n`, "0\r\n\r\n"),
    "chunks twice": post(`${H}Transfer-Encoding: chunked, chunked\r\n`, "0\r\n\r\n"),
    "chunks twice in two fields": post(`${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n`, "0\r\n\r\n"),
    "identity as a coding": post(`${H}Transfer-Encoding: identity\r\nContent-Length: 4\r\n`, "abcd"),
    "a coding nobody knows": post(`${H}Transfer-Encoding: xchunked\r\n`, "0\r\n\r\n"),
    "a coding behind a control byte": post(`${H}Transfer-Encoding: \x0bchunked\r\n`, "0\r\n\r\n"),
    "an empty coding": post(`${H}Transfer-Encoding:\r\n`, "0\r\n\r\n"),
    "a hexadecimal prefix in a chunk size": te("0x5\r\nhello\r\n0\r\n\r\n"),
    "a plus in a chunk size": te("+5\r\nhello\r\n0\r\n\r\n"),
    "a minus in a chunk size": te("-5\r\nhello\r\n0\r\n\r\n"),
    "a blank before a chunk size": te(" 5\r\nhello\r\n0\r\n\r\n"),
    "an underscore in a chunk size": te("1_0\r\nhello\r\n0\r\n\r\n"),
    "an empty chunk size": te("\r\nhello\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": te("10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a bare LF after a chunk size": te("5\nhello\r\n0\r\n\r\n"),
    "a bare LF in a chunk extension": te("5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "a bare CR in a chunk extension": te("5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "no line end after a chunk": te("5\r\nhello0\r\n\r\n"),
    "a bare LF after a chunk": te("5\r\nhello\n0\r\n\r\n"),
    "a chunk longer than its size": te("3\r\nhello\r\n0\r\n\r\n"),
    "a bare LF at the end of chunks": te("0\r\n\n"),
    "a folded trailer": te("0\r\nX: y\r\n z\r\n\r\n"),
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00".repeat(40),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    it(name, async () => {
      const raw = await Raw.connect(host().port);
      raw.write(bytes + get("/what/smuggled"));
      const res = await raw.readResponse("POST");
      if (res.status === 400) assert.equal(JSON.parse(res.text).error, "bad_request");
      const allowed = [400];
      if (/coding|method/.test(name)) allowed.push(501); // RFC 9110 section 15.6.2: not implemented
      if (/version|preface/.test(name)) allowed.push(505); // section 15.6.6: version not supported
      if (/beyond 64 bits/.test(name)) allowed.push(413);
      assert.ok(allowed.includes(res.status), `${res.status} instead of ${allowed.join(" or ")}`);
      assert.match(res.headers.connection ?? "", /close/i);
      await raw.closed();
      assert.ok(!raw.buffer.includes("HTTP/1.1 "), "nothing behind it is answered");
    });
  }

  it("and what is only unusual is not refused", async (t) => {
    const raw = await open(t);
    const fine = [
      "GET /hello HTTP/1.1\r\nhOsT:a\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: \t a \t \r\nX-Empty:\r\n\r\n",
      "GET /hello? HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
      "GET /hello?a=%00&b=/?:@!$'()*,;~ HTTP/1.1\r\nHost: a:1\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
    ];
    for (const bytes of fine) {
      raw.write(bytes);
      const res = await raw.readResponse();
      assert.equal(res.status, 200, `${JSON.stringify(bytes)}: ${res.status} ${res.text}`);
    }
    raw.write("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n00000005\r\nhello\r\n0\r\n\r\n");
    assert.equal((await raw.readResponse()).text, "5");
    raw.write("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 0004\r\n\r\nabcd");
    assert.equal((await raw.readResponse()).text, "4");
  });
});

describe("limits of the head", () => {
  const refused = async (bytes, statuses) => {
    const raw = await Raw.connect(host().port);
    raw.write(bytes);
    const res = await raw.readResponse();
    assert.ok(statuses.includes(res.status), `${res.status}`);
    assert.equal(JSON.parse(res.text).error, "head_too_large");
    assert.match(res.headers.connection, /close/i);
    await raw.closed();
  };

  it("one long field is 431", () => refused(get("/hello", `X: ${"y".repeat(17000)}\r\n`), [431]));
  it("many fields are 431", () => refused(get("/hello", "X: y\r\n".repeat(200)), [431]));
  it("a long target is 414", async () => {
    for (const length of [9000, 17000]) await refused(get(`/${"y".repeat(length)}`), [414]);
  });
  it("a head that never ends is 431 as soon as it is over", () =>
    refused(`GET /hello HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(17000)}`, [431]));
  it("just under the limit is fine", async (t) => {
    const raw = await open(t);
    raw.write(get("/hello", `X: ${"y".repeat(15000)}\r\n`));
    assert.equal((await raw.readResponse()).text, "hello");
  });
});

describe("deadlines", () => {
  const conf = `return { limits = { head_timeout = "300ms", body_timeout = "300ms", idle_timeout = "300ms" } }`;

  it("a head that is not whole in time is 408, a silent connection is closed without a word", async () => {
    await withHost({ "web.lua": WEB }, { conf }, async (own) => {
      const slow = await Raw.connect(own.port);
      slow.write("GET /hello HTTP/1.1\r\nHo");
      const res = await slow.readResponse();
      assert.equal(res.status, 408);
      assert.equal(JSON.parse(res.text).error, "timeout");
      assert.match(res.headers.connection, /close/i);
      await slow.closed();

      const silent = await Raw.connect(own.port);
      await silent.closed();
      assert.equal(silent.total, 0);

      const idle = await Raw.connect(own.port);
      idle.write(get("/hello"));
      assert.equal((await idle.readResponse()).text, "hello");
      await idle.closed();
      assert.equal(idle.buffer.length, 0);

      const drip = await Raw.connect(own.port);
      const dripping = setInterval(() => !drip.ended && drip.write("X: y\r\n"), 50);
      drip.write("GET /hello HTTP/1.1\r\nHost: a\r\n");
      const dripped = await drip.readResponse().finally(() => clearInterval(dripping));
      assert.equal(dripped.status, 408, "a deadline for the whole head, not for each byte");

      const body = await Raw.connect(own.port);
      body.write("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
      assert.equal((await body.readResponse()).status, 408);
      await body.closed();

      const handler = await Raw.connect(own.port);
      handler.write(get("/slow?s=0.8"));
      assert.equal((await handler.readResponse()).text, "slow", "a handler that waits is not the client's fault");
      handler.destroy();
    });
  });
});

describe("answers", () => {
  it("carry Date and an id of the request", async () => {
    const res = await request(`${host().url}/hello`);
    assert.ok(Math.abs(Date.parse(res.headers.date) - Date.now()) < 60_000);
    assert.match(res.headers["x-request-id"], /^[\w.:\/+=@-]{8,128}$/);
    const next = await request(`${host().url}/hello`);
    assert.notEqual(next.headers["x-request-id"], res.headers["x-request-id"]);
  });

  it("repeat the client's own id, also to the script, but not a hostile one", async () => {
    const res = await request(`${host().url}/what/x`, { headers: { "x-request-id": "abc-123" } });
    assert.equal(res.headers["x-request-id"], "abc-123");
    assert.equal(res.json().id, "abc-123");
    for (const hostile of ["a b", "x".repeat(200), "a\"b"]) {
      const other = await request(`${host().url}/what/x`, { headers: { "x-request-id": hostile } });
      assert.notEqual(other.headers["x-request-id"], hostile);
    }
  });

  it("have the headers that the script gave, lists as several fields", async () => {
    const res = await exchange(host().port, get("/headers"));
    assert.equal(res.status, 201);
    assert.equal(res.headers["x-one"], "1");
    assert.deepEqual(res.list.filter(([k]) => k === "set-cookie").map(([, v]) => v), ["a=1", "b=2"]);
    assert.equal(res.headers["content-length"], "0");
    res.raw.destroy();
  });

  it("are JSON for tables: 64-bit integers and empty arrays as they are", async () => {
    const res = await request(`${host().url}/table`);
    assert.match(res.headers["content-type"], /^application\/json/);
    assert.match(res.text, /"n":12345678901234567\b/);
    assert.match((await request(`${host().url}/hello`)).headers["content-type"], /^text\/plain; *charset=utf-8$/i);
  });

  it("with status 204 have no body and no length", async (t) => {
    const raw = await open(t);
    raw.write(get("/nothing") + get("/hello"));
    const res = await raw.readResponse();
    assert.equal(res.status, 204);
    assert.equal(res.headers["content-length"], undefined);
    assert.equal(res.headers["transfer-encoding"], undefined);
    assert.equal((await raw.readResponse()).text, "hello");
  });

  it("are never split by a header value of the script", async (t) => {
    const raw = await open(t);
    raw.write(get("/split"));
    const res = await raw.readResponse();
    assert.equal(res.status, 500);
    assert.equal(res.headers["x-injected"], undefined);
  });

  it("to an error in the script are 500 with a reference and nothing of the inside", async () => {
    const res = await request(`${host().url}/broken`);
    assert.equal(res.status, 500);
    const { error, reference } = res.json();
    assert.equal(error, "internal");
    assert.match(reference, /^[\w-]{4,}$/);
    assert.doesNotMatch(res.text, /secret|\.lua|traceback/);
    const line = await host().logged((f) => Object.values(f).includes(reference), `reference ${reference}`);
    assert.match(JSON.stringify(line), /web\.lua:\d+/);
  });
});
