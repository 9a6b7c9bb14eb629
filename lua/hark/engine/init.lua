-- SPDX-License-Identifier: MIT
--
-- The engine's Lua side: the functions C calls by name, each in a task of its own. See
-- docs/internals/script.md for who calls whom.

local core <const> = require("hark.core")

local engine = { answer = {} }

local function load_serving()
  local generations <const> = require("hark.engine.generations")
  engine.request = require("hark.engine.request").serve
  engine.configure = function(settings)
    core.settings = settings
    generations.configure(settings)
  end

  local reload <const> = require("hark.engine.reload")
  engine.start, engine.reload = reload.start, reload.run

  local admin <const> = require("hark.engine.admin")
  engine.admin = admin.serve
  engine.answer.sessions, engine.answer.close_session = admin.own_sessions, admin.close_own
  engine.answer.disconnect = admin.disconnect_own

  engine.answer.prepare = generations.prepare
  engine.answer.abort = function(sequence) generations.abort(sequence) return true end
  engine.answer.commit = function(order) return { problem = generations.commit(order) } end

  engine.stop = require("hark.engine.services").stop
end

if core.scratch then
  engine.look = require("hark.engine.look").run
  engine.settings = require("hark.engine.config").load
else
  load_serving()
end

return engine
