local core <const> = require("spec.lua.support.core")
local look <const> = require("hark.engine.look")

local GOOD <const> = 'return { path = "/%s", open = function() end }'

local function app(path) return GOOD:format(path) end

local function see(files, known)
  core.trees.dir = files
  return look.run("dir", known or {})
end

-- What reload.lua does with a look whose apps were all committed.
local function commit(seen)
  for _, item in ipairs(seen.apps) do
    local known = seen.known[item.name]
    known.serving, known.staged, known.tried = known.staged, nil, nil
    known.generation = known.generation + 1
  end
  return seen.known
end

local function names(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = item.name end
  return out
end

describe("a look at the script directory", function()
  it("finds top-level files and folders with init.lua, and nothing else", function()
    local seen = see {
      ["a.lua"] = app("a"), ["b/init.lua"] = app("b"), ["lib/x.lua"] = "return 1",
      ["spec/init.lua"] = "error()", ["hark.conf.lua"] = "return {}", ["c/other.lua"] = "error()",
    }
    assert.same({ "a", "b" }, names(seen.apps))
    assert.same({}, seen.refused)
  end)

  it("does nothing when the content is the same", function()
    local files = { ["a.lua"] = app("a") }
    local known = commit(see(files))
    local seen = see(files, known)
    assert.same({}, seen.apps)
    assert.same({}, seen.refused)
  end)

  it("makes the next generation of the changed app only", function()
    local known = commit(see { ["a.lua"] = app("a"), ["b.lua"] = app("b") })
    local seen = see({ ["a.lua"] = app("a"), ["b.lua"] = app("c") }, known)
    assert.same({ "b" }, names(seen.apps))
    assert.equal(2, seen.apps[1].generation)
  end)

  it("sees a change in a module that an app requires, for that app alone", function()
    local user = 'local x = require("x") return { path = "/" .. x, open = function() end }'
    local known = commit(see { ["a.lua"] = user, ["b.lua"] = app("b"), ["lib/x.lua"] = 'return "one"' })
    local seen = see({ ["a.lua"] = user, ["b.lua"] = app("b"), ["lib/x.lua"] = 'return "two"' }, known)
    assert.same({ "a" }, names(seen.apps))
    assert.equal('return "two"', seen.apps[1].files["lib/x.lua"])
  end)

  it("refuses a broken app with file and line, and goes on with the others", function()
    local seen = see { ["a.lua"] = "return {\n  path = ,\n}", ["b.lua"] = app("b") }
    assert.same({ "b" }, names(seen.apps))
    assert.matches("a.lua:2:", seen.refused[1].error)
  end)

  it("refuses an error while the file runs, an unknown module, a value that is no table", function()
    for _, text in ipairs { 'error("no")', 'require("nothing")', "return 5", "return" } do
      local seen = see { ["a.lua"] = text }
      assert.equal(1, #seen.refused, text)
    end
  end)

  it("shows the author's frames of an error, and none of the engine's", function()
    local text = "local function inner() error('no') end\nlocal function outer() inner() end\nouter()"
    local why = see({ ["a.lua"] = text }).refused[1].error
    assert.matches("^a.lua:1: no", why)
    assert.matches("a.lua:2: in", why)
    assert.is_nil(why:find("hark/engine", 1, true))
    why = see({ ["a.lua"] = 'local x = require("x") return x', ["lib/x.lua"] = "return {" }).refused[1].error
    assert.matches("^lib/x.lua:1: [^\n]*\nstack traceback:\n\ta.lua:1: in", why)
  end)

  it("says a refused app once, and again only when its content changes", function()
    local bad = { ["a.lua"] = "return {" }
    local known = see(bad).known
    assert.same({}, see(bad, known).refused)
    assert.equal(1, #see({ ["a.lua"] = "return {{" }, known).refused)
  end)

  it("tells when a broken app is as it was again", function()
    local good = { ["a.lua"] = app("a") }
    local known = commit(see(good))
    known = see({ ["a.lua"] = "oops" }, known).known
    local seen = see(good, known)
    assert.same({ "a" }, seen.restored)
    assert.same({}, seen.apps)
  end)

  it("refuses a path or channel options that another app has", function()
    local seen = see { ["a.lua"] = app("x/:id"), ["b.lua"] = app("x/:name") }
    assert.same({ "a" }, names(seen.apps))
    assert.matches('path "/x/:name" is taken by "/x/:id" of app a', seen.refused[1].error)
    local with = 'return { path = "/%s", open = print, channels = { c = { history = %d } } }'
    seen = see { ["a.lua"] = with:format("a", 1), ["b.lua"] = with:format("b", 2) }
    assert.matches("channel \"c\" has other options in app a", seen.refused[1].error)
  end)

  it("takes an empty or missing directory for an accident", function()
    local known = commit(see { ["a.lua"] = app("a") })
    local seen = see({}, known)
    assert.matches("no script", seen.problem)
    assert.same({}, seen.gone)
  end)

  it("removes an app only when a second look misses it too", function()
    local known = commit(see { ["a.lua"] = app("a"), ["b.lua"] = app("b") })
    local seen = see({ ["b.lua"] = app("b") }, known)
    assert.same({}, seen.gone)
    assert.is_true(seen.again)
    assert.same({ "a" }, see({ ["b.lua"] = app("b") }, seen.known).gone)
  end)

  it("offers only declarations while a script is loading", function()
    local seen = see { ["a.lua"] = 'require("hark").publish("x", "y") return {}' }
    assert.matches("hark.publish cannot be called while a script is loading", seen.refused[1].error)
  end)

  it("runs check(), which may wait, and refuses what it refuses", function()
    local text = [[
      local hark = require("hark")
      return { path = "/a", open = function() end, check = function() hark.sleep(0.01) %s end }
    ]]
    assert.same({ "a" }, names(see({ ["a.lua"] = text:format("return true") }).apps))
    local seen = see { ["a.lua"] = text:format('return nil, "no key"') }
    assert.matches("check%(%): no key", seen.refused[1].error)
    seen = see { ["a.lua"] = text:format('error("bang")') }
    assert.matches("bang", seen.refused[1].error)
  end)

  it("gives scripts no way to the host's globals, bytecode, or finalizers", function()
    for _, text in ipairs {
      "io.open('x')", "os.execute('true')", "debug.getinfo(1)", "x = 1", "string.rep = nil",
      "load(string.dump(function() end))()", "setmetatable({}, { __gc = print })", "dofile('x')",
      'require("../x")', 'getmetatable("").__index = nil',
    } do
      local seen = see { ["a.lua"] = text .. " return { path = '/a', open = print }" }
      assert.equal(1, #seen.refused, text)
    end
  end)
end)
