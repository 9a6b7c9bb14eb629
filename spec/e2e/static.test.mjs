// SPDX-License-Identifier: MIT
//
// Files of the script directory's public/: types, validators, ranges, and no way out of it.

import assert from "node:assert/strict";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { Host } from "./support/host.mjs";
import { request } from "./support/http.mjs";
import { exchange, Raw } from "./support/raw.mjs";
import { tidy } from "./support/wait.mjs";

const BIG = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));
const TEXT = "0123456789";

let host, outside;

before(async () => {
  outside = await mkdtemp(join(tmpdir(), "hark-outside-"));
  await writeFile(join(outside, "secret.txt"), "SECRET");
  host = await Host.start({
    "app.lua": `return { path = "/taken.txt", method = "GET", respond = function() return 200, "script" end }`,
    "secret.txt": "SECRET",
    "public/index.html": "<!doctype html><title>é</title>",
    "public/app.js": "let a = 1;",
    "public/mod.mjs": "export {};",
    "public/style.css": "a {}",
    "public/data.json": "{}",
    "public/pic.svg": "<svg/>",
    "public/pic.png": Buffer.from("89504e47", "hex"),
    "public/prog.wasm": Buffer.from("0061736d", "hex"),
    "public/note.txt": TEXT,
    "public/LICENSE": "free",
    "public/empty.txt": "",
    "public/taken.txt": "file",
    "public/big.bin": BIG,
    "public/.env": "SECRET",
    "public/.git/config": "SECRET",
    "public/sub/index.html": "sub",
    "public/sub/page.html": "page",
    "public/bare/x.txt": "x",
    "public/a b&é.txt": "odd name",
  });
  await host.link(join(outside, "secret.txt"), "public/leak.txt");
  await host.link(outside, "public/leakdir");
  await host.link("../secret.txt", "public/leakrel.txt");
  await host.link("note.txt", "public/alias.txt");
});

after(async () => {
  await host?.stop();
  await rm(outside, { recursive: true, force: true });
});

const get = (path, headers) => request(`${host.url}${path}`, { headers });

describe("files", () => {
  it("have the type of their name", async () => {
    const types = {
      "/": /^text\/html; *charset=utf-8$/i,
      "/index.html": /^text\/html; *charset=utf-8$/i,
      "/app.js": /^text\/javascript; *charset=utf-8$/i,
      "/mod.mjs": /^text\/javascript; *charset=utf-8$/i,
      "/style.css": /^text\/css; *charset=utf-8$/i,
      "/data.json": /^application\/json/,
      "/pic.svg": /^image\/svg\+xml/,
      "/pic.png": /^image\/png$/,
      "/prog.wasm": /^application\/wasm$/,
      "/note.txt": /^text\/plain; *charset=utf-8$/i,
      "/LICENSE": /^application\/octet-stream$/,
    };
    for (const [path, type] of Object.entries(types)) {
      const res = await get(path);
      assert.equal(res.status, 200, path);
      assert.match(res.headers["content-type"], type, path);
      assert.equal(res.headers["x-content-type-options"], "nosniff");
    }
  });

  it("arrive whole: empty, small, large, with odd names", async () => {
    assert.equal((await get("/empty.txt")).text, "");
    assert.equal((await get("/note.txt")).text, TEXT);
    assert.equal((await get("/a%20b%26%C3%A9.txt")).text, "odd name");
    const big = await get("/big.bin");
    assert.equal(big.headers["content-length"], String(BIG.length));
    assert.ok(big.buffer.equals(BIG));
  });

  it("ignore the query", async () => {
    assert.equal((await get("/note.txt?v=2")).text, TEXT);
  });

  it("that a script also serves are the script's", async () => {
    assert.equal((await get("/taken.txt")).text, "script");
  });

  it("that are not there are 404", async () => {
    assert.equal((await get("/missing.txt")).status, 404);
  });

  it("answer HEAD with everything but the body", async (t) => {
    const raw = await tidy(t, Raw.connect(host.port));
    raw.write("HEAD /note.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /note.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    const head = await raw.readResponse("HEAD");
    assert.equal(head.status, 200);
    assert.equal(head.headers["content-length"], "10");
    const full = await raw.readResponse();
    assert.equal(full.text, TEXT);
    assert.equal(full.headers.etag, head.headers.etag);
  });

  it("take no other method", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      const res = await request(`${host.url}/note.txt`, { method });
      assert.equal(res.status, 405, method);
      assert.match(res.headers.allow, /GET/);
      assert.match(res.headers.allow, /HEAD/);
    }
  });

  it("survive readers that leave in the middle", async () => {
    for (let i = 0; i < 5; i++) {
      const raw = await Raw.connect(host.port);
      raw.write("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
      await raw.need(1, "the first byte");
      raw.cut();
    }
    assert.equal((await get("/note.txt")).text, TEXT);
  });
});

