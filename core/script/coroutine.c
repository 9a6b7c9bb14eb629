// SPDX-License-Identifier: MIT
//
// Every coroutine that a script makes begins in `body`, which calls the script's function with
// pcall: so an error, also the watchdog's, closes its variables inside the coroutine with hooks on.
// (When lua_resume itself catches an error, hooks stay off, and an endless __close could not be
// stopped.)
#include "script/coroutine.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/attr.h"
#include "script/vm.h"

#define NOT_RUN     (-1)
#define CLOSING_MAX 30 // lua_resetthread of 5.4.4 does not count C calls: closers that close

static int body(lua_State *L);
static int body_ended(lua_State *L, int status, lua_KContext context);
static int create(lua_State *L);
static int wrap(lua_State *L);
static int resume(lua_State *L);
static int wrapped(lua_State *L);
static int step(lua_State *L, int nargs, lua_KContext is_wrapped);
static int on_woken(lua_State *L, int status, lua_KContext is_wrapped);
static int yield(lua_State *L);
static int close_thread(lua_State *L);

void hark_coroutine_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"create", create}, {"wrap", wrap},          {"resume", resume},
        {"yield", yield},   {"close", close_thread}, {NULL, NULL},
    };
    lua_getglobal(L, LUA_COLIBNAME);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}

// --- making ---

static int create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_sethook(co, NULL, 0, 0); // not the watchdog's, which a new thread inherits
    lua_pushcfunction(co, body);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int wrap(lua_State *L)
{
    create(L);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

static int body(lua_State *L)
{
    int status = lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, body_ended);
    return body_ended(L, status, 0);
}

static int body_ended(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) {
        return lua_error(L);
    }
    return lua_gettop(L);
}

// --- resuming: the coroutine stays at index 1, what is passed in lies above it ---

static lua_State *coroutine_at(lua_State *L, int index)
{
    lua_State *co = lua_tothread(L, index);
    luaL_argexpected(L, co != NULL, index, "coroutine");
    return co;
}

// Why co cannot be resumed or closed, or NULL.
static const char *unusable(lua_State *co)
{
    uintptr_t tags = *hark_vm_space(co) & HARK_VM_TAGS;
    if (tags & HARK_VM_TAG_ENGINE) {
        return "a handler's own coroutine is the engine's to resume";
    }
    return tags & HARK_VM_TAG_WAITING ? "the coroutine waits in a handler" : NULL;
}

static int resume(lua_State *L)
{
    coroutine_at(L, 1);
    return step(L, lua_gettop(L) - 1, 0);
}

static int wrapped(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return step(L, lua_gettop(L) - 1, 1);
}

// An error of the coroutine, its value on top of L.
static int fail(lua_State *L, lua_KContext is_wrapped)
{
    if (!is_wrapped) {
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static bool is_fresh(lua_State *co)
{
    return lua_status(co) == LUA_OK && lua_tocfunction(co, 1) == body;
}

// Moves the arguments over and runs co until it ends, yields or waits. A Lua status (with an error
// the value is on co's stack), or NOT_RUN with a text on L's.
static int run(lua_State *L, lua_State *co, int nargs, int *ret_count)
{
    struct hark_vm *vm = hark_vm_of(L);
    const char *why = unusable(co);
    if (why == NULL && lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
        why = "cannot resume dead coroutine";
    } else if (why == NULL && (L == co || (lua_status(co) == LUA_OK && !is_fresh(co)))) {
        why = "cannot resume non-suspended coroutine";
    } else if (why == NULL && !lua_checkstack(co, nargs + 1)) {
        why = "too many arguments to resume";
    }
    if (why != NULL) {
        lua_pushstring(L, why);
        return NOT_RUN;
    }
    int extra = is_fresh(co) ? 1 : 0; // the script's function lies on its stack already
    lua_xmove(L, co, nargs);
    hark_watchdog_switch(&vm->dog, co);
    int status = lua_resume(co, L, nargs + extra, ret_count);
    hark_watchdog_switch(&vm->dog, L);
    return status;
}

static int step(lua_State *L, int nargs, lua_KContext is_wrapped)
{
    lua_State *co = lua_tothread(L, 1);
    int count = 0;
    int status = run(L, co, nargs, &count);
    if (status == NOT_RUN) {
        return fail(L, is_wrapped);
    }
    if (status == LUA_YIELD && hark_vm_of(L)->passing) {
        lua_pop(co, count);
        *hark_vm_space(co) |= HARK_VM_TAG_WAITING;
        lua_settop(L, 1);
        return lua_yieldk(L, 0, is_wrapped, on_woken);
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, count + 1)) {
            lua_pop(co, count);
            lua_pushliteral(L, "too many results to resume");
            return fail(L, is_wrapped);
        }
        if (!is_wrapped) {
            lua_pushboolean(L, 1);
        }
        lua_xmove(co, L, count);
        return is_wrapped ? count : count + 1;
    }
    lua_xmove(co, L, 1);
    return fail(L, is_wrapped);
}

// The task goes on: so does the coroutine that waited.
static int on_woken(lua_State *L, int status, lua_KContext is_wrapped)
{
    (void)status;
    lua_State *co = lua_tothread(L, 1);
    *hark_vm_space(co) &= ~(uintptr_t)HARK_VM_TAG_WAITING;
    return step(L, 0, is_wrapped);
}

// --- yielding, closing ---

static int yield(lua_State *L)
{
    if (*hark_vm_space(L) & HARK_VM_TAG_ENGINE) {
        return luaL_error(L,
                          "attempt to yield outside a coroutine; a handler waits by hark's calls");
    }
    return lua_yield(L, lua_gettop(L));
}

static int close_thread(lua_State *L)
{
    lua_State *co = coroutine_at(L, 1);
    struct hark_vm *vm = hark_vm_of(L);
    const char *why = unusable(co);
    bool is_idle = lua_status(co) != LUA_OK || lua_gettop(co) == 0 || is_fresh(co);
    if (why == NULL && (co == L || !is_idle)) {
        why = "cannot close a running coroutine";
    } else if (why == NULL && vm->closing >= CLOSING_MAX) {
        why = "too many coroutines that close one another";
    }
    if (why != NULL) {
        return luaL_error(L, "%s", why);
    }
    vm->closing++;
    hark_watchdog_switch(&vm->dog, co);
    int status = hark_vm_reset_thread(L, co);
    hark_watchdog_switch(&vm->dog, L);
    vm->closing--;
    if (status == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}
