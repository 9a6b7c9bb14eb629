require("spec.lua.support.core")
local units <const> = require("hark.engine.units")

describe("units", function()
  it("take numbers as seconds and as bytes", function()
    assert.equal(1500, units.ms(1.5))
    assert.equal(4096, units.bytes(4096))
  end)

  it("take text with a unit", function()
    assert.equal(150, units.ms("150ms"))
    assert.equal(300000, units.ms("5m"))
    assert.equal(86400000, units.ms("24h"))
    assert.equal(65536, units.bytes("64KiB"))
    assert.equal(1572864, units.bytes("1.5MiB"))
  end)

  it("say what is allowed when they cannot", function()
    for _, bad in ipairs { "5", "5 minutes", "-1s", "", "1MiB", -1, true } do
      local ms, why = units.ms(bad)
      assert.is_nil(ms)
      assert.matches("allowed", why)
    end
    assert.is_nil((units.bytes("5s")))
  end)
end)
