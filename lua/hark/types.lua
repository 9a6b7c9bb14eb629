-- SPDX-License-Identifier: MIT
---@meta hark
-- luacheck: ignore 211 212 241
--
-- Everything that a script sees, for editors (LuaLS, EmmyLua) and as the source of the reference
-- in docs/script-api.md. Nothing here runs. Units: numbers are seconds, bytes or counts; strings
-- carry a unit: "250ms", "30s", "5m", "24h", "64KiB", "1MiB".

---@alias hark.Seconds number|string seconds, or a string with `ms`, `s`, `m` or `h`
---@alias hark.Size integer|string bytes, or a string with `KiB` or `MiB`
---@alias hark.TransportName "websocket"|"sse"|"longpoll"
---@alias hark.Data string|table a string goes out as it is, a table as JSON
---@alias hark.Position string where a message stands in its channel; opaque

--------------------------------------------------------------------------------------------------
-- What a script returns

---@alias hark.Auth fun(req: hark.Req): user: hark.User?, reason: string?, code: integer?
---@alias hark.Choose fun(req: hark.Req): name: string?
---@alias hark.Respond fun(req: hark.Req): status: integer, body: hark.Data?, headers: hark.Headers?
---@alias hark.Headers table<string, string|string[]>
---@alias hark.OnConn fun(conn: hark.Conn): any, string?
---@alias hark.OnMessage fun(conn: hark.Conn, msg: any, kind: "text"|"binary"): any, string?
---@alias hark.OnGap fun(conn: hark.Conn, channel: string, from: string, to: string): told: boolean?
---@alias hark.Allow fun(conn: hark.Conn, channel: hark.ChannelRef): allowed: any, why: string?

--- A script is a Lua file that returns this table. One endpoint writes its keys here; several go
--- in the array part.
---@class hark.Script : hark.Endpoint
---@field channels? table<string, hark.ChannelOptions> by name or pattern: `["chat/:room"] = {}`
---@field services? table<string, hark.Service|fun()> background work by name
---@field check? fun(): ok: any, why: string? last test before this generation goes live
---@field [integer] hark.Endpoint

--- One path with its functions, in the order of a connection's life.
---@class hark.Endpoint
---@field path? string `"/chat/:room"`; a final `*` takes the rest
---@field method? string|string[] of a `respond` endpoint; GET and HEAD when left out
---@field origins? "*"|string[] pages that may connect from a browser; left out: same origin
---@field auth? hark.Auth who is this? before any transport is accepted
---@field transport? hark.TransportName|hark.TransportName[]|hark.Choose
---@field subprotocols? string[]|hark.Choose WebSocket subprotocols, by preference
---@field codec? "json"|hark.Codec how messages are read and written; left out: strings as they are
---@field websocket? hark.WebSocketOptions
---@field sse? hark.SseOptions
---@field longpoll? hark.LongPollOptions
---@field grace? hark.Seconds how long a session outlives a cut WebSocket or SSE connection; 0
---@field limits? hark.Limits lower than the host's
---@field version? integer of what is kept in `conn.data`; raising it calls `upgrade`
---@field open? hark.OnConn connected, on whichever transport
---@field message? hark.OnMessage a frame or a POST; `nil, why` refuses it
---@field deliver? hark.Deliver|hark.Variant last look at a channel's message before it leaves
---@field timers? table<string, hark.OnConn> by name, for `conn:after`
---@field attach? fun(conn: hark.Conn, transport: hark.TransportName) a further transport came
---@field detach? fun(conn: hark.Conn, why: string, clean: boolean) it went, the session lives on
---@field gap? hark.OnGap history no longer holds what it asks for; true: it has been told
---@field drain? fun(conn: hark.Conn, why: string) last words before the host stops
---@field upgrade? fun(conn: hark.Conn, from: integer) first event after `version` rose; cannot wait
---@field close? fun(conn: hark.Conn, why: string) gone
---@field respond? hark.Respond a plain HTTP endpoint instead of a session

