// SPDX-License-Identifier: MIT
//
// What the tests of script/ share: a state with tasks on a clock that the test moves, and running a
// piece of Lua in it, plainly or in a task. Included by one test program each, hence static.
#ifndef HARK_SPEC_UNIT_SCRIPT_RIG_H
#define HARK_SPEC_UNIT_SCRIPT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/defer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "base/wheel.h"
#include "hark.h"
#include "script/library.h"
#include "script/pending.h"
#include "script/task.h"
#include "script/vm.h"

struct rig {
    struct hark_vm *vm;
    struct hark_tasks *tasks;
    struct hark_wheel *wheel;
    struct hark_defer_queue defer;
    struct hark_stats stats;
    uint64_t now_ms;
    struct hark_buf why;
    struct hark_buf result; // what the last chunk gave, as text
    const char *source;
    int ended;      // tasks that have ended
    int end_status; // of the last one
};

static inline void rig_open_vm(struct rig *rig, const struct hark_vm_limits *limits)
{
    memset(rig, 0, sizeof(*rig));
    hark_log_set_level(HARK_LOG_ERROR);
    rig->now_ms = 1000;
    hark_buf_init(&rig->why, 65536);
    hark_buf_init(&rig->result, 65536);
    hark_defer_queue_init(&rig->defer);
    rig->wheel = hark_wheel_new(rig->now_ms);
    assert_non_null(rig->wheel);
    const struct hark_vm_options options = {
        .lua_dir = "/nonexistent", .limits = limits, .open = hark_library_open, .owner = rig};
    assert_int_equal(hark_vm_new(&options, &rig->vm, &rig->why), 0);
}

static inline void rig_open(struct rig *rig, const struct hark_vm_limits *limits)
{
    rig_open_vm(rig, limits);
    const struct hark_tasks_options options = {
        .vm = rig->vm,
        .wheel = rig->wheel,
        .defer = &rig->defer,
        .now_ms = &rig->now_ms,
        .stats = &rig->stats,
        .wait_ms = 10000,
        .total_ms = 60000,
    };
    assert_int_equal(hark_tasks_new(&options, &rig->tasks), 0);
}

static inline void rig_close(struct rig *rig)
{
    hark_tasks_free(rig->tasks);
    hark_vm_free(rig->vm);
    hark_wheel_free(rig->wheel);
    hark_buf_deinit(&rig->why);
    hark_buf_deinit(&rig->result);
}

// --- plain calls ---

static inline int rig_chunk(lua_State *L)
{
    struct rig *rig = lua_touserdata(L, 1);
    if (luaL_loadbuffer(L, rig->source, strlen(rig->source), "=test") != LUA_OK) {
        return lua_error(L);
    }
    lua_call(L, 0, 1);
    size_t len = 0;
    const char *text = luaL_tolstring(L, -1, &len);
    hark_buf_clear(&rig->result);
    assert_int_equal(hark_buf_append(&rig->result, text, len), 0);
    return 0;
}

// Runs a chunk without a task; its first result as text is in rig->result.
static inline int rig_run(struct rig *rig, const char *source, uint32_t cpu_ms)
{
    rig->source = source;
    hark_buf_clear(&rig->why);
    return hark_vm_call(rig->vm, rig_chunk, rig, cpu_ms, NULL, &rig->why);
}

static inline void rig_text(struct hark_buf *buf, char *out, size_t max)
{
    struct hark_slice text = hark_buf_slice(buf);
    size_t len = text.len < max - 1 ? text.len : max - 1;
    if (len > 0) {
        memcpy(out, text.ptr, len);
    }
    out[len] = '\0';
}

static inline void assert_gives(struct rig *rig, const char *source, const char *expected)
{
    char text[4096];
    int status = rig_run(rig, source, 0);
    if (status != 0) {
        rig_text(&rig->why, text, sizeof(text));
        fail_msg("%s\nraised: %s", source, text);
    }
    rig_text(&rig->result, text, sizeof(text));
    assert_string_equal(text, expected);
}

