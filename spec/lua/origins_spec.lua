local core <const> = require("spec.lua.support.core")
local origins <const> = require("hark.engine.origins")

local function request(origin, host)
  core.headers = {}
  return { headers = { origin = origin }, host = host }
end

describe("the origin check", function()
  it("lets clients pass that are no browsers", function()
    assert.is_true(origins.check(request(nil, "a.example"), nil))
  end)

  it("takes the same origin without a list, and nothing else", function()
    assert.is_true(origins.check(request("https://a.example", "a.example"), nil))
    assert.is_true(origins.check(request("http://a.example:8080", "A.example:8080"), nil))
    assert.is_true(origins.check(request("https://a.example:443", "a.example"), nil))
    assert.is_false(origins.check(request("https://evil.example", "a.example"), nil))
    assert.is_false(origins.check(request("http://a.example:81", "a.example"), nil))
    assert.is_false(origins.check(request("null", "a.example"), nil))
    assert.is_nil(core.headers["Access-Control-Allow-Origin"])
  end)

  it("answers a listed origin with its name and credentials", function()
    assert.is_true(origins.check(request("https://app.example", "api.example"), { "https://app.example" }))
    assert.equal("https://app.example", core.headers["Access-Control-Allow-Origin"])
    assert.equal("true", core.headers["Access-Control-Allow-Credentials"])
    assert.equal("Origin", core.headers["Vary"])
  end)

  it("never gives credentials to everybody", function()
    assert.is_true(origins.check(request("https://any.example", "api.example"), { "*" }))
    assert.equal("*", core.headers["Access-Control-Allow-Origin"])
    assert.is_nil(core.headers["Access-Control-Allow-Credentials"])
  end)
end)
