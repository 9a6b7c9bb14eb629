// SPDX-License-Identifier: MIT
//
// script/task and script/pending: starting, waiting, time-outs, retiring, cancelling, errors, the
// pool.
#include "script/rig.h"

static void test_runs_to_the_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    for (int i = 0; i < 1000; i++) {
        rig_start(&rig, "return 1, 'two'");
        assert_result(&rig, "1,two");
    }
    assert_int_equal(rig.ended, 1000);
    assert_int_equal(hark_tasks_live(rig.tasks), 0);
    assert_int_equal(hark_stats_get(&rig.stats.handler_runs), 1000);
    rig_close(&rig);
}

static void test_errors_have_a_traceback(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_start(&rig, "local function deeper() error('broken') end deeper()");
    assert_failed(&rig, HARK_ESCRIPT, "test:1: broken\nstack traceback:");
    assert_failed(&rig, HARK_ESCRIPT, "deeper");
    rig_start(&rig, "this is no Lua");
    assert_failed(&rig, HARK_ESCRIPT, "syntax error");
    rig_start(&rig, "return 'fine'");
    assert_result(&rig, "fine");
    assert_int_equal(hark_stats_get(&rig.stats.handler_errors), 2);
    rig_close(&rig);
}

static void test_waits(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    rig_start(&rig, "return sleep(100), sleep(100)");
    rig_start(&rig, "local ok, v = pcall(function() return sleep(50) end) return ok, v");
    rig_start(&rig, "for v in (function() return sleep(20) end) do return v end");
    rig_start(&rig, "return setmetatable({}, {__index = function() return sleep(30) end}).x");
    assert_int_equal(rig.ended, 0);
    assert_int_equal(hark_stats_get(&rig.stats.tasks_waiting), 4);
    rig_advance(&rig, 24);
    assert_result(&rig, "slept");
    rig_advance(&rig, 16);
    assert_int_equal(rig.ended, 2);
    rig_advance(&rig, 20);
    assert_result(&rig, "true,slept");
    rig_advance(&rig, 200);
    assert_int_equal(rig.ended, 4);
    assert_result(&rig, "slept,slept");
    assert_int_equal(hark_stats_get(&rig.stats.tasks_waiting), 0);
    rig_close(&rig);
}

static void test_a_run_has_a_total(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    rig_start(&rig, "while true do sleep(9000) end");
    rig_advance(&rig, 59900);
    assert_int_equal(rig.ended, 0);
    rig_advance(&rig, 200);
    assert_int_equal(rig.ended, 1);
    assert_failed(&rig, HARK_ESCRIPT, "limit: total time, 60 s");
    rig_close(&rig);
}

static void test_places_that_cannot_wait(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    assert_raises(&rig, "sleep(1)", "sleep cannot be called while a script is loading");
    rig_start(&rig, "table.sort({2, 1}, function() sleep(1) end)");
    assert_failed(&rig, HARK_ESCRIPT, "sleep cannot wait inside a function that C calls back");
    rig_start(&rig, "string.gsub('a', 'a', function() sleep(1) end)");
    assert_failed(&rig, HARK_ESCRIPT, "sleep cannot wait inside");
    rig.vm->place = "deliver";
    rig_run(&rig, "sleep(1)", 0);
    assert_failed(&rig, HARK_ESCRIPT, "sleep cannot be called in deliver, which cannot wait");
    rig.vm->place = NULL;
    rig_close(&rig);
}

static void test_retiring(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    struct hark_task *task =
        rig_task(&rig, "local a, b = sleep(1000) local c, d = sleep(1000) return a, b, c, d");
    uint32_t index = task->index;
    uint64_t serial = task->serial;
    hark_task_start(task);
    assert_ptr_equal(hark_task_find(rig.tasks, index, serial), task);
    hark_task_retire(task);
    assert_int_equal(rig.ended, 0); // not from inside the call
    hark_defer_run(&rig.defer);
    assert_result(&rig, "nil,retired,nil,retired");
    assert_null(hark_task_find(rig.tasks, index, serial));
    rig_close(&rig);
}

static void test_cancelling_closes_what_is_open(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    struct hark_task *task = rig_task(
        &rig, "local x <close> = setmetatable({}, {__close = function(_, e) closed = e end}) "
              "coroutine.wrap(function() sleep(1000) end)()");
    hark_task_start(task);
    hark_task_cancel(task);
    hark_defer_run(&rig.defer);
    assert_failed(&rig, HARK_ECANCELED, "cancelled");
    assert_gives(&rig, "return closed:match('cancelled')", "cancelled");
    // One that swallows it meets it again at the next wait, and the CPU limit in the end.
    task = rig_task(&rig, "while true do pcall(sleep, 1000) end");
    hark_task_start(task);
    hark_task_cancel(task);
    hark_defer_run(&rig.defer);
    assert_failed(&rig, HARK_ECANCELED, "limit: cpu");
    rig_close(&rig);
}

static void test_freeing_closes_waiting_tasks(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    rig_start(&rig, "local x <close> = setmetatable({}, {__close = function() closed = (closed or "
                    "0) + 1 end}) sleep(1000)");
    rig_start(&rig, "local x <close> = setmetatable({}, {__close = function() closed = (closed or "
                    "0) + 1 while true do "
                    "end end}) sleep(1000)");
    hark_tasks_free(rig.tasks);
    rig.tasks = NULL;
    assert_gives(&rig, "return closed", "2");
    assert_int_equal(rig.ended, 0);
    rig_close(&rig);
}

