// SPDX-License-Identifier: MIT
//
// A channel's message as scripts see it (hark.Event), and the payload that Lua values become on
// their way out. Inside Lua; raises what is wrong.
#ifndef HARK_SCRIPT_EVENT_H
#define HARK_SCRIPT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/buf.h"
#include "base/slice.h"
#include "hub/msg.h"

struct hark_slot;

// Pushes {channel, data, event, id, time, key, binary}.
void hark_event_push(lua_State *L, const struct hark_msg *msg);

// The payload of the value at index: a string as it is, a table as JSON, or whatever the slot's
// codec.encode makes of it (slot NULL: no codec). The slice points into the string, which then lies
// on top of the stack or at index, or into buf. Flags BINARY and JSON are added to *flags.
struct hark_slice hark_event_payload(
    lua_State *L, int index, const struct hark_slot *slot, struct hark_buf *buf, uint32_t *flags);
// nil and why: what was given is no event name (they may come from clients), or a reserved one.
int hark_event_refuse(lua_State *L);
// As payload, for what is no table or string too: any JSON value (no codec).
struct hark_slice hark_event_json(lua_State *L, int index, struct hark_buf *buf, const char *what);

#endif
