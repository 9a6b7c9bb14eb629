// SPDX-License-Identifier: MIT
//
// The pool of coroutines and the life of a task: idle -> ready or running -> waiting -> running ->
// idle. A coroutine that ended in an error is thrown away; all others are used again. One wheel
// timer a task, armed only while it waits.
#include "script/task.h"

#include <string.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hark.h"
#include "script/vm.h"

#define IDLE_MAX  256 // coroutines kept for later
#define TASKS_MAX (1u << 20)
#define TEXT_MAX  16384

enum state { IDLE, FRESH, READY, RUNNING, WAITING };

struct hark_tasks {
    struct hark_tasks_options options;
    struct hark_task **all; // by index
    uint32_t cap;
    uint32_t made;
    uint32_t idle;
    size_t live;
    uint64_t next_serial;
    int threads_ref; // table: index + 1 -> coroutine
    struct hark_list free;
    struct hark_list ready;
    struct hark_defer run_ready;
    struct hark_buf text;
    void *spare; // recycled blocks
};

static int make_table(lua_State *L);
static int make_thread(lua_State *L);
static void on_ready(struct hark_defer *item);
static void run(struct hark_task *task);
static int trampoline(lua_State *L);
static int after(lua_State *L, int status, lua_KContext context);
static void suspend(struct hark_task *task);
static void on_due(struct hark_timer *timer);
static void end(struct hark_task *task, int lua_status, bool stopped);
static void put_away(struct hark_task *task);
static void close_thread(struct hark_task *task);
static int drop_thread(lua_State *L);

// --- pool ---

int hark_tasks_new(const struct hark_tasks_options *options, struct hark_tasks **ret)
{
    struct hark_tasks *tasks = hark_mem_zalloc(sizeof(*tasks));
    if (tasks == NULL) {
        return HARK_ENOMEM;
    }
    tasks->options = *options;
    tasks->next_serial = 1;
    hark_list_init(&tasks->free);
    hark_list_init(&tasks->ready);
    hark_defer_init(&tasks->run_ready, on_ready);
    hark_buf_init(&tasks->text, TEXT_MAX);
    int status = hark_vm_call(options->vm, make_table, tasks, 0, NULL, NULL);
    if (status != 0) {
        hark_mem_free(tasks);
        return status;
    }
    *ret = tasks;
    return 0;
}

static int make_table(lua_State *L)
{
    struct hark_tasks *tasks = lua_touserdata(L, 1);
    lua_newtable(L);
    tasks->threads_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

void hark_tasks_free(struct hark_tasks *tasks)
{
    if (tasks == NULL) {
        return;
    }
    hark_defer_cancel(&tasks->run_ready);
    for (uint32_t i = 0; i < tasks->made; i++) {
        struct hark_task *task = tasks->all[i];
        if (task == NULL) {
            continue;
        }
        hark_wheel_cancel(tasks->options.wheel, &task->timer);
        if (task->drop != NULL) {
            task->drop(task->ctx);
        }
        close_thread(task);
        if (task->state != IDLE && task->ops->dropped != NULL) {
            task->ops->dropped(task);
        }
        hark_mem_free(task);
    }
    while (tasks->spare != NULL) {
        void *block = tasks->spare;
        memcpy(&tasks->spare, block, sizeof(tasks->spare));
        hark_mem_free(block);
    }
    hark_buf_deinit(&tasks->text);
    hark_mem_free(tasks->all);
    hark_mem_free(tasks);
}

static int grow(struct hark_tasks *tasks)
{
    uint32_t cap = tasks->cap == 0 ? 16 : tasks->cap * 2;
    if (cap > TASKS_MAX) {
        return HARK_EFULL;
    }
    struct hark_task **all = hark_mem_realloc(tasks->all, cap * sizeof(struct hark_task *));
    if (all == NULL) {
        return HARK_ENOMEM;
    }
    memset(all + tasks->cap, 0, (cap - tasks->cap) * sizeof(struct hark_task *));
    tasks->all = all;
    tasks->cap = cap;
    return 0;
}

// The lowest place without a task, growing if need be; UINT32_MAX: no memory.
static uint32_t free_place(struct hark_tasks *tasks)
{
    for (uint32_t i = tasks->made; i < tasks->cap; i++) {
        if (tasks->all[i] == NULL) {
            return i;
        }
    }
    for (uint32_t i = 0; i < tasks->made; i++) {
        if (tasks->all[i] == NULL) {
            return i;
        }
    }
    return grow(tasks) == 0 ? tasks->made : UINT32_MAX;
}

static struct hark_task *make(struct hark_tasks *tasks)
{
    uint32_t index = free_place(tasks);
    struct hark_task *task = index == UINT32_MAX ? NULL : hark_mem_zalloc(sizeof(*task));
    if (task == NULL) {
        return NULL;
    }
    task->tasks = tasks;
    task->index = index;
    hark_list_init(&task->node);
    hark_timer_init(&task->timer, on_due);
    if (hark_vm_call(tasks->options.vm, make_thread, task, 0, NULL, NULL) != 0) {
        hark_mem_free(task);
        return NULL;
    }
    tasks->all[index] = task;
    tasks->made = index >= tasks->made ? index + 1 : tasks->made;
    return task;
}

static int make_thread(lua_State *L)
{
    struct hark_task *task = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, task->tasks->threads_ref);
    task->co = lua_newthread(L);
    lua_sethook(task->co, NULL, 0, 0);
    *hark_vm_space(task->co) |= HARK_VM_TAG_ENGINE;
    lua_rawseti(L, -2, (lua_Integer)task->index + 1);
    return 0;
}

