require("spec.lua.support.core")
local script <const> = require("hark.engine.script")

local function refused(value)
  local app, why = script.describe(value)
  assert.is_nil(app)
  return why
end

describe("the look at a script's value", function()
  it("takes an endpoint at the top and more in the array part", function()
    local app = assert(script.describe {
      path = "/a", open = function() end, version = 3,
      { path = "/b", method = "POST", respond = function() end },
    })
    assert.equal(2, #app.endpoints)
    assert.equal("/a", app.endpoints[1].shape)
    assert.equal(3, app.endpoints[2].version)
    assert.same({ "POST" }, app.endpoints[2].method)
  end)

  it("puts channels into base units with defaults", function()
    local app = assert(script.describe { channels = { ["a/:b"] = { ttl = "24h", history = 5 }, c = {} } })
    assert.same({ "a/:b", "c" }, { app.channels[1].pattern, app.channels[2].pattern })
    assert.equal(86400000, app.channels[1].ttl_ms)
    assert.equal("close", app.channels[2].slow)
    assert.equal(0, app.channels[2].history)
  end)

  it("says what a cut-off file returned", function()
    assert.matches("must return a table, it returned nothing", refused(nil))
    assert.matches("it returned boolean", refused(true))
  end)

  it("names unknown keys and the one that was meant", function()
    assert.matches('mesage is no known key %(did you mean "message"%?%)', refused { path = "/", mesage = print })
    assert.matches("channels%[\"a\"%].histroy", refused { channels = { a = { histroy = 1 } } })
  end)

  it("collects every problem, not only the first", function()
    local why = refused { path = 1, open = 2, transport = "carrier pigeon", channels = { a = { slow = "never" } } }
    for _, part in ipairs { "path", "open", "carrier pigeon", "slow" } do assert.matches(part, why) end
  end)

  it("refuses an endpoint without handlers, and one that mixes respond with sessions", function()
    assert.matches("no handler", refused { path = "/x", transport = "sse" })
    assert.matches("do not go together", refused { path = "/x", respond = print, message = print })
    assert.matches("method is for endpoints with respond", refused { path = "/x", open = print, method = "GET" })
  end)

  it("refuses wrong transports, origins, codecs and limits with what is allowed", function()
    assert.matches("allowed", refused { path = "/", open = print, transport = { "sse", "ws" } })
    assert.matches("no origin", refused { path = "/", open = print, origins = { "example.com/path" } })
    assert.matches("allowed", refused { path = "/", open = print, codec = "xml" })
    assert.matches("duration", refused { path = "/", open = print, longpoll = { wait = "soon" } })
    assert.matches("batch", refused { path = "/", open = print, longpoll = { batch = 0 } })
  end)

  it("takes services as functions or with their place", function()
    local app = assert(script.describe { services = { b = print, a = { run = print, on = "each", every = "5s" } } })
    assert.same({ "a", "b" }, { app.services[1].name, app.services[2].name })
    assert.equal(5000, app.services[1].every)
    assert.matches("services.x.run is missing", refused { services = { x = {} } })
  end)
end)
