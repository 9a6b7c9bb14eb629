// SPDX-License-Identifier: MIT
//
// A wait as the code in the coroutine sees it: may it wait here, the yield, and what the call gives
// when the task goes on. Declared in task.h.
#include <lauxlib.h>

#include "hark.h"
#include "script/task.h"
#include "script/vm.h"

static int on_woken(lua_State *L, int status, lua_KContext context);

struct hark_task *hark_task_check_wait(lua_State *L, const char *what)
{
    struct hark_vm *vm = hark_vm_of(L);
    if (HARK_UNLIKELY(vm->place != NULL)) {
        luaL_error(L, "%s cannot be called in %s, which cannot wait", what, vm->place);
    } else if (HARK_UNLIKELY(vm->task == NULL)) {
        luaL_error(L, "%s cannot be called while a script is loading", what);
    } else if (HARK_UNLIKELY(!lua_isyieldable(L))) {
        luaL_error(L,
                   "%s cannot wait inside a function that C calls back (table.sort, string.gsub)",
                   what);
    }
    return vm->task;
}

void hark_task_own(struct hark_task *task, void (*drop)(void *ctx), void *ctx)
{
    hark_task_disown(task);
    task->drop = drop;
    task->ctx = ctx;
}

void hark_task_disown(struct hark_task *task)
{
    if (task->drop != NULL) {
        void (*drop)(void *) = task->drop;
        task->drop = NULL;
        drop(task->ctx);
    }
}

int hark_task_wait(lua_State *L, const struct hark_wait *wait)
{
    struct hark_vm *vm = hark_vm_of(L);
    struct hark_task *task = vm->task;
    const struct hark_tasks_options *options = hark_tasks_options(task->tasks);
    hark_task_disown(task); // of a wait whose results could not be pushed
    task->push = wait->push;
    task->drop = wait->drop;
    task->ctx = wait->ctx;
    task->due_status = wait->due_status;
    if (task->cancelled || task->retired) {
        task->woken = task->cancelled ? HARK_ECANCELED : HARK_EAGAIN;
        return on_woken(L, LUA_OK, 0);
    }
    uint64_t timeout = wait->timeout_ms != 0 ? wait->timeout_ms : options->wait_ms;
    uint64_t now = *options->now_ms;
    task->wait_due_ms = timeout > UINT64_MAX - now ? UINT64_MAX : now + timeout;
    vm->passing = true;
    return lua_yieldk(L, 0, 0, on_woken);
}

// In the coroutine that waited, after all those through which the wait had passed.
static int on_woken(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct hark_vm *vm = hark_vm_of(L);
    struct hark_task *task = vm->task;
    vm->passing = false;
    if (task->woken == 0) {
        int count = task->push(L, task->ctx);
        hark_task_disown(task);
        return count;
    }
    hark_task_disown(task);
    switch (task->woken) {
    case HARK_ECANCELED: return luaL_error(L, "cancelled");
    case HARK_TASK_TOTAL:
        return luaL_error(L, "limit: total time, %d s",
                          (int)(hark_tasks_options(task->tasks)->total_ms / 1000));
    case HARK_EAGAIN:
        lua_pushnil(L);
        lua_pushliteral(L, "retired");
        return 2;
    case HARK_ETIMEOUT:
        lua_pushnil(L);
        lua_pushliteral(L, "timeout");
        return 2;
    case HARK_ECLOSED:
        lua_pushnil(L);
        lua_pushliteral(L, "closed");
        return 2;
    default:
        lua_pushnil(L);
        lua_pushstring(L, hark_strerror(task->woken));
        return 2;
    }
}
