-- SPDX-License-Identifier: MIT
--
-- The reload procedure, on worker 0: look (own thread), prepare on every worker, commit on every
-- worker. Any failure leaves the old generation serving. One procedure at a time; triggers that
-- come meanwhile lead to one more look.

local core <const> = require("hark.core")
local counters <const> = require("hark.engine.counters")

local reload = {}

local PREPARE_SECONDS <const> = 5
local DELETED_AGAIN_SECONDS <const> = 2

local directory
local known = {}
local sequence = 0
local busy, again = false, false
local settled = false -- the last look left nothing to be done: without a change none is needed
local directory_problem

local function log_result(name, result, fields)
  fields = fields or {}
  fields.app, fields.result = name, result
  core.log[result == "refused" and "error" or "info"]("reload", fields)
  counters.count("reloads", name, result)
end

local function refuse(name, why)
  known[name].tried = known[name].tried or { closure = known[name].staged.closure, error = why }
  known[name].staged = nil
  log_result(name, "refused", { error = why })
end

-- Workers' answers to prepare: error text by app, from whichever worker had one.
local function failures_of(replies)
  local failures = {}
  for _, reply in ipairs(replies) do
    for name, why in pairs(reply) do failures[name] = why end
  end
  return failures
end

local function prepare(seen)
  local bundle = { sequence = sequence, apps = seen.apps }
  local replies, why = core.ask("prepare", bundle, PREPARE_SECONDS)
  if not replies then
    core.ask("abort", sequence, PREPARE_SECONDS)
    for _, item in ipairs(seen.apps) do refuse(item.name, "prepare: " .. why) end
    return {}
  end
  local failures, ready = failures_of(replies), {}
  for _, item in ipairs(seen.apps) do
    if failures[item.name] then
      refuse(item.name, failures[item.name])
    else
      ready[#ready + 1] = item.name
    end
  end
  return ready
end

local function commit(ready, gone)
  if #ready + #gone == 0 then return end
  local order = { sequence = sequence, apps = ready, gone = gone }
  local replies, why = core.ask("commit", order, PREPARE_SECONDS)
  local problem = not replies and why or nil
  for _, reply in ipairs(replies or {}) do problem = problem or reply.problem end
  if problem then
    for _, name in ipairs(ready) do refuse(name, problem) end
    return
  end
  for _, name in ipairs(ready) do
    local app = known[name]
    app.serving, app.staged, app.tried = app.staged, nil, nil
    app.generation = app.generation + 1
    log_result(name, "ok", { generation = app.generation })
  end
  for _, name in ipairs(gone) do
    known[name] = nil
    log_result(name, "removed")
  end
end

local function one_look()
  local seen, why = core.look(directory, known, settled)
  if seen == false then return end
  settled = false
  if not seen then
    core.log.error("reload", { result = "failed", error = why })
    return
  end
  known = seen.known
  if seen.problem ~= directory_problem then
    directory_problem = seen.problem
    if seen.problem then log_result("*", "refused", { error = seen.problem }) end
  end
  for _, name in ipairs(seen.restored) do
    log_result(name, "restored", { generation = known[name].generation })
  end
  for _, item in ipairs(seen.refused) do
    log_result(item.name, "refused", { error = item.error })
  end
  sequence = sequence + 1
  commit(#seen.apps > 0 and prepare(seen) or {}, seen.gone)
  settled = not seen.again
  if seen.again then
    core.sleep(DELETED_AGAIN_SECONDS)
    again = true
  end
end

--- Starts the procedure, or asks the one under way to look once more. Runs in a task.
function reload.run()
  if busy then
    again = true
    return
  end
  busy = true
  repeat
    again = false
    local ok, problem = xpcall(one_look, debug.traceback)
    if not ok then core.log.error("reload", { result = "failed", error = problem }) end
  until not again
  busy = false
end

--- The first look. Every problem of every app is in the result, not only the first.
---@param dir string
---@return string[] problems "app: why"
function reload.start(dir)
  directory = dir
  busy = true
  one_look()
  busy = false
  local problems = {}
  if directory_problem then problems[1] = directory_problem end
  for name, app in pairs(known) do
    if app.tried then problems[#problems + 1] = ("%s: %s"):format(name, app.tried.error) end
  end
  table.sort(problems)
  return problems
end

--- What is stale and why, by app name; "*" for the directory itself.
function reload.stale()
  local stale = {}
  if directory_problem then stale["*"] = directory_problem end
  for name, app in pairs(known) do
    if app.tried then stale[name] = app.tried.error end
  end
  return stale
end

return reload
