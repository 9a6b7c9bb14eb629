// SPDX-License-Identifier: MIT
//
// The host as a command: what it prints, how it takes settings, and how it says that one is wrong.

import assert from "node:assert/strict";
import http from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { Host, withHost } from "./support/host.mjs";
import { request } from "./support/http.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const FILES = {
  "hello.lua": `return {
    { path = "/hello", method = "GET", respond = function() return 200, "hello" end },
    { path = "/ws", message = function(conn, text) return conn:send(text) end },
  }`,
  "public/file.txt": "file",
};

describe("the command", () => {
  it("tells its version and its help", async () => {
    const version = await Host.command(["version"]);
    assert.equal(version.code, 0);
    assert.match(version.stdout, /^hark \d+\.\d+\.\d+/);
    for (const word of ["help", "--help"]) {
      const help = await Host.command([word]);
      assert.equal(help.code, 0);
      for (const said of ["run DIR", "--listen", "--admin", "--workers", "--degraded", "hark.conf.lua", "HARK_WORKERS", "exit status"]) {
        assert.ok(help.stdout.includes(said), said);
      }
    }
  });

  const wrong = {
    "no command": [[], /command/],
    "an unknown command": [["dance"], /dance/],
    "no directory": [["run"], /directory/],
    "two directories": [["run", "a", "b"], /b/],
    "a directory that is not there": [["run", "/no/such/place"], /\/no\/such\/place/],
    "an unknown option": [["run", ".", "--listening", "x"], /--listening/],
    "an option without its value": [["run", ".", "--workers"], /--workers/],
    "no number of workers": [["run", ".", "--workers", "many"], /many/],
    "no worker at all": [["run", ".", "--workers", "0"], /0/],
    "an address that is none": [["run", ".", "--listen", "nonsense"], /nonsense/],
    "a port that is none": [["run", ".", "--listen", "127.0.0.1:99999"], /99999/],
  };
  for (const [name, [args, said]] of Object.entries(wrong)) {
    it(`with ${name} is exit status 2 and says what is wrong`, async () => {
      const res = await Host.command(args);
      assert.equal(res.code, 2, res.stderr);
      assert.match(res.stderr, said);
      assert.equal(res.stdout, "");
    });
  }
});

describe("settings", () => {
  const wrong = {
    "an unknown key": [`{ lisen = ":1" }`, /lisen.*listen/s],
    "an unknown limit": [`{ limits = { mesage = 1 } }`, /limits.*mesage.*message/s],
    "a wrong type": [`{ workers = "two" }`, /workers.*two.*1 to 64/s],
    "a wrong unit": [`{ drain = "5 parsecs" }`, /drain.*5 parsecs.*ms/s],
    "a wrong size": [`{ limits = { message = "1 elephant" } }`, /message.*1 elephant.*KiB/s],
    "a wrong level": [`{ log_level = "loud" }`, /log_level.*loud.*debug/s],
    "no table": [`5`, /hark\.conf\.lua/],
  };
  for (const [name, [table, said]] of Object.entries(wrong)) {
    it(`with ${name} are exit status 2 and name it, with what is allowed`, async () => {
      const { code, stderr } = await Host.fails(FILES, { conf: `return ${table}` });
      assert.equal(code, 2, stderr);
      assert.match(stderr, said);
    });
  }

  it("that do not parse are exit status 2 with the line", async () => {
    const { code, stderr } = await Host.fails(FILES, { conf: "return {\n  listen = ,\n}" });
    assert.equal(code, 2);
    assert.match(stderr, /hark\.conf\.lua:2/);
  });

  it("are all told at once when several are wrong", async () => {
    const { stderr } = await Host.fails(FILES, { conf: `return { drain = "x", workers = 0, lisen = 1 }` });
    for (const word of [/drain/, /workers/, /lisen/]) assert.match(stderr, word);
  });

  it("come from the file, then the environment, then the flags", async () => {
    const workers = async (options) => {
      const host = await Host.start(FILES, options);
      const { workers: n } = await host.status();
      await host.stop();
      return n;
    };
    const conf = `return { workers = 1 }`;
    const env = { HARK_WORKERS: "2" };
    assert.equal(await workers({ workers: null, conf }), 1);
    assert.equal(await workers({ workers: null, conf, env }), 2);
    assert.equal(await workers({ workers: 3, conf, env }), 3);
  });

  it("in the environment are checked too", async () => {
    const { code, stderr } = await Host.fails(FILES, { env: { HARK_WORKERS: "none" } });
    assert.equal(code, 2);
    assert.match(stderr, /workers.*none/);
  });

  it("choose how much is logged", async () => {
    await withHost(FILES, { env: { HARK_LOG_LEVEL: "error" } }, async (host) => {
      await request(`${host.url}/hello`);
      assert.equal(host.stderr, "");
    });
  });

  it("turn an access log on: one line a request, with its id", async () => {
    await withHost(FILES, { conf: `return { access_log = true }` }, async (host) => {
      const hello = await request(`${host.url}/hello?q=1`, { headers: { "x-request-id": "one-of-mine" } });
      assert.equal(hello.status, 200);
      const line = await host.logged((f) => Object.values(f).includes("one-of-mine"), "the request");
      assert.equal(line.event, "access");
      assert.deepEqual([line.method, line.path, line.status], ["GET", "/hello", "200"]);
      await request(`${host.url}/nowhere`, { headers: { "x-request-id": "another" } });
      assert.equal((await host.logged((f) => Object.values(f).includes("another"), "the refusal")).status, "404");
      const ws = await openWebSocket(`${host.ws}/ws`, { headers: { "x-request-id": "a-socket" } });
      assert.equal((await host.logged((f) => Object.values(f).includes("a-socket"), "the upgrade")).status, "101");
      ws.destroy();
      const forged = "/x%0a2026-01-01T00:00:00.000Z%20error%20event=forged";
      await request(`${host.url}${forged}`, { headers: { "x-request-id": "a-forger" } });
      await host.logged((f) => Object.values(f).includes("a-forger"), "the forger");
      assert.doesNotMatch(host.stderr, /^\S+ error event=forged/m, "a client cannot forge a line");
    });
  });

  it("turn files off", async () => {
    await withHost(FILES, {}, async (host) => assert.equal((await request(`${host.url}/file.txt`)).text, "file"));
    await withHost(FILES, { conf: `return { public = false }` }, async (host) =>
      assert.equal((await request(`${host.url}/file.txt`)).status, 404));
  });
});

describe("addresses", () => {
  it("may be several", async () => {
    await withHost(FILES, { listen: "127.0.0.1:0,127.0.0.2:0" }, async (host) => {
      assert.equal(host.addresses.length, 2);
      for (const address of host.addresses) assert.equal((await request(`${address}/hello`)).text, "hello");
    });
  });

  it("may be a Unix socket, for both", async () => {
    const dir = await mkdtemp(join(tmpdir(), "hark-sock-"));
    try {
      await withHost(FILES, { listen: `127.0.0.1:0,unix:${dir}/hark.sock`, workers: 2 }, async (host) => {
        assert.ok(host.addresses.some((a) => a.includes(`${dir}/hark.sock`)), host.addresses.join());
        const text = await new Promise((resolve, reject) => {
          http.get({ socketPath: `${dir}/hark.sock`, path: "/hello", agent: false }, (res) => {
            res.setEncoding("utf8").on("data", resolve);
          }).on("error", reject);
        });
        assert.equal(text, "hello");
      });
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
