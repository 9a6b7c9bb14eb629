-- SPDX-License-Identifier: MIT
--
-- Checks that the includes of core/ run strictly downward, that there is no circle inside a folder,
-- and that a vendor's header appears only at home. Run in every build: lua5.4 .ci/layers.lua ROOT

-- Folder -> folders it may include besides itself. hark.h is open to all.
local ALLOWED <const> = {
  base = {},
  io = { "base" },
  proto = { "base" },
  hub = { "base" },
  broker = { "hub", "io", "base" },
  session = { "hub", "base" },
  transport = { "session", "hub", "proto", "io", "base" },
  script = { "transport", "session", "hub", "io", "base" },
  gateway = { "script", "transport", "session", "broker", "hub", "proto", "io", "base" },
  [""] = { "gateway", "script", "transport", "session", "broker", "hub", "proto", "io", "base" },
}

-- Vendor header -> where it may appear: a folder ("io/") or files.
local VENDORS <const> = {
  ["uv.h"] = { "io/" },
  ["liburing.h"] = { "io/" },
  ["llhttp.h"] = { "proto/http1.c" },
  ["wslay/wslay.h"] = { "proto/ws_reader.c" },
  ["openssl/"] = { "base/digest.c", "io/tls.c" },
  ["uthash.h"] = { "base/hash.h" },
  ["lua.h"] = { "script/", "module.c" },
  ["lauxlib.h"] = { "script/", "module.c" },
  ["lualib.h"] = { "script/", "module.c" },
}

local root <const> = arg[1] or "."
local failures = {}

local function fail(file, text)
  failures[#failures + 1] = ("%s: %s"):format(file, text)
end

local function files()
  local pipe = assert(io.popen(("find '%s/core' -name '*.[ch]' | sort"):format(root)))
  local list = {}
  for path in pipe:lines() do
    list[#list + 1] = path:sub(#root + #"/core/" + 1)
  end
  pipe:close()
  return list
end

local function includes(file)
  local list = {}
  for line in io.lines(("%s/core/%s"):format(root, file)) do
    local kind, name = line:match('^%s*#%s*include%s+([<"])([^>"]+)[>"]')
    if name then
      list[#list + 1] = { name = name, own = kind == '"' }
    end
  end
  return list
end

local function contains(list, item)
  for _, each in ipairs(list) do
    if each == item then return true end
  end
  return false
end

local function check_layer(file, name)
  local folder, target = file:match("^(%l+)/") or "", name:match("^(%l+)/") or ""
  if name == "hark.h" or folder == target then return end
  if not (ALLOWED[folder] and contains(ALLOWED[folder], target)) then
    fail(file, ('includes "%s": %s may not include %s'):format(name, folder, target))
  end
end

local function check_vendor(file, name)
  for vendor, homes in pairs(VENDORS) do
    local match = vendor:sub(-1) == "/" and name:sub(1, #vendor) == vendor or name == vendor
    if match then
      local at_home = false
      for _, home in ipairs(homes) do
        at_home = at_home or file == home or (home:sub(-1) == "/" and file:sub(1, #home) == home)
      end
      if not at_home then
        fail(file, ("includes <%s>, whose home is %s"):format(name, table.concat(homes, ", ")))
      end
    end
  end
end

-- Edges between modules (x.c and x.h are one module), for the search of circles.
local function check_circles(edges)
  local state = {}
  local function visit(module, trail)
    if state[module] == "done" then return end
    if state[module] == "open" then
      fail(module, "include circle: " .. table.concat(trail, " -> ") .. " -> " .. module)
      return
    end
    state[module] = "open"
    trail[#trail + 1] = module
    for target in pairs(edges[module] or {}) do
      visit(target, trail)
    end
    trail[#trail] = nil
    state[module] = "done"
  end
  for module in pairs(edges) do
    visit(module, {})
  end
end

local edges = {}
local seen <const> = files()
for _, file in ipairs(seen) do
  local module = file:gsub("%.[ch]$", "")
  edges[module] = edges[module] or {}
  for _, include in ipairs(includes(file)) do
    if include.own then
      check_layer(file, include.name)
      local target = include.name:gsub("%.h$", "")
      if target ~= module then edges[module][target] = true end
    else
      check_vendor(file, include.name)
    end
  end
end
check_circles(edges)

if #failures > 0 then
  io.stderr:write(table.concat(failures, "\n"), "\n")
  os.exit(1)
end
print(("layers: %d files hold"):format(#seen))
