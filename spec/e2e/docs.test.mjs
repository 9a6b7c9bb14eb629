// SPDX-License-Identifier: MIT
//
// The examples of docs/clients.md, typed into a shell as written against the demo's scripts: each line
// of output that the page shows must come.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { Host } from "./support/host.mjs";
import { DEADLINE, deferred, within } from "./support/wait.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = await readFile(`${root}docs/clients.md`, "utf8");

async function demo() {
  const files = {};
  for (const entry of await readdir(`${root}scripts`, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath ?? entry.path}/${entry.name}`;
    files[path.slice(`${root}scripts/`.length)] = await readFile(path);
  }
  return files;
}

/** The console examples as steps: a command and the lines that follow it, by the heading above. */
function examples(text) {
  const found = [];
  let heading = "";
  for (const m of text.matchAll(/^#+ (.*)$|^```console\n([\s\S]*?)^```$/gm)) {
    if (m[1]) heading = m[1];
    if (!m[2]) continue;
    const steps = [];
    for (const line of m[2].trimEnd().split("\n")) {
      if (line.startsWith("$ ")) steps.push({ command: line.slice(2), lines: [] });
      else steps.at(-1).lines.push(line);
    }
    found.push({ heading, steps });
  }
  return found;
}

function permutations(list) {
  if (list.length < 2) return [list];
  return list.flatMap((one, i) => permutations(list.filter((_, at) => at !== i)).map((others) => [one, ...others]));
}

/** The line with the keys of the JSON object that it begins with in every order: JSON has none. */
function orders(line) {
  const text = line.slice(0, line.lastIndexOf("}") + 1);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return [line];
  }
  if (Array.isArray(value)) return [line];
  return permutations(Object.entries(value)).map((list) => JSON.stringify(Object.fromEntries(list)) + line.slice(text.length));
}

function pattern(line) {
  const plain = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(orders(line).map((one) => one.split("...").map(plain).join("[^\n]*")).join("|"), "i");
}

/** A shell that is fed line by line; its output, of commands in the background too, is one text. */
class Shell {
  text = "";
  #wake = deferred();

  constructor(env) {
    this.child = spawn("bash", { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env }, detached: true });
    this.child.stdout.setEncoding("utf8").on("data", (text) => {
      this.text += text.replaceAll("\r", "");
      this.#wake.resolve();
      this.#wake = deferred();
    });
  }

  /** Types a command and awaits every line that belongs to it. */
  async type({ command, lines }) {
    const from = this.text.length;
    this.child.stdin.write(`${command}\n`);
    for (const line of lines) {
      while (!pattern(line).test(this.text.slice(from))) {
        await within(this.#wake.promise, () => `${line} after ${command}; came: ${this.text.slice(from)}`, DEADLINE);
      }
    }
  }

  end() {
    process.kill(-this.child.pid, "SIGKILL"); // its own group: the commands it left running
  }
}

describe("docs/clients.md", () => {
  let host;
  before(async () => {
    host = await Host.start(await demo(), { workers: 2 });
  });
  after(() => host?.stop());

  for (const { heading, steps } of examples(page)) {
    it(`${heading}: ${steps[0].command.slice(0, 60)}`, async () => {
      const shell = new Shell({ KEY: host.key });
      try {
        for (const step of steps) {
          const command = step.command.replaceAll("127.0.0.1:8080", `127.0.0.1:${host.port}`)
            .replaceAll("127.0.0.1:8081", `127.0.0.1:${host.adminPort}`);
          await shell.type({ ...step, command });
        }
      } finally {
        shell.end();
      }
    });
  }

  it("has examples at all, and no link to a heading that is not there", () => {
    assert.ok(examples(page).length >= 8);
    const anchors = new Set([...page.matchAll(/^#+ (.*)$/gm)].map((m) => m[1].toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-")));
    for (const m of page.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.has(m[1]), m[1]);
  });
});
