// SPDX-License-Identifier: MIT
//
// Tasks in Lua: spawn, sleep, and the handle of a task: retire, cancel, done.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/log.h"
#include "hark.h"
#include "script/args.h"
#include "script/state.h"
#include "script/task.h"

#define METATABLE   "hark.task"
#define SPAWNED_MAX 10000

struct handle {
    uint64_t serial;
    uint32_t index;
};

static int spawn(lua_State *L);
static int enter(lua_State *L, struct hark_task *task);
static void ended(struct hark_task *task, int status, struct hark_slice text);
static int sleep_for(lua_State *L);
static int slept(lua_State *L, void *ctx);
static int index_task(lua_State *L);
static int retire(lua_State *L);
static int cancel(lua_State *L);

static const struct hark_task_ops ops = {.enter = enter, .ended = ended, .endless = true};

void hark_bind_task(lua_State *L)
{
    static const luaL_Reg functions[] = {{"spawn", spawn}, {"sleep", sleep_for}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, METATABLE);
    lua_pushcfunction(L, index_task);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

// --- spawn(fn, ...) -> task ---

static int spawn(lua_State *L)
{
    struct hark_script *script = hark_script_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    int count = lua_gettop(L);
    if (script->spawned >= SPAWNED_MAX) {
        return luaL_error(L, "spawn: %d tasks run already", SPAWNED_MAX);
    }
    struct handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
    luaL_setmetatable(L, METATABLE);
    lua_insert(L, 1);
    struct hark_task *task = hark_task_new(script->tasks, &ops);
    if (task == NULL) {
        return luaL_error(L, "not enough memory");
    }
    if (!lua_checkstack(task->co, count + 8)) {
        hark_task_discard(task);
        return luaL_error(L, "spawn: too many arguments");
    }
    handle->index = task->index;
    handle->serial = task->serial;
    lua_xmove(L, task->co, count);
    script->spawned++;
    hark_task_post(task);
    return 1;
}

// The function and its arguments lie on the coroutine already, above the message handler.
static int enter(lua_State *L, struct hark_task *task)
{
    (void)task;
    return lua_gettop(L) - 2;
}

static void ended(struct hark_task *task, int status, struct hark_slice text)
{
    struct hark_script *script = hark_tasks_vm(task->tasks)->owner;
    script->spawned--;
    if (status == HARK_ECANCELED) {
        HARK_LOG(HARK_LOG_INFO, "task_cancelled", HARK_F_SLICE("trace", text));
    } else if (status != 0) {
        char reference[HARK_REPORT_REFERENCE_MAX];
        const struct hark_report_error error = {.place = "spawn", .text = text};
        hark_report_error(&script->report, &error, *script->sessions->now_ms, reference);
    }
}

// --- sleep(seconds) -> true; nil, "retired" ---

static int sleep_for(lua_State *L)
{
    (void)hark_task_check_wait(L, "sleep");
    uint64_t ms = hark_args_ms(L, 1, "sleep");
    return hark_task_wait(L, &(struct hark_wait){
                                 .what = "sleep",
                                 .timeout_ms = ms > 0 ? ms : 1,
                                 .due_status = 0,
                                 .push = slept,
                             });
}

static int slept(lua_State *L, void *ctx)
{
    (void)ctx;
    lua_pushboolean(L, 1);
    return 1;
}

// --- the handle ---

static struct hark_task *find(lua_State *L)
{
    const struct handle *handle = luaL_checkudata(L, 1, METATABLE);
    return hark_task_find(hark_script_of(L)->tasks, handle->index, handle->serial);
}

static int index_task(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);
    struct hark_task *task = find(L);
    if (strcmp(name, "done") == 0) {
        lua_pushboolean(L, task == NULL);
    } else if (strcmp(name, "retire") == 0) {
        lua_pushcfunction(L, retire);
    } else if (strcmp(name, "cancel") == 0) {
        lua_pushcfunction(L, cancel);
    } else {
        return luaL_error(L, "a task has no field %s; there are: done, retire(), cancel()", name);
    }
    return 1;
}

static int retire(lua_State *L)
{
    struct hark_task *task = find(L);
    if (task != NULL) {
        hark_task_retire(task);
    }
    return 0;
}

static int cancel(lua_State *L)
{
    struct hark_task *task = find(L);
    if (task != NULL) {
        hark_task_cancel(task);
    }
    return 0;
}
