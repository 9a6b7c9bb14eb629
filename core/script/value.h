// SPDX-License-Identifier: MIT
//
// Plain Lua values as bytes, to pass them between states of one process: nil, booleans, numbers,
// strings, json.null, and tables of those (array marks are kept). Functions, userdata, threads,
// tables with a metatable or inside themselves are refused, with the path to them. The format is
// private to the process: bytes never leave it.
//
// Several values may lie behind one another: pack appends, unpack takes the first.
#ifndef HARK_SCRIPT_VALUE_H
#define HARK_SCRIPT_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"
#include "script/walk.h"

struct hark_value_error {
    char text[HARK_WALK_WHY_MAX];
};

// 0, ETOOBIG, ENOMEM, EINVAL (why). Raises nothing.
HARK_MUSTCHECK int
hark_value_pack(lua_State *L, int index, struct hark_buf *buf, struct hark_value_error *ret_why);

// Pushes the first value of *data and moves behind it: 0. EINVAL (nothing pushed): not such bytes.
// Raises only when there is no memory.
HARK_MUSTCHECK int hark_value_unpack(lua_State *L, struct hark_slice *data);

// Whether the value may be packed, without packing it: 0 or EINVAL (why), ENOMEM. Raises nothing.
HARK_MUSTCHECK int hark_value_check(lua_State *L, int index, struct hark_value_error *ret_why);

// The same bytes from C, for callers without a state.
HARK_MUSTCHECK int hark_value_put_nil(struct hark_buf *buf);
HARK_MUSTCHECK int hark_value_put_boolean(struct hark_buf *buf, bool value);
HARK_MUSTCHECK int hark_value_put_integer(struct hark_buf *buf, int64_t value);
HARK_MUSTCHECK int hark_value_put_float(struct hark_buf *buf, double value);
HARK_MUSTCHECK int hark_value_put_string(struct hark_buf *buf, struct hark_slice value);
HARK_MUSTCHECK int hark_value_put_array(struct hark_buf *buf,
                                        uint32_t count);         // `count` values follow
HARK_MUSTCHECK int hark_value_put_map(struct hark_buf *buf);     // key, value, ..., then
HARK_MUSTCHECK int hark_value_put_map_end(struct hark_buf *buf); // its end

// Reads what C can hold from *data and moves behind it; EINVAL when the first value is of another
// kind.
HARK_MUSTCHECK int hark_value_take_string(struct hark_slice *data, struct hark_slice *ret);
HARK_MUSTCHECK int hark_value_take_integer(struct hark_slice *data, int64_t *ret);
HARK_MUSTCHECK int hark_value_take_float(struct hark_slice *data, double *ret);
HARK_MUSTCHECK int hark_value_take_array(struct hark_slice *data,
                                         uint32_t *ret_count); // its values follow
// Moves behind the first value, whatever it is.
HARK_MUSTCHECK int hark_value_skip(struct hark_slice *data);
bool hark_value_is_nil(struct hark_slice data); // the first value; also true when there is none

#endif
