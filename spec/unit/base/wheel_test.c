// SPDX-License-Identifier: MIT
//
// The timer wheel against a model that looks at every timer every time: random operations over all
// magnitudes of time, what callbacks may do, and the ends of the 64-bit range.
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

#define STEP    (UINT64_C(1) << HARK_WHEEL_SHIFT)
#define TIMERS  200
#define NOT_DUE UINT64_MAX

struct probe {
    struct hark_timer timer; // first
    uint64_t due_ms;         // of the model; 0: not armed
    uint64_t fired;
    uint64_t rearm_ms;    // arm again from the callback; 0: no
    struct probe *victim; // cancel from the callback
    struct world *world;
};

struct world {
    struct hark_wheel *wheel;
    uint64_t now;
    uint64_t last_step; // of the timer that fired last in this advance
    bool is_advancing;
    struct probe probes[TIMERS];
};

static uint64_t step_of(uint64_t due_ms)
{
    return due_ms / STEP + (due_ms % STEP != 0);
}

static void on_fire(struct hark_timer *timer)
{
    struct probe *probe = HARK_CONTAINER_OF(timer, struct probe, timer);
    struct world *world = probe->world;
    assert_true(world->is_advancing);
    assert_true(probe->due_ms != 0); // armed, once
    assert_true(probe->due_ms <= world->now);
    assert_false(hark_timer_is_armed(timer));
    probe->due_ms = 0;
    probe->fired++;
    if (probe->rearm_ms != 0) {
        probe->due_ms = probe->rearm_ms;
        hark_wheel_arm(world->wheel, timer, probe->rearm_ms);
        probe->rearm_ms = 0;
    }
    if (probe->victim != NULL) {
        hark_wheel_cancel(world->wheel, &probe->victim->timer);
        probe->victim->due_ms = 0;
        probe->victim = NULL;
    }
}

static struct world *make_world(uint64_t now)
{
    struct world *world = hark_mem_zalloc(sizeof(*world));
    assert_non_null(world);
    world->now = now;
    world->wheel = hark_wheel_new(now);
    assert_non_null(world->wheel);
    for (size_t i = 0; i < TIMERS; i++) {
        world->probes[i].world = world;
        hark_timer_init(&world->probes[i].timer, on_fire);
    }
    return world;
}

static void free_world(struct world *world)
{
    hark_wheel_free(world->wheel);
    hark_mem_free(world);
}

static void arm(struct world *world, size_t i, uint64_t due_ms)
{
    world->probes[i].due_ms = due_ms == 0 ? 1 : due_ms;
    hark_wheel_arm(world->wheel, &world->probes[i].timer, due_ms);
    assert_true(hark_timer_is_armed(&world->probes[i].timer));
}

static void cancel(struct world *world, size_t i)
{
    world->probes[i].due_ms = 0;
    hark_wheel_cancel(world->wheel, &world->probes[i].timer);
    assert_false(hark_timer_is_armed(&world->probes[i].timer));
}

static void advance(struct world *world, uint64_t now)
{
    world->now = now;
    world->is_advancing = true;
    hark_wheel_advance(world->wheel, now);
    world->is_advancing = false;
}

// Never late: no armed timer is due before the wheel wants to be called.
static void check_next(const struct world *world)
{
    uint64_t first = NOT_DUE;
    for (size_t i = 0; i < TIMERS; i++) {
        uint64_t due = world->probes[i].due_ms;
        first = due != 0 && step_of(due) < first ? step_of(due) : first;
    }
    uint64_t next = hark_wheel_next(world->wheel, world->now);
    if (first == NOT_DUE) {
        assert_int_equal(next, UINT64_MAX);
    } else if (first <= UINT64_MAX / STEP) {
        uint64_t due = first * STEP;
        assert_true(next <= (due > world->now ? due - world->now : 0));
    }
}

static uint64_t random_delay(void)
{
    uint64_t bits = (uint64_t)random() << 31 ^ (uint64_t)random();
    return bits >> (random() % 62 + 1);
}

static void random_operation(struct world *world)
{
    size_t i = (size_t)random() % TIMERS;
    switch (random() % 8) {
    case 0: cancel(world, i); break;
    case 1: arm(world, i, world->now > 50 ? world->now - (uint64_t)random() % 50 : 1); break;
    case 2: world->probes[i].rearm_ms = world->now + random_delay(); break;
    case 3: world->probes[i].victim = &world->probes[(size_t)random() % TIMERS]; break;
    default: arm(world, i, world->now + random_delay()); break;
    }
}

