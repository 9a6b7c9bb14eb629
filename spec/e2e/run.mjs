// SPDX-License-Identifier: MIT
//
// Runs the end-to-end tests and ends with one line to add up: `e2e: N passed, N failed, N skipped`.
// Usage: HARK_BIN=/path/to/hark node spec/e2e/run.mjs [name ...]   (names: websocket, resume, ...)
// HARK_TEST_JOBS sets how many files run at once (2), HARK_TEST_SLOW stretches the deadlines.

import { readdirSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const wanted = process.argv.slice(2);
const SLOW = Number(process.env.HARK_TEST_SLOW ?? 1);
const PER_FILE = 120_000 * SLOW;

// The support's own tests first: when they fail, nothing else means anything. Then the longest.
const ORDER = ["support", "reload", "resume", "longpoll", "channels"];

function files() {
  const all = [...readdirSync(here), ...readdirSync(`${here}support`).map((name) => `support/${name}`)]
    .filter((name) => name.endsWith(".test.mjs"));
  const stem = (name) => name.replace(/^.*\//, "").replace(/\.test\.mjs$/, "");
  const rank = (name) => (ORDER.indexOf(stem(name)) + 1 || ORDER.length + 1);
  const chosen = wanted.length === 0 ? all : all.filter((name) => wanted.includes(stem(name)));
  return chosen.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b)).map((name) => here + name);
}

if (!process.env.HARK_BIN) {
  console.error("HARK_BIN must name the hark binary under test");
  process.exit(2);
}

const list = files();
if (list.length === 0) {
  console.error(`no test file is called ${wanted.join(" or ")}`);
  process.exit(2);
}

const count = { passed: 0, failed: 0, skipped: 0 };
const stream = run({ files: list, concurrency: Number(process.env.HARK_TEST_JOBS ?? 2), timeout: PER_FILE });

const isFile = (data) => list.includes(data.name);
const isSuite = (data) => data.details?.type === "suite";

stream.on("test:pass", (data) => {
  if (isSuite(data) || isFile(data)) return;
  if (data.skip !== undefined || data.todo !== undefined) count.skipped += 1;
  else count.passed += 1;
});
stream.on("test:fail", (data) => {
  // A suite or file fails with its tests, which are counted; but also by a hook, a crash or a time-out.
  const own = data.details?.error?.failureType;
  if ((isSuite(data) || isFile(data)) && own === "subtestsFailed") return;
  count.failed += 1;
});
stream.on("end", () => {
  process.exitCode = count.failed > 0 ? 1 : 0;
  setImmediate(() => console.log(`e2e: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`));
});
stream.compose(new spec()).pipe(process.stdout);