static inline void assert_raises(struct rig *rig, const char *source, const char *part)
{
    char text[4096];
    int status = rig_run(rig, source, 0);
    rig_text(status == 0 ? &rig->result : &rig->why, text, sizeof(text));
    if (status != HARK_ESCRIPT) {
        fail_msg("%s\ndid not raise, status %d: %s", source, status, text);
    }
    if (strstr(text, part) == NULL) {
        fail_msg("%s\nraised: %s\nexpected: %s", source, text, part);
    }
}

// --- tasks ---

static inline int rig_enter(lua_State *L, struct hark_task *task)
{
    const char *source = *(const char **)hark_task_room(task);
    if (luaL_loadbuffer(L, source, strlen(source), "=test") != LUA_OK) {
        return lua_error(L);
    }
    return 0;
}

static inline struct rig *rig_of(struct hark_task *task)
{
    return hark_tasks_vm(task->tasks)->owner;
}

static inline void rig_leave(lua_State *L, struct hark_task *task, int first)
{
    struct rig *rig = rig_of(task);
    hark_buf_clear(&rig->result);
    for (int i = first; i <= lua_gettop(L); i++) {
        size_t len = 0;
        const char *text = luaL_tolstring(L, i, &len);
        assert_int_equal(hark_buf_append_text(&rig->result, i > first ? "," : ""), 0);
        assert_int_equal(hark_buf_append(&rig->result, text, len), 0);
        lua_pop(L, 1);
    }
}

static inline void rig_ended(struct hark_task *task, int status, struct hark_slice text)
{
    struct rig *rig = rig_of(task);
    rig->ended++;
    rig->end_status = status;
    hark_buf_clear(&rig->why);
    assert_int_equal(hark_buf_append_slice(&rig->why, text), 0);
}

static const struct hark_task_ops rig_task_ops = {
    .enter = rig_enter, .leave = rig_leave, .ended = rig_ended};

static inline struct hark_task *rig_task(struct rig *rig, const char *source)
{
    struct hark_task *task = hark_task_new(rig->tasks, &rig_task_ops);
    assert_non_null(task);
    *(const char **)hark_task_room(task) = source;
    return task;
}

static inline void rig_start(struct rig *rig, const char *source)
{
    hark_task_start(rig_task(rig, source));
}

// Lets time pass and what is ready run.
static inline void rig_advance(struct rig *rig, uint64_t ms)
{
    uint64_t until = rig->now_ms + ms;
    do {
        rig->now_ms = rig->now_ms + 8 < until ? rig->now_ms + 8 : until;
        hark_wheel_advance(rig->wheel, rig->now_ms);
        hark_defer_run(&rig->defer);
    } while (rig->now_ms < until);
}

static inline void assert_result(struct rig *rig, const char *expected)
{
    char text[4096];
    if (rig->end_status != 0) {
        rig_text(&rig->why, text, sizeof(text));
        fail_msg("task failed: %s", text);
    }
    rig_text(&rig->result, text, sizeof(text));
    assert_string_equal(text, expected);
}

static inline void assert_failed(struct rig *rig, int status, const char *part)
{
    char text[8192];
    rig_text(&rig->why, text, sizeof(text));
    if (rig->end_status != status || strstr(text, part) == NULL) {
        fail_msg("status %d, failed with: %s\nexpected: %d, %s", rig->end_status, text, status,
                 part);
    }
}

// Test function: sleep(ms) as the engine's waiting calls do it.
static inline int rig_slept(lua_State *L, void *ctx)
{
    (void)ctx;
    lua_pushliteral(L, "slept");
    return 1;
}

// Lua leaves it by longjmp, maybe often: see CMakeLists.txt on ThreadSanitizer.
__attribute__((no_sanitize("thread"))) static inline int rig_sleep(lua_State *L)
{
    hark_task_check_wait(L, "sleep");
    return hark_task_wait(L, &(struct hark_wait){
                                 .what = "sleep",
                                 .timeout_ms = (uint64_t)luaL_checkinteger(L, 1),
                                 .due_status = 0,
                                 .push = rig_slept,
                             });
}

static inline int rig_register(lua_State *L)
{
    lua_pushcfunction(L, rig_sleep);
    lua_setglobal(L, "sleep");
    return 0;
}

static inline void rig_with_sleep(struct rig *rig)
{
    assert_int_equal(hark_vm_call(rig->vm, rig_register, NULL, 0, NULL, NULL), 0);
}

#endif
