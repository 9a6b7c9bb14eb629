-- SPDX-License-Identifier: MIT
--
-- A stand-in for hark.core, enough for the engine's pure parts: digests, log lines as a list, packed
-- values by copying, budgets that only call. Installed before the module under test is loaded.

local core = { version = "0.1.0", logged = {}, headers = {}, answers = {}, settings = {} }

local function digest(text)
  local hash = 5381
  for i = 1, #text do hash = (hash * 33 + text:byte(i)) & 0xffffffffffff end
  return ("%x-%d"):format(hash, #text)
end

core.digest = { sha256 = digest }
core.json = { encode = tostring }
core.hmac, core.base64, core.random = {}, {}, string.rep
core.equal = rawequal
core.log = {}
for _, level in ipairs { "debug", "info", "warn", "error" } do
  core.log[level] = function(event, fields)
    core.logged[#core.logged + 1] = { level = level, event = event, fields = fields }
  end
end

function core.now() return os.clock() end
function core.worker() return 0, 1 end
function core.shared() return {} end
function core.limited(_, fn, ...) return fn(...) end
function core.block() end
for _, name in ipairs { "publish", "history", "presence", "sleep" } do
  core[name] = function(...) return name, ... end
end

function core.add_header(_, name, value) core.headers[name] = value end
function core.respond(_, status, body, headers)
  core.answers[#core.answers + 1] = { status = status, body = body, headers = headers or {} }
end

--- A fresh directory tree for engine.look: path -> text.
function core.read_tree(directory) return core.trees[directory] end
core.trees = {}

package.loaded["hark.core"] = core
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
return core
