// SPDX-License-Identifier: MIT
//
// Runs the host under test (HARK_BIN) on a script directory of its own and two ephemeral loopback
// ports. Knows the host only from outside: what it prints, what it logs, what its admin address
// answers. `stop` is part of each test: exit status 0 and no word from a sanitizer.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

import { request } from "./http.mjs";
import { DEADLINE, deferred, Inbox, within } from "./wait.mjs";

const SANITIZER = /(ERROR|WARNING|SUMMARY): (Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:/;

/** One logfmt line as an object; `TIME LEVEL` come first, then `key=value` or `key="quoted"`. */
export function parseLog(line) {
  const fields = {};
  const words = /^(\S+) +(\w+) +/.exec(line);
  if (words) Object.assign(fields, { time: words[1], level: words[2].toLowerCase() });
  for (const m of line.matchAll(/([A-Za-z_][\w.-]*)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g)) {
    fields[m[1]] = m[2] === undefined ? m[3] : m[2].replace(/\\(.)/g, unescape);
  }
  return fields;
}

function unescape(_, c) {
  return { n: "\n", r: "\r", t: "\t" }[c] ?? c;
}

export class Host {
  /**
   * `files`: name -> text; a name ending in "/" makes a folder. Options: `workers` (null: not said),
   * `listen`, `args` (more flags), `env`, `conf` (text of hark.conf.lua).
   */
  static async start(files, { workers = 1, listen = "127.0.0.1:0", args = [], env = {}, conf } = {}) {
    const host = new Host();
    host.dir = await mkdtemp(join(tmpdir(), "hark-e2e-"));
    if (conf) files = { "hark.conf.lua": conf, ...files };
    for (const [name, text] of Object.entries(files)) await host.put(name, text);
    host.#spawn(["run", host.dir, "--listen", listen, "--admin", "127.0.0.1:0",
                 ...(workers === null ? [] : ["--workers", String(workers)]), ...args], env);
    try {
      await host.#ready();
    } catch (error) {
      await host.kill();
      throw error;
    }
    return host;
  }

  /** Runs the binary with these arguments to its end; gives `{ code, stdout, stderr }`. */
  static async command(args, env = {}) {
    const child = spawn(process.env.HARK_BIN, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => { stdout += text; });
    child.stderr.setEncoding("utf8").on("data", (text) => { stderr += text; });
    const done = deferred();
    child.once("error", done.reject);
    child.once("close", (code, signal) => done.resolve(code ?? signal));
    try {
      return { code: await within(done.promise, `hark ${args.join(" ")} to end`), stdout, stderr };
    } finally {
      child.kill("SIGKILL");
    }
  }

  /** Starts a host that is expected to end by itself; gives `{ code, stderr }`. */
  static async fails(files, { args = [], env = {}, conf } = {}) {
    const host = new Host();
    host.dir = await mkdtemp(join(tmpdir(), "hark-e2e-"));
    if (conf) files = { "hark.conf.lua": conf, ...files };
    for (const [name, text] of Object.entries(files)) await host.put(name, text);
    host.#spawn(["run", host.dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", ...args], env);
    try {
      const code = await within(host.#exit.promise, "the host to give up");
      return { code, stderr: host.stderr };
    } finally {
      await host.kill();
    }
  }

  addresses = [];
  log = new Inbox("the host's log");
  stderr = "";
  #lines = [];
  #mark = 0;
  #listeners = new Set();
  #exit = deferred();
  #stdout = new Inbox("the host's standard output");

  #spawn(args, env) {
    const bin = process.env.HARK_BIN;
    assert.ok(bin, "HARK_BIN must name the hark binary under test");
    this.child = spawn(bin, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.child.once("error", (error) => this.#exit.reject(error));
    this.child.once("close", (code, signal) => {
      this.#stdout.end(`exit ${code ?? signal}`);
      this.log.end(`exit ${code ?? signal}`);
      this.#exit.resolve(code ?? signal);
    });
    createInterface({ input: this.child.stdout }).on("line", (line) => this.#stdout.push(line));
    createInterface({ input: this.child.stderr }).on("line", (line) => this.#onLine(line));
  }

  #onLine(line) {
    this.stderr += `${line}\n`;
    const fields = parseLog(line);
    this.#lines.push(fields);
    this.log.push(fields);
    for (const wake of [...this.#listeners]) wake();
  }

  async #ready() {
    let listen, admin;
    while (!listen || !admin) {
      const line = await within(
        Promise.race([this.#stdout.next("listen and admin lines"), this.#exit.promise.then(() => null)]),
        "the host to listen");
      if (line === null) throw new Error(`the host ended at start:\n${this.stderr}`);
      if (line.startsWith("listen ")) this.addresses.push(line.slice(7));
      listen ??= /^listen (http:\/\/127\.0\.0\.1:(\d+))\s*$/.exec(line);
      admin ??= /^admin (http:\/\/127\.0\.0\.1:(\d+))(?: key=(\S+))?\s*$/.exec(line);
    }
    [, this.url, this.port] = [listen[0], listen[1], Number(listen[2])];
    [, this.admin, this.adminPort, this.key] = [admin[0], admin[1], Number(admin[2]), admin[3]];
    this.ws = this.url.replace("http:", "ws:");
  }

  /** Puts a file into the script directory before anybody looks, or where no reload is awaited. */
  async put(name, text) {
    const path = join(this.dir, name);
    if (name.endsWith("/")) return mkdir(path, { recursive: true });
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  /** Saves a script as editors do: a hidden file beside it, then a rename over it. */
  async write(name, text) {
    this.#mark = this.#lines.length;
    const path = join(this.dir, name);
    await mkdir(dirname(path), { recursive: true });
    const aside = join(dirname(path), `.${name.replaceAll("/", "_")}.tmp`);
    await writeFile(aside, text);
    await rename(aside, path);
  }

  async remove(name) {
    this.#mark = this.#lines.length;
    await unlink(join(this.dir, name));
  }

  /** Makes a link, or swaps one in a single step as kubelet does. */
  async link(target, name) {
    const aside = join(this.dir, `.${name.replaceAll("/", "_")}.link`);
    await symlink(target, aside);
    await rename(aside, join(this.dir, name));
  }

  /** Awaits the first log line since the last `write` or found line for which `match` holds. */
  async logged(match, what, ms = DEADLINE) {
    const hit = deferred();
    const look = () => {
      const at = this.#lines.findIndex((f, i) => i >= this.#mark && match(f));
      if (at < 0) return;
      this.#mark = at + 1;
      hit.resolve(this.#lines[at]);
    };
    this.#listeners.add(look);
    look();
    try {
      return await within(hit.promise, () => `the log to say ${what}; it says\n${this.stderr.slice(-3000)}`, ms);
    } finally {
      this.#listeners.delete(look);
    }
  }

  /** Awaits `event=reload app=NAME result=ok|refused` after the last `write`. */
  reloaded(app, result = "ok") {
    return this.logged((f) => f.event === "reload" && f.app === app && f.result === result,
                       `event=reload app=${app} result=${result}`);
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Awaits the end that a test asked for; gives the exit status. */
  exited(what = "the host to exit", ms = 3 * DEADLINE) {
    return within(this.#exit.promise, what, ms);
  }

  // Admin --------------------------------------------------------------------------------------

  api(path, { method = "GET", body, headers = {}, key = this.key } = {}) {
    const json = body !== undefined && typeof body !== "string";
    return request(`${this.admin}${path}`, {
      method,
      body: json ? JSON.stringify(body) : body,
      headers: {
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
    });
  }

  /** Publishes from outside, as a fourth process does; gives the position. */
  async publish(channel, data, opts = {}) {
    const res = await this.api("/publish", { method: "POST", body: { channel, data, ...opts } });
    assert.equal(res.status, 200, `publish to ${channel}: ${res.text}`);
    return res.json().position;
  }

  /** Publishes many in one request, in order. */
  async publishAll(channel, items, opts = {}) {
    const body = items.map((data) => ({ channel, data, ...opts }));
    const res = await this.api("/publish", { method: "POST", body });
    assert.equal(res.status, 200, `publish to ${channel}: ${res.text}`);
    return res.json();
  }

  async status() {
    const res = await this.api("/status");
    assert.equal(res.status, 200, res.text);
    return res.json();
  }

  /** All samples of the metrics page as a map from `name{labels}` to number. */
  async metrics() {
    const res = await this.api("/metrics", { key: null });
    assert.equal(res.status, 200);
    const samples = new Map();
    for (const line of res.text.split("\n")) {
      const m = /^([^#\s][^\s{]*(?:\{.*\})?) (\S+)/.exec(line);
      if (m) samples.set(m[1], Number(m[2]));
    }
    return samples;
  }

  // The end ------------------------------------------------------------------------------------

  /** Drains and checks how it ended. Every test that started a host ends with this. */
  async stop() {
    try {
      if (this.running) this.signal("SIGTERM");
      const code = await this.exited("the host to stop");
      assert.equal(code, 0, `exit status ${code}; standard error:\n${this.stderr.slice(-6000)}`);
      this.checkSanitizers();
    } finally {
      await this.kill();
    }
  }

  checkSanitizers() {
    const hit = SANITIZER.exec(this.stderr);
    assert.ok(!hit, () => `a sanitizer reports:\n${this.stderr.slice(hit.index, hit.index + 8000)}`);
  }

  async kill() {
    if (this.child?.pid && this.running) {
      this.child.kill("SIGKILL");
      await this.#exit.promise.catch(() => {});
    }
    if (this.dir) await rm(this.dir, { recursive: true, force: true });
  }
}

/** Starts one host for a whole test file: `const host = shared(files, options)`, then `host()`. */
export function shared(hooks, files, options) {
  let host;
  hooks.before(async () => {
    host = await Host.start(files, options);
  });
  hooks.after(async () => {
    await host?.stop();
  });
  return () => host;
}

/** Runs `body(host)` on a host of its own and stops it, also when the body fails. */
export async function withHost(files, options, body) {
  const host = await Host.start(files, options);
  try {
    await body(host);
  } catch (error) {
    await host.kill();
    throw new Error(`${error.message}\n--- host's log ---\n${host.stderr.slice(-3000)}`, { cause: error });
  }
  await host.stop();
}
