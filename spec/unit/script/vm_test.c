// SPDX-License-Identifier: MIT
//
// script/vm: errors with tracebacks, memory limits, and an allocator that fails at every place.
#include "script/rig.h"

static const struct hark_vm_limits SMALL = {
    .vm_memory = (size_t)8 << 20,
    .run_memory = (size_t)1 << 20,
    .run_cpu_ms = 50,
    .load_cpu_ms = 500,
};

static void test_errors_carry_a_traceback_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_gives(&rig, "return 1 + 1", "2");
    assert_raises(&rig, "local function inner() error('bad thing') end inner()", "bad thing");
    char text[4096];
    rig_text(&rig.why, text, sizeof(text));
    char *first = strstr(text, "stack traceback:");
    assert_non_null(first);
    assert_null(strstr(first + 1, "stack traceback:"));
    assert_raises(&rig, "error({})", "table");
    assert_raises(&rig, "error(setmetatable({}, {__tostring = function() return 'named' end}))",
                  "named");
    rig_close(&rig);
}

static void test_only_text_modules_of_one_directory(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_gives(&rig, "return package.cpath", "");
    assert_gives(&rig, "return package.path", "/nonexistent/?.lua;/nonexistent/?/init.lua");
    rig_close(&rig);
}

static void test_a_run_has_an_allowance(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, &SMALL);
    const char *eater = "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end";
    assert_int_equal(rig_run(&rig, eater, 10000), HARK_ENOMEM);
    char text[512];
    rig_text(&rig.why, text, sizeof(text));
    assert_non_null(strstr(text, "limit: memory, 1024 KiB a run"));
    assert_true(rig.vm->used < SMALL.vm_memory);
    assert_gives(&rig, "return 'others go on'", "others go on");
    rig_close(&rig);
}

static void test_the_state_has_a_ceiling(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, &SMALL);
    int status = 0;
    int runs = 0;
    for (; status == 0 && runs < 100; runs++) {
        status = rig_run(&rig, "kept = kept or {} kept[#kept + 1] = ('x'):rep(500000)", 0);
    }
    assert_int_equal(status, HARK_ENOMEM);
    assert_in_range(runs, 10, 20);
    assert_gives(&rig, "kept = nil return 'free again'", "free again");
    rig_close(&rig);
}

static void test_large_strings_meet_the_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, &SMALL);
    assert_int_equal(rig_run(&rig, "return #('x'):rep(1 << 30)", 10000), HARK_ENOMEM);
    assert_int_equal(
        rig_run(&rig, "return table.concat({('x'):rep(600000), ('y'):rep(600000)})", 10000),
        HARK_ENOMEM);
    rig_close(&rig);
}

// The n-th allocation fails, for all n: either an error is reported or the result is right.
static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    const struct hark_vm_options options = {.lua_dir = "/nonexistent"};
    bool done = false;
    for (size_t n = 0; n < 5000 && !done; n++) {
        struct hark_vm *vm = NULL;
        hark_mem_fail_after(n);
        int status = hark_vm_new(&options, &vm, NULL);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || status == HARK_ENOMEM);
        done = n > 100 && status == 0;
        hark_vm_free(vm);
    }
    assert_true(done);
    struct rig rig;
    rig_open_vm(&rig, NULL);
    const char *source = "local t = {} for i = 1, 40 do t[i] = 'a' .. i end "
                         "return select(2, pcall(error, table.concat(t)))";
    for (size_t n = 0; n < 200; n++) {
        hark_mem_fail_after(n);
        int status = rig_run(&rig, source, 0);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || status == HARK_ENOMEM);
    }
    rig_close(&rig);
}

static int fail_outright(lua_State *L)
{
    return luaL_error(L, "inner");
}

static int call_nested(lua_State *L)
{
    struct hark_vm *vm = hark_vm_of(L);
    struct rig *rig = vm->owner;
    assert_true(hark_vm_is_running(vm));
    assert_int_equal(hark_vm_call(vm, fail_outright, NULL, 0, "deliver", &rig->why), HARK_ESCRIPT);
    assert_null(vm->place);
    return 0;
}

static void test_calls_nest(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_vm(&rig, NULL);
    assert_int_equal(hark_vm_call(rig.vm, call_nested, NULL, 0, NULL, NULL), 0);
    char text[512];
    rig_text(&rig.why, text, sizeof(text));
    assert_non_null(strstr(text, "inner"));
    assert_false(hark_vm_is_running(rig.vm));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_carry_a_traceback_once),
        cmocka_unit_test(test_only_text_modules_of_one_directory),
        cmocka_unit_test(test_a_run_has_an_allowance),
        cmocka_unit_test(test_the_state_has_a_ceiling),
        cmocka_unit_test(test_large_strings_meet_the_limit),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_calls_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
