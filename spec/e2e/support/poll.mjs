// SPDX-License-Identifier: MIT
//
// A long-poll client as docs/clients.md describes one: asks, keeps the ETag, asks again with it.
// Each poll has a connection of its own, so that successive polls land on any worker.

import assert from "node:assert/strict";

import { request } from "./http.mjs";
import { Inbox } from "./wait.mjs";

export const BATCH = "application/vnd.hark.batch+json";

export class Poller {
  /** `by`: "etag" (If-None-Match), or "query" (`?session=` and `?cursor=`). */
  constructor(url, { headers = {}, by = "etag" } = {}) {
    this.url = url;
    this.headers = headers;
    this.by = by;
    this.etag = null;
    this.session = null;
    this.loop = null;
  }

  /** The two halves of the tag: `"session~cursor"`. */
  get cursor() {
    return split(this.etag).cursor;
  }

  /** One poll. Keeps the answer's tag unless `keep` is false (an answer that never arrived). */
  async once({ keep = true, signal, headers = {}, ms } = {}) {
    const ask = { ...this.headers, ...headers };
    let url = this.url;
    if (this.etag && this.by === "etag") ask["if-none-match"] = this.etag;
    if (this.etag && this.by === "query") {
      const { session, cursor } = split(this.etag);
      url += `${url.includes("?") ? "&" : "?"}session=${session}&cursor=${cursor}`;
    }
    const res = await request(url, { headers: ask, signal, ms });
    if (keep && res.headers.etag) this.etag = res.headers.etag;
    if (keep && res.headers["hark-session"]) this.session = res.headers["hark-session"];
    return { ...res, items: itemsOf(res) };
  }

  /** The next `n` items, over as many polls as it takes. */
  async take(n) {
    const items = [];
    while (items.length < n) {
      const res = await this.once();
      assert.ok(res.status === 200 || res.status === 204, `poll: ${res.status} ${res.text}`);
      items.push(...res.items);
    }
    return items;
  }

  /** Polls until `stop`; `items` and `answers` fill as they come. */
  start() {
    this.items = new Inbox("the poll loop");
    this.answers = new Inbox("poll answers");
    const abort = new AbortController();
    const run = async () => {
      while (!abort.signal.aborted) {
        const res = await this.once({ signal: abort.signal, ms: 0x7fffffff });
        this.answers.push(res);
        for (const item of res.items) this.items.push(item);
        if (res.status !== 200 && res.status !== 204) return;
      }
    };
    this.loop = run().catch((error) => {
      if (!abort.signal.aborted) this.items.end(error.message);
    });
    this.stop = async () => {
      abort.abort();
      await this.loop;
    };
    return this;
  }

  post(body, headers = {}) {
    const token = this.session ?? split(this.etag).session;
    return request(this.url, { method: "POST", body, headers: { ...this.headers, "hark-session": token, ...headers } });
  }
}

export function split(etag) {
  const m = /^(?:W\/)?"([^"~]+)~([^"]*)"$/.exec(etag ?? "");
  assert.ok(m, `an ETag "session~cursor", not ${etag}`);
  return { session: m[1], cursor: m[2] };
}

/** What one answer holds, in one form for both batch modes: `{ id?, event, data, base64? }`. */
export function itemsOf(res) {
  if (res.status !== 200) return [];
  if ((res.headers["content-type"] ?? "").startsWith(BATCH)) {
    return res.json().map((item) => ({ ...item, event: item.event ?? "message" }));
  }
  return [{ event: res.headers["hark-event"] ?? "message", data: res.text, gap: res.headers["hark-gap"] }];
}
