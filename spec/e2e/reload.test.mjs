// SPDX-License-Identifier: MIT
//
// Saving a script changes the next message of connections that are open; a bad save changes nothing
// and says where it is wrong. Each test on a host of its own, since it writes to the directory.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Host, withHost } from "./support/host.mjs";
import { post, request } from "./support/http.mjs";
import { Poller } from "./support/poll.mjs";
import { SseStream } from "./support/sse.mjs";
import { until } from "./support/wait.mjs";
import { openWebSocket } from "./support/websocket.mjs";

const live = (word, more = "") => `
local hark <const> = require("hark")
return {
  channels = { ["live/:id"] = { history = 1000 } },
  path = "/live/:id",
  longpoll = { wait = "20s" },
  open = function(conn)
    conn:join("live/" .. conn.params.id)
    conn.data.n = 0
    conn:send("ready")
  end,
  message = function(conn, text)
    conn.data.n = conn.data.n + 1
    return conn:send("${word} " .. conn.data.n .. " " .. text)
  end,
  ${more}
}`;

const staleOf = async (host, name) => (await host.status()).apps.find((a) => a.name === name);

describe("a good save", () => {
  it("changes the next message of the same open connections, on each transport, and keeps their data", async () => {
    await withHost({ "live.lua": live("one") }, { workers: 2 }, async (host) => {
      const ws = await openWebSocket(`${host.ws}/live/x`);
      const sse = await SseStream.open(host.port, "/live/x");
      const poll = new Poller(`${host.url}/live/x`);
      assert.equal(await ws.next(), "ready");
      assert.equal((await sse.next()).data, "ready");
      assert.equal((await poll.once()).text, "ready");
      const say = async () => {
        ws.send("a");
        assert.equal((await post(`${host.url}/live/x`, "a", { "hark-session": sse.session })).status, 204);
        assert.equal((await poll.post("a")).status, 204);
        return [await ws.next(), (await sse.next()).data, (await poll.once()).text];
      };
      assert.deepEqual(await say(), ["one 1 a", "one 1 a", "one 1 a"]);
      await host.write("live.lua", live("two"));
      const { generation } = await host.reloaded("live");
      assert.ok(Number(generation) >= 2);
      assert.deepEqual(await say(), ["two 2 a", "two 2 a", "two 2 a"]);
      await host.write("live.lua", live("three"));
      await host.reloaded("live");
      assert.deepEqual(await say(), ["three 3 a", "three 3 a", "three 3 a"]);
      await host.publish("live/x", "joins stay");
      assert.equal(await ws.next(), "joins stay");
      assert.equal((await sse.next()).data, "joins stay");
      assert.equal((await poll.once()).text, "joins stay");
      ws.destroy();
      sse.destroy();
    });
  });

  it("under load drops no connection, loses and doubles no message", async () => {
    await withHost({ "live.lua": live("v0") }, { workers: 2 }, async (host) => {
      const clients = await Promise.all(Array.from({ length: 40 }, () => openWebSocket(`${host.ws}/live/load`)));
      await Promise.all(clients.map((ws) => ws.next()));
      const stream = await SseStream.open(host.port, "/live/load");
      await stream.next();
      let [sent, going] = [0, true];
      const publisher = (async () => {
        while (going) {
          await host.publishAll("live/load", Array.from({ length: 10 }, (_, i) => `n${sent + i}`));
          sent += 10;
        }
      })();
      const echo = await openWebSocket(`${host.ws}/live/echo`);
      await echo.next();
      let echoed = 0;
      const echoer = (async () => {
        while (going) {
          echo.send(String(echoed));
          const [, n, text] = (await echo.next()).split(" ");
          assert.deepEqual([Number(n), text], [echoed + 1, String(echoed)]);
          echoed += 1;
        }
      })();
      for (let v = 1; v <= 5; v++) {
        await host.write("live.lua", live(`v${v}`));
        await host.reloaded("live");
      }
      going = false;
      await Promise.all([publisher, echoer]);
      const want = Array.from({ length: sent }, (_, i) => `n${i}`);
      for (const ws of clients) assert.deepEqual(await ws.messages.take(sent), want);
      assert.deepEqual((await stream.take(sent)).map((e) => e.data), want);
      assert.ok(echoed > 0);
      [...clients, echo, stream].forEach((c) => c.destroy());
    });
  });

  it("is seen however the file is written: in place, by rename, in a module, in a folder's init.lua", async () => {
    const files = {
      "a.lua": `local w = require("word") return { path = "/a", method = "GET", respond = function() return 200, w end }`,
      "lib/word.lua": `return "one"`,
      "app/init.lua": `return { path = "/app", method = "GET", respond = function() return 200, (require("part")) end }`,
      "app/part.lua": `return "one"`,
    };
    await withHost(files, {}, async (host) => {
      const get = async (path) => (await request(`${host.url}${path}`)).text;
      assert.deepEqual([await get("/a"), await get("/app")], ["one", "one"]);
      await host.write("lib/word.lua", `return "two"`);
      await host.reloaded("a");
      assert.equal(await get("/a"), "two");
      await host.write("app/part.lua", `return "two"`);
      await host.reloaded("app");
      assert.equal(await get("/app"), "two");
      await host.put("a.lua", files["a.lua"].replace("200, w", `200, w .. "!"`));
      await host.reloaded("a");
      assert.equal(await get("/a"), "two!");
      await host.write("new.lua", `return { path = "/new", method = "GET", respond = function() return 200, "new" end }`);
      await host.reloaded("new");
      assert.equal(await get("/new"), "new");
    });
  });

  it("that changes no byte, or an editor's own files, is no reload", async () => {
    await withHost({ "live.lua": live("one") }, {}, async (host) => {
      const { generation } = await staleOf(host, "live");
      await host.write("live.lua", live("one"));
      for (const name of [".live.lua.swp", "live.lua~", "#live.lua#", "live.lua.bak", "live.lua.tmp", "notes.txt"]) await host.put(name, "return nonsense");
      await host.write("other.lua", `return { path = "/other", respond = function() return 200 end }`);
      await host.reloaded("other");
      const apps = (await host.status()).apps;
      assert.deepEqual(apps.map((a) => a.name).sort(), ["live", "other"]);
      assert.equal(apps.find((a) => a.name === "live").generation, generation);
    });
  });

  it("is one picture also when a link is swapped under it, as Kubernetes does it", async () => {
    const app = `local w = require("word") return { path = "/a", method = "GET", respond = function() return 200, w end }`;
    await withHost({ "..1/a.lua": app, "..1/lib/word.lua": `return "one"`, "b.lua": `return { path = "/b", respond = function() return 200 end }` }, {}, async (host) => {
      await host.link("..1", "..data");
      await host.link("..data/lib", "lib");
      await host.link("..data/a.lua", "a.lua");
      await host.reloaded("a");
      assert.equal((await request(`${host.url}/a`)).text, "one");
      await host.put("..2/lib/word.lua", `return "two"`);
      await host.put("..2/a.lua", app.replace("200, w", `200, w .. " more"`));
      await host.link("..2", "..data");
      await host.reloaded("a");
      assert.equal((await request(`${host.url}/a`)).text, "two more");
    });
  });

  it("after many saves and signals at once is the last one", async () => {
    await withHost({ "live.lua": live("v0") }, {}, async (host) => {
      const ws = await openWebSocket(`${host.ws}/live/x`);
      assert.equal(await ws.next(), "ready");
      for (let i = 1; i <= 30; i++) {
        await host.put("live.lua", live(`v${i}`));
        host.signal("SIGHUP");
      }
      await until(async () => {
        ws.send("which");
        return (await ws.next()).startsWith("v30 ");
      }, "the last save is live");
      assert.equal((await staleOf(host, "live")).stale, false);
      ws.destroy();
    });
  });

  it("comes by SIGHUP too", async () => {
    await withHost({ "live.lua": live("one") }, {}, async (host) => {
      await host.write("live.lua", live("two"));
      host.signal("SIGHUP");
      await host.reloaded("live");
      host.signal("SIGHUP");
      const ws = await openWebSocket(`${host.ws}/live/x`);
      assert.equal(await ws.next(), "ready");
      ws.send("a");
      assert.equal(await ws.next(), "two 1 a");
      ws.destroy();
    });
  });

  it("wakes a parked poll under the new code, and leaves a request in flight its old one", async () => {
    const app = (word) => `
local hark <const> = require("hark")
return {
  { path = "/slow", method = "GET", respond = function()
      hark.shared("s"):incr("began")
      while not hark.shared("s"):get("go") do hark.sleep(0.01) end
      return 200, "${word} " .. require("word")
    end },
  { path = "/began", method = "GET", respond = function() return 200, tostring(hark.shared("s"):get("began")) end },
  { path = "/go", method = "POST", respond = function() hark.shared("s"):set("go", true) return 200 end },
  { path = "/poll", transport = "longpoll", longpoll = { wait = "20s" },
    open = function(conn) conn:join("c") end,
    deliver = function(conn, event) event.data = "${word} " .. event.data return event end },
  channels = { ["c"] = { history = 10 } },
}`;
    await withHost({ "app.lua": app("old"), "lib/word.lua": `return "old"` }, {}, async (host) => {
      const slow = request(`${host.url}/slow`);
      await until(async () => (await request(`${host.url}/began`)).text === "1", "the request has begun");
      const poll = request(`${host.url}/poll`);
      await until(async () => (await host.status()).sessions.longpoll === 1, "the poll is parked");
      await host.put("lib/word.lua", `return "new"`);
      await host.write("app.lua", app("new"));
      await host.reloaded("app");
      await host.publish("c", "hello");
      assert.equal((await poll).text, "new hello");
      await post(`${host.url}/go`, "");
      assert.equal((await slow).text, "old old", "a run ends in the generation it began with, its modules too");
      assert.equal((await request(`${host.url}/slow`)).text, "new new");
    });
  });

  it("keeps timers by name: the new code runs when they are due; a name that is gone is dropped", async () => {
    const later = 2 * Number(process.env.HARK_TEST_SLOW ?? 1); // seconds, in which the reload has happened
    const app = (word, names) => `
return { path = "/t", open = function(conn) conn:after(${later}, "a") conn:after(${later}, "b") conn:send("ready") end,
  timers = { ${names.map((n) => `${n} = function(conn) conn:send("${word} ${n}") end`).join(", ")} } }`;
    await withHost({ "t.lua": app("old", ["a", "b"]) }, {}, async (host) => {
      const ws = await openWebSocket(`${host.ws}/t`);
      assert.equal(await ws.next(), "ready");
      await host.write("t.lua", app("new", ["b"]));
      await host.reloaded("t");
      assert.equal(await ws.next(), "new b");
      const metrics = await host.metrics();
      const dropped = [...metrics].filter(([k]) => k.startsWith("hark_timers_dropped_total")).reduce((s, [, v]) => s + v, 0);
      assert.equal(dropped, 1);
      ws.destroy();
    });
  });

  it("with a higher version calls upgrade before the next event, once", async () => {
    const app = (version, body) => `
return { path = "/v", version = ${version}, open = function(conn) conn.data.v = ${version} conn:send("ready") end,
  message = function(conn) conn:send(conn.data.v .. " " .. tostring(conn.data.upgraded)) end, ${body} }`;
    await withHost({ "v.lua": app(1, "") }, {}, async (host) => {
      const ws = await openWebSocket(`${host.ws}/v`);
      assert.equal(await ws.next(), "ready");
      await host.write("v.lua", app(3, `upgrade = function(conn, from) conn.data.upgraded = (conn.data.upgraded or "") .. from .. ">3" end`));
      await host.reloaded("v");
      ws.send("x");
      assert.equal(await ws.next(), "1 1>3");
      ws.send("x");
      assert.equal(await ws.next(), "1 1>3");
      ws.destroy();
    });
  });

  it("hands a service over: never two at once", async () => {
    const app = (word) => `
local hark <const> = require("hark")
local s = hark.shared("s")
return {
  services = { only = { on = "one", run = function()
    if s:incr("running") > 1 then s:set("twice", true) end
    s:set("who", "${word}")
    repeat local ok, why = hark.sleep(0.01) until not ok
    s:incr("running", -1)
  end } },
  { path = "/who", method = "GET", respond = function() return 200, tostring(s:get("who")) .. " " .. tostring(s:get("twice")) end },
}`;
    await withHost({ "s.lua": app("old") }, { workers: 2 }, async (host) => {
      const who = async () => (await request(`${host.url}/who`)).text;
      await until(async () => (await who()) === "old nil", "the old one runs");
      await host.write("s.lua", app("new"));
      await host.reloaded("s");
      await until(async () => (await who()) === "new nil", "the new one runs");
    });
  });

  it("keeps hark.keep and hark.shared, and forgets module locals", async () => {
    const app = (word, version) => `
local hark <const> = require("hark")
local n = 0
local kept = hark.keep("k", ${version}, function(old, from) return { n = old and old.n or 0, made = (old and old.made or "") .. tostring(from) .. "," } end)
return { path = "/n", method = "GET", respond = function()
  n = n + 1
  kept.n = kept.n + 1
  return 200, table.concat({ "${word}", n, kept.n, kept.made, hark.shared("s"):incr("n") }, " ")
end }`;
    await withHost({ "n.lua": app("a", 1) }, {}, async (host) => {
      const get = async () => (await request(`${host.url}/n`)).text;
      assert.equal(await get(), "a 1 1 nil, 1");
      assert.equal(await get(), "a 2 2 nil, 2");
      await host.write("n.lua", app("b", 1));
      await host.reloaded("n");
      assert.equal(await get(), "b 1 3 nil, 3");
      await host.write("n.lua", app("c", 2));
      await host.reloaded("n");
      assert.equal(await get(), "c 1 4 nil,1, 4");
    });
  });

  it("changes what a channel keeps, at once", async () => {
    const app = (history) => `return { channels = { ["c"] = { history = ${history} } },
      path = "/c", open = function(conn) conn:join("c", { rewind = 100 }) conn:send("ready") end }`;
    await withHost({ "c.lua": app(5) }, {}, async (host) => {
      const held = async () => {
        const ws = await openWebSocket(`${host.ws}/c`);
        const got = [];
        for (let m = await ws.next(); m !== "ready"; m = await ws.next()) got.push(m);
        ws.destroy();
        return got.join("");
      };
      await host.publishAll("c", ["1", "2", "3", "4", "5", "6"]);
      assert.equal(await held(), "23456");
      await host.write("c.lua", app(2));
      await host.reloaded("c");
      assert.equal(await held(), "56");
      await host.write("c.lua", app(4));
      await host.reloaded("c");
      await host.publishAll("c", ["7", "8", "9"]);
      assert.equal(await held(), "6789");
    });
  });
});

