// SPDX-License-Identifier: MIT
//
// conn.data: a table of the script's own that outlives reloads, so it may hold plain values only.
// What is assigned is checked at once, through and through: a function, userdata, thread or a table
// with a metatable is an error that names the path. (The script sees a stand-in table; the values
// lie in one behind it. Tables inside are the script's own: what is put into those later is not
// seen.)
#ifndef HARK_SCRIPT_CONN_DATA_H
#define HARK_SCRIPT_CONN_DATA_H

#include <lua.h>

#include "base/attr.h"
#include "base/buf.h"

// Pushes the data of the handle at index, made when there is none.
void hark_conn_data_push(lua_State *L, int index);
// conn.data = the value at `value`: a table, or nil. Raises when it is not plain.
void hark_conn_data_assign(lua_State *L, int index, int value);

// The data as it is now, packed (nothing when there is none), and back again: for upgrade, which
// must leave the data untouched when it fails. save: 0, or a status when the data cannot be packed.
HARK_MUSTCHECK int hark_conn_data_save(lua_State *L, int index, struct hark_buf *buf);
void hark_conn_data_restore(lua_State *L, int index, const struct hark_buf *buf);

#endif
