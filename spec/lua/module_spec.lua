-- What `require "hark"` gives in a stock lua5.4, in a process of its own: HARK_MODULE_DIR holds hark/core.so.

local DIRECTORY <const> = os.getenv("HARK_MODULE_DIR") or "build/release/lib"

local function run(code)
  local file = os.tmpname()
  local handle = assert(io.open(file, "w"))
  handle:write(('package.cpath = "%s/?.so;" .. package.cpath\n'):format(DIRECTORY),
    'package.path = "lua/?.lua;lua/?/init.lua;" .. package.path\n', code)
  handle:close()
  local pipe = assert(io.popen(("lua5.4 %s 2>&1"):format(file)))
  local out = pipe:read("a")
  local ok = pipe:close()
  os.remove(file)
  return out, ok
end

describe("require \"hark\" in plain lua5.4", function()
  it("offers JSON and digests as scripts have them, and leaves no global behind", function()
    local out, ok = run([[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local hark = require("hark")
      print(hark.json.encode(hark.json.decode('{"n":12345678901234567,"list":[]}')) ~= nil)
      print(hark.digest.sha256("abc"))
      for name in pairs(_G) do assert(before[name], name) end
    ]])
    assert.is_true(ok, out)
    assert.equal("true\nba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n", out)
  end)

  it("serves a directory of scripts in this process, and stops", function()
    local out, ok = run([[
      local hark = require("hark")
      local server = assert(hark.serve { scripts = "scripts", listen = "127.0.0.1:0", admin = "off",
        workers = 2, run = false })
      local pipe = io.popen("curl -s -o /dev/null -w '%{http_code}' " .. server:address() .. "/")
      print(pipe:read("a"))
      server:stop()
      print(pcall(server.address, server))
    ]])
    assert.is_true(ok, out)
    assert.matches("\n?200\nfalse\t.*has been stopped", out)
  end)

  it("says what is wrong with an option, a setting, a script", function()
    local out = run([[
      local hark = require("hark")
      print(select(2, pcall(hark.serve, { script = "scripts" })))
      print(select(2, hark.serve { scripts = "nowhere" }))
      print(select(2, hark.serve { scripts = "scripts", listen = "nonsense" }))
    ]])
    assert.matches("script is a string; allowed: one of scripts", out)
    assert.matches("nowhere: No such file or directory", out)
    assert.matches("command line%] listen: \"nonsense\"", out)
  end)
end)
