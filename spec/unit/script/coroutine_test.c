// SPDX-License-Identifier: MIT
//
// script/coroutine: the library behaves as Lua's own, and waits pass through it.
#include "script/rig.h"

static void test_is_the_library_that_scripts_know(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    assert_gives(
        &rig,
        "local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) "
        "local d, e = coroutine.yield(c * 2) return d .. e, nil end) "
        "local out = {} "
        "for _, args in ipairs { {1, 2}, {10}, {'x', 'y'} } do "
        "out[#out + 1] = table.concat({tostring(coroutine.resume(co, table.unpack(args))), "
        "coroutine.status(co)}, ':') end "
        "out[#out + 1] = select(2, coroutine.resume(co)) "
        "return table.concat(out, ' ')",
        "true:suspended true:suspended true:dead cannot resume dead coroutine");
    assert_gives(&rig,
                 "local n = 0 for v in coroutine.wrap(function() for i = 1, 5 do "
                 "coroutine.yield(i) end end) do "
                 "n = n + v end return n",
                 "15");
    assert_gives(&rig,
                 "return select('#', coroutine.resume(coroutine.create(function(...) return ... "
                 "end), 1, nil, nil))",
                 "4");
    assert_gives(&rig,
                 "local ok, e = coroutine.resume(coroutine.create(function() error({code = 7}) "
                 "end)) return e.code",
                 "7");
    assert_gives(&rig, "return coroutine.isyieldable()", "false");
    assert_gives(&rig, "return select(2, coroutine.resume(coroutine.running()))",
                 "cannot resume non-suspended coroutine");
    assert_gives(&rig,
                 "local a a = coroutine.create(function() return coroutine.resume(a) end) "
                 "return select(3, coroutine.resume(a))",
                 "cannot resume non-suspended coroutine");
    rig_close(&rig);
}

static void test_errors_name_their_place(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    assert_raises(&rig, "coroutine.wrap(function() error('inner', 0) end)()", "inner");
    assert_raises(&rig, "coroutine.create(1)", "function expected");
    assert_raises(&rig, "coroutine.resume(1)", "coroutine expected");
    assert_gives(
        &rig,
        "return select(2, coroutine.resume(coroutine.create(function() local x = nil + 1 end)))",
        "test:1: attempt to perform arithmetic on a nil value");
    rig_close(&rig);
}

static void test_closing(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    assert_gives(
        &rig,
        "local log = {} "
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function(_, e) "
        "log[#log + 1] = 'closed ' .. tostring(e) end}) coroutine.yield() end) "
        "coroutine.resume(co) local closed = coroutine.close(co) log[#log + 1] = tostring(closed) "
        "log[#log + 1] = coroutine.status(co) log[#log + 1] = tostring(coroutine.close(co)) "
        "log[#log + 1] = tostring(coroutine.close(coroutine.create(print))) return "
        "table.concat(log, ' ')",
        "closed nil true dead true true");
    assert_gives(&rig,
                 "local log = '' pcall(coroutine.wrap(function() local x <close> = "
                 "setmetatable({}, {__close = "
                 "function(_, e) log = e end}) error('oops', 0) end)) return log",
                 "oops");
    assert_gives(&rig,
                 "local co = coroutine.create(function() local x <close> = setmetatable({}, "
                 "{__close = function() "
                 "error('in close', 0) end}) coroutine.yield() end) coroutine.resume(co) "
                 "local ok, e = coroutine.close(co) return tostring(ok) .. e",
                 "falsein close");
    assert_raises(&rig, "coroutine.close(coroutine.running())", "cannot close a running coroutine");
    rig_close(&rig);
}

static void test_nesting_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    assert_gives(
        &rig,
        "local function deep(n) local ok, e = coroutine.resume(coroutine.create(deep), n + 1) "
        "if not ok then error(e, 0) end return e end "
        "local ok, e = pcall(deep, 1) return e",
        "C stack overflow");
    // Each closes the next in its own closer: 5.4.4 itself would overflow the C stack.
    assert_gives(
        &rig,
        "local co = nil for i = 1, 1000 do local inner = co "
        "co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() "
        "if inner then coroutine.close(inner) end end}) coroutine.yield() end) "
        "coroutine.resume(co) end "
        "return coroutine.close(co)",
        "true");
    rig_close(&rig);
}

static void test_waits_pass_through(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    rig_start(&rig,
              "local gen = coroutine.wrap(function(a) coroutine.yield(a) "
              "local co = coroutine.create(function() return sleep(50) .. '!' end) "
              "coroutine.yield(select(2, coroutine.resume(co))) coroutine.yield(sleep(50)) end) "
              "return gen(1), gen(), gen()");
    assert_int_equal(rig.ended, 0);
    rig_advance(&rig, 60);
    assert_int_equal(rig.ended, 0);
    rig_advance(&rig, 60);
    assert_int_equal(rig.ended, 1);
    assert_result(&rig, "1,slept!,slept");
    rig_close(&rig);
}

static void test_a_waiting_coroutine_is_nobody_elses(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_with_sleep(&rig);
    rig_start(&rig, "shared = coroutine.create(function() return sleep(100) end) return "
                    "coroutine.resume(shared)");
    rig_start(
        &rig,
        "return select(2, coroutine.resume(shared)), select(2, pcall(coroutine.close, shared))");
    assert_result(&rig, "the coroutine waits in a handler,the coroutine waits in a handler");
    rig_advance(&rig, 200);
    assert_int_equal(rig.ended, 2);
    assert_result(&rig, "true,slept");
    // Nor can a handler's own coroutine be resumed by another.
    rig_start(&rig, "own = coroutine.running() return sleep(100)");
    rig_start(&rig, "return select(2, coroutine.resume(own))");
    assert_result(&rig, "a handler's own coroutine is the engine's to resume");
    rig_advance(&rig, 200);
    assert_result(&rig, "slept");
    rig_start(&rig, "coroutine.yield(1)");
    assert_failed(&rig, HARK_ESCRIPT, "attempt to yield outside a coroutine");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_the_library_that_scripts_know),
        cmocka_unit_test(test_errors_name_their_place),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_waits_pass_through),
        cmocka_unit_test(test_a_waiting_coroutine_is_nobody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
