// SPDX-License-Identifier: MIT
//
// script/watchdog on every way known of not coming back: all are stopped, the state works on, and a
// run that stays within its budget never meets a hook.
#include "script/rig.h"

#define BUDGET_MS 20

static void assert_stops(struct rig *rig, const char *source)
{
    int status = rig_run(rig, source, BUDGET_MS);
    if (status != HARK_ESCRIPT) {
        fail_msg("%s: status %d", source, status);
    }
    char text[4096];
    rig_text(&rig->why, text, sizeof(text));
    if (strstr(text, "limit: cpu") == NULL) {
        fail_msg("%s: %s", source, text);
    }
    assert_gives(rig, "return 'alive'", "alive");
    assert_null(lua_gethook(rig->vm->L));
}

static void test_stops_whatever_loops(void **state)
{
    (void)state;
    static const char *const loops[] = {
        "while true do end",
        "repeat local x = 1 until false",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) "
        "end",
        "coroutine.wrap(function() while true do end end)()",
        "local co = coroutine.create(function() while true do end end) coroutine.resume(co) while "
        "true do end",
        "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() "
        "end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local x <close> = setmetatable({}, {__close = function() while true do end end})",
        "local x <close> = setmetatable({}, {__close = function() while true do end end}) while "
        "true do end",
        "coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() while "
        "true do end end}) "
        "while true do end end)()",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function() while true do "
        "end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "string.gsub('abc', '.', function() while true do end end)",
        "setmetatable({}, {__index = function() while true do end end}).x()",
        "for i = 1, math.huge do local t = {i} end",
        "local function f() return f() end f()",
        "load(function() while true do end end)",
        "local t = setmetatable({}, {__lt = function() while true do end end}) return t < t",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        "goto again ::again:: goto again",
    };
    struct rig rig;
    rig_open_vm(&rig, NULL);
    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        assert_stops(&rig, loops[i]);
    }
    rig_close(&rig);
}

static void test_names_the_line(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_int_equal(rig_run(&rig, "local x = 0\nwhile true do\n  x = x + 1\nend", BUDGET_MS),
                     HARK_ESCRIPT);
    char text[4096];
    rig_text(&rig.why, text, sizeof(text));
    assert_true(strstr(text, "limit: cpu, 20 ms, test:2") != NULL ||
                strstr(text, "limit: cpu, 20 ms, test:3") != NULL);
    rig_close(&rig);
}

static void test_closers_get_a_little_time(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    const char *source =
        "closed = false "
        "local x <close> = setmetatable({}, {__close = function() closed = true end}) "
        "while true do end";
    assert_int_equal(rig_run(&rig, source, BUDGET_MS), HARK_ESCRIPT);
    assert_gives(&rig, "return closed", "true");
    rig_close(&rig);
}

// The script eats the error and ends by itself: it is reported all the same.
static void test_a_swallowed_error_is_still_one(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_int_equal(rig_run(&rig, "pcall(function() while true do end end) return 1", BUDGET_MS),
                     HARK_ESCRIPT);
    char text[4096];
    rig_text(&rig.why, text, sizeof(text));
    assert_non_null(strstr(text, "limit: cpu"));
    rig_close(&rig);
}

static void test_no_hook_within_the_budget(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_int_equal(rig_run(&rig, "local x = 0 for i = 1, 3e7 do x = x + i end", 100000), 0);
    assert_true(atomic_load(&rig.vm->dog.ticks) > 0);
    assert_null(lua_gethook(rig.vm->L));
    rig_close(&rig);
}

// A suspended coroutine that was hooked as its run ended is clean when another run resumes it.
static void test_a_hook_does_not_outlive_its_run(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_int_equal(
        rig_run(&rig,
                "co = coroutine.create(function() while true do coroutine.yield(1) end end) "
                "while true do pcall(coroutine.resume, co) end",
                BUDGET_MS),
        HARK_ESCRIPT);
    assert_gives(&rig,
                 "if coroutine.status(co) == 'dead' then return 1 end "
                 "return select(2, coroutine.resume(co))",
                 "1");
    rig_close(&rig);
}

struct in_thread {
    struct rig rig;
    int status;
};

static void *run_in_thread(void *arg)
{
    struct in_thread *in = arg;
    in->status = rig_run(&in->rig, "while true do end", BUDGET_MS);
    return NULL;
}

static void test_follows_the_thread(void **state)
{
    (void)state;
    struct in_thread in;
    rig_open_vm(&in.rig, NULL);
    assert_gives(&in.rig, "return 1", "1");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_in_thread, &in), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(in.status, HARK_ESCRIPT);
    rig_close(&in.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops_whatever_loops),
        cmocka_unit_test(test_names_the_line),
        cmocka_unit_test(test_closers_get_a_little_time),
        cmocka_unit_test(test_a_swallowed_error_is_still_one),
        cmocka_unit_test(test_no_hook_within_the_budget),
        cmocka_unit_test(test_a_hook_does_not_outlive_its_run),
        cmocka_unit_test(test_follows_the_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
