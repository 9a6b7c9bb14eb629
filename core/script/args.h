// SPDX-License-Identifier: MIT
//
// Arguments of the functions that scripts call: tables of options (an unknown key or a wrong type
// is a mistake, and the error says what is allowed), durations, positions.
#ifndef HARK_SCRIPT_ARGS_H
#define HARK_SCRIPT_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/attr.h"
#include "base/slice.h"
#include "hub/msg.h"

enum hark_arg_type {
    HARK_ARG_STRING,
    HARK_ARG_INTEGER, // 0 to 2^53
    HARK_ARG_BOOLEAN,
    HARK_ARG_FUNCTION,
    HARK_ARG_TABLE,
    HARK_ARG_DURATION, // seconds, or "150ms", "25s", "5m", "24h"
    HARK_ARG_ANY,
};

struct hark_arg {
    const char *name;
    enum hark_arg_type type;
};

// Checks the table at `index` (nil or none: no options) against `count` names and pushes their
// values in that order, nil for those that are absent: the n-th lies at the returned index + n.
// Raises.
int hark_args_read(
    lua_State *L, int index, const char *what, const struct hark_arg *args, size_t count);

// The string at index, else an empty slice.
struct hark_slice hark_args_slice(lua_State *L, int index);

// An integer that hark_args_read has checked, held to 32 bits; `absent` for nil.
uint32_t hark_args_count(lua_State *L, int index, uint32_t absent);

// Milliseconds of the duration at index; raises when it is none.
uint64_t hark_args_ms(lua_State *L, int index, const char *what);
// The same without raising: false when it is none.
bool hark_args_to_ms(lua_State *L, int index, uint64_t *ret_ms);

// Pushes a position as scripts see it, `epoch:offset`.
void hark_args_push_position(lua_State *L, struct hark_position position);

#endif
