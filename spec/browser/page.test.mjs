// SPDX-License-Identifier: MIT
//
// The demo page in a real browser, on a host that serves a copy of scripts/: three transports side by
// side, every message in every column, in order, once, over cuts and over a reload. Each test uses a
// channel of its own. Screenshots go to build/browser (or HARK_SHOTS), to be looked at.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { demo } from "../e2e/support/demo.mjs";
import { Host } from "../e2e/support/host.mjs";
import { DEADLINE } from "../e2e/support/wait.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SHOTS = process.env.HARK_SHOTS ?? join(ROOT, "build", "browser");
const COLUMNS = ["websocket", "sse", "longpoll"];
const DESKTOP = { viewport: { width: 1360, height: 1050 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

let host, browser;

before(async () => {
  await mkdir(SHOTS, { recursive: true });
  host = await Host.start(await demo(), { workers: 2 });
  browser = await chromium.launch({
    executablePath: process.env.HARK_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update"],
  });
});

after(async () => {
  await browser?.close();
  await host?.stop();
});

test("a message over each transport reaches all three columns, in order", async (t) => {
  const page = await open(t, "order");
  const said = [];
  for (const via of COLUMNS) {
    await choose(page, via);
    for (const text of [`one over ${via}`, `two over ${via}`]) {
      said.push(text);
      await say(page, text);
      await heard(page, COLUMNS, text);
    }
  }
  for (const column of COLUMNS) assert.deepEqual(await texts(page, column), said);
  assert.match(await verdict(page), /^In step: 6 messages/);
});

test("bursts over each transport stay whole and in order", async (t) => {
  const page = await open(t, "burst");
  for (const [i, via] of COLUMNS.entries()) {
    await choose(page, via);
    await page.click('[data-part="burst"]');
    await counted(page, COLUMNS, 20 * (i + 1));
  }
  const [first, ...others] = await Promise.all(COLUMNS.map((column) => texts(page, column)));
  assert.deepEqual(first, [...first].sort(), "the numbers within the bursts rise");
  for (const other of others) assert.deepEqual(other, first);
  assert.match(await verdict(page), /^In step: 60 messages/);
});

for (const column of COLUMNS) {
  test(`${column} is cut, misses messages and comes back to them`, async (t) => {
    const page = await open(t, `cut-${column}`);
    const others = COLUMNS.filter((name) => name !== column);
    const said = ["before"];
    await choose(page, others[0]);
    await say(page, "before");
    await heard(page, COLUMNS, "before");

    for (const round of ["first", "second"]) {
      await page.click(`#${column} [data-part="cut"]`);
      await state(page, column, "cut");
      for (let i = 1; i <= 8; i++) {
        said.push(`${round} ${i}`);
        await say(page, said.at(-1));
        await heard(page, others, said.at(-1));
      }
      assert.match(await verdict(page), /is cut off, \d+ behind\.$/);
      assert.ok(!(await texts(page, column)).includes(`${round} 1`), "it hears nothing while cut");
      await page.click(`#${column} [data-part="cut"]`);
      await heard(page, [column], said.at(-1));
    }
    said.push("after");
    await say(page, "after");
    await heard(page, COLUMNS, "after");

    for (const name of COLUMNS) assert.deepEqual(await texts(page, name), said, name);
    assert.equal(await page.locator(`#${column} .log .missed`).count(), 16, "shown as caught up");
    assert.match(await verdict(page), /^In step: 18 messages/);
    await page.screenshot({ path: join(SHOTS, `cut-${column}.png`) });
  });
}

test("a saved script changes the next message of the same connections", async (t) => {
  const page = await open(t, "reload");
  const script = await readFile(join(ROOT, "scripts", "live.lua"), "utf8");
  const changed = script.replace(/(hark\.publish\([^\n]*, )text,/, "$1text:upper(),");
  assert.notEqual(changed, script);
  await say(page, "said before");
  await heard(page, COLUMNS, "said before");
  try {
    await host.write("live.lua", changed);
    await host.reloaded("live");
    await say(page, "said after");
    await heard(page, COLUMNS, "SAID AFTER");
  } finally {
    await host.write("live.lua", script);
    await host.reloaded("live");
  }
  await say(page, "and back");
  await heard(page, COLUMNS, "and back");
  for (const column of COLUMNS) {
    assert.deepEqual(await texts(page, column), ["said before", "SAID AFTER", "and back"]);
    assert.equal(await page.locator(`#${column} .log .note`).count(), 0, `${column} was never lost`);
  }
});

test("it is used by keyboard alone", async (t) => {
  const page = await open(t, "keys");
  const focused = (selector) => page.evaluate((s) => document.activeElement.matches(s), selector);
  await page.keyboard.press("Tab");
  assert.ok(await focused("#text"));
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  await heard(page, COLUMNS, "typed");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  assert.ok(await focused("[name=via][value=websocket]"));
  await page.keyboard.press("ArrowRight");
  assert.ok(await focused("[name=via][value=sse]:checked"));
  for (let i = 0; i < 20 && !(await focused('#websocket [data-part="cut"]')); i++) {
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Space");
  await state(page, "websocket", "cut");
  await page.keyboard.press("Space");
  await state(page, "websocket", "open");
});

for (const [name, device] of [["desktop", DESKTOP], ["phone", PHONE]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`it fits a ${name} in ${colorScheme}`, async (t) => {
      const page = await open(t, `${name}-${colorScheme}`, { ...device, colorScheme });
      for (const text of ["hello", "can you all hear me?"]) {
        await say(page, text);
        await heard(page, COLUMNS, text);
      }
      await page.click('[data-part="burst"]');
      await counted(page, COLUMNS, 22);
      await say(page, "in step");
      await heard(page, COLUMNS, "in step");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `nothing sticks out to the side (${wide} px)`);
      await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`), fullPage: true });
    });
  }
}

/** Opens the page on `channel` and awaits three connected columns. Whatever it complains of fails. */
async function open(t, channel, options = DESKTOP) {
  const page = await browser.newPage(options);
  const complaints = [];
  page.setDefaultTimeout(DEADLINE);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  page.on("request", (request) => {
    if (!request.url().startsWith(host.url)) complaints.push(`asks elsewhere: ${request.url()}`);
  });
  t.after(async () => {
    await page.close();
    assert.deepEqual(complaints, []);
  });
  await page.goto(`${host.url}/?channel=${channel}`);
  for (const column of COLUMNS) await state(page, column, "open");
  return page;
}

const state = (page, column, name) => page.waitForSelector(`#${column}[data-state="${name}"]`);
const choose = (page, via) => page.check(`[name=via][value=${via}]`, { force: true });
const verdict = (page) => page.textContent('[data-part="verdict"]');

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

/** What a column's log shows, oldest first. */
function texts(page, column) {
  return page.locator(`#${column} .log .body`).evaluateAll((rows) => rows.map((row) => row.textContent).reverse());
}

async function heard(page, columns, text) {
  for (const column of columns) {
    await page.locator(`#${column} .log .body`).getByText(text, { exact: true }).first().waitFor();
  }
}

async function counted(page, columns, count) {
  for (const column of columns) {
    await page.locator(`#${column} [data-part="count"]`).getByText(String(count), { exact: true }).waitFor();
  }
}