describe("a bad save", () => {
  const bad = {
    "that does not parse": ["return {\n  path = '/live/:id',\n  open = function(\n}", /live\.lua:\d+/],
    "that is cut off": [live("two").slice(0, 120), /live\.lua/],
    "that fails while it runs": ["local x = nil\nreturn { path = x.y }", /live\.lua:2/],
    "that returns no table": ["return 5", /live/],
    "that returns nothing": ["local a = 1", /live/],
    "with a misspelt key": [live("two", "mesage = function() end,"), /mesage.*message/],
    "with a wrong type": [live("two").replace('path = "/live/:id"', "path = 5"), /path/],
    "without a handler": [`return { path = "/live/:id" }`, /handler|open|message|respond/],
    "that runs for ever": ["while true do end", /live\.lua:1|limit|cpu/i],
    "that eats memory": ["local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end return t", /memory|limit/i],
    "that writes a global": [`x = 1\n${live("two")}`, /live\.lua:1/],
    "that publishes while it loads": [`require("hark").publish("c", "x")\n${live("two")}`, /publish/],
    "of bytecode": ["\x1bLua nonsense", /live/],
    "whose check says no": [live("two", `check = function() return nil, "the database is not there" end,`), /the database is not there/],
    "whose module is missing": [`require("nowhere")\n${live("two")}`, /nowhere/],
  };
  for (const [name, [text, why]] of Object.entries(bad)) {
    it(`${name} changes nothing and says why`, async () => {
      await withHost({ "live.lua": live("one") }, {}, async (host) => {
        const ws = await openWebSocket(`${host.ws}/live/x`);
        assert.equal(await ws.next(), "ready");
        await host.write("live.lua", text);
        const line = await host.reloaded("live", "refused");
        assert.match(line.error, why);
        ws.send("a");
        assert.equal(await ws.next(), "one 1 a");
        const app = await staleOf(host, "live");
        assert.equal(app.stale, true);
        assert.match(app.error, why);
        assert.equal((await request(`${host.admin}/healthz`)).status, 200, "health stays good");
        assert.equal((await request(`${host.admin}/healthz?strict`)).status, 503, "unless asked strictly");
        await host.write("live.lua", live("two"));
        await host.reloaded("live");
        ws.send("b");
        assert.equal(await ws.next(), "two 2 b");
        assert.equal((await staleOf(host, "live")).stale, false);
        assert.equal((await request(`${host.admin}/healthz?strict`)).status, 200);
        ws.destroy();
      });
    });
  }

  it("that the workers cannot prepare changes nothing on any of them", async () => {
    const app = (word, more = "") => `
local hark <const> = require("hark")
local flags <const> = hark.shared("flags")
${more}
return {
  { path = "/word", method = "GET", respond = function() return 200, "${word}" end },
  { path = "/arm", method = "GET", respond = function() flags:set("armed", true) return 200 end },
}`;
    await withHost({ "app.lua": app("one") }, { workers: 2 }, async (host) => {
      await request(`${host.url}/arm`); // seen by the workers, not by the state that looks at scripts
      await host.write("app.lua", app("two", `if flags:get("armed") then error("no place here") end`));
      const refused = await host.reloaded("app", "refused");
      assert.match(refused.error, /app\.lua:4: no place here/);
      for (let i = 0; i < 8; i++) assert.equal((await request(`${host.url}/word`)).text, "one");
      await host.write("app.lua", app("three"));
      await host.reloaded("app");
      assert.equal((await request(`${host.url}/word`)).text, "three");
    });
  });

  it("of one app holds back that app alone", async () => {
    const app = (path, word) => `return { path = "${path}", method = "GET", respond = function() return 200, "${word}" end }`;
    await withHost({ "a.lua": app("/a", "one"), "b.lua": app("/b", "one") }, {}, async (host) => {
      await host.put("a.lua", "return {");
      await host.write("b.lua", app("/b", "two"));
      await host.reloaded("b");
      assert.equal((await request(`${host.url}/b`)).text, "two");
      assert.equal((await request(`${host.url}/a`)).text, "one");
      assert.equal((await staleOf(host, "a")).stale, true);
      assert.equal((await staleOf(host, "b")).stale, false);
    });
  });

  it("of a shared module holds back each app that requires it, and only those", async () => {
    const app = (path) => `local w = require("word") return { path = "${path}", method = "GET", respond = function() return 200, w end }`;
    const files = { "a.lua": app("/a"), "b.lua": app("/b"), "lib/word.lua": `return "one"`,
                    "c.lua": `return { path = "/c", method = "GET", respond = function() return 200, "c" end }` };
    await withHost(files, {}, async (host) => {
      await host.write("lib/word.lua", "return (");
      await host.logged((f) => f.event === "reload" && f.app === "a" && f.result === "refused", "a is refused");
      await until(async () => (await staleOf(host, "b")).stale, "b is refused");
      assert.equal((await staleOf(host, "c")).stale, false);
      assert.deepEqual([(await request(`${host.url}/a`)).text, (await request(`${host.url}/b`)).text], ["one", "one"]);
    });
  });

  it("that takes another app's path is refused, and names it", async () => {
    const app = (path) => `return { path = "${path}", method = "GET", respond = function() return 200, "x" end }`;
    await withHost({ "a.lua": app("/a/:x"), "b.lua": app("/b") }, {}, async (host) => {
      await host.write("b.lua", app("/a/:y"));
      const line = await host.reloaded("b", "refused");
      assert.match(line.error, /\/a\/:y|\/a\/:x/);
      assert.equal((await request(`${host.url}/b`)).text, "x");
    });
  });

  it("of an endless handler stops that run alone: the connection is told, the worker lives on", async () => {
    const app = `return { path = "/spin", open = function(conn) conn:send("ready") end,
      message = function(conn, text) while text == "spin" do end return conn:send(text) end }`;
    await withHost({ "spin.lua": app }, {}, async (host) => {
      const [spinner, other] = [await openWebSocket(`${host.ws}/spin`), await openWebSocket(`${host.ws}/spin`)];
      assert.deepEqual([await spinner.next(), await other.next()], ["ready", "ready"]);
      spinner.send("spin");
      other.send("fine");
      assert.equal(await other.next(), "fine");
      const { code, reason } = await spinner.closed();
      assert.equal(code, 1011);
      const line = await host.logged((f) => Object.values(f).includes(reason.split(" ").at(-1)), "the reference");
      assert.match(JSON.stringify(line), /cpu/);
      assert.match(JSON.stringify(line), /spin\.lua:2/);
      other.destroy();
    });
  });
});

