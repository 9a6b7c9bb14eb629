-- SPDX-License-Identifier: MIT
--
-- The look: reads the script directory as one picture, finds what changed by content, runs what is
-- new in this scratch state and says which apps may become a new generation. Runs on a thread of
-- its own, so no worker waits for a script that takes its time.

local core <const> = require("hark.core")
local sandbox <const> = require("hark.engine.sandbox")
local script <const> = require("hark.engine.script")

local look = {}

local NOT_APPS <const> = { lib = true, public = true, spec = true }
local CHECK_SECONDS <const> = 5

-- The apps of a tree: top-level files but hark.conf.lua, and folders with an init.lua.
local function apps_of(files)
  local apps = {}
  for path in pairs(files) do
    local file, folder = path:match("^([^/]+)%.lua$"), path:match("^([^/]+)/init%.lua$")
    if file and file ~= "hark.conf" then
      apps[file] = { name = file, main = path, files = files }
    elseif folder and not NOT_APPS[folder] and not apps[folder] then
      apps[folder] = { name = folder, folder = true, main = path, files = files }
    end
  end
  return apps
end

-- Content digests of the files an app read or looked for (false: was not there).
local function digests(closure)
  local list = {}
  for path, text in pairs(closure) do
    list[path] = text and core.digest.sha256(text) or false
  end
  return list
end

local function is_same(closure, files)
  for path, digest in pairs(closure) do
    local text = files[path]
    if digest ~= (text and core.digest.sha256(text) or false) then return false end
  end
  return true
end

-- check() may wait; here, on a thread of its own, waiting is simply that.
local function run_check(check)
  local thread = coroutine.create(check)
  local deadline = core.now() + CHECK_SECONDS
  local result = table.pack(core.limited("load", coroutine.resume, thread))
  while coroutine.status(thread) == "suspended" do
    local wait = math.min(tonumber(result[2]) or 0, deadline - core.now())
    if core.now() >= deadline then
      return nil, ("check() took longer than %d s"):format(CHECK_SECONDS)
    end
    core.block(math.max(wait, 0))
    result = table.pack(core.limited("load", coroutine.resume, thread, true))
  end
  if not result[1] then return nil, "check(): " .. tostring(result[2]) end
  if result[2] == nil and result[3] ~= nil or result[2] == false then
    return nil, "check(): " .. tostring(result[3] or "returned false")
  end
  return true
end

-- What publish, history, presence and sleep are while check() runs.
local function stand_in(name, first)
  if name == "sleep" then return coroutine.yield(first) end
  if name == "publish" then return "0:0" end
  return {}
end

