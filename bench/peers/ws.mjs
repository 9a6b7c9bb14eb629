// SPDX-License-Identifier: MIT
//
// Peer: npm's ws on node's http server, written as its documentation does a broadcast. The routes
// are those of the bare reference: /ch/N subscribes, /pub/N publishes, /echo echoes.
// WS_FROM names the directory whose node_modules holds ws.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WS_FROM ?? import.meta.dirname}/`);
const { WebSocket, WebSocketServer } = require("ws");

const channels = new Map();

function subscribe(name, socket) {
  if (!channels.has(name)) channels.set(name, new Set());
  const sockets = channels.get(name);
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
}

function publish(name, data, binary) {
  for (const socket of channels.get(name) ?? []) {
    if (socket.readyState === WebSocket.OPEN) socket.send(data, { binary });
  }
}

const server = createServer((req, res) => res.writeHead(426).end());
const sockets = new WebSocketServer({ noServer: true });

server.on("upgrade", (req, raw, head) => {
  const [, kind, name] = req.url.split("/");
  if (!["ch", "pub", "echo"].includes(kind)) {
    raw.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  sockets.handleUpgrade(req, raw, head, (socket) => {
    socket.on("error", () => socket.terminate());
    if (kind === "ch") subscribe(name, socket);
    if (kind === "pub") socket.on("message", (data, binary) => publish(name, data, binary));
    if (kind === "echo") socket.on("message", (data, binary) => socket.send(data, { binary }));
  });
});

server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`listen http://127.0.0.1:${server.address().port}`);
});
process.on("SIGTERM", () => process.exit(0));
