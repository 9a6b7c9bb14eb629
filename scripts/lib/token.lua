-- SPDX-License-Identifier: MIT
--- Signed tokens for the demo: "name.expires.signature", HMAC-SHA256 under DEMO_SECRET.
--- Enough to show where a token is made and checked; account.lua, inbox.lua and room.lua share it.
local hark <const> = require("hark")

local SECRET <const> = hark.env.DEMO_SECRET or "only for trying hark out"

local token = {}

--- A token for `name`, good for `seconds` (an hour when left out).
---@param name any what a visitor typed
---@param seconds? integer
---@return string? token
---@return string? why
function token.sign(name, seconds)
  if type(name) ~= "string" or #name > 32 or not name:find("^[%w_-]+$") then
    return nil, "name must be 1 to 32 letters, digits, '-' or '_'"
  end
  local body = ("%s.%d"):format(name, os.time() + (seconds or 3600))
  return body .. "." .. hark.hmac.sha256(SECRET, body)
end

--- Who a token speaks for.
---@param text string?
---@return hark.User? user
---@return string? why
function token.verify(text)
  if not text then return nil, "no token: POST your name to /login to get one" end
  local body, signature = text:match("^(.+)%.(%x+)$")
  local name, expires = (body or ""):match("^([%w_-]+)%.(%d+)$")
  if not (body and signature and name) then
    return nil, "the token is not of the form name.expires.signature"
  end
  if not hark.equal(signature, hark.hmac.sha256(SECRET, body)) then
    return nil, "the token's signature does not match"
  end
  local ends <const> = tonumber(expires) or 0
  if ends <= os.time() then return nil, "the token has expired" end
  return { id = name, expires = ends }
end

return token
