// SPDX-License-Identifier: MIT
// The page's proof. The ledger is what any column heard first, in order; each column must walk it
// without leaving anything out, and without hearing the same position twice. Positions are opaque
// and need not look alike on two transports, so columns are compared by what was said.

const KEPT = 5000; // far more than a channel's history holds

export class Ledger {
  #log = []; // { data, at }, oldest first
  #dropped = 0; // how many came before those

  get top() {
    return this.#dropped + this.#log.length;
  }

  at(rank) {
    return this.#log[rank - this.#dropped]?.at;
  }

  add(data, at) {
    this.#log.push({ data, at });
    if (this.#log.length > KEPT) {
      this.#log.shift();
      this.#dropped += 1;
    }
    return this.top - 1;
  }

  /** Rank of the first entry like `data` from `rank` on, or -1. */
  find(data, rank) {
    for (let i = Math.max(rank, this.#dropped); i < this.top; i++) {
      if (this.#log[i - this.#dropped].data === data) return i;
    }
    return -1;
  }

  /** Rank of the last entry like `data`, or -1. */
  findLast(data) {
    const index = this.#log.findLastIndex((entry) => entry.data === data);
    return index < 0 ? -1 : index + this.#dropped;
  }
}

/** One column's walk along the ledger. */
export class Walk {
  #ledger;
  #next = null; // null until the first message, and after a gap that the server told us of
  #ids = new Set();
  doubled = 0;
  lost = 0;

  constructor(ledger) {
    this.#ledger = ledger;
  }

  /** Takes what this column hears; answers when it was heard first anywhere. */
  step(id, data, now) {
    if (id && this.#ids.has(id)) {
      this.doubled += 1;
      return now;
    }
    if (id) this.#remember(id);
    const ledger = this.#ledger;
    let rank = this.#next === null ? ledger.findLast(data) : ledger.find(data, this.#next);
    if (rank < 0) {
      // New to all; or, behind the others, a form that the script makes for this column alone.
      const behind = this.#next !== null && this.#next < ledger.top;
      rank = behind ? this.#next : ledger.add(data, now);
    }
    if (this.#next !== null) this.lost += rank - this.#next;
    this.#next = rank + 1;
    return ledger.at(rank) ?? now;
  }

  /** History no longer held what we asked for and the server said so: start from what comes next. */
  gap() {
    this.#next = null;
  }

  get behind() {
    return this.#next === null ? 0 : this.#ledger.top - this.#next;
  }

  #remember(id) {
    this.#ids.add(id);
    if (this.#ids.size > KEPT) this.#ids.delete(this.#ids.values().next().value);
  }
}
