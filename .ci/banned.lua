-- SPDX-License-Identifier: MIT
--
-- Calls that core/ must not make, and where they are allowed all the same.
-- Run: lua5.4 .ci/banned.lua ROOT

local HEAP <const> = { "base/mem.c" }
local OUTPUT <const> = { "base/log.c", "main.c" }

local BANNED <const> = {
  malloc = HEAP, calloc = HEAP, realloc = HEAP, free = { "base/mem.c", "main.c", "module.c" },
  strdup = {}, strndup = {},
  strcpy = {}, strcat = {}, sprintf = {}, vsprintf = {}, strncpy = {}, strtok = {}, gets = {},
  atoi = {}, atol = {}, sscanf = {}, rand = {}, gmtime = {}, localtime = {}, strerror = {},
  printf = OUTPUT, fprintf = OUTPUT, puts = OUTPUT, fputs = OUTPUT, perror = OUTPUT,
  signal = {}, sleep = {}, usleep = {}, abort = {}, exit = { "main.c" }, alloca = {},
  setjmp = {}, longjmp = {},
}

local root <const> = arg[1] or "."
local failures = 0

local function allowed(file, homes)
  for _, home in ipairs(homes) do
    if file == home then return true end
  end
  return false
end

-- The line without comments, strings and characters.
local function code_of(line)
  return (line:gsub("//.*$", ""):gsub('"[^"]*"', '""'):gsub("'[^']*'", "''"))
end

local pipe = assert(io.popen(("find '%s/core' -name '*.[ch]' | sort"):format(root)))
for path in pipe:lines() do
  local file, number = path:sub(#root + #"/core/" + 1), 0
  for line in io.lines(path) do
    number = number + 1
    for before, name in code_of(line):gmatch("(%S?%S?)%f[%w_]([%a_][%w_]*)%s*%(") do
      local homes = BANNED[name]
      local member = before:sub(-1) == "." or before:sub(-2) == "->"
      if homes and not member and not allowed(file, homes) then
        failures = failures + 1
        io.stderr:write(("core/%s:%d: %s() is banned here\n"):format(file, number, name))
      end
    end
  end
end
pipe:close()
if failures > 0 then os.exit(1) end
print("banned calls: none")