describe("the directory", () => {
  it("a deleted script ends its connections with 1012 and its path with 404", async () => {
    await withHost({ "live.lua": live("one"), "other.lua": live("one").replaceAll("live/", "other/") },
                   { conf: `return { drain = "1s" }` }, async (host) => {
      const ws = await openWebSocket(`${host.ws}/live/x`);
      assert.equal(await ws.next(), "ready");
      await host.remove("live.lua");
      assert.equal((await ws.closed()).code, 1012);
      await until(async () => (await request(`${host.url}/live/x`, { headers: { accept: "text/event-stream" } }).catch(() => ({}))).status === 404,
                  "the path is gone");
      assert.equal(host.running, true);
    });
  });

  it("emptied by accident changes nothing", async () => {
    await withHost({ "live.lua": live("one") }, {}, async (host) => {
      await host.remove("live.lua");
      await host.logged((f) => f.event === "reload" && f.result === "refused", "that an empty directory is refused");
      const ws = await openWebSocket(`${host.ws}/live/x`);
      assert.equal(await ws.next(), "ready");
      await host.write("live.lua", live("two"));
      await host.reloaded("live");
      ws.send("a");
      assert.equal(await ws.next(), "two 1 a");
      ws.destroy();
    });
  });

  it("with a broken script at the start is exit status 1 with all errors", async () => {
    const { code, stderr } = await Host.fails({ "a.lua": "return {", "b.lua": "return 5", "c.lua": live("one") });
    assert.equal(code, 1);
    assert.match(stderr, /a\.lua/);
    assert.match(stderr, /\bb\b/);
  });

  it("with a broken script at the start serves the others when told --degraded", async () => {
    const host = await Host.start({ "a.lua": "return {", "live.lua": live("one") }, { args: ["--degraded"] });
    const ws = await openWebSocket(`${host.ws}/live/x`);
    assert.equal(await ws.next(), "ready");
    ws.destroy();
    assert.equal((await staleOf(host, "a")).stale, true);
    await host.stop();
  });
});