struct hark_task *hark_task_new(struct hark_tasks *tasks, const struct hark_task_ops *ops)
{
    struct hark_list *node = hark_list_pop(&tasks->free);
    struct hark_task *task = NULL;
    if (node != NULL) {
        task = HARK_CONTAINER_OF(node, struct hark_task, node);
        tasks->idle--;
    } else {
        task = make(tasks);
        if (task == NULL) {
            return NULL;
        }
    }
    task->ops = ops;
    task->serial = tasks->next_serial++;
    task->cpu_ms = tasks->options.vm->limits.run_cpu_ms;
    task->memory = tasks->options.vm->limits.run_memory;
    task->retired = false;
    task->cancelled = false;
    task->failed = LUA_OK;
    task->state = FRESH;
    task->total_due_ms = ops->endless ? 0 : *tasks->options.now_ms + tasks->options.total_ms;
    task->drop = NULL;
    tasks->live++;
    return task;
}

void hark_task_discard(struct hark_task *task)
{
    lua_settop(task->co, 0);
    put_away(task);
}

struct hark_task *hark_task_find(struct hark_tasks *tasks, uint32_t index, uint64_t serial)
{
    struct hark_task *task = index < tasks->made ? tasks->all[index] : NULL;
    return task != NULL && task->state != IDLE && task->serial == serial ? task : NULL;
}

const struct hark_tasks_options *hark_tasks_options(const struct hark_tasks *tasks)
{
    return &tasks->options;
}

struct hark_vm *hark_tasks_vm(const struct hark_tasks *tasks)
{
    return tasks->options.vm;
}

size_t hark_tasks_live(const struct hark_tasks *tasks)
{
    return tasks->live;
}

void **hark_tasks_spare(struct hark_tasks *tasks)
{
    return &tasks->spare;
}

// --- running ---

void hark_task_start(struct hark_task *task)
{
    hark_stats_add(&task->tasks->options.stats->handler_runs, 1);
    run(task);
}

void hark_task_post(struct hark_task *task)
{
    struct hark_tasks *tasks = task->tasks;
    hark_list_push(&tasks->ready, &task->node);
    hark_defer_post(tasks->options.defer, &tasks->run_ready);
}

static void on_ready(struct hark_defer *item)
{
    struct hark_tasks *tasks = HARK_CONTAINER_OF(item, struct hark_tasks, run_ready);
    struct hark_list now;
    hark_list_init(&now);
    hark_list_splice(&now, &tasks->ready);
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&now)) != NULL) {
        struct hark_task *task = HARK_CONTAINER_OF(node, struct hark_task, node);
        if (task->state == FRESH) {
            hark_task_start(task);
        } else {
            run(task);
        }
    }
}

static void run(struct hark_task *task)
{
    struct hark_vm *vm = task->tasks->options.vm;
    lua_State *co = task->co;
    struct hark_vm_run frame;
    int count = 0;
    if (task->state == FRESH) {
        // A function without upvalues is a plain value: this needs no memory. What a spawned task
        // brought with it lies below and is the trampoline's arguments.
        lua_pushcfunction(co, trampoline);
        lua_insert(co, 1);
        count = lua_gettop(co) - 1;
    }
    task->state = RUNNING;
    vm->task = task;
    vm->place = NULL;
    hark_vm_enter(vm, co, task->cpu_ms, task->memory, &frame);
    int status = lua_resume(co, NULL, count, &count);
    bool stopped = hark_vm_leave(vm, &frame);
    vm->task = NULL;
    vm->place = NULL;
    vm->passing = false;
    if (status == LUA_YIELD) {
        lua_pop(co, count);
        suspend(task);
    } else {
        end(task, status, stopped);
    }
}

static int trampoline(lua_State *L)
{
    struct hark_task *task = hark_vm_of(L)->task;
    lua_pushcfunction(L, hark_vm_traceback);
    lua_insert(L, 1);
    int nargs = task->ops->enter(L, task);
    if (nargs < 0) {
        return 0;
    }
    int status = lua_pcallk(L, nargs, LUA_MULTRET, 1, 0, after);
    return after(L, status, 0);
}

