// SPDX-License-Identifier: MIT
// The page's proof: every message id gets a rank when any column sees it first, and each column must
// walk those ranks without a step missing or repeated. It knows nothing of transports or of the DOM.

const KEPT = 5000; // ids remembered; far more than a channel's history holds

export class Ledger {
  #entries = new Map(); // id -> { rank, at }
  top = 0;

  /** What is known of `id`, and whether this is the first time that any column shows it. */
  note(id, now) {
    const known = this.#entries.get(id);
    if (known) return known;
    const entry = { rank: ++this.top, at: now };
    this.#entries.set(id, entry);
    if (this.#entries.size > KEPT) this.#entries.delete(this.#entries.keys().next().value);
    return entry;
  }
}

/** One column's walk through the ledger. */
export class Walk {
  #ledger;
  rank = null; // null until the first message, and after a gap that the server told us of
  doubled = 0;
  lost = 0;

  constructor(ledger) {
    this.#ledger = ledger;
  }

  /** Takes the next id of this column; answers when the message was first seen anywhere. */
  step(id, now) {
    const { rank, at } = this.#ledger.note(id, now);
    if (this.rank !== null) {
      if (rank <= this.rank) {
        this.doubled += 1;
        return at;
      }
      this.lost += rank - this.rank - 1;
    }
    this.rank = rank;
    return at;
  }

  /** History no longer held what we asked for and the server said so: start from what comes next. */
  gap() {
    this.rank = null;
  }

  get behind() {
    return this.rank === null ? 0 : this.#ledger.top - this.rank;
  }
}
