// SPDX-License-Identifier: MIT
//
// Signals as callbacks of the loop.
#include "io/signal.h"

#include <signal.h>

#include "io/support.h"

static void on_signal(void *ctx, int number)
{
    int *seen = ctx;
    *seen = number;
}

static void test_signals(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct hark_signal *hup = NULL;
    struct hark_signal *term = NULL;
    int seen_hup = 0;
    int seen_term = 0;
    assert_int_equal(hark_signal_open(world->loop, SIGHUP, on_signal, &seen_hup, &hup), 0);
    assert_int_equal(hark_signal_open(world->loop, SIGTERM, on_signal, &seen_term, &term), 0);
    assert_int_equal(raise(SIGHUP), 0);
    while (seen_hup == 0) {
        tick(world);
    }
    assert_int_equal(seen_hup, SIGHUP);
    assert_int_equal(seen_term, 0);
    assert_int_equal(raise(SIGTERM), 0);
    while (seen_term == 0) {
        tick(world);
    }
    assert_int_equal(seen_term, SIGTERM);
    hark_signal_close(hup);
    hark_signal_close(term);
    hark_signal_close(NULL);
    world_free(world);
}

static void test_closed_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct hark_signal *first = NULL;
    struct hark_signal *second = NULL;
    int seen_first = 0;
    int seen_second = 0;
    assert_int_equal(hark_signal_open(world->loop, SIGUSR1, on_signal, &seen_first, &first), 0);
    assert_int_equal(hark_signal_open(world->loop, SIGUSR1, on_signal, &seen_second, &second), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    hark_signal_close(first); // after the signal, before the loop
    while (seen_second == 0) {
        tick(world);
    }
    assert_int_equal(seen_first, 0);
    hark_signal_close(second);
    world_free(world);
}

static void test_errors(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct hark_signal *signal = NULL;
    int seen = 0;
    hark_mem_fail_after(0);
    assert_int_equal(hark_signal_open(world->loop, SIGHUP, on_signal, &seen, &signal), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_int_equal(hark_signal_open(world->loop, SIGKILL, on_signal, &seen, &signal),
                     HARK_EINVAL);
    assert_int_equal(hark_signal_open(world->loop, 0, on_signal, &seen, &signal), HARK_EINVAL);
    assert_null(signal);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_closed_is_silent),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
