// SPDX-License-Identifier: MIT
//
// HTTP/1.1 and WebSocket on the level of bytes, written from RFC 9112 and RFC 6455: sends exactly
// what it is told, however wrong, and shows exactly what came back. Independent of every library.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";

import { DEADLINE, deferred, within } from "./wait.mjs";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A TCP connection with what has arrived so far. */
export class Raw {
  static async connect(port, { host = "127.0.0.1", allowHalfOpen = false } = {}) {
    const raw = new Raw();
    raw.socket = net.connect({ port, host, allowHalfOpen });
    raw.socket.setNoDelay(true);
    raw.socket.on("data", (part) => raw.#onData(part));
    raw.socket.on("end", () => raw.#onEnd("end"));
    raw.socket.on("error", (error) => raw.#onEnd(error.code ?? "error"));
    raw.socket.on("close", () => raw.#onEnd("close"));
    const up = deferred();
    raw.socket.once("connect", up.resolve);
    raw.socket.once("error", up.reject);
    await within(up.promise, "a connection");
    return raw;
  }

  buffer = Buffer.alloc(0);
  total = 0;
  ended = null;
  #waiter = null;

  #onData(part) {
    this.total += part.length;
    this.buffer = this.buffer.length === 0 ? part : Buffer.concat([this.buffer, part]);
    this.#wake();
  }

  #onEnd(how) {
    this.ended ??= how;
    this.#wake();
  }

  #wake() {
    this.#waiter?.resolve();
    this.#waiter = null;
  }

  /** Sends text (as latin-1, so that any byte can be written) or bytes. */
  write(data) {
    this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
    return this;
  }

  /** Waits for more bytes or the end; false at the end. */
  async more(what, ms = DEADLINE) {
    if (this.ended) return false;
    const before = this.total;
    this.#waiter ??= deferred();
    await within(this.#waiter.promise, () => `${what}; so far ${JSON.stringify(this.buffer.toString("latin1").slice(0, 200))}`, ms);
    return this.total > before || !this.ended;
  }

  async need(n, what) {
    while (this.buffer.length < n) {
      if (!(await this.more(what)) && this.buffer.length < n) {
        throw new Error(`connection ended (${this.ended}) before ${what}`);
      }
    }
  }

  async read(n, what = `${n} bytes`) {
    await this.need(n, what);
    const part = this.buffer.subarray(0, n);
    this.buffer = this.buffer.subarray(n);
    return part;
  }

  /** Up to and with `mark`. */
  async readUntil(mark, what = JSON.stringify(mark)) {
    for (;;) {
      const at = this.buffer.indexOf(mark, 0, "latin1");
      if (at >= 0) return this.read(at + Buffer.byteLength(mark, "latin1"));
      if (!(await this.more(what)) && this.buffer.indexOf(mark, 0, "latin1") < 0) {
        throw new Error(`connection ended (${this.ended}) before ${what}; ` +
                        `got ${JSON.stringify(this.buffer.toString("latin1").slice(0, 300))}`);
      }
    }
  }

  /** One response head: `{ status, version, reason, headers, list, raw }`; repeated fields joined. */
  async readHead() {
    const raw = (await this.readUntil("\r\n\r\n", "a response head")).toString("latin1");
    const lines = raw.slice(0, -4).split("\r\n");
    const first = /^(HTTP\/1\.[01]) (\d{3}) ?(.*)$/.exec(lines[0]);
    assert.ok(first, `a status line, not ${JSON.stringify(lines[0])}`);
    const list = lines.slice(1).map((line) => {
      const m = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
      assert.ok(m, `a header line, not ${JSON.stringify(line)}`);
      return [m[1].toLowerCase(), m[2]];
    });
    const headers = {};
    for (const [name, value] of list) headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    return { version: first[1], status: Number(first[2]), reason: first[3], headers, list, raw };
  }

  /** One whole response by RFC 9112 section 6.3; `method` of its request, 1xx are returned alone. */
  async readResponse(method = "GET") {
    const head = await this.readHead();
    const { status, headers } = head;
    if (status < 200 || status === 204 || status === 304 || method === "HEAD") {
      return { ...head, body: Buffer.alloc(0), text: "" };
    }
    let body;
    if (/\bchunked$/i.test(headers["transfer-encoding"] ?? "")) {
      assert.equal(headers["content-length"], undefined, "not both length and chunks");
      body = await this.#readChunks();
    } else if (headers["content-length"] !== undefined) {
      assert.match(headers["content-length"], /^\d+$/);
      body = await this.read(Number(headers["content-length"]), "the body");
    } else {
      await this.closed("the end of the body");
      body = this.buffer;
      this.buffer = Buffer.alloc(0);
    }
    return { ...head, body, text: body.toString("utf8") };
  }

  async #readChunks() {
    const parts = [];
    for (;;) {
      const part = await this.readChunk();
      if (part === null) return Buffer.concat(parts);
      parts.push(part);
    }
  }

  /** One chunk; null for the last one (trailers are read and dropped). */
  async readChunk() {
    const line = (await this.readUntil("\r\n", "a chunk size")).toString("latin1");
    const m = /^([0-9a-fA-F]+)(?:;.*)?\r\n$/.exec(line);
    assert.ok(m, `a chunk size, not ${JSON.stringify(line)}`);
    const size = parseInt(m[1], 16);
    if (size === 0) {
      while ((await this.readUntil("\r\n", "the end of trailers")).length > 2);
      return null;
    }
    const part = await this.read(size, "a chunk");
    assert.equal((await this.read(2, "the end of a chunk")).toString("latin1"), "\r\n");
    return part;
  }

  /** Awaits the other side's end; gives how: "end", "close" or an error code such as ECONNRESET. */
  async closed(what = "the connection to close", ms = DEADLINE) {
    while (!this.ended) await this.more(what, ms);
    return this.ended;
  }

  /** Stops reading, so that the sender meets a full window. */
  stall() {
    this.socket.pause();
  }

  unstall() {
    this.socket.resume();
  }

  /** Cuts without a word: RST, as a lost network would. */
  cut() {
    this.socket.resetAndDestroy();
  }

  destroy() {
    this.socket.destroy();
  }
}

/** Sends `bytes` on a new connection and reads one answer; gives it with `closed()` to await. */
export async function exchange(port, bytes, method = "GET") {
  const raw = await Raw.connect(port);
  raw.write(bytes);
  const answer = await raw.readResponse(method);
  return { ...answer, raw };
}

// WebSocket ------------------------------------------------------------------------------------

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };

