-- SPDX-License-Identifier: MIT
--
-- Checks a table against a description: unknown keys (with the nearest known one as a hint), wrong
-- types, values out of range. Every message names the key by its whole path and what is allowed.

local units <const> = require("hark.engine.units")

local schema = {}

-- Levenshtein distance, for "did you mean". Names are short.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

--- The known name nearest to a misspelt one, or nil when none is near.
---@param name string
---@param known table<string, any>
---@return string?
function schema.nearest(name, known)
  local best, best_distance = nil, 3
  for candidate in pairs(known) do
    local d = distance(name, candidate)
    if d < best_distance or d == best_distance and best and candidate < best then
      best, best_distance = candidate, d
    end
  end
  return best
end

local function sorted(known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function shown(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "table" or type(value) == "function" then return "a " .. type(value) end
  return tostring(value)
end

local checks = {}

function checks.duration(value)
  local ms, why = units.ms(value)
  if not ms then return nil, why end
  return ms
end

function checks.size(value)
  local bytes, why = units.bytes(value)
  if not bytes then return nil, why end
  return bytes
end

function checks.count(value)
  if math.type(value) == "integer" and value >= 0 and value <= 0x7fffffff then return value end
  return nil, ("%s; allowed: a whole number from 0"):format(shown(value))
end

function checks.text(value)
  if type(value) == "string" then return value end
  return nil, ("%s; allowed: a string"):format(shown(value))
end

function checks.boolean(value)
  if type(value) == "boolean" then return value end
  return nil, ("%s; allowed: true or false"):format(shown(value))
end

checks["function"] = function(value)
  if type(value) == "function" then return value end
  return nil, ("%s; allowed: a function"):format(shown(value))
end

function checks.table(value)
  if type(value) == "table" then return value end
  return nil, ("%s; allowed: a table"):format(shown(value))
end

function checks.texts(value)
  if type(value) == "string" then return { value } end
  if type(value) ~= "table" then return nil, shown(value) .. "; allowed: a list of strings" end
  for i, item in ipairs(value) do
    if type(item) ~= "string" then
      return nil, ("item %d is %s; allowed: strings"):format(i, shown(item))
    end
  end
  return value
end

--- Checks one value by a rule: a type name of this module, or a list of allowed words.
---@param where string the key's path, for messages
---@param value any
---@param rule string|table|function
---@return any? checked the value, in base units where it has units
---@return string? why
function schema.value(where, value, rule)
  if type(rule) == "table" then
    for _, word in ipairs(rule) do
      if value == word then return value end
    end
    return nil, ('%s is %s; allowed: "%s"'):format(where, shown(value), table.concat(rule, '", "'))
  end
  local check = type(rule) == "function" and rule or checks[rule]
  local checked, why = check(value)
  if checked == nil then return nil, ("%s: %s"):format(where, why) end
  return checked
end

--- Checks the string keys of a table. Collects every problem in `problems`.
---@param where string path of the table, "" for the top
---@param given table
---@param rules table<string, any>
---@param problems string[]
---@param array boolean? integer keys are somebody else's affair
---@return table checked new table with the values in base units
function schema.keys(where, given, rules, problems, array)
  local checked = {}
  local prefix = where == "" and "" or where .. "."
  for key, value in pairs(given) do
    if type(key) == "string" and rules[key] ~= nil then
      local result, why = schema.value(prefix .. key, value, rules[key])
      if why then problems[#problems + 1] = why else checked[key] = result end
    elseif not (array and math.type(key) == "integer") then
      local hint = type(key) == "string" and schema.nearest(key, rules)
      hint = hint and (' (did you mean "%s"?)'):format(hint) or ""
      problems[#problems + 1] = ("%s is no known key%s; allowed: %s"):format(
        prefix .. tostring(key), hint, sorted(rules))
    end
  end
  return checked
end

return schema
