// SPDX-License-Identifier: MIT
//
// JSON (RFC 8259) for scripts. What goes in comes out the same: integers of 64 bits stay integers,
// integers beyond that become floats, floats are written so that they read back equal, an empty
// array stays an array, null is the value json.null.
//
// Written: a table whose keys are 1 to n is an array, one with string keys an object, the empty
// table an object unless it carries the array mark (json.array(t), json.empty_array, or read from
// "[]"). All else is an error that names the path to the value.
#ifndef HARK_SCRIPT_JSON_H
#define HARK_SCRIPT_JSON_H

#include <lua.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"
#include "script/walk.h"

#define HARK_JSON_DEPTH HARK_WALK_DEPTH

struct hark_json_error {
    char text[HARK_WALK_WHY_MAX];
};

// Pushes the module {encode, decode, array, empty_array, null}.
int hark_json_open(lua_State *L);

// Pushes the value of a JSON text: 0. EINVAL: nothing is pushed, the reason with its place is in
// *ret_why. Raises only when there is no memory.
HARK_MUSTCHECK int
hark_json_decode(lua_State *L, struct hark_slice text, struct hark_json_error *ret_why);

// Appends the JSON text of the value at index: 0, ETOOBIG, ENOMEM, EINVAL (why). Raises nothing.
HARK_MUSTCHECK int
hark_json_encode(lua_State *L, int index, struct hark_buf *buf, struct hark_json_error *ret_why);

void hark_json_push_null(lua_State *L);
bool hark_json_is_null(lua_State *L, int index);
// Gives the table on top the array mark.
void hark_json_mark_array(lua_State *L);

#endif