static int after(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    struct hark_task *task = hark_vm_of(L)->task;
    if (status != LUA_OK && status != LUA_YIELD) {
        task->failed = (uint8_t)status;
        return 1; // the error with its traceback
    }
    if (task->ops->leave != NULL) {
        task->ops->leave(L, task, 2);
    }
    return 0;
}

// --- waiting; what happens in the coroutine is in task_wait.c ---

static void suspend(struct hark_task *task)
{
    struct hark_tasks *tasks = task->tasks;
    task->state = WAITING;
    hark_stats_add(&tasks->options.stats->tasks_waiting, 1);
    if (task->cancelled || task->retired) { // told so in the meantime
        hark_task_wake(task, task->cancelled ? HARK_ECANCELED : HARK_EAGAIN);
        return;
    }
    uint64_t due = task->wait_due_ms;
    if (task->total_due_ms != 0 && task->total_due_ms < due) {
        due = task->total_due_ms;
    }
    hark_wheel_arm(tasks->options.wheel, &task->timer, due);
}

static void on_due(struct hark_timer *timer)
{
    struct hark_task *task = HARK_CONTAINER_OF(timer, struct hark_task, timer);
    bool total = task->total_due_ms != 0 && task->total_due_ms < task->wait_due_ms;
    hark_task_wake(task, total ? HARK_TASK_TOTAL : task->due_status);
}

void hark_task_wake(struct hark_task *task, int status)
{
    if (task->state != WAITING) {
        return;
    }
    task->state = READY;
    task->woken = status;
    hark_wheel_cancel(task->tasks->options.wheel, &task->timer);
    hark_stats_sub(&task->tasks->options.stats->tasks_waiting, 1);
    hark_task_post(task);
}

void hark_task_retire(struct hark_task *task)
{
    task->retired = true;
    hark_task_wake(task, HARK_EAGAIN);
}

void hark_task_cancel(struct hark_task *task)
{
    task->cancelled = true;
    hark_task_wake(task, HARK_ECANCELED);
}

// --- ending ---

static void end(struct hark_task *task, int lua_status, bool stopped)
{
    struct hark_tasks *tasks = task->tasks;
    struct hark_vm *vm = tasks->options.vm;
    struct hark_stats *stats = tasks->options.stats;
    bool broken = lua_status != LUA_OK;
    int failed = broken ? lua_status : task->failed;
    hark_task_disown(task);
    hark_buf_clear(&tasks->text);
    if (failed != LUA_OK) {
        hark_vm_error_text(vm, task->co, failed, &tasks->text);
    } else if (stopped) { // the script swallowed the error and was through before the grace ended
        failed = LUA_ERRRUN;
        hark_vm_add_text(&tasks->text, "limit: cpu (the script caught the error)");
    }
    int status = task->cancelled && failed != LUA_OK ? HARK_ECANCELED : hark_vm_status(failed);
    if (failed != LUA_OK) {
        hark_stats_add(&stats->handler_errors, 1);
        hark_stats_add(&stats->handler_stopped, stopped || failed == LUA_ERRMEM ? 1 : 0);
    }
    if (failed == LUA_OK) {
        lua_settop(task->co, 0);
    } else {
        close_thread(task);
        task->co = NULL;
    }
    hark_stats_set(&stats->lua_bytes, vm->used);
    task->ops->ended(task, status, hark_buf_slice(&tasks->text));
    put_away(task);
}

// Runs what the coroutine has left to close. Without the memory for that it stays in the table
// until another one takes its place; what closers raise went to the log as a warning.
static void close_thread(struct hark_task *task)
{
    struct hark_vm *vm = task->tasks->options.vm;
    hark_vm_ignore(hark_vm_call(vm, drop_thread, task, vm->limits.run_cpu_ms, "close", NULL));
}

static int drop_thread(lua_State *L)
{
    struct hark_task *task = lua_touserdata(L, 1);
    struct hark_vm *vm = hark_vm_of(L);
    if (task->co != NULL) {
        hark_watchdog_switch(&vm->dog, task->co);
        hark_vm_ignore(hark_vm_reset_thread(L, task->co));
        hark_watchdog_switch(&vm->dog, L);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, task->tasks->threads_ref);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)task->index + 1);
    return 0;
}

static void put_away(struct hark_task *task)
{
    struct hark_tasks *tasks = task->tasks;
    task->state = IDLE;
    tasks->live--;
    if (task->co == NULL || tasks->idle >= IDLE_MAX) {
        if (task->co != NULL) {
            close_thread(task);
        }
        tasks->all[task->index] = NULL;
        hark_mem_free(task);
        return;
    }
    tasks->idle++;
    hark_list_push_front(&tasks->free, &task->node);
}
