// SPDX-License-Identifier: MIT
//
// A buffer for the length of a C function that Lua called: freed whatever is raised in it.
#ifndef HARK_SCRIPT_BUFFER_H
#define HARK_SCRIPT_BUFFER_H

#include <stddef.h>

#include <lua.h>

#include "base/buf.h"

// Calls fn with the whole stack of the calling function as its arguments and an empty buffer of at
// most `max` bytes; its results are left alone on the stack. Returns their number, to be returned.
// Waiting is not possible inside.
typedef int hark_buffer_fn(lua_State *L, struct hark_buf *buf);
int hark_buffer_with(lua_State *L, size_t max, hark_buffer_fn *fn);

// Pushes what is in it as a string.
int hark_buffer_push(lua_State *L, const struct hark_buf *buf);

#endif