// Everything due by `now` before the advance has fired, unless a callback cancelled or moved it.
static void check_fired(const struct world *world)
{
    for (size_t i = 0; i < TIMERS; i++) {
        const struct probe *probe = &world->probes[i];
        assert_int_equal(hark_timer_is_armed(&probe->timer), probe->due_ms != 0);
    }
}

static void run_model(uint64_t start, unsigned seed)
{
    struct world *world = make_world(start);
    uint64_t fired = 0;
    srandom(seed);
    for (int i = 0; i < 20000; i++) {
        for (long n = random() % 20; n > 0; n--) {
            random_operation(world);
        }
        check_next(world);
        uint64_t now = world->now;
        if (random() % 4 == 0) {
            now += hark_wheel_next(world->wheel, now) % (UINT64_C(1) << 40);
        } else {
            now += random_delay() % (UINT64_C(1) << (random() % 40 + 1));
        }
        // What callbacks arm for the past waits for the next advance; that is the second one.
        advance(world, now);
        check_fired(world);
        advance(world, now);
        for (size_t k = 0; k < TIMERS; k++) {
            assert_true(world->probes[k].due_ms == 0 ||
                        step_of(world->probes[k].due_ms) > now / STEP ||
                        world->probes[k].fired > 0);
            fired += world->probes[k].fired;
            world->probes[k].fired = 0;
        }
        check_next(world);
    }
    assert_true(fired > 10000);
    free_world(world);
}

static void test_against_the_model(void **state)
{
    (void)state;
    run_model(0, 1);
    run_model(123456789, 2);
    run_model((UINT64_C(1) << 41) - 1000, 3);
    run_model(UINT64_C(1) << 62, 4);
}

static void test_never_early_and_at_most_a_step_late(void **state)
{
    (void)state;
    for (uint64_t delay = 1; delay < 2000; delay += 3) {
        struct world *world = make_world(1001);
        arm(world, 0, 1001 + delay);
        uint64_t now = 1001;
        while (world->probes[0].fired == 0) {
            advance(world, now++);
        }
        assert_true(now - 1 >= 1001 + delay);
        assert_true(now - 1 < 1001 + delay + STEP);
        free_world(world);
    }
}

// By sleeping exactly as long as the wheel says.
static void test_sleeping_by_next(void **state)
{
    (void)state;
    static const uint64_t delays[] = {
        1, 8, 9, 511, 512, 513, 32768, 1000000, UINT64_C(1) << 33, UINT64_C(1) << 50};
    for (size_t i = 0; i < HARK_ARRAY_LEN(delays); i++) {
        struct world *world = make_world(77);
        arm(world, 0, 77 + delays[i]);
        int wakes = 0;
        while (world->probes[0].fired == 0) {
            uint64_t sleep = hark_wheel_next(world->wheel, world->now);
            assert_true(sleep > 0 && sleep != UINT64_MAX);
            advance(world, world->now + sleep);
            wakes++;
        }
        assert_true(wakes <= 10); // one for each level at most
        assert_true(world->now < 77 + delays[i] + STEP);
        assert_int_equal(hark_wheel_next(world->wheel, world->now), UINT64_MAX);
        free_world(world);
    }
}

static void test_the_past_fires_at_the_next_advance(void **state)
{
    (void)state;
    struct world *world = make_world(100000);
    arm(world, 0, 0);
    arm(world, 1, 5);
    arm(world, 2, 100000);
    assert_int_equal(hark_wheel_next(world->wheel, 100000), 0);
    advance(world, 100000);
    assert_int_equal(world->probes[0].fired + world->probes[1].fired + world->probes[2].fired, 3);
    free_world(world);
}

// A timer that arms itself for now must not keep an advance from ending.
static void test_rearming_for_now_ends(void **state)
{
    (void)state;
    struct world *world = make_world(1000);
    arm(world, 0, 1010);
    world->probes[0].rearm_ms = 1;
    advance(world, 2000);
    assert_int_equal(world->probes[0].fired, 1);
    assert_true(hark_timer_is_armed(&world->probes[0].timer));
    assert_int_equal(hark_wheel_next(world->wheel, 2000), 0);
    advance(world, 2000);
    assert_int_equal(world->probes[0].fired, 2);
    free_world(world);
}

