// SPDX-License-Identifier: MIT
//
// Records of asynchronous results, recycled in a list of the pool of tasks: a publish makes one a
// call.
#include "script/pending.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "hark.h"
#include "script/vm.h"

static void release(struct hark_pending *pending);
static int push_results(lua_State *L, void *ctx);
static void drop(void *ctx);

struct hark_pending *hark_pending_new(lua_State *L, struct hark_tasks *tasks)
{
    void **list = hark_tasks_spare(tasks);
    struct hark_pending *pending = *list;
    if (pending != NULL) {
        *list = pending->next;
    } else {
        pending = hark_mem_alloc(sizeof(*pending));
        if (pending == NULL) {
            luaL_error(L, "not enough memory");
            return NULL; // not reached
        }
    }
    memset(pending, 0, sizeof(*pending));
    pending->tasks = tasks;
    pending->called = true;
    pending->held = true;
    return pending;
}

void hark_pending_done(struct hark_pending *pending, int status)
{
    pending->status = status;
    pending->called = false;
    if (!pending->held) {
        release(pending);
        return;
    }
    if (pending->task_serial != 0) {
        struct hark_task *task =
            hark_task_find(pending->tasks, pending->task_index, pending->task_serial);
        if (task != NULL) {
            hark_task_wake(task, 0);
        }
    }
}

int hark_pending_keep(struct hark_pending *pending, struct hark_slice bytes)
{
    char *copy = hark_mem_dup(bytes.ptr, bytes.len);
    if (copy == NULL) {
        return HARK_ENOMEM;
    }
    hark_mem_free(pending->bytes);
    pending->bytes = copy;
    pending->len = bytes.len;
    return 0;
}

void hark_pending_cancel(struct hark_pending *pending)
{
    release(pending);
}

static void release(struct hark_pending *pending)
{
    for (size_t i = 0; i < pending->msg_count; i++) {
        hark_msg_unref(pending->msgs[i]);
    }
    hark_mem_free(pending->msgs);
    hark_mem_free(pending->bytes);
    void **list = hark_tasks_spare(pending->tasks);
    pending->next = *list;
    *list = pending;
}

// --- the task's side ---

int hark_pending_wait(lua_State *L,
                      struct hark_pending *pending,
                      const char *what,
                      hark_pending_push_fn *push)
{
    return hark_pending_wait_for(L, pending, what, push, 0);
}

int hark_pending_wait_for(lua_State *L,
                          struct hark_pending *pending,
                          const char *what,
                          hark_pending_push_fn *push,
                          uint64_t timeout_ms)
{
    struct hark_task *task = hark_vm_of(L)->task;
    pending->push = push;
    if (!pending->called) { // the memory broker has answered inside the call
        hark_task_own(task, drop, pending);
        int count = push_results(L, pending);
        hark_task_disown(task);
        return count;
    }
    pending->task_index = task->index;
    pending->task_serial = task->serial;
    return hark_task_wait(L, &(struct hark_wait){
                                 .what = what,
                                 .timeout_ms = timeout_ms,
                                 .due_status = HARK_ETIMEOUT,
                                 .push = push_results,
                                 .drop = drop,
                                 .ctx = pending,
                             });
}

static int push_results(lua_State *L, void *ctx)
{
    struct hark_pending *pending = ctx;
    return pending->status == 0 ? pending->push(L, pending)
                                : hark_pending_refuse(L, pending->status);
}

static void drop(void *ctx)
{
    struct hark_pending *pending = ctx;
    pending->held = false;
    if (!pending->called) {
        release(pending);
    } else if (pending->abandon != NULL) {
        pending->abandon(pending);
    }
}

int hark_pending_refuse(lua_State *L, int status)
{
    lua_pushnil(L);
    switch (status) {
    case HARK_EFULL: lua_pushliteral(L, "full"); break;
    case HARK_ECLOSED: lua_pushliteral(L, "closed"); break;
    case HARK_ETIMEOUT: lua_pushliteral(L, "timeout"); break;
    case HARK_EDENIED: lua_pushliteral(L, "refused"); break;
    case HARK_ETOOBIG: lua_pushliteral(L, "too large"); break;
    case HARK_EGAP: lua_pushliteral(L, "gap"); break;
    default: lua_pushstring(L, hark_strerror(status)); break;
    }
    return 2;
}