describe("directories", () => {
  it("show their index.html, with a slash", async () => {
    assert.equal((await get("/sub/")).text, "sub");
    const res = await get("/sub");
    assert.ok([301, 302, 307, 308].includes(res.status), `${res.status}`);
    assert.match(res.headers.location, /^(http:\/\/[^/]+)?\/sub\/$/);
  });

  it("without one are 404 and never listed", async () => {
    for (const path of ["/bare/", "/bare"]) {
      const res = await get(path);
      assert.equal(res.status, 404, path);
      assert.doesNotMatch(res.text, /x\.txt/);
    }
  });

  it("do not redirect to another host", async () => {
    const res = await exchange(host.port, "GET //sub HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.doesNotMatch(res.headers.location ?? "", /^\/\//);
    res.raw.destroy();
  });
});

describe("validators", () => {
  it("let a client ask whether anything changed", async () => {
    const first = await get("/note.txt");
    const { etag } = first.headers;
    assert.match(etag, /^(W\/)?"[^"]+"$/);
    assert.ok(Date.parse(first.headers["last-modified"]) > 0);
    const strong = etag.replace(/^W\//, "");
    for (const tag of [etag, strong, `W/${strong}`, `"x", ${etag}`, "*"]) {
      const res = await get("/note.txt", { "if-none-match": tag });
      assert.equal(res.status, 304, tag);
      assert.equal(res.text, "");
      assert.equal(res.headers.etag, etag);
    }
    assert.equal((await get("/note.txt", { "if-none-match": '"other"' })).status, 200);
  });

  it("by time count only where there is no tag", async () => {
    const { headers } = await get("/note.txt");
    const since = headers["last-modified"];
    assert.equal((await get("/note.txt", { "if-modified-since": since })).status, 304);
    assert.equal((await get("/note.txt", { "if-modified-since": "Thu, 01 Jan 1990 00:00:00 GMT" })).status, 200);
    assert.equal((await get("/note.txt", { "if-modified-since": "nonsense" })).status, 200);
    assert.equal((await get("/note.txt", { "if-modified-since": since, "if-none-match": '"other"' })).status, 200);
  });

  it("change when the file does", async () => {
    await host.put("public/changing.txt", "one");
    const { etag } = (await get("/changing.txt")).headers;
    await host.put("public/changing.txt", "three");
    const res = await get("/changing.txt", { "if-none-match": etag });
    assert.equal(res.status, 200);
    assert.equal(res.text, "three");
    await host.put("public/changing.txt", "seven");
    await utimes(join(host.dir, "public/changing.txt"), new Date(), new Date(Date.now() + 5000));
    assert.equal((await get("/changing.txt", { "if-none-match": res.headers.etag })).text, "seven");
  });
});

describe("ranges", () => {
  const range = async (value, more) => get("/note.txt", { range: value, ...more });

  it("give the bytes asked for", async () => {
    const cases = {
      "bytes=0-4": ["01234", "bytes 0-4/10"],
      "bytes=5-": ["56789", "bytes 5-9/10"],
      "bytes=-3": ["789", "bytes 7-9/10"],
      "bytes=9-9": ["9", "bytes 9-9/10"],
      "bytes=8-100": ["89", "bytes 8-9/10"],
      "bytes=-100": [TEXT, "bytes 0-9/10"],
    };
    for (const [ask, [text, content]] of Object.entries(cases)) {
      const res = await range(ask);
      assert.equal(res.status, 206, ask);
      assert.equal(res.text, text, ask);
      assert.equal(res.headers["content-range"], content, ask);
      assert.equal(res.headers["content-length"], String(text.length), ask);
    }
    const big = await get("/big.bin", { range: "bytes=100000-599999" });
    assert.ok(big.buffer.equals(BIG.subarray(100000, 600000)));
  });

  it("are announced", async () => {
    assert.equal((await get("/note.txt")).headers["accept-ranges"], "bytes");
  });

  it("that cannot be satisfied are 416 with the size", async () => {
    for (const ask of ["bytes=10-", "bytes=99-100", "bytes=-0"]) {
      const res = await range(ask);
      assert.equal(res.status, 416, ask);
      assert.equal(res.headers["content-range"], "bytes */10", ask);
    }
    assert.equal((await get("/empty.txt", { range: "bytes=0-0" })).status, 416);
  });

  it("that are no ranges, or several, get the whole file", async () => {
    for (const ask of ["bytes=5-2", "bytes=a-b", "bytes=", "items=0-1", "bytes=0-1,4-5", "bytes=99999999999999999999-", "0-4"]) {
      const res = await range(ask);
      assert.ok(res.status === 200 || (res.status === 416 && /9{20}/.test(ask)), `${ask}: ${res.status}`);
      if (res.status === 200) assert.equal(res.text, TEXT, ask);
    }
  });

  it("hold only while the file is the same (If-Range)", async () => {
    const { etag, "last-modified": when } = (await get("/note.txt")).headers;
    if (!etag.startsWith("W/")) assert.equal((await range("bytes=0-4", { "if-range": etag })).status, 206);
    assert.equal((await range("bytes=0-4", { "if-range": '"other"' })).status, 200);
    assert.equal((await range("bytes=0-4", { "if-range": "Thu, 01 Jan 1990 00:00:00 GMT" })).status, 200);
    assert.ok([200, 206].includes((await range("bytes=0-4", { "if-range": when })).status));
  });

  it("yield to a 304", async () => {
    const { etag } = (await get("/note.txt")).headers;
    assert.equal((await range("bytes=0-4", { "if-none-match": etag })).status, 304);
  });
});

describe("there is no way out by", () => {
  const paths = {
    "dots": "/../secret.txt",
    "dots after a folder": "/sub/../../secret.txt",
    "coded dots": "/%2e%2e/secret.txt",
    "half coded dots": "/.%2e/secret.txt",
    "upper-case coded dots": "/%2E%2E/secret.txt",
    "a coded slash": "/..%2fsecret.txt",
    "all coded": "/%2e%2e%2fsecret.txt",
    "a coded slash after a folder": "/sub%2f..%2f..%2fsecret.txt",
    "a backslash": "/..\\secret.txt",
    "a coded backslash": "/..%5csecret.txt",
    "double coding": "/%252e%252e/secret.txt",
    "an overlong form": "/%c0%ae%c0%ae/secret.txt",
    "a NUL": "/secret.txt%00.html",
    "a NUL behind dots": "/../secret.txt%00",
    "an absolute path": "//etc/passwd",
    "an absolute path in three slashes": "///etc/passwd",
    "a coded absolute path": "/%2fetc/passwd",
    "a semicolon": "/..;/secret.txt",
    "a tail of dots": "/sub/..%00/../secret.txt",
    "a link": "/leak.txt",
    "a relative link": "/leakrel.txt",
    "a linked folder": "/leakdir/secret.txt",
    "a dot file": "/.env",
    "a dot folder": "/.git/config",
    "a coded dot file": "/%2eenv",
    "a script": "/app.lua",
    "a script by dots": "/../app.lua",
    "a file's name as a folder": "/note.txt/../../secret.txt",
  };
  for (const [name, path] of Object.entries(paths)) {
    it(name, async () => {
      for (const target of [path, `http://a${path}`]) {
        const res = await exchange(host.port, `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.ok(res.status === 400 || res.status === 404, `${target}: ${res.status}`);
        assert.doesNotMatch(res.text, /SECRET|root:|respond/);
        res.raw.destroy();
      }
    });
  }

  it("but a link that stays inside is served", async () => {
    assert.equal((await get("/alias.txt")).text, TEXT);
  });
});
