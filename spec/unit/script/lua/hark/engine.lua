-- SPDX-License-Identifier: MIT
--
-- A stand-in for the engine: runs what a test gives it. `serve` is the source of a function of the
-- request, `run` runs a source in a task and keeps what it returns.

local core <const> = require("hark.core")

local engine = { answer = {} }
local env <const> = setmetatable({ core = core, hark = core, log = {}, engine = engine }, { __index = _G })

local serve

local function compile(source, name)
  return assert(load(source, name or "=script", "t", env))
end

-- Runs what a client said, with its connection.
function env.eval(source, conn)
  return compile("local conn = ... " .. source, "=said")(conn)
end

function engine.configure(settings)
  core.settings = settings
end

function engine.request(req)
  return serve(req)
end

function engine.admin(req)
  return core.respond(req, 200, "admin")
end

-- source: "return function(req) ... end"
function engine.serve(source)
  serve = compile(source)()
end

function engine.run(source)
  local results = table.pack(compile(source)())
  for i = 1, results.n do results[i] = tostring(results[i]) end
  return table.concat(results, ",")
end

-- The code of the slot "test" (spec: what slot_set takes). source: "return { open = ..., ... }"
function engine.endpoint(source)
  local spec = compile(source)()
  spec.app, spec.path = spec.app or "test", spec.path or "/test"
  core.slot_set(core.slot("test"), spec)
end

function engine.start(directory)
  if directory == "good" then return {} end
  return { "first: broken", "second: broken too" }
end

function engine.stop()
  env.stopped = true
end

function engine.answer.double(value)
  return value * 2
end

return engine