---@class hark.Codec
---@field decode? fun(data: string): (value: any, why: string?) `nil, why` refuses the message
---@field encode? fun(value: any): text: string, kind: "binary"? once per message, not per client

---@class hark.WebSocketOptions
---@field ping? hark.Seconds between pings; 25 s
---@field pong? hark.Seconds that a client has to answer one; 10 s

---@class hark.SseOptions
---@field comment? hark.Seconds between comments, which keep an idle stream open; 15 s
---@field retry? hark.Seconds the `retry:` that a stream begins with; 2 s

---@class hark.LongPollOptions
---@field wait? hark.Seconds how long a poll is parked; 45 s
---@field batch? integer messages an answer may hold; 1 sends raw messages, more sends a JSON array
---@field grace? hark.Seconds how long a session waits for its next poll; 30 s

--- Runs once per client and cannot wait; nil: not for this client.
---@alias hark.Deliver fun(conn: hark.Conn, event: hark.Event): hark.Event?

--- Made by `hark.variant`.
---@class hark.Variant

---@class hark.ChannelOptions
---@field history? integer messages kept for resuming and rewinding; 0
---@field bytes? hark.Size bytes kept; 1 MiB
---@field ttl? hark.Seconds how long a message is kept; 5 minutes
---@field presence? boolean who is joined is known, and joins and leaves are events
---@field slow? "close"|"oldest"|"latest" what befalls a reader who cannot keep up; "close"
---@field join? hark.Allow may it listen?
---@field publish? hark.Allow may it publish by itself, where a client protocol lets it?

--- A channel's name and what its pattern captured: `channel.room` for `"chat/:room"`.
---@class hark.ChannelRef
---@field name string
---@field [string] string

---@class hark.Service
---@field on? "one"|"each" one worker of the host (the default), or each of them
---@field run fun() restarted with back-off when it ends in an error; retired on a reload
---@field every? hark.Seconds calls `run` again and again at this interval

--- Limits for a script's clients and runs; a script can only lower what the host allows.
---@class hark.Limits
---@field message? hark.Size largest message from a client; 64 KiB
---@field body? hark.Size largest request body; 1 MiB
---@field queue? hark.Size bytes waiting for one client; 1 MiB
---@field channels? integer channels one session may join; 128
---@field run_cpu? hark.Seconds CPU of one handler run; 50 ms

--------------------------------------------------------------------------------------------------
-- What handlers get

--- Who a connection is, as `auth` said. Plain values of the script's choice.
---@class hark.User
---@field id? string who it is, for presence and for ending a user's sessions
---@field expires? number Unix time at which this identity ends
---@field [string] any

--- One HTTP request, before it is a connection, or in `respond`.
---@class hark.Req
---@field id string request id, taken from X-Request-Id or made
---@field method string
---@field path string decoded, without the query
---@field target string path and query as they were sent
---@field params table<string, string> what the path pattern captured
---@field query table<string, string>
---@field headers table<string, string> names in lower case
---@field cookies table<string, string>
---@field ip string
---@field host string?
---@field subprotocols string[] that a WebSocket client offers, in its order
---@field body string? of a `respond` endpoint
---@field user hark.User in `respond`: what `auth` gave; nil on an endpoint without
---@field offers table<hark.TransportName, boolean> what this client can use: what got through
local Req = {}

--- The token of `Authorization: Bearer`.
---@return string? token
function Req:bearer() end

--- The body, decoded. Numbers keep 64-bit integers, an empty array stays one.
---@return any value
---@return string? why
function Req:json() end

--- One logical client, on any transport. When it has gone, every method answers `nil, "closed"`.
---@class hark.Conn
---@field id string its name in logs and for operators; not the token, which is the client's secret
---@field user hark.User what `auth` gave; nil on an endpoint without
---@field params table<string, string>
---@field query table<string, string>
---@field data table yours: kept over reloads; plain values only
---@field transport hark.TransportName what carries it now
---@field ip string
---@field backlog integer bytes that wait for this client
local Conn = {}

--- Sends to this client alone, once.
---@param data hark.Data
---@param opts? hark.SendOptions
---@return true? ok
---@return string? why `"full"` or `"closed"`
function Conn:send(data, opts) end

