// SPDX-License-Identifier: MIT
//
// Which parts are replaced: coroutines and xpcall in files of their own, next here.
#include "script/library.h"

#include <lauxlib.h>

#include "script/coroutine.h"
#include "script/walk.h"
#include "script/xpcall.h"

static int next(lua_State *L);

void hark_library_open(lua_State *L)
{
    hark_coroutine_open(L);
    hark_xpcall_open(L);
    lua_register(L, "next", next);
}

// next knows no metamethod: a table that stands for another (conn.data) is looked through here.
static int next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (lua_getmetatable(L, 1)) {
        lua_rawgetp(L, -1, &hark_walk_mark);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) == HARK_WALK_PROXY) {
            lua_rawgetp(L, 1, &hark_walk_mark);
            lua_replace(L, 1);
        }
        lua_settop(L, 2);
    }
    if (lua_next(L, 1) != 0) {
        return 2;
    }
    lua_pushnil(L);
    return 1;
}
