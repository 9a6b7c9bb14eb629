// SPDX-License-Identifier: MIT
//
// Two ways to read Server-Sent Events: `SseStream`, written from the WHATWG text (section 9.2.6) on
// raw bytes, which shows comments, retry and bare ids too; and `openEventSource`, npm's client, which
// reconnects by itself like a browser.

import assert from "node:assert/strict";

import { EventSource } from "eventsource";

import { Raw } from "./raw.mjs";
import { deferred, Inbox, within } from "./wait.mjs";

/** Takes text in any pieces, gives blocks: `{ id?, event?, data?, retry?, comments: [] }`. */
export class SseParser {
  #tail = "";
  #skipLf = false;
  #block = null;

  constructor(onBlock) {
    this.onBlock = onBlock;
  }

  feed(text) {
    if (this.#skipLf && text.length > 0) {
      if (text[0] === "\n") text = text.slice(1);
      this.#skipLf = false;
    }
    this.#tail += text;
    for (;;) {
      const m = /\r\n|\r|\n/.exec(this.#tail);
      if (!m) return;
      const line = this.#tail.slice(0, m.index);
      this.#tail = this.#tail.slice(m.index + m[0].length);
      if (m[0] === "\r" && this.#tail === "") this.#skipLf = true;
      this.#line(line);
    }
  }

  #line(line) {
    if (line === "") {
      if (this.#block) this.onBlock(this.#block);
      this.#block = null;
      return;
    }
    this.#block ??= { comments: [] };
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.#block.comments.push(line.slice(1).replace(/^ /, ""));
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") {
      this.#block.data = this.#block.data === undefined ? value : `${this.#block.data}\n${value}`;
    } else {
      this.#block[name] = value;
    }
  }
}

export class SseStream {
  /** Opens `path`; the answer's head is in `head`. Fails unless it is a 200 event stream. */
  static async open(port, path, { headers = {}, version = "1.1", method = "GET", keep } = {}) {
    const sse = await SseStream.ask(port, path, { headers, version, method, keep });
    assert.equal(sse.head.status, 200, sse.head.raw);
    assert.match(sse.head.headers["content-type"], /^text\/event-stream\b/);
    sse.#start();
    return sse;
  }

  /** The same without looking at the answer: for refusals. */
  static async ask(port, path, { headers = {}, version = "1.1", method = "GET", keep = true } = {}) {
    const sse = new SseStream();
    sse.raw = await Raw.connect(port);
    const fields = Object.entries({ Host: "127.0.0.1", Accept: "text/event-stream", ...headers })
      .map(([k, v]) => `${k}: ${v}\r\n`).join("");
    sse.keep = keep;
    sse.raw.write(`${method} ${path} HTTP/${version}\r\n${fields}\r\n`);
    sse.head = await sse.raw.readHead();
    return sse;
  }

  blocks = new Inbox("the event stream");
  lastEventId = "";
  retry = null;
  text = "";
  #clean = deferred();

  get session() {
    return this.head.headers["hark-session"];
  }

  #start() {
    const parser = new SseParser((block) => {
      if (block.id !== undefined) this.lastEventId = block.id;
      if (block.retry !== undefined) this.retry = Number(block.retry);
      this.blocks.push(block);
    });
    const decoder = new TextDecoder();
    const feed = (part) => {
      const text = decoder.decode(part, { stream: true });
      if (this.keep) this.text += text;
      parser.feed(text);
    };
    this.#pump(feed).then(
      (how) => {
        this.#clean.resolve(how);
        this.blocks.end(how);
      },
      (error) => {
        this.#clean.resolve("cut");
        this.blocks.end(error.message);
      });
  }

  async #pump(feed) {
    const chunked = /\bchunked$/i.test(this.head.headers["transfer-encoding"] ?? "");
    for (;;) {
      if (chunked) {
        const part = await this.#chunk();
        if (part === null) return "clean";
        feed(part);
      } else {
        feed(this.raw.buffer);
        this.raw.buffer = Buffer.alloc(0);
        if (this.raw.ended) return this.raw.ended === "end" ? "clean" : "cut";
        await this.raw.more("stream bytes", 0x7fffffff);
      }
    }
  }

  // Like Raw.readChunk, without a deadline: an open stream may be silent as long as it likes.
  async #chunk() {
    while (this.raw.buffer.indexOf("\r\n") < 0 && !this.raw.ended) await this.raw.more("a chunk", 0x7fffffff);
    const size = /^([0-9a-f]+)/i.exec(this.raw.buffer.toString("latin1", 0, 20));
    const need = size ? parseInt(size[1], 16) : 0;
    while (this.raw.buffer.length < need + 4 && !this.raw.ended) await this.raw.more("a chunk", 0x7fffffff);
    return this.raw.readChunk();
  }

  /** The next block with data (what a browser would dispatch): `{ id?, event?, data }`. */
  async next(what = "an event") {
    const block = await this.blocks.find((b) => b.data !== undefined, what);
    return { id: block.id, event: block.event ?? "message", data: block.data };
  }

  async take(n) {
    const events = [];
    while (events.length < n) events.push(await this.next(`event ${events.length + 1} of ${n}`));
    return events;
  }

  /** Awaits the end; "clean" (last chunk, or FIN without chunks) or "cut". */
  ended(what = "the stream to end") {
    return within(this.#clean.promise, what);
  }

  cut() {
    this.raw.cut();
  }

  destroy() {
    this.raw.destroy();
  }
}

/**
 * npm's EventSource. `events` is an inbox of `{ event, data, id }` for "message" and each of
 * `names`; `errors` of its error events; `statuses` of what the server answered.
 */
export function openEventSource(url, { names = [], headers = {} } = {}) {
  const client = { events: new Inbox("the EventSource"), errors: new Inbox("errors"), answers: new Inbox("answers") };
  const controller = new AbortController();
  const source = new EventSource(url, {
    fetch: async (target, init) => {
      const answer = await fetch(target, {
        ...init,
        headers: { ...init.headers, ...headers },
        signal: AbortSignal.any([init.signal, controller.signal].filter(Boolean)),
      });
      client.answers.push({ status: answer.status, headers: answer.headers, sent: { ...init.headers } });
      return answer;
    },
  });
  for (const name of ["message", ...names]) {
    source.addEventListener(name, (e) => client.events.push({ event: e.type, data: e.data, id: e.lastEventId }));
  }
  const opened = deferred();
  source.addEventListener("open", opened.resolve);
  source.addEventListener("error", (e) => {
    client.errors.push(e);
    if (source.readyState === 2) opened.reject(new Error(`EventSource failed: ${e.message}`));
  });
  client.source = source;
  client.opened = () => within(opened.promise, "the EventSource to open");
  client.destroy = () => {
    source.close();
    controller.abort();
  };
  return client;
}