export function acceptOf(key) {
  return createHash("sha1").update(key + GUID).digest("base64");
}

/**
 * The bytes of one frame as told, right or wrong: `fin`, `rsv` (0..7), `opcode`, `payload`, `mask`
 * (true: random key, false: none, or 4 bytes), `form` (7, 16 or 64 bits of length; else the
 * shortest), `length` (what the header claims, else the truth).
 */
export function frame({ fin = true, rsv = 0, opcode = OP.TEXT, payload = "", mask = true, form, length } = {}) {
  const data = Buffer.from(payload);
  const claim = BigInt(length ?? data.length);
  const bits = form ?? (claim < 126n ? 7 : claim < 65536n ? 16 : 64);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const masked = mask === false ? 0 : 0x80;
  if (bits === 7) head.push(masked | Number(claim));
  else if (bits === 16) head.push(masked | 126, Number(claim >> 8n) & 255, Number(claim & 255n));
  else {
    head.push(masked | 127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((claim >> shift) & 255n));
  }
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  const key = mask === true ? randomBytes(4) : Buffer.from(mask);
  const hidden = Buffer.from(data);
  for (let i = 0; i < hidden.length; i++) hidden[i] ^= key[i % 4];
  return Buffer.concat([Buffer.from(head), key, hidden]);
}

/** The payload of a close frame; no code: empty. */
export function closing(code, reason = "") {
  if (code === undefined) return Buffer.alloc(0);
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason)]);
}

export function upgrade(path, { key = randomBytes(16).toString("base64"), headers = {}, host = "127.0.0.1" } = {}) {
  const fields = {
    Host: host,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  const lines = Object.entries(fields).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

export class RawWebSocket {
  /** Shakes hands (asserting 101 and the accept key); `early` are bytes sent with the request. */
  static async open(port, path, { headers, early = Buffer.alloc(0), key = randomBytes(16).toString("base64") } = {}) {
    const ws = new RawWebSocket();
    ws.raw = await Raw.connect(port);
    ws.raw.write(Buffer.concat([Buffer.from(upgrade(path, { key, headers })), early]));
    ws.head = await ws.raw.readHead();
    if (ws.head.status !== 101) throw new Error(`no upgrade: ${ws.head.raw}`);
    assert.equal(ws.head.headers["sec-websocket-accept"], acceptOf(key));
    return ws;
  }

  write(bytes) {
    this.raw.write(bytes);
    return this;
  }

  send(options) {
    return this.write(frame(typeof options === "string" ? { payload: options } : options));
  }

  /** One frame from the server, checked against what RFC 6455 demands of a server. */
  async readFrame(what = "a frame") {
    const [first, second] = await this.raw.read(2, what);
    assert.equal(second & 0x80, 0, "a server's frame is not masked");
    let length = second & 0x7f;
    if (length === 126) {
      length = (await this.raw.read(2, what)).readUInt16BE();
      assert.ok(length > 125, "the shortest form of length");
    } else if (length === 127) {
      length = Number((await this.raw.read(8, what)).readBigUInt64BE());
      assert.ok(length > 65535, "the shortest form of length");
    }
    const payload = Buffer.from(await this.raw.read(length, what));
    const got = { fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload };
    assert.equal(got.rsv, 0, "no reserved bit without an extension");
    if (got.opcode >= 8) assert.ok(got.fin && length <= 125, "a control frame is short and whole");
    return got;
  }

  /** The next data message as text or bytes; control frames on the way are dropped. */
  async readMessage(what = "a message") {
    for (;;) {
      const f = await this.readFrame(what);
      if (f.opcode === OP.CLOSE) throw new Error(`closed with ${closeCode(f)} before ${what}`);
      if (f.opcode >= 8) continue;
      assert.ok(f.fin, "hark sends whole messages");
      return f.opcode === OP.TEXT ? f.payload.toString("utf8") : f.payload;
    }
  }

  /** Reads up to the close frame: `{ code, reason }`; code 1005 when it was empty. */
  async readClose() {
    for (;;) {
      const f = await this.readFrame("a close frame");
      if (f.opcode === OP.CLOSE) return { code: closeCode(f), reason: f.payload.subarray(2).toString("utf8") };
    }
  }

  /** Asserts that the server closes with this code (or one of several) and then hangs up. */
  async expectClose(code) {
    const got = await this.readClose();
    const allowed = [code].flat();
    assert.ok(allowed.includes(got.code), `close ${allowed.join(" or ")}, not ${got.code} ${got.reason}`);
    if (!this.closeSent) this.send({ opcode: OP.CLOSE, payload: closing(got.code === 1005 ? undefined : got.code) });
    await this.raw.closed("the server to hang up");
    return got;
  }

  close(code, reason) {
    this.closeSent = true;
    return this.send({ opcode: OP.CLOSE, payload: closing(code, reason) });
  }

  destroy() {
    this.raw.destroy();
  }
}

function closeCode(f) {
  return f.payload.length >= 2 ? f.payload.readUInt16BE() : 1005;
}
