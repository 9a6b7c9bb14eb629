// SPDX-License-Identifier: MIT
//
// The task's room holds what the call needs; the argument is on the heap until it has been pushed.
#include "script/engine.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "hark.h"
#include "script/report.h"
#include "script/state.h"
#include "script/task.h"
#include "script/value.h"

#define RESULT_MAX ((size_t)1 << 20)

struct engine_call {
    struct hark_script *script;
    const char *name; // static
    char *argument;   // owned
    size_t len;
    hark_engine_fn *fn;
    void *ctx;
    bool missing;
    struct hark_buf result;
};

static int enter(lua_State *L, struct hark_task *task);
static void leave(lua_State *L, struct hark_task *task, int first);
static void ended(struct hark_task *task, int status, struct hark_slice text);
static void dropped(struct hark_task *task);
static void finish(struct engine_call *call, int status, struct hark_slice text);

_Static_assert(sizeof(struct engine_call) <= HARK_TASK_ROOM, "a call fits into its task");

static const struct hark_task_ops ops = {
    .enter = enter, .leave = leave, .ended = ended, .dropped = dropped, .endless = true};

int hark_engine_call(struct hark_script *script,
                     const char *name,
                     struct hark_slice argument,
                     hark_engine_fn *fn,
                     void *ctx)
{
    char *copy = argument.len > 0 ? hark_mem_dup(argument.ptr, argument.len) : NULL;
    struct hark_task *task = hark_task_new(script->tasks, &ops);
    if (task == NULL || (argument.len > 0 && copy == NULL)) {
        if (task != NULL) {
            hark_task_discard(task);
        }
        hark_mem_free(copy);
        return HARK_ENOMEM;
    }
    struct engine_call *call = hark_task_room(task);
    *call = (struct engine_call){
        .script = script,
        .name = name,
        .argument = copy,
        .len = argument.len,
        .fn = fn,
        .ctx = ctx,
    };
    hark_buf_init(&call->result, RESULT_MAX);
    task->cpu_ms = script->vm->limits.load_cpu_ms;
    task->memory = SIZE_MAX; // it loads whole apps
    hark_task_post(task);
    return 0;
}

static int enter(lua_State *L, struct hark_task *task)
{
    struct engine_call *call = hark_task_room(task);
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->script->engine_ref);
    if (lua_getfield(L, -1, call->name) != LUA_TFUNCTION) {
        call->missing = true;
        return -1;
    }
    lua_replace(L, -2);
    struct hark_slice argument = hark_slice(call->argument, call->len);
    if (argument.len == 0) {
        return 0;
    }
    return hark_value_unpack(L, &argument) == 0
               ? 1
               : luaL_error(L, "engine.%s: the argument is no value", call->name);
}

static void leave(lua_State *L, struct hark_task *task, int first)
{
    struct engine_call *call = hark_task_room(task);
    struct hark_value_error why;
    lua_settop(L, first); // nil when there is no result
    if (call->fn != NULL && hark_value_pack(L, first, &call->result, &why) != 0) {
        luaL_error(L, "engine.%s: the result cannot be passed on", call->name);
    }
}

static void ended(struct hark_task *task, int status, struct hark_slice text)
{
    struct engine_call *call = hark_task_room(task);
    if (status != 0) {
        char reference[HARK_REPORT_REFERENCE_MAX];
        const struct hark_report_error error = {.place = call->name, .text = text};
        hark_report_error(&call->script->report, &error, *call->script->sessions->now_ms,
                          reference);
    }
    finish(call, call->missing ? HARK_ENOENT : status, text);
}

static void dropped(struct hark_task *task)
{
    finish(hark_task_room(task), HARK_ECLOSED, HARK_SLICE_NONE);
}

static void finish(struct engine_call *call, int status, struct hark_slice text)
{
    if (call->fn != NULL) {
        call->fn(call->ctx, status, text, hark_buf_slice(&call->result));
    }
    hark_buf_deinit(&call->result);
    hark_mem_free(call->argument);
}
