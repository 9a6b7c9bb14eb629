// SPDX-License-Identifier: MIT
//
// The same results as Lua's own xpcall, with a handler between.
#include "script/xpcall.h"

#include <lauxlib.h>

#include "script/vm.h"

static int xpcall(lua_State *L);
static int ended(lua_State *L, int status, lua_KContext context);
static int handle(lua_State *L);

void hark_xpcall_open(lua_State *L)
{
    lua_pushcfunction(L, xpcall);
    lua_setglobal(L, "xpcall");
}

static int xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, 1);
    lua_insert(L, 3);
    int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, 0, ended);
    return ended(L, status, 0);
}

// The function and the handler lie below the results.
static int ended(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    bool ok = status == LUA_OK || status == LUA_YIELD;
    if (!ok) {
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushboolean(L, 1);
    lua_replace(L, 2);
    return lua_gettop(L) - 1;
}

static int handle(lua_State *L)
{
    if (hark_watchdog_is_stopping(&hark_vm_of(L)->dog)) {
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}
