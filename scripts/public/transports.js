// SPDX-License-Identifier: MIT
// Three ways to hold one session of the same address, with one shape: start, stop, send, and two
// callbacks, `onstate(state, detail)` and `onmessage({ id, event, data })`. Nothing here is a
// library: it is what the wire asks of a client, written out, to be read and copied from.

const FIRST_DELAY = 400;
const LONGEST_DELAY = 15_000;
const PARKED = 500; // a poll still unanswered after this is waiting at the server, as it should
const EVENTS = ["message", "hark.gap", "hark.error", "hark.join", "hark.leave"];

class Transport {
  #attempts = 0;
  #timer = null;
  cursor = null; // where this client stands; opaque, and the same on every transport
  onstate = () => {};
  onmessage = () => {};

  constructor(path) {
    this.path = path;
  }

  start() {
    clearTimeout(this.#timer);
    this.onstate("connecting");
    this.connect();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#attempts = 0;
    this.disconnect();
    this.onstate("cut");
  }

  url(more = {}) {
    const url = new URL(this.path, location.href);
    url.searchParams.set("echo", "1");
    for (const [key, value] of Object.entries(more)) if (value) url.searchParams.set(key, value);
    return url;
  }

  opened() {
    this.#attempts = 0;
    this.onstate("open");
  }

  take(id, event, data) {
    if (id) this.cursor = id;
    this.onmessage({ id, event: event || "message", data });
  }

  /** Comes back later: after what the server advised, else after a growing, jittered delay. */
  retry(advised) {
    const grown = Math.min(FIRST_DELAY * 2 ** this.#attempts, LONGEST_DELAY);
    this.#attempts += 1;
    const delay = advised ?? grown * (0.5 + Math.random() / 2);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), delay);
    this.onstate("waiting", delay);
  }

  /** A client-to-server message beside SSE and long polling: a POST to the same address. */
  async post(session, text) {
    if (!session) throw new Error("not connected");
    const headers = { "Hark-Session": session, "Content-Type": "text/plain; charset=utf-8" };
    const answer = await fetch(this.url(), { method: "POST", headers, body: text });
    if (!answer.ok) throw new Error(await reason(answer));
  }
}

/** One socket both ways. The subprotocol gives each frame its position, so that we can resume. */
export class WebSocketTransport extends Transport {
  #socket = null;

  connect() {
    const url = this.url({ t: "websocket", cursor: this.cursor });
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, "hark.envelope");
    this.#socket = socket;
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket) return; // cut by us, with frames still on their way
      const frame = JSON.parse(data);
      const body = typeof frame.data === "string" ? frame.data : JSON.stringify(frame.data);
      this.take(frame.id, frame.event, body);
    };
    socket.onclose = ({ reason: why }) => {
      if (this.#socket !== socket) return;
      const advised = /^retry=(\d+)$/.exec(why);
      this.retry(advised ? Number(advised[1]) : undefined);
    };
  }

  disconnect() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  async send(text) {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new Error("not connected");
    this.#socket.send(text);
  }
}

/**
 * One endless response, and POST beside it. EventSource cannot read headers, so we choose the
 * session's token ourselves; and since a `?cursor=` in the address would be repeated by its own
 * reconnecting, each new connection is a new EventSource with the position we have by then.
 */
export class SseTransport extends Transport {
  #source = null;
  #session = null;

  connect() {
    this.#session = token();
    const url = this.url({ t: "sse", session: this.#session, cursor: this.cursor });
    const source = new EventSource(url);
    this.#source = source;
    source.onopen = () => this.opened();
    source.onerror = () => {
      source.close();
      if (this.#source === source) this.retry();
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (this.#source !== source || !("data" in event)) return;
        // An event without an id of its own repeats the one before it: that is no new position.
        const id = event.lastEventId === this.cursor ? null : event.lastEventId;
        this.take(id, event.type, event.data);
      });
    }
  }

  disconnect() {
    this.#source?.close();
    this.#source = null;
    this.#session = null;
  }

  send(text) {
    return this.post(this.#session, text);
  }
}

/** A loop of requests, each acknowledging what the one before it brought. */
export class LongPollTransport extends Transport {
  #round = null; // the AbortController of the running loop
  #session = null;
  #etag = null;

  async connect() {
    const round = new AbortController();
    this.#round = round;
    const parked = setTimeout(() => this.#round === round && this.opened(), PARKED);
    try {
      for (let first = true; this.#round === round; first = false) {
        const answer = await this.#poll(round.signal);
        clearTimeout(parked);
        if (this.#round !== round) return;
        if (!answer.ok) return this.#refused(answer);
        if (first) this.opened();
        await this.#read(answer, round);
      }
    } catch {
      clearTimeout(parked);
      if (this.#round === round) this.retry();
    }
  }

  disconnect() {
    this.#round?.abort();
    this.#round = null;
  }

  send(text) {
    return this.post(this.#session, text);
  }

  #poll(signal) {
    const headers = { Accept: "*/*" };
    if (this.#session) headers["Hark-Session"] = this.#session;
    if (this.#etag) headers["If-None-Match"] = this.#etag;
    const cursor = this.#session ? null : this.cursor;
    return fetch(this.url({ t: "longpoll", cursor }), { headers, signal, cache: "no-store" });
  }

  async #read(answer, round) {
    const { headers, status } = answer;
    const etag = headers.get("ETag");
    const text = status === 204 ? "" : await answer.text();
    if (this.#round !== round) return; // unread, so unacknowledged: it will be sent again
    this.#session = headers.get("Hark-Session") ?? this.#session;
    this.#etag = etag;
    const cursor = etag?.replace(/^(W\/)?"|"$/g, "").split("~")[1];
    if (status === 204) return;
    if (headers.get("Content-Type")?.startsWith("application/vnd.hark.batch+json")) {
      for (const { id, event, data } of JSON.parse(text)) {
        this.take(id, event, typeof data === "string" ? data : JSON.stringify(data));
      }
    } else {
      this.take(cursor, headers.get("Hark-Event"), text);
    }
  }

  /** Below 500 it is us: begin a new session at our cursor. Else the server wants us later. */
  #refused(answer) {
    if (answer.status < 500) this.#session = this.#etag = null;
    this.retry(Number(answer.headers.get("Retry-After")) * 1000 || undefined);
  }
}

async function reason(answer) {
  const body = await answer.json().catch(() => null);
  return body?.error ?? `${answer.status} ${answer.statusText}`;
}

/** 128 random bits, base64url: 22 characters. */
function token() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").slice(0, 22);
}
