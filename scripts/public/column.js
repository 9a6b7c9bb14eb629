// SPDX-License-Identifier: MIT
// One column of the page: a transport, what came over it, and how long it took. Counting is done at
// once, drawing once a frame, so that a burst costs the page no more than a single message.

import { Walk } from "./ledger.js";

const SHOWN = 40; // messages in the list
const SAMPLES = 64; // bars in the sparkline

export class Column {
  #pending = []; // rows not drawn yet
  #latencies = [];
  #opened = 0; // when the current connection came up
  #returning = null; // { caughtUp, lost, doubled } while what was missed comes in
  #drawing = false;
  #state = "connecting";
  #until = 0;
  count = 0;
  onchange = () => {};
  onbeat = () => {};

  constructor(root, { id, title, how, transport, ledger, sent }) {
    this.id = id;
    this.title = title;
    this.transport = transport;
    this.walk = new Walk(ledger);
    this.sent = sent;
    this.element = root.content.firstElementChild.cloneNode(true);
    this.part = (name) => this.element.querySelector(`[data-part="${name}"]`);
    this.element.id = id;
    this.part("title").textContent = title;
    this.part("title").id = `${id}-title`;
    this.element.setAttribute("aria-labelledby", `${id}-title`);
    this.part("how").textContent = how;
    this.part("log").setAttribute("aria-label", `Messages over ${title}`);
    this.part("cut").addEventListener("click", () => this.toggle());
    for (let i = 0; i < SAMPLES; i++) this.part("spark").append(document.createElement("i"));
    transport.onstate = (state, detail) => this.#enter(state, detail);
    transport.onmessage = (message) => this.#take(message);
  }

  get state() {
    return this.#state;
  }

  get open() {
    return this.#state === "open";
  }

  toggle() {
    if (this.#state === "cut") this.transport.start();
    else this.transport.stop();
  }

  #enter(state, delay) {
    const before = this.#state;
    this.#state = state;
    if (state === "open") {
      this.#opened = performance.now();
      if (this.count > 0) this.#returning = { caughtUp: 0, row: this.#note("back") };
    } else if (before === "open") {
      this.#note(state === "cut" ? "cut here" : "connection lost");
    }
    this.#until = state === "waiting" ? performance.now() + delay : 0;
    this.#draw();
  }

  #take({ id, event, data }) {
    const now = performance.now();
    if (event === "hark.gap") {
      this.walk.gap();
      this.#note("some were no longer held: the server told us of a gap");
    } else if (event === "hark.error") {
      this.#note(`refused: ${parse(data)?.error ?? data}`);
    } else if (isHello(data)) {
      return; // the script's own greeting, which is for this session alone
    } else if (event === "message") {
      this.#count(id, data, now);
    }
    this.#draw();
  }

  #count(id, data, now) {
    this.count += 1;
    const first = this.walk.step(id, data, now);
    const missed = this.#returning !== null && first < this.#opened;
    const latency = this.sent.latency(this.id, data, now);
    if (missed) {
      this.#returning.caughtUp += 1;
      this.#returning.row.text = `back, ${this.#returning.caughtUp} caught up`;
    } else {
      this.#returning = null;
      if (latency !== null) {
        this.#latencies.push(latency);
        if (this.#latencies.length > SAMPLES * 4) this.#latencies.shift();
      }
    }
    this.#push({ kind: missed ? "missed" : "live", data, at: new Date(), latency });
  }

  #note(text) {
    return this.#push({ kind: "note", text });
  }

  #push(row) {
    this.#pending.push(row);
    if (this.#pending.length > SHOWN) this.#pending.shift();
    return row;
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#drawState();
      this.#drawFigures();
      this.#drawLog();
      this.onchange();
    });
  }

  #drawState() {
    const state = this.#state;
    this.element.dataset.state = state;
    const seconds = Math.max(1, Math.ceil((this.#until - performance.now()) / 1000));
    const words = { open: "connected", connecting: "connecting", cut: "cut" };
    this.part("state").textContent = words[state] ?? `again in ${seconds} s`;
    this.part("cut").textContent = state === "cut" ? "Resume" : "Cut";
    this.part("cut").setAttribute("aria-label", `${state === "cut" ? "Resume" : "Cut"} ${this.title}`);
    if (state === "waiting") setTimeout(() => this.#draw(), 250);
  }

  #drawFigures() {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    this.part("count").textContent = this.count.toLocaleString("en");
    this.part("median").textContent = milliseconds(percentile(sorted, 0.5));
    this.part("p95").textContent = milliseconds(percentile(sorted, 0.95));
    const recent = this.#latencies.slice(-SAMPLES);
    const bars = this.part("spark").children;
    for (let i = 0; i < SAMPLES; i++) {
      bars[i].style.transform = `scaleY(${height(recent[i - SAMPLES + recent.length])})`;
    }
    const spoken = sorted.length ? `latency, median ${this.part("median").textContent}` : "no latency yet";
    this.part("spark").setAttribute("aria-label", spoken);
  }

  #drawLog() {
    const log = this.part("log");
    const stuck = log.scrollTop < 8; // newest first; leave a reader who scrolled down alone
    for (const row of this.#pending) log.prepend(render(row));
    if (this.#pending.length > 0) {
      beat(this.element);
      this.onbeat();
      this.part("empty").hidden = true;
    }
    this.#pending.length = 0;
    while (log.children.length > SHOWN) log.lastElementChild.remove();
    if (this.#returning?.row.element) this.#returning.row.element.textContent = this.#returning.row.text;
    if (stuck) log.scrollTop = 0;
  }
}

/** Starts an element's flash again: two names for one animation, taken in turn. */
export function beat(element) {
  element.dataset.beat = element.dataset.beat === "a" ? "b" : "a";
}

function render(row) {
  const item = document.createElement("li");
  item.className = row.kind;
  row.element = item;
  if (row.kind === "note") {
    item.textContent = row.text;
    return item;
  }
  const time = document.createElement("time");
  time.textContent = row.at.toTimeString().slice(0, 8);
  const body = document.createElement("span");
  body.className = "body";
  body.append(...shape(row.data));
  const took = document.createElement("small");
  took.textContent = row.kind === "missed" ? "caught up" : milliseconds(row.latency, "");
  item.append(time, body, took);
  return item;
}

/** Text as it is; an object as its keys and values, so that a script's new format reads at once. */
function shape(data) {
  const value = parse(data);
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [data];
  return Object.entries(value).flatMap(([key, part]) => {
    const name = document.createElement("b");
    name.textContent = key;
    return [name, ` ${typeof part === "string" ? part : JSON.stringify(part)}  `];
  });
}

function isHello(data) {
  const value = data.startsWith('{"') ? parse(data) : null;
  return value !== null && "hello" in value && "over" in value;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function percentile(sorted, share) {
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** One logarithmic scale for all columns, from 0.2 ms to 2 s, so that they can be compared. */
function height(latency) {
  if (latency === undefined) return 0;
  return Math.max(0.06, Math.min(1, Math.log10(latency / 0.2) / 4));
}

function milliseconds(value, none = "–") {
  if (value === null) return none;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
