-- SPDX-License-Identifier: MIT
--
-- Labelled counters that Lua keeps, as Prometheus text: what happened to each app's reloads.

local counters = {}

local HELP <const> = {
  reloads = "Looks that changed or refused an app, by app and result",
}
local LABELS <const> = { reloads = { "app", "result" } }

local values = {} -- name -> rendered labels -> count

local function escaped(text)
  return (tostring(text):gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

--- Adds one to a counter.
---@param name string
---@param ... string label values in the order of LABELS
function counters.count(name, ...)
  local parts, given = {}, table.pack(...)
  for i, label in ipairs(LABELS[name]) do
    parts[i] = ('%s="%s"'):format(label, escaped(given[i]))
  end
  local labels, of = table.concat(parts, ","), values[name] or {}
  values[name] = of
  of[labels] = (of[labels] or 0) + 1
end

--- All counters in the exposition format.
---@return string
function counters.render()
  local lines = {}
  for name, of in pairs(values) do
    lines[#lines + 1] = ("# HELP hark_%s_total %s."):format(name, HELP[name])
    lines[#lines + 1] = ("# TYPE hark_%s_total counter"):format(name)
    for labels, count in pairs(of) do
      lines[#lines + 1] = ("hark_%s_total{%s} %d"):format(name, labels, count)
    end
  end
  return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

return counters
