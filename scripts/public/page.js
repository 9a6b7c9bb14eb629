// SPDX-License-Identifier: MIT
// Puts the page together: three columns on one channel, the box that sends, and the verdict that
// compares what the columns heard. `?channel=name` listens to another channel than live/demo.

import { beat, Column } from "./column.js";
import { Ledger } from "./ledger.js";
import { Sent } from "./sent.js";
import { LongPollTransport, SseTransport, WebSocketTransport } from "./transports.js";

const BURST = 20;
const TICK_MS = 50;

const part = (name) => document.querySelector(`[data-part="${name}"]`);
const asked = new URLSearchParams(location.search).get("channel") ?? "";
const name = /^[\w.-]{1,64}$/.test(asked) ? asked : "demo";
const path = `/live/${name}`;
const me = Math.random().toString(36).slice(2, 5); // tells two open pages apart
const ledger = new Ledger();
const sent = new Sent();
let sentCount = 0;

const columns = [
  ["websocket", "WebSocket", "One socket, both ways.", new WebSocketTransport(path)],
  ["sse", "Server-Sent Events", "One response without end.", new SseTransport(path)],
  ["longpoll", "Long polling", "One request after another.", new LongPollTransport(path)],
].map(([id, title, how, transport]) => {
  const root = document.getElementById("column");
  const column = new Column(root, { id, title, how, transport, ledger, sent });
  const arc = document.querySelector(`[data-arc="${id}"]`);
  column.onchange = () => {
    arc.dataset.state = column.open ? "open" : "away";
    drawVerdict();
  };
  column.onbeat = () => beat(arc);
  part("columns").append(column.element);
  return column;
});

/** What the columns say of each other: the same messages, in the same order, or what differs. */
function drawVerdict() {
  const verdict = part("verdict");
  const faults = columns.filter(({ walk }) => walk.lost > 0 || walk.doubled > 0);
  const away = columns.filter((column) => !column.open);
  let text = "Nothing said yet. All three are listening.";
  let mood = "ok";
  if (faults.length > 0) {
    const [{ title, walk }] = faults;
    text = `${title} lost ${walk.lost} and doubled ${walk.doubled}. That is a bug: please report it.`;
    mood = "fault";
  } else if (away.length > 0) {
    text = away
      .map(({ title, state, walk }) => {
        const how = state === "cut" ? "cut off" : "connecting";
        return `${title} is ${how}${walk.behind > 0 ? `, ${walk.behind} behind` : ""}.`;
      })
      .join(" ");
    mood = "away";
  } else if (ledger.top > 0) {
    const plural = ledger.top === 1 ? "" : "s";
    text = `In step: ${ledger.top.toLocaleString("en")} message${plural}, the same in every column, none lost, none doubled.`;
  }
  if (verdict.textContent !== text) verdict.textContent = text;
  verdict.dataset.state = mood;
}

const via = () => document.querySelector("[name=via]:checked").value;

async function send(text) {
  const column = columns.find(({ id }) => id === via());
  sent.add(text);
  try {
    await column.transport.send(text);
    part("answer").textContent = "";
    return true;
  } catch (error) {
    part("answer").textContent = `Not sent over ${column.title}: ${error.message}.`;
    return false;
  }
}

/** Sends `count` numbered messages in order: each POST waits for the one before it. */
async function burst(count) {
  for (let i = 0; i < count; i++) {
    sentCount += 1;
    if (!(await send(`${me} ${String(sentCount).padStart(4, "0")}`))) return false;
  }
  return true;
}

document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const box = document.getElementById("text");
  const text = box.value.trim();
  if (text === "") return box.focus();
  box.value = "";
  send(text).then((done) => {
    if (!done && box.value === "") box.value = text;
  });
});

part("burst").addEventListener("click", () => burst(BURST));

let owed = 0; // messages that the rate asks for and that were not sent yet
let busy = false;
setInterval(async () => {
  const rate = document.querySelector("[name=rate]:checked").value;
  owed = rate === "0" ? 0 : Math.min(owed + (rate * TICK_MS) / 1000, 20);
  if (busy || owed < 1) return;
  const count = Math.floor(owed);
  owed -= count;
  busy = true;
  const done = await burst(count);
  busy = false;
  if (!done) document.querySelector("[name=rate][value='0']").checked = true;
}, TICK_MS);

part("channel").textContent = `live/${name}`;
part("shell").textContent = [
  `curl -N -H 'Accept: text/event-stream' ${location.origin}${path}`,
  `curl -i ${location.origin}${path}`,
  `curl -H 'Authorization: Bearer demo-key' \\\n  -d '{"channel":"live/${name}","data":"from a backend"}' \\\n  ${location.origin}/publish`,
].join("\n");

for (const { transport } of columns) transport.start();
