-- SPDX-License-Identifier: MIT
--
-- Durations and sizes as scripts and settings write them: numbers are seconds (or bytes), strings
-- carry a unit: "150ms", "25s", "5m", "24h"; "64KiB", "1MiB".

local units = {}

local MILLISECONDS <const> = { ms = 1, s = 1000, m = 60000, h = 3600000 }
local BYTES <const> = { B = 1, KiB = 1024, MiB = 1024 * 1024, GiB = 1024 * 1024 * 1024 }

local function scaled(value, factors, base, what, allowed)
  if type(value) == "number" and value >= 0 and value < 2 ^ 53 then
    return math.tointeger(math.floor(value * base + 0.5))
  end
  if type(value) == "string" then
    local number, unit = value:match("^(%d+%.?%d*)%s*(%a+)$")
    local factor = unit and factors[unit]
    if factor then
      return math.tointeger(math.floor(tonumber(number) * factor + 0.5))
    end
  end
  local shown = type(value) == "string" and ("%q"):format(value) or tostring(value)
  return nil, ("%s is no %s; allowed: %s"):format(shown, what, allowed)
end

--- Milliseconds of a duration. `units.ms("5m")` is 300000.
---@param value number|string seconds, or text with ms, s, m or h
---@return integer? milliseconds
---@return string? why
function units.ms(value)
  return scaled(value, MILLISECONDS, 1000, "duration",
    'seconds as a number, or "150ms", "25s", "5m", "24h"')
end

--- Bytes of a size. `units.bytes("64KiB")` is 65536.
---@param value number|string bytes, or text with B, KiB, MiB or GiB
---@return integer? bytes
---@return string? why
function units.bytes(value)
  return scaled(value, BYTES, 1, "size", 'bytes as a number, or "64KiB", "1MiB"')
end

return units
