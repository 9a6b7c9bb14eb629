// SPDX-License-Identifier: MIT
//
// The place is put back by a to-be-closed value, so an error that somebody catches further out
// leaves nothing behind and keeps its traceback.
#include "script/still.h"

#include <lauxlib.h>

#include "script/vm.h"

static const char metatable_key;

static int leave(lua_State *L);
static int call_rest(lua_State *L);

// Pushes the value that puts the place back when it is closed.
static void push_guard(lua_State *L)
{
    const char **outer = lua_newuserdatauv(L, sizeof(*outer), 0);
    *outer = hark_vm_of(L)->place;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, leave);
        lua_setfield(L, -2, "__close");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
    }
    lua_setmetatable(L, -2);
}

// A marked slot must not move: it is marked where it stays.
static void mark(lua_State *L, int guard, const char *place)
{
    lua_toclose(L, guard);
    hark_vm_of(L)->place = place;
}

void hark_still_enter(lua_State *L, const char *place)
{
    push_guard(L);
    mark(L, -1, place);
}

static int leave(lua_State *L)
{
    const char *const *outer = lua_touserdata(L, 1);
    hark_vm_of(L)->place = *outer;
    return 0;
}

int hark_still_no_wait(lua_State *L)
{
    const char *place = luaL_checkstring(L, 1);
    luaL_checkany(L, 2);
    push_guard(L);
    lua_insert(L, 2);
    mark(L, 2, place);
    lua_call(L, lua_gettop(L) - 3, LUA_MULTRET);
    return lua_gettop(L) - 2;
}

static int call_rest(lua_State *L)
{
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

int hark_still_limited(lua_State *L)
{
    struct hark_vm *vm = hark_vm_of(L);
    const char *place = luaL_checkstring(L, 1);
    luaL_checkany(L, 2);
    push_guard(L);
    lua_insert(L, 2);
    mark(L, 2, place);
    lua_pushcfunction(L, hark_vm_traceback);
    lua_insert(L, 3);
    lua_pushcfunction(L, call_rest);
    lua_insert(L, 4);

    struct hark_watchdog_outer outer;
    uint32_t budget_ms = vm->limits.load_cpu_ms;
    size_t allowed = vm->allowed;
    size_t within = hark_vm_allowance(vm, vm->limits.run_memory);
    vm->allowed = within < allowed ? within : allowed;
    hark_watchdog_enter(&vm->dog, L, budget_ms, &outer);
    int status = lua_pcall(L, lua_gettop(L) - 4, LUA_MULTRET, 3);
    bool stopped = hark_watchdog_leave(&vm->dog, &outer);
    vm->allowed = allowed;
    if (stopped) {
        lua_pushnil(L);
        if (status == LUA_OK) {
            lua_pushfstring(L, "limit: cpu, %d ms (and the error was caught)", (int)budget_ms);
        } else {
            lua_pushvalue(L, -2);
        }
        return 2;
    }
    if (status == LUA_ERRMEM) {
        return luaL_error(L, "limit: memory, %d KiB", (int)(vm->limits.run_memory >> 10));
    }
    return status == LUA_OK ? lua_gettop(L) - 3 : lua_error(L);
}