static void test_stopped_handlers(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    rig_start(&rig, "sleep(10) while true do end");
    rig_advance(&rig, 20);
    assert_failed(&rig, HARK_ESCRIPT, "limit: cpu, 50 ms, test:1");
    rig_start(&rig, "pcall(function() while true do end end) return 'saved'");
    assert_failed(&rig, HARK_ESCRIPT, "limit: cpu");
    assert_int_equal(hark_stats_get(&rig.stats.handler_stopped), 2);
    rig_start(&rig, "return 'others go on'");
    assert_result(&rig, "others go on");
    rig_close(&rig);
}

static void test_a_hungry_handler_alone_pays(void **state)
{
    (void)state;
    struct rig rig;
    struct hark_vm_limits limits;
    hark_vm_limits_init(&limits);
    limits.run_memory = (size_t)256 << 10;
    limits.run_cpu_ms = 0;
    rig_open(&rig, &limits);
    rig_start(&rig, "local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end");
    assert_failed(&rig, HARK_ENOMEM, "limit: memory, 256 KiB a run, 512 MiB in all");
    assert_int_equal(hark_stats_get(&rig.stats.handler_stopped), 1);
    rig_start(&rig, "return 'others go on'");
    assert_result(&rig, "others go on");
    rig_close(&rig);
}

static void test_many_wait_at_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    for (int i = 0; i < 2000; i++) {
        rig_start(&rig, "sleep(40)");
    }
    assert_int_equal(hark_tasks_live(rig.tasks), 2000);
    rig_advance(&rig, 60);
    assert_int_equal(rig.ended, 2000);
    assert_int_equal(hark_tasks_live(rig.tasks), 0);
    rig_close(&rig);
}

// --- asynchronous results ---

static struct hark_pending *asked;

static int push_answer(lua_State *L, struct hark_pending *pending)
{
    lua_pushlstring(L, pending->bytes == NULL ? "" : pending->bytes, pending->len);
    return 1;
}

static int ask(lua_State *L)
{
    struct rig *rig = hark_vm_of(L)->owner;
    hark_task_check_wait(L, "ask");
    asked = hark_pending_new(L, rig->tasks);
    if (lua_toboolean(L, 1)) {
        assert_int_equal(hark_pending_keep(asked, HARK_LIT("at once")), 0);
        hark_pending_done(asked, (int)luaL_optinteger(L, 2, 0));
    }
    return hark_pending_wait(L, asked, "ask", push_answer);
}

static int register_ask(lua_State *L)
{
    lua_register(L, "ask", ask);
    return 0;
}

static void test_results_come_at_once_or_later(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    assert_int_equal(hark_vm_call(rig.vm, register_ask, NULL, 0, NULL, NULL), 0);
    rig_start(&rig, "return ask(true)");
    assert_result(&rig, "at once");
    rig_start(&rig, "return ask(true, -6)");
    assert_result(&rig, "nil,full");
    rig_start(&rig, "return ask()");
    assert_int_equal(rig.ended, 2);
    assert_int_equal(hark_pending_keep(asked, HARK_LIT("later")), 0);
    hark_pending_done(asked, 0);
    hark_defer_run(&rig.defer);
    assert_result(&rig, "later");
    rig_start(&rig, "return ask()");
    hark_pending_done(asked, HARK_ECLOSED);
    hark_defer_run(&rig.defer);
    assert_result(&rig, "nil,closed");
    rig_close(&rig);
}

static void test_a_result_may_come_too_late(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    assert_int_equal(hark_vm_call(rig.vm, register_ask, NULL, 0, NULL, NULL), 0);
    rig_start(&rig, "return ask()");
    rig_advance(&rig, 10008);
    assert_result(&rig, "nil,timeout");
    assert_int_equal(hark_pending_keep(asked, HARK_LIT("late")), 0);
    hark_pending_done(asked, 0);
    hark_defer_run(&rig.defer);
    assert_int_equal(rig.ended, 1);
    // Both at once: the wait has ended, the task not yet gone on.
    rig_start(&rig, "return ask()");
    struct hark_pending *first = asked;
    rig.now_ms += 20000;
    hark_wheel_advance(rig.wheel, rig.now_ms);
    hark_pending_done(first, 0);
    hark_defer_run(&rig.defer);
    assert_result(&rig, "nil,timeout");
    // The state goes while a result is on its way.
    rig_start(&rig, "return ask()");
    hark_tasks_free(rig.tasks);
    rig.tasks = NULL;
    rig_close(&rig);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    for (size_t n = 0; n < 60; n++) {
        int ended = rig.ended;
        hark_mem_fail_after(n);
        struct hark_task *task = hark_task_new(rig.tasks, &rig_task_ops);
        if (task != NULL) {
            *(const char **)hark_task_room(task) =
                "local t = {} for i = 1, 5 do t[i] = {i} end sleep(5) return #t";
            hark_task_start(task);
            rig_advance(&rig, 16);
            assert_int_equal(rig.ended, ended + 1);
        }
        hark_mem_fail_after(SIZE_MAX);
        assert_true(task == NULL || rig.end_status == 0 || rig.end_status == HARK_ENOMEM);
    }
    rig_start(&rig, "return 'fine'");
    assert_result(&rig, "fine");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_to_the_end),
        cmocka_unit_test(test_errors_have_a_traceback),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_a_run_has_a_total),
        cmocka_unit_test(test_places_that_cannot_wait),
        cmocka_unit_test(test_retiring),
        cmocka_unit_test(test_cancelling_closes_what_is_open),
        cmocka_unit_test(test_freeing_closes_waiting_tasks),
        cmocka_unit_test(test_stopped_handlers),
        cmocka_unit_test(test_a_hungry_handler_alone_pays),
        cmocka_unit_test(test_many_wait_at_once),
        cmocka_unit_test(test_results_come_at_once_or_later),
        cmocka_unit_test(test_a_result_may_come_too_late),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
