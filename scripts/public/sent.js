// SPDX-License-Identifier: MIT
// What this page has sent and when, so that each column can tell how long a message took. Messages
// stay plain text on the wire; one is known again by its text, even inside a format that the script
// has changed meanwhile (upper case, a prefix, an object around it).

const KEPT_MS = 60_000;
const KEPT = 1000;

export class Sent {
  #messages = []; // { text, at, seen: Set of column ids }, oldest first

  add(text) {
    const now = performance.now();
    this.#messages.push({ text: text.toLowerCase(), at: now, seen: new Set() });
    while (this.#messages.length > KEPT || now - this.#messages[0].at > KEPT_MS) {
      this.#messages.shift();
    }
  }

  /** Milliseconds from our sending to `column` hearing it; null if it was not ours. */
  latency(column, data, now) {
    const heard = data.toLowerCase();
    const unseen = this.#messages.filter((message) => !message.seen.has(column));
    const ours =
      unseen.find(({ text }) => text === heard) ??
      unseen.find(({ text }) => text.length > 1 && heard.includes(text));
    if (!ours) return null;
    ours.seen.add(column);
    return now - ours.at;
  }
}
