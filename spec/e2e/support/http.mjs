// SPDX-License-Identifier: MIT
//
// One HTTP request on a connection of its own (so that it lands on any worker), by Node's client.
// Where bytes matter the tests use raw.mjs instead.

import http from "node:http";

import { DEADLINE, within } from "./wait.mjs";

/** Gives `{ status, headers, text, buffer, json() }`. `signal` aborts. No redirect is followed. */
export function request(url, { method = "GET", headers = {}, body, agent = false, signal, ms = DEADLINE } = {}) {
  const answer = new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers, agent, signal }, (res) => {
      const parts = [];
      res.on("data", (part) => parts.push(part));
      res.on("error", reject);
      res.on("end", () => {
        const buffer = Buffer.concat(parts);
        const text = buffer.toString("utf8");
        resolve({ status: res.statusCode, headers: res.headers, buffer, text, json: () => JSON.parse(text) });
      });
    });
    req.on("error", reject);
    req.on("upgrade", (res, socket) => {
      socket.destroy();
      reject(new Error(`unexpected ${res.statusCode} to ${method} ${url}`));
    });
    req.end(body);
  });
  return within(answer, `an answer to ${method} ${url}`, ms);
}

export function post(url, body, headers = {}) {
  return request(url, { method: "POST", body, headers });
}

/** Percent-coding for a path's last part, slashes included. */
export const coded = encodeURIComponent;