-- An error as its author wants to see it: without the engine's own frames.
local function own_part(problem)
  local lines = {}
  for line in tostring(problem):gmatch("[^\n]+") do
    local ours = line:find("/hark/engine/", 1, true) or line:find("^%s*%[C%]: in %?")
      or line:find("^%s*%(%.%.%.tail calls%.%.%.%)") or line:find("hark.core.limited", 1, true)
      or line:find("in function 'xpcall'", 1, true) or line:find("in function 'error'", 1, true)
    if not ours then lines[#lines + 1] = line end
  end
  if lines[#lines] == "stack traceback:" then lines[#lines] = nil end
  return table.concat(lines, "\n")
end

local function traced(chunk)
  local ok, value = xpcall(chunk, debug.traceback)
  if ok then return value end
  return nil, tostring(value)
end

local function evaluate(app)
  app.loading = true
  local value, why = sandbox.run(app, {
    declare = true, stand_in = stand_in,
    load = function(chunk) return core.limited("load", traced, chunk) end,
  })
  if why then return nil, own_part(why) end
  sandbox.complete(app)
  local described, problem = script.describe(value)
  if not described then return nil, ("%s: %s"):format(app.main, problem) end
  app.loading = false
  if described.check then
    local passed, failed = run_check(described.check)
    if not passed then return nil, failed end
  end
  return described
end

local function routes_of(described)
  local list = {}
  for _, endpoint in ipairs(described.endpoints) do
    local methods = endpoint.respond and endpoint.method
    list[#list + 1] = { path = endpoint.path, shape = endpoint.shape, methods = methods }
  end
  return list
end

local function channels_of(described)
  local list = {}
  for _, c in ipairs(described.channels) do
    list[c.pattern] = ("history=%d bytes=%d ttl=%d presence=%s slow=%s"):format(
      c.history, c.bytes, c.ttl_ms, tostring(c.presence), c.slow)
  end
  return list
end

local function methods_meet(a, b)
  if not a or not b then return a == b end
  for _, x in ipairs(a) do
    for _, y in ipairs(b) do
      if x == y then return true end
    end
  end
  return false
end

-- The first thing two apps cannot both have, or nil.
local function conflict(mine, other_name, other)
  for _, a in ipairs(mine.routes) do
    for _, b in ipairs(other.routes) do
      if a.shape == b.shape and methods_meet(a.methods, b.methods) then
        return ("path %q is taken by %q of app %s"):format(a.path, b.path, other_name)
      end
    end
  end
  for channel, options in pairs(mine.channels) do
    local theirs = other.channels[channel]
    if theirs and theirs ~= options then
      return ("channel %q has other options in app %s: here %s, there %s"):format(
        channel, other_name, options, theirs)
    end
  end
  return nil
end

local function conflicts(name, mine, running)
  local names = {}
  for other in pairs(running) do names[#names + 1] = other end
  table.sort(names)
  for _, other in ipairs(names) do
    local why = other ~= name and conflict(mine, other, running[other])
    if why then return why end
  end
  return nil
end

local function closure_files(app)
  local files = {}
  for path, text in pairs(app.closure) do
    if text then files[path] = text end
  end
  return files
end

-- Judges one app against what is known of it; fills `seen`.
local function judge(app, known, seen, running)
  local before = known[app.name] or { generation = 0 }
  known[app.name] = before
  before.missing = nil
  if before.serving and is_same(before.serving.closure, app.files) then
    if before.tried then seen.restored[#seen.restored + 1] = app.name end
    before.tried = nil
    return
  elseif before.tried and is_same(before.tried.closure, app.files) then
    return
  end
  local described, why = evaluate(app)
  local mine = described and {
    closure = digests(app.closure), routes = routes_of(described),
    channels = channels_of(described),
  }
  why = why or conflicts(app.name, mine, running)
  if why then
    before.tried = { closure = digests(app.closure), error = why }
    seen.refused[#seen.refused + 1] = { name = app.name, error = why }
    return
  end
  running[app.name] = mine
  before.staged = mine
  seen.apps[#seen.apps + 1] = {
    name = app.name, folder = app.folder, main = app.main, files = closure_files(app),
    generation = before.generation + 1,
  }
end

local function missing(apps, known, seen)
  for name, before in pairs(known) do
    if not apps[name] and before.serving then
      before.missing = (before.missing or 0) + 1
      if before.missing >= 2 then seen.gone[#seen.gone + 1] = name else seen.again = true end
    elseif not apps[name] then
      known[name] = nil
    end
  end
end

--- One look at the directory.
---@param directory string
---@param known table what earlier looks and commits left; a changed copy comes back in the result
---@return table seen { apps, refused, restored, gone, again, known, problem }
function look.run(directory, known)
  local seen = { apps = {}, refused = {}, restored = {}, gone = {}, known = known }
  local files, why = core.read_tree(directory)
  local apps = files and apps_of(files)
  if not files or next(apps) == nil then
    seen.problem = why or "the directory holds no script"
    return seen
  end
  missing(apps, known, seen)
  local running, names = {}, {}
  for name, before in pairs(known) do
    if apps[name] then running[name] = before.serving end
  end
  for name in pairs(apps) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do judge(apps[name], known, seen, running) end
  return seen
end

return look