static void test_cancel_from_a_callback(void **state)
{
    (void)state;
    struct world *world = make_world(0);
    for (size_t i = 0; i < 3; i++) {
        arm(world, i, 100);
    }
    world->probes[0].victim = &world->probes[1];
    advance(world, 200);
    assert_int_equal(world->probes[0].fired, 1);
    assert_int_equal(world->probes[1].fired, 0);
    assert_int_equal(world->probes[2].fired, 1);
    free_world(world);
}

// Heartbeats move their timers all the time: what they leave behind must not wake the loop.
static void test_cancelled_and_moved_leave_no_wake_up(void **state)
{
    (void)state;
    struct world *world = make_world(1000);
    for (uint64_t delay = 1; delay < UINT64_C(1) << 60; delay = delay * 3 + 1) {
        arm(world, 0, 1000 + delay);
        arm(world, 1, 1000 + delay);
        cancel(world, 0);
        assert_true(hark_wheel_next(world->wheel, 1000) <= delay + STEP);
        cancel(world, 1);
        assert_int_equal(hark_wheel_next(world->wheel, 1000), UINT64_MAX);
        arm(world, 0, 1008);
        arm(world, 0, 1000 + (UINT64_C(1) << 40));
        assert_true(hark_wheel_next(world->wheel, 1000) > UINT64_C(1) << 30);
        cancel(world, 0);
    }
    free_world(world);
}

static uint64_t order[TIMERS];
static size_t order_count;

static void on_ordered(struct hark_timer *timer)
{
    order[order_count++] = step_of(HARK_CONTAINER_OF(timer, struct probe, timer)->due_ms);
}

static void test_order_after_a_long_sleep(void **state)
{
    (void)state;
    struct world *world = make_world(50);
    srandom(5);
    order_count = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        world->probes[i].timer.fn = on_ordered;
        arm(world, i, 50 + random_delay() % (UINT64_C(1) << 45));
    }
    advance(world, UINT64_C(1) << 46);
    assert_int_equal(order_count, TIMERS);
    for (size_t i = 1; i < TIMERS; i++) {
        assert_true(order[i - 1] <= order[i]);
    }
    free_world(world);
}

// Slot by slot this would take years.
static void test_ends_of_the_range(void **state)
{
    (void)state;
    struct world *world = make_world(0);
    arm(world, 0, UINT64_MAX);
    arm(world, 1, UINT64_MAX - 100);
    arm(world, 2, UINT64_C(1) << 63);
    assert_true(hark_wheel_next(world->wheel, 0) <= UINT64_C(1) << 63);
    advance(world, (UINT64_C(1) << 63) - 1);
    assert_int_equal(world->probes[2].fired, 0);
    advance(world, UINT64_C(1) << 63);
    assert_int_equal(world->probes[2].fired, 1);
    advance(world, UINT64_MAX);
    assert_int_equal(world->probes[1].fired, 1);
    assert_int_equal(world->probes[0].fired, 0); // its step lies beyond the last one: never
    cancel(world, 0);
    assert_int_equal(hark_wheel_next(world->wheel, UINT64_MAX), UINT64_MAX);
    free_world(world);
}

static void test_time_that_stands_still_or_goes_back(void **state)
{
    (void)state;
    struct world *world = make_world(1000);
    arm(world, 0, 1100);
    advance(world, 1050);
    advance(world, 1000);
    assert_int_equal(world->probes[0].fired, 0);
    advance(world, 1104);
    assert_int_equal(world->probes[0].fired, 1);
    free_world(world);
}

static void test_no_memory(void **state)
{
    (void)state;
    hark_mem_fail_after(0);
    assert_null(hark_wheel_new(0));
    hark_mem_fail_after(SIZE_MAX);
    hark_wheel_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_never_early_and_at_most_a_step_late),
        cmocka_unit_test(test_sleeping_by_next),
        cmocka_unit_test(test_the_past_fires_at_the_next_advance),
        cmocka_unit_test(test_rearming_for_now_ends),
        cmocka_unit_test(test_cancel_from_a_callback),
        cmocka_unit_test(test_cancelled_and_moved_leave_no_wake_up),
        cmocka_unit_test(test_order_after_a_long_sleep),
        cmocka_unit_test(test_ends_of_the_range),
        cmocka_unit_test(test_time_that_stands_still_or_goes_back),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
