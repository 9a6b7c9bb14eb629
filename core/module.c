// SPDX-License-Identifier: MIT
//
// The Lua module `hark.core` for plain lua5.4: the functions on values, and a gateway in this
// process over hark.h. lua/hark/init.lua makes `require "hark"` of it. The interpreter that loads
// the module brings the Lua API: it is not linked here.
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>

#include "hark.h"
#include "script/bind.h"

#define GATEWAY "hark.gateway"

HARK_API int luaopen_hark_core(lua_State *L);

static int gateway_new(lua_State *L);
static void read_options(lua_State *L, struct hark_options *options);
static int refuse(lua_State *L, int status, char *why);
static struct hark_gateway *check(lua_State *L);
static int start(lua_State *L);
static int address(lua_State *L);
static int admin(lua_State *L);
static int reload(lua_State *L);
static int drain(lua_State *L);
static int join(lua_State *L);
static int release(lua_State *L);

int luaopen_hark_core(lua_State *L)
{
    static const luaL_Reg METHODS[] = {
        {"start", start}, {"address", address}, {"admin", admin},  {"reload", reload},
        {"drain", drain}, {"join", join},       {"stop", release}, {NULL, NULL},
    };
    luaL_newmetatable(L, GATEWAY);
    luaL_newlib(L, METHODS);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);

    lua_newtable(L);
    hark_bind_value(L);
    lua_pushstring(L, hark_version());
    lua_setfield(L, -2, "version");
    lua_pushcfunction(L, gateway_new);
    lua_setfield(L, -2, "gateway");
    return 1;
}

// core.gateway{directory=, lua_path=, listen=, admin=, workers=, degraded=} -> gateway, or nil and
// why
static int gateway_new(lua_State *L)
{
    struct hark_options options = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    read_options(L, &options); // the strings stay on the stack
    struct hark_gateway **place = lua_newuserdatauv(L, sizeof(struct hark_gateway *), 0);
    *place = NULL;
    luaL_setmetatable(L, GATEWAY);
    char *why = NULL;
    int status = hark_gateway_new(&options, place, &why);
    return status == 0 ? 1 : refuse(L, status, why);
}

static void read_options(lua_State *L, struct hark_options *options)
{
    luaL_checkstack(L, 8, NULL);
    lua_getfield(L, 1, "directory");
    options->directory = luaL_checkstring(L, -1);
    lua_getfield(L, 1, "lua_path");
    options->lua_path = luaL_checkstring(L, -1);
    lua_getfield(L, 1, "listen");
    options->listen = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 1, "admin");
    options->admin = luaL_optstring(L, -1, NULL);
    lua_getfield(L, 1, "workers");
    lua_Integer workers = luaL_optinteger(L, -1, 0);
    luaL_argcheck(L, workers >= 0 && workers <= 64, 1, "workers: allowed: 1 to 64");
    options->workers = (unsigned)workers;
    lua_getfield(L, 1, "degraded");
    options->degraded = lua_toboolean(L, -1);
}

static int refuse(lua_State *L, int status, char *why)
{
    lua_pushnil(L);
    lua_pushstring(L,
                   why != NULL ? why : hark_strerror(status)); // no memory for it: leaks the text
    free(why);
    return 2;
}

static struct hark_gateway *check(lua_State *L)
{
    struct hark_gateway **place = luaL_checkudata(L, 1, GATEWAY);
    luaL_argcheck(L, *place != NULL, 1, "the gateway has been stopped");
    return *place;
}

// Loads the scripts and listens: true, or nil and every problem.
static int start(lua_State *L)
{
    char *why = NULL;
    int status = hark_gateway_start(check(L), &why);
    if (status != 0) {
        return refuse(L, status, why);
    }
    lua_pushboolean(L, 1);
    return 1;
}

// address(n): where it listens, counted from 1; nil past the last.
static int address(lua_State *L)
{
    lua_Integer index = luaL_optinteger(L, 2, 1);
    const char *text = index < 1 ? NULL : hark_gateway_address(check(L), (unsigned)index - 1);
    lua_pushstring(L, text);
    return 1;
}

// admin(): address and key, or nil.
static int admin(lua_State *L)
{
    lua_pushstring(L, hark_gateway_admin(check(L)));
    lua_pushstring(L, hark_gateway_admin_key(check(L)));
    return 2;
}

static int reload(lua_State *L)
{
    hark_gateway_reload(check(L));
    return 0;
}

// drain(seconds): says goodbye to the clients; join waits for the end.
static int drain(lua_State *L)
{
    lua_Number seconds = luaL_optnumber(L, 2, 0);
    hark_gateway_drain(check(L), seconds > 0 ? (uint64_t)(seconds * 1000) : 0);
    return 0;
}

static int join(lua_State *L)
{
    hark_gateway_join(check(L));
    return 0;
}

static int release(lua_State *L)
{
    struct hark_gateway **place = luaL_checkudata(L, 1, GATEWAY);
    struct hark_gateway *gateway = *place;
    *place = NULL;
    hark_gateway_free(gateway);
    return 0;
}
