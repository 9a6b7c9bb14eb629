// SPDX-License-Identifier: MIT
//
// Waiting with a deadline. A test never sleeps to let something happen: it awaits the event, and a
// deadline turns a missing event into a failure that says what was awaited. Deadlines are no timing
// assertions: they are long, and HARK_TEST_SLOW (a factor) stretches them for instrumented builds.

const SLOW = Number(process.env.HARK_TEST_SLOW ?? 1);

/** The usual deadline for one awaited event, in milliseconds. */
export const DEADLINE = 10_000 * SLOW;

export class DeadlineError extends Error {}

/** Awaits `promise`; fails naming `what` when `ms` have passed. */
export async function within(promise, what, ms = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === "function" ? what() : what;
      reject(new DeadlineError(`waited ${ms} ms for ${text}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks `probe` again and again until it gives something true, and returns that. Only for state that
 * is seen from outside alone (a metric, a status page): everything else has an event to await.
 */
export async function until(probe, what, ms = DEADLINE) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (Date.now() > end) throw new DeadlineError(`waited ${ms} ms until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

/** A promise with its handles outside: `{ promise, resolve, reject }`. */
export function deferred() {
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  d.promise.catch(() => {}); // whoever awaits it sees the failure; nobody has to
  return d;
}

/** What arrived and has not been looked at yet, in order; `next` awaits what has not arrived yet. */
export class Inbox {
  #items = [];
  #waiter = null;
  #end = null;

  constructor(name = "inbox") {
    this.name = name;
  }

  push(item) {
    this.#items.push(item);
    this.#wake();
  }

  /** Nothing more will come; a pending or later `next` fails with this reason. */
  end(reason = "the end") {
    this.#end ??= reason;
    this.#wake();
  }

  get size() {
    return this.#items.length;
  }

  get ended() {
    return this.#end !== null && this.#items.length === 0;
  }

  /** The next item, whatever it is. */
  async next(what = "an item", ms = DEADLINE) {
    while (this.#items.length === 0) {
      if (this.#end !== null) throw new Error(`${this.name} ended (${this.#end}) before ${what}`);
      this.#waiter ??= deferred();
      await within(this.#waiter.promise, () => `${what} from ${this.name}`, ms);
    }
    return this.#items.shift();
  }

  /** The next item that matches; those before it are dropped. */
  async find(match, what = "a matching item", ms = DEADLINE) {
    const end = Date.now() + ms;
    for (;;) {
      const item = await this.next(what, Math.max(1, end - Date.now()));
      if (match(item)) return item;
    }
  }

  /** The next `n` items. */
  async take(n, what = `${n} items`, ms = DEADLINE) {
    const taken = [];
    while (taken.length < n) {
      taken.push(await this.next(`${what} (has ${taken.length} of ${n})`, ms));
    }
    return taken;
  }

  /** Everything that is here now. */
  rest() {
    return this.#items.splice(0);
  }

  #wake() {
    this.#waiter?.resolve();
    this.#waiter = null;
  }
}

/** Registers the end of a client with the test that opened it, and gives the client back. */
export async function tidy(t, opening) {
  const client = await opening;
  t.after(() => client.destroy());
  return client;
}
