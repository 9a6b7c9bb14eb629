require("spec.lua.support.core")
local router <const> = require("hark.engine.router")

local function routes(list)
  local built = router.new()
  for _, row in ipairs(list) do assert(built:add(row[1], row[2], row[3] or row[1])) end
  return built
end

describe("the router", function()
  it("finds literal, named and rest segments, the more exact first", function()
    local r = routes { { "/" }, { "/chat/:room" }, { "/chat/lobby" }, { "/files/*" }, { "/*" } }
    assert.equal("/chat/lobby", (r:find("/chat/lobby", "GET")))
    local found, params = r:find("/chat/7", "GET")
    assert.equal("/chat/:room", found)
    assert.same({ room = "7" }, params)
    found, params = r:find("/files/a/b.txt", "GET")
    assert.equal("/files/*", found)
    assert.same({ ["*"] = "a/b.txt" }, params)
    assert.equal("/", (r:find("/", "GET")))
    assert.equal("/*", (r:find("/else", "GET")))
  end)

  it("steps back out of a branch that ends in nothing", function()
    local r = routes { { "/a/b/c" }, { "/a/:x/d" }, { "/:y/b/e" } }
    local found, params = r:find("/a/b/d", "GET")
    assert.equal("/a/:x/d", found)
    assert.same({ x = "b" }, params)
    found, params = r:find("/a/b/e", "GET")
    assert.equal("/:y/b/e", found)
    assert.same({ y = "a" }, params)
    assert.is_nil((r:find("/a/b", "GET")))
  end)

  it("decodes a slash inside a segment, and what only looks like one", function()
    local r = routes { { "/a/:x" }, { "/a/:x/b" }, { "/c/*" } }
    for coded, plain in pairs {
      ["b%2Fc"] = "b/c", ["%2F"] = "/", ["b%252Fc"] = "b%2Fc", ["%25252F%2F"] = "%252F/",
      ["100%"] = "100%", ["%25"] = "%25", ["%%2F"] = "%/", ["%22F"] = "%22F", ["%52F"] = "%52F",
      ["..%2F.."] = "../..",
    } do
      local found, params = r:find("/a/" .. coded, "GET")
      assert.equal("/a/:x", found)
      assert.equal(plain, params.x)
    end
    assert.equal("b/c/d", select(2, r:find("/c/b%2Fc/d", "GET"))["*"])
  end)

  it("does not take an empty segment for a name", function()
    local r = routes { { "/chat/:room" } }
    assert.is_nil((r:find("/chat/", "GET")))
    assert.is_nil((r:find("/chat", "GET")))
  end)

  it("tells endpoints of one path apart by method, and names the allowed ones", function()
    local r = routes { { "/x", { "GET" }, "read" }, { "/x", { "POST", "PUT" }, "write" } }
    assert.equal("read", (r:find("/x", "GET")))
    assert.equal("write", (r:find("/x", "PUT")))
    local found, _, allowed = r:find("/x", "DELETE")
    assert.is_nil(found)
    assert.same({ "GET", "POST", "PUT" }, allowed)
  end)

  it("refuses what could never be told apart", function()
    local r = routes { { "/x/:a", { "GET" } } }
    local added, why = r:add("/x/:b", { "GET" }, 2)
    assert.is_nil(added)
    assert.matches("taken", why)
    assert.is_true(r:add("/x/:b", { "POST" }, 2))
  end)

  it("refuses malformed patterns with what is allowed", function()
    for _, bad in ipairs { "chat", "/a/*/b", "/:a/:a", "/x:y", "/:1", "/**" } do
      local added, why = router.new():add(bad, nil, 1)
      assert.is_nil(added, bad)
      assert.is_string(why)
    end
  end)
end)
