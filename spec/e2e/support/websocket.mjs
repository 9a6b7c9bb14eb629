// SPDX-License-Identifier: MIT
//
// npm's `ws` with its events in an inbox.

import { WebSocket } from "ws";

import { deferred, Inbox, within } from "./wait.mjs";

/** Opens `url`; gives `{ messages, send, next, close, closed, cut, destroy, protocol, session }`. */
export async function openWebSocket(url, { protocols = [], headers = {}, ...options } = {}) {
  const socket = new WebSocket(url, protocols, { headers, perMessageDeflate: false, ...options });
  const client = { socket, messages: new Inbox("the WebSocket"), pings: new Inbox("pings"), head: null };
  const opened = deferred();
  const closed = deferred();
  socket.on("upgrade", (res) => {
    client.head = res.headers;
  });
  socket.on("open", opened.resolve);
  socket.on("message", (data, binary) => client.messages.push(binary ? data : data.toString("utf8")));
  socket.on("ping", (data) => client.pings.push(data));
  socket.on("unexpected-response", (req, res) => {
    const parts = [];
    res.on("data", (part) => parts.push(part));
    res.on("end", () => {
      const error = new Error(`refused with ${res.statusCode}`);
      const text = Buffer.concat(parts).toString("utf8");
      opened.reject(Object.assign(error, { status: res.statusCode, headers: res.headers, text }));
      req.destroy();
    });
  });
  socket.on("error", (error) => opened.reject(error));
  socket.on("close", (code, reason) => {
    closed.resolve({ code, reason: reason.toString("utf8") });
    client.messages.end(`close ${code} ${reason}`);
  });
  await within(opened.promise, `a WebSocket to ${url}`);
  return Object.assign(client, {
    protocol: socket.protocol,
    session: client.head?.["hark-session"],
    send: (data) => socket.send(data),
    json: async (what) => JSON.parse(await client.messages.next(what)),
    next: (what) => client.messages.next(what),
    close: (code = 1000, reason = "") => {
      socket.close(code, reason);
      return within(closed.promise, "the WebSocket to close");
    },
    closed: (what = "the WebSocket to be closed") => within(closed.promise, what),
    cut: () => socket._socket.resetAndDestroy(),
    destroy: () => socket.terminate(),
  });
}

/** Expects a refusal before 101; gives `{ status, headers, text }`. */
export async function refusedWebSocket(url, options) {
  try {
    const client = await openWebSocket(url, options);
    client.socket.terminate();
  } catch (error) {
    if (error.status) return error;
    throw error;
  }
  throw new Error(`${url} was not refused`);
}
