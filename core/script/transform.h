// SPDX-License-Identifier: MIT
//
// What a script's `deliver`, `hark.variant` and `codec.encode` make of channel messages: implements
// session/view. A slot has one view for all sessions, plus one for each key of its variant.
// `deliver` runs per session; a variant and an encoder run once a message and view, also when
// readers come at different times: each view keeps what it made of the last messages.
#ifndef HARK_SCRIPT_TRANSFORM_H
#define HARK_SCRIPT_TRANSFORM_H

#include <lua.h>

#include "base/attr.h"
#include "session/view.h"

#define HARK_TRANSFORM_VARIANTS_MAX \
    256 // keys of one slot; sessions with further ones run privately

struct hark_conn;
struct hark_slot;
struct hark_transform;

// Makes the slot's own view when it has none yet: 0 or ENOMEM.
HARK_MUSTCHECK int hark_transform_open(struct hark_slot *slot);
// After the slot's code was swapped: all views of the slot follow it.
void hark_transform_refresh(struct hark_slot *slot);
// Frees the views; no session is left.
void hark_transform_free_all(struct hark_slot *slot);

struct hark_view *hark_transform_view(struct hark_slot *slot); // for a new session
// The session is released: its view counts one less.
void hark_transform_leave(struct hark_conn *conn);

// Inside Lua: takes the key of the variant (if the slot has one) anew for the connection and puts
// its session on the view of that key. Raises what the key function raises.
void hark_transform_assign(lua_State *L, struct hark_conn *conn);

#endif