---@class hark.SendOptions
---@field event? string event name: an SSE `event:` line, `event` in envelopes and batches
---@field binary? boolean a binary WebSocket frame; base64 elsewhere
---@field key? string which waiting message this one replaces, where `slow = "latest"`

--- Ends the session: the WebSocket close code (1000 to 4999, see docs), end of stream, last answer.
---@param code? integer 1000 when left out
---@param why? string at most 123 bytes
---@return true? ok
---@return string? why_not
function Conn:close(code, why) end

--- Joins a channel: after the position that the client brought, else from now on.
---@param channel string
---@param opts? hark.JoinOptions
---@return hark.Sub sub nil when it was refused
---@return string? why
function Conn:join(channel, opts) end

---@class hark.JoinOptions
---@field rewind? integer a newcomer gets the last n messages of history
---@field since? hark.Position start behind this message
---@field as? string member id for presence
---@field info? any told to others with presence; needs `as`

---@param channel string
---@return boolean? left false: was not joined
---@return string? why
function Conn:leave(channel) end

---@param channel string
---@return hark.Sub? sub
function Conn:joined(channel) end

--- Sends a message and waits; the client's next message is the answer.
---@param msg hark.Data
---@param seconds? hark.Seconds 10
---@return any answer
---@return string? why `"timeout"` or `"closed"`
function Conn:request(msg, seconds) end

--- Calls `timers[name]` later. One timer a name: setting it again replaces the earlier one.
---@param seconds hark.Seconds
---@param name string
---@return true? ok
---@return string? why
function Conn:after(seconds, name) end

---@param name string
---@return boolean cancelled
function Conn:cancel(name) end

--- Takes the key of `hark.variant` anew for this client.
---@return true? ok
---@return string? why
function Conn:refresh() end

--- One connection's place in one channel.
---@class hark.Sub
---@field channel string
---@field recovered boolean it brought a position and has missed nothing since
---@field position hark.Position where live began
---@field missed integer messages that history no longer held
local Sub = {}

---@return hark.Member[]
function Sub:members() end

---@class hark.Member
---@field id string
---@field info any

--- A channel's message, as `deliver` and `hark.history` see it. Changing it changes what this
--- client or variant gets; the one in the channel stays as it is.
---@class hark.Event
---@field channel string
---@field data string the payload's bytes
---@field event string? event name
---@field id hark.Position? nil outside the log
---@field time number Unix time of publishing
---@field key string?
---@field binary boolean

--------------------------------------------------------------------------------------------------
-- require "hark"

---@class hark
---@field version string
---@field env table<string, string> the host's environment, read only; absent names are nil
---@field json hark.json
---@field hmac hark.hmac
---@field digest hark.digest
---@field base64 hark.base64
---@field log hark.log
local hark = {}

--- Publishes to a channel; every subscriber on every worker gets it in the channel's order.
---@param channel string
---@param data hark.Data
---@param opts? hark.PublishOptions
---@return hark.Position? position
---@return string? why
function hark.publish(channel, data, opts) end

---@class hark.PublishOptions
---@field event? string event name
---@field key? string which earlier message this one replaces, where `slow = "latest"`
---@field once? string idempotency key: a second publish within 5 minutes gives the first's position
---@field history? false outside the log: no position, cannot be resumed
---@field except? hark.Conn a connection that does not get it
---@field binary? boolean the data is not text

--- What a channel still holds, oldest first.
---@param channel string
---@param opts? { limit?: integer, since?: hark.Position } limit: 100 when left out
---@return hark.Event[]? events
---@return string? why `"gap"` behind events: what follows `since` is not all there any more
function hark.history(channel, opts) end

--- Who is in a channel with `presence = true`.
---@param channel string
---@return hark.Member[]? members
---@return string? why
function hark.presence(channel) end

--- Computes a message once per variant: `key` sorts clients, `transform` makes the message for one
--- sort. Runs once per message, variant and worker.
---@param key fun(conn: hark.Conn): string taken when the client joins, and by `conn:refresh()`
---@param transform fun(key: string, event: hark.Event): hark.Event? nil: not for this variant
---@return hark.Variant
function hark.variant(key, transform) end

