-- SPDX-License-Identifier: MIT
--
-- Background work of apps: each service is one task, on one worker of the host (or on each),
-- started again with back-off when it ends in an error, and handed over on reload: the old one's
-- waits return nil, "retired", and the new one begins when it has ended or was cancelled.

local core <const> = require("hark.core")

local services = {}

local BACKOFF_MIN <const>, BACKOFF_MAX <const> = 0.5, 30
local HEALTHY_SECONDS <const> = 60
local RETIRE_SECONDS <const> = 30

local running = {} -- app name -> { list of tasks }

local function jittered(seconds)
  return seconds * (0.5 + math.random())
end

-- One run until the service returns (nil, "retired" included) or fails; true: run it again.
local function once(app, service)
  local ok, problem = xpcall(service.run, debug.traceback)
  if ok then return service.every ~= nil end
  core.log.error("service", { app = app, service = service.name, error = tostring(problem) })
  return true, true
end

local function supervise(app, service, predecessors)
  for _, task in ipairs(predecessors) do
    local deadline = core.now() + RETIRE_SECONDS
    while not task.done and core.now() < deadline do core.sleep(0.02) end
    if not task.done then task:cancel() end
  end
  local backoff = BACKOFF_MIN
  while true do
    local began = core.now()
    local again, failed = once(app, service)
    if not again then return end
    local pause = service.every and service.every / 1000 or 0
    if failed then
      if core.now() - began > HEALTHY_SECONDS then backoff = BACKOFF_MIN end
      pause = jittered(backoff)
      backoff = math.min(backoff * 2, BACKOFF_MAX)
    end
    local _, why = core.sleep(pause)
    if why == "retired" then return end
  end
end

--- Replaces the services of an app.
---@param app string
---@param list table[] from script.describe
function services.swap(app, list)
  local old = running[app] or {}
  for _, task in ipairs(old) do task:retire() end
  local tasks = {}
  for _, service in ipairs(list) do
    if service.on == "each" or core.worker() == 0 then
      tasks[#tasks + 1] = core.spawn(supervise, app, service, old)
    end
  end
  running[app] = #tasks > 0 and tasks or nil
end

--- Tells all services to end; the host stops.
function services.stop()
  for _, tasks in pairs(running) do
    for _, task in ipairs(tasks) do task:retire() end
  end
  running = {}
end

return services
