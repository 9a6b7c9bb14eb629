-- SPDX-License-Identifier: MIT
--
-- lua/hark/types.lua against the engine, in both directions: a key that one knows and the other
-- does not is a mistake in one of them. The engine is asked by giving it a key that nobody knows.

package.path = "./lua/?.lua;" .. package.path

local script = require("hark.engine.script")

--- Names of the fields of the classes in types.lua: class -> set.
local function documented()
  local classes, class = {}, nil
  for line in io.lines("lua/hark/types.lua") do
    class = line:match("^%-%-%-@class hark%.([%w_]+)") or line ~= "" and class or nil
    local field = line:match("^%-%-%-@field ([%w_]+)%??%s")
    if class and field then
      classes[class] = classes[class] or {}
      classes[class][field] = true
    end
  end
  return classes
end

--- The keys that the engine allows where `value` has the key "nobody_knows".
local function allowed(value)
  local described, why = script.describe(value)
  assert.is_nil(described)
  local list = why:match("nobody_knows is no known key[^\n]-; allowed: ([%w_, ]+)")
  assert.is_string(list, why)
  local keys = {}
  for key in list:gmatch("[%w_]+") do keys[key] = true end
  return keys
end

local function union(a, b)
  local all = {}
  for key in pairs(a) do all[key] = true end
  for key in pairs(b) do all[key] = true end
  return all
end

local function open() end

describe("the types", function()
  local types = documented()
  local unknown = { nobody_knows = 1 }

  it("know the keys of a script", function()
    assert.same(allowed({ nobody_knows = 1, path = "/", open = open }),
                union(types.Script, types.Endpoint))
  end)

  it("know the keys of an endpoint", function()
    assert.same(allowed({ { nobody_knows = 1, path = "/", open = open } }), types.Endpoint)
  end)

  for class, key in pairs { WebSocketOptions = "websocket", SseOptions = "sse",
                            LongPollOptions = "longpoll", Limits = "limits" } do
    it("know the keys of " .. key, function()
      assert.same(allowed({ path = "/", open = open, [key] = unknown }), types[class])
    end)
  end

  it("know the options of a channel", function()
    assert.same(allowed({ channels = { x = unknown } }), types.ChannelOptions)
  end)

  it("know the keys of a service", function()
    assert.same(allowed({ services = { x = { nobody_knows = 1, run = open } } }), types.Service)
  end)
end)
