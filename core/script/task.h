// SPDX-License-Identifier: MIT
//
// A task is one run of Lua code in a coroutine from a pool: a handler, a request, a service. It
// runs until it ends or waits; a wait is ended by an asynchronous result, by its own time-out, by
// the total that a run may take, or by retiring or cancelling the task.
//
// Tasks are never started or resumed from inside Lua: what becomes ready there runs from the defer
// queue. Everything in the worker's thread.
#ifndef HARK_SCRIPT_TASK_H
#define HARK_SCRIPT_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/attr.h"
#include "base/defer.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/stats.h"
#include "base/wheel.h"

#define HARK_TASK_ROOM  144
#define HARK_TASK_TOTAL 1 // a wake status: the run has taken too long in all

struct hark_task;
struct hark_vm;

struct hark_task_ops {
    // In the coroutine, protected: pushes a function and its arguments, returns the number of
    // arguments; -1: there is nothing to call.
    int (*enter)(lua_State *L, struct hark_task *task);
    // In the coroutine, protected: the results lie from `first` to the top. May be NULL.
    void (*leave)(lua_State *L, struct hark_task *task, int first);
    // Outside Lua, last of all; the task is free when it returns. status: 0, ESCRIPT, ENOMEM,
    // ECANCELED; text: the error with its traceback, borrowed until return.
    void (*ended)(struct hark_task *task, int status, struct hark_slice text);
    // Instead of ended, when the pool is freed: lets go of what the room holds. May be NULL.
    void (*dropped)(struct hark_task *task);
    bool endless; // no limit on the total time (services)
};

struct hark_task {
    lua_State *co;
    struct hark_tasks *tasks;
    const struct hark_task_ops *ops;
    uint64_t serial; // of this use of the task
    uint32_t index;  // place in the pool
    uint32_t cpu_ms; // budget between two waits
    size_t memory;   // allowance between two waits; SIZE_MAX: the engine's own work
    bool retired;    // waits give nil, "retired"
    bool cancelled;  // waits raise
    /* private */
    uint8_t state;
    uint8_t failed;        // Lua status of the run
    int woken;             // status of the wait that has ended
    struct hark_list node; // free, ready
    struct hark_timer timer;
    uint64_t wait_due_ms;
    uint64_t total_due_ms; // 0: endless
    int due_status;        // what the end of wait_due_ms means
    int (*push)(lua_State *L, void *ctx);
    void (*drop)(void *ctx);
    void *ctx;
    _Alignas(max_align_t) unsigned char room[HARK_TASK_ROOM]; // of whoever runs the task
};

struct hark_tasks_options {
    struct hark_vm *vm;
    struct hark_wheel *wheel;
    struct hark_defer_queue *defer;
    const uint64_t *now_ms;
    struct hark_stats *stats;
    uint64_t wait_ms;  // default time-out of one wait: 10 s
    uint64_t total_ms; // of a run: 60 s
};

HARK_MUSTCHECK int hark_tasks_new(const struct hark_tasks_options *options,
                                  struct hark_tasks **ret);
// Waiting tasks are dropped: their `<close>` variables run, `ended` does not. Before the VM is
// freed.
void hark_tasks_free(struct hark_tasks *tasks); // accepts NULL

// A task with room for its runner, not started. NULL: no memory. Also from inside Lua.
struct hark_task *hark_task_new(struct hark_tasks *tasks, const struct hark_task_ops *ops);
void hark_task_discard(struct hark_task *task); // instead of starting it

static inline void *hark_task_room(struct hark_task *task)
{
    return task->room;
}

void hark_task_start(struct hark_task *task); // runs now; not from inside Lua
void hark_task_post(struct hark_task *task);  // runs from the defer queue

// The task at `index` while it is the one of `serial`, else NULL (it has ended).
struct hark_task *hark_task_find(struct hark_tasks *tasks, uint32_t index, uint64_t serial);
void hark_task_retire(struct hark_task *task);
void hark_task_cancel(struct hark_task *task);

struct hark_wait {
    const char *what;                     // the call that waits, for messages: "hark.sleep"
    uint64_t timeout_ms;                  // 0: the default
    int due_status;                       // 0: reaching the time is success (sleep); else ETIMEOUT
    int (*push)(lua_State *L, void *ctx); // on status 0: pushes the results, returns their number
    void (*drop)(void *ctx);              // called once, whatever happened; may be NULL
    void *ctx;
};
// Raises unless the code on L may wait now: names the place, or says why.
struct hark_task *hark_task_check_wait(lua_State *L, const char *what);
// To be returned from a C function after hark_task_check_wait. Gives push's results, or nil and
// "timeout", "closed", "retired"; raises when the task is cancelled or the total time is over.
int hark_task_wait(lua_State *L, const struct hark_wait *wait);
// Without waiting: ctx is dropped by disown, or when the task ends or waits because an error came
// first.
void hark_task_own(struct hark_task *task, void (*drop)(void *ctx), void *ctx);
void hark_task_disown(struct hark_task *task);
// Ends the wait (if there is one) with a status; it goes on from the defer queue.
void hark_task_wake(struct hark_task *task, int status);

const struct hark_tasks_options *hark_tasks_options(const struct hark_tasks *tasks);
struct hark_vm *hark_tasks_vm(const struct hark_tasks *tasks);
size_t hark_tasks_live(const struct hark_tasks *tasks); // started or waiting
// Blocks of one size that somebody recycles (script/pending): linked by their first word, freed
// with the pool.
void **hark_tasks_spare(struct hark_tasks *tasks);

#endif