--- A dictionary that all workers share. Values: nil, booleans, numbers, strings, tables of those.
---@param name string
---@return hark.Shared
function hark.shared(name) end

---@class hark.Shared
local Shared = {}

---@param key string
---@return any value
function Shared:get(key) end

--- Sets a value; nil removes it.
---@param key string
---@param value any
---@param ttl? hark.Seconds gone after that
---@return true? ok
---@return string? why `"full"`
function Shared:set(key, value, ttl) end

--- Sets a value unless there is one.
---@param key string
---@param value any
---@param ttl? hark.Seconds
---@return boolean? added
---@return string? why
function Shared:add(key, value, ttl) end

--- Adds to a number, 0 when there is none.
---@param key string
---@param by? number 1
---@param ttl? hark.Seconds
---@return number? value
---@return string? why
function Shared:incr(key, by, ttl) end

--- Sets what `fn` makes of the value; retried when another worker was faster. `fn` cannot wait.
---@param key string
---@param fn fun(value: any): any
---@param ttl? hark.Seconds
---@return any value
---@return string? why
function Shared:update(key, fn, ttl) end

--- Seconds that a value has left to live (nil: no such key, or it stays). With `seconds` sets them,
--- and tells whether there was such a key.
---@param key string
---@param seconds? hark.Seconds
---@return number|boolean|nil left
function Shared:ttl(key, seconds) end

---@param key string
---@return boolean deleted false: there was none
function Shared:delete(key) end

--- A value of this worker that outlives reloads. `make(old, old_version)` runs for the first
--- generation and whenever `version` changes; it returns a new value and leaves the old one alone.
---@generic T
---@param name string
---@param version integer
---@param make fun(old: any, old_version: integer?): T
---@return T
function hark.keep(name, version, make) end

--- Waits. Other connections go on meanwhile.
---@param seconds hark.Seconds
---@return true? ok
---@return string? why `"retired"`: a newer generation has taken over this service
function hark.sleep(seconds) end

--- Compares two secrets in a time that does not tell where they differ.
---@param a string
---@param b string
---@return boolean
function hark.equal(a, b) end

--- Random bytes, good enough for secrets.
---@param count integer 1 to 1024
---@return string bytes
function hark.random(count) end

--- Unix time with its fraction.
---@return number seconds
function hark.now() end

--- JSON that keeps 64-bit integers and empty arrays.
---@class hark.json
---@field null lightuserdata JSON's null inside tables
---@field empty_array table encodes as `[]`
local json = {}

--- Marks a table as an array, so that it is written as one when it is empty too.
---@generic T: table
---@param list T
---@return T
function json.array(list) end

---@param value any
---@return string text
function json.encode(value) end

---@param text string
---@return any value
---@return string? why
function json.decode(text) end

---@class hark.hmac
local hmac = {}

---@param key string
---@param data string
---@return string hex
function hmac.sha256(key, data) end

---@param key string
---@param data string
---@return string hex
function hmac.sha512(key, data) end

---@param key string
---@param data string
---@return string hex
function hmac.sha1(key, data) end

---@param key string
---@param data string
---@return string hex
function hmac.md5(key, data) end

---@class hark.digest
local digest = {}

---@param data string
---@return string hex
function digest.sha256(data) end

---@param data string
---@return string hex
function digest.sha512(data) end

---@param data string
---@return string hex
function digest.sha1(data) end

---@param data string
---@return string hex
function digest.md5(data) end

---@class hark.base64
local base64 = {}

---@param bytes string
---@param url? boolean the alphabet of addresses, without padding
---@return string text
function base64.encode(bytes, url) end

---@param text string
---@return string? bytes
---@return string? why
function base64.decode(text) end

--- Structured log lines: `hark.log.info("signed in", { user = id })`.
---@class hark.log
local log = {}

---@param text string
---@param fields? table<string, string|number|boolean>
function log.debug(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.info(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.warn(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.error(text, fields) end

return hark
