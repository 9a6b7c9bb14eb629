// SPDX-License-Identifier: MIT
//
// The stand-in is an empty table with one entry under the mark's address: the table behind it.
#include "script/conn_data.h"

#include <lauxlib.h>

#include "script/conn.h"
#include "script/value.h"
#include "script/walk.h"

static const char metatable_key;

static void push_metatable(lua_State *L);
static int index_data(lua_State *L);
static int assign_key(lua_State *L);
static int pairs(lua_State *L);
static int length(lua_State *L);

// Wraps the table on top and makes it the handle's data.
static void install(lua_State *L, int handle)
{
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, &hark_walk_mark);
    push_metatable(L);
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, handle, HARK_CONN_DATA);
}

void hark_conn_data_push(lua_State *L, int index)
{
    int handle = lua_absindex(L, index);
    if (lua_getiuservalue(L, handle, HARK_CONN_DATA) == LUA_TTABLE) {
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    install(L, handle);
    struct hark_conn *conn = ((struct hark_conn_handle *)lua_touserdata(L, handle))->conn;
    if (conn != NULL) {
        lua_pushvalue(L, handle);
        hark_conn_hold(L, conn);
        lua_pop(L, 1);
    }
    lua_getiuservalue(L, handle, HARK_CONN_DATA);
}

void hark_conn_data_assign(lua_State *L, int index, int value)
{
    int handle = lua_absindex(L, index);
    int at = lua_absindex(L, value);
    if (lua_isnil(L, at)) {
        lua_pushnil(L);
        lua_setiuservalue(L, handle, HARK_CONN_DATA);
        return;
    }
    if (!lua_istable(L, at)) {
        luaL_error(L, "conn.data must be a table or nil, not %s", luaL_typename(L, at));
    }
    struct hark_value_error why;
    if (hark_value_check(L, at, &why) != 0) {
        luaL_error(L, "conn.data: %s", why.text);
    }
    hark_conn_data_push(L, handle); // holds the handle
    lua_pop(L, 1);
    if (lua_rawgetp(L, at, &hark_walk_mark) == LUA_TTABLE) { // data of another connection
        lua_replace(L, at);
    } else {
        lua_pop(L, 1);
    }
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, at) != 0) { // a copy: the script may go on with its table as it likes
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    install(L, handle);
}

static void push_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__index", index_data},
        {"__newindex", assign_key},
        {"__pairs", pairs},
        {"__len", length},
        {NULL, NULL},
    };
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) == LUA_TTABLE) {
        return;
    }
    lua_pop(L, 1);
    luaL_newlib(L, methods);
    lua_pushinteger(L, HARK_WALK_PROXY);
    lua_rawsetp(L, -2, &hark_walk_mark);
    lua_pushliteral(L, "hark.data");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

static int index_data(lua_State *L)
{
    lua_rawgetp(L, 1, &hark_walk_mark);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

static int assign_key(lua_State *L)
{
    struct hark_value_error why;
    if (lua_isnil(L, 2) ||
        (lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) != lua_tonumber(L, 2))) {
        return luaL_error(L, "conn.data: a key must not be nil or NaN");
    }
    if (hark_value_check(L, 2, &why) != 0 || lua_istable(L, 2)) {
        return luaL_error(L, "conn.data: a key must be a string, number or boolean, not %s",
                          luaL_typename(L, 2));
    }
    if (hark_value_check(L, 3, &why) != 0) {
        return luaL_error(L, "conn.data.%s: %s", luaL_tolstring(L, 2, NULL), why.text);
    }
    lua_rawgetp(L, 1, &hark_walk_mark);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    return 0;
}

static int next(lua_State *L)
{
    lua_settop(L, 2);
    return lua_next(L, 1) != 0 ? 2 : 0;
}

static int pairs(lua_State *L)
{
    lua_pushcfunction(L, next);
    lua_rawgetp(L, 1, &hark_walk_mark);
    lua_pushnil(L);
    return 3;
}

static int length(lua_State *L)
{
    lua_rawgetp(L, 1, &hark_walk_mark);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

int hark_conn_data_save(lua_State *L, int index, struct hark_buf *buf)
{
    struct hark_value_error why;
    if (lua_getiuservalue(L, index, HARK_CONN_DATA) != LUA_TTABLE) {
        lua_pop(L, 1);
        return 0;
    }
    int status = hark_value_pack(L, -1, buf, &why);
    lua_pop(L, 1);
    return status;
}

void hark_conn_data_restore(lua_State *L, int index, const struct hark_buf *buf)
{
    int handle = lua_absindex(L, index);
    struct hark_slice packed = hark_buf_slice(buf);
    if (packed.len > 0 && hark_value_unpack(L, &packed) == 0) {
        install(L, handle);
    } else {
        lua_pushnil(L);
        lua_setiuservalue(L, handle, HARK_CONN_DATA);
    }
}
