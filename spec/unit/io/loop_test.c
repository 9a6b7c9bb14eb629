// SPDX-License-Identifier: MIT
//
// The loop: the order of a tick, what may sleep and what must not, and the calls of other threads.
#include "io/loop.h"

#include <pthread.h>

#include "io/support.h"

#define LONG_MS 3600000 // no test waits for this: the deadline of the test would fail it

struct trace {
    struct world *world;
    char text[64];
    struct hark_timer timer;
    struct hark_defer before;
    struct hark_defer after;
    struct hark_stream *stream;
};

static void note(struct trace *trace, const char *what)
{
    assert_true(strlen(trace->text) + strlen(what) < sizeof(trace->text));
    strcat(trace->text, what);
}

static void trace_read(void *owner, struct hark_slice data)
{
    (void)data;
    note(owner, "read ");
}

static void trace_end(void *owner)
{
    note(owner, "end ");
}

static void trace_drained(void *owner)
{
    struct trace *trace = owner;
    note(trace, "drained ");
    hark_defer_post(hark_loop_defer(trace->world->loop), &trace->after);
}

static void trace_closed(void *owner, int status)
{
    (void)status;
    note(owner, "closed ");
}

static const struct hark_stream_ops trace_ops = {trace_read, trace_end, trace_drained,
                                                 trace_closed};

static void trace_timer(struct hark_timer *timer)
{
    note(HARK_CONTAINER_OF(timer, struct trace, timer), "timer ");
}

static void trace_before(struct hark_defer *item)
{
    note(HARK_CONTAINER_OF(item, struct trace, before), "defer ");
}

static void trace_after(struct hark_defer *item)
{
    note(HARK_CONTAINER_OF(item, struct trace, after), "defer2 ");
}

static bool trace_tick(void *ctx)
{
    struct trace *trace = ctx;
    note(trace, "tick ");
    hark_defer_post(hark_loop_defer(trace->world->loop), &trace->before);
    return false;
}

// read, timers, hook, deferred work, flush, what the flush deferred.
static void test_order_of_a_tick(void **state)
{
    (void)state;
    struct trace trace = {.world = world_new()};
    struct hark_loop *loop = trace.world->loop;
    int ends[2];
    tcp_pair(ends, 4096);
    assert_int_equal(hark_stream_open(loop, ends[0], &trace_ops, &trace, &trace.stream), 0);
    hark_stream_read_start(trace.stream);
    hark_timer_init(&trace.timer, trace_timer);
    hark_defer_init(&trace.before, trace_before);
    hark_defer_init(&trace.after, trace_after);

    // Fill the socket until the kernel refuses, so that the next flush has something to drain.
    static char block[1 << 16];
    struct hark_buf got;
    hark_buf_init(&got, SIZE_MAX);
    while (!hark_stream_is_congested(trace.stream)) {
        assert_int_equal(hark_stream_write(trace.stream, hark_slice(block, sizeof(block))), 0);
        tick(trace.world);
    }
    while (hark_stream_queued(trace.stream) > 0) {
        (void)take(ends[1], &got);
        trace.text[0] = '\0';
        hark_loop_on_tick(loop, trace_tick, &trace);
        hark_wheel_arm(hark_loop_wheel(loop), &trace.timer, 1);
        assert_int_equal(send(ends[1], "x", 1, 0), 1);
        tick(trace.world);
    }
    assert_string_equal(trace.text, "read timer tick defer drained defer2 ");
    hark_loop_on_tick(loop, NULL, NULL);
    hark_stream_close(trace.stream, false);
    trace.text[0] = '\0';
    settle(trace.world);
    assert_string_equal(trace.text, "closed ");
    close(ends[1]);
    hark_buf_deinit(&got);
    world_free(trace.world);
}

static void test_step_waits_as_long_as_it_was_told(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint64_t before = hark_loop_clock_ns();
    assert_int_equal(hark_loop_step(world->loop, 30), 0);
    // A lower bound: that the clock is coarse may make it shorter by a millisecond.
    assert_true(hark_loop_clock_ns() - before >= 28 * 1000000);
    world_free(world);
}

struct alarm {
    struct hark_timer timer;
    struct hark_loop *loop;
    uint64_t due_ms;
    int fired;
};

static void on_alarm(struct hark_timer *timer)
{
    struct alarm *alarm = HARK_CONTAINER_OF(timer, struct alarm, timer);
    assert_true(hark_loop_now_ms(alarm->loop) >= alarm->due_ms);
    alarm->fired++;
}

static void test_a_timer_ends_the_wait(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct alarm alarm = {.loop = world->loop};
    hark_timer_init(&alarm.timer, on_alarm);
    for (uint64_t delay = 1; delay < 60; delay += 7) {
        alarm.fired = 0;
        alarm.due_ms = hark_loop_now_ms(world->loop) + delay;
        hark_wheel_arm(hark_loop_wheel(world->loop), &alarm.timer, alarm.due_ms);
        while (alarm.fired == 0) {
            assert_true(hark_loop_clock_ns() < world->deadline_ns);
            assert_int_equal(hark_loop_step(world->loop, LONG_MS), 0);
        }
    }
    world_free(world);
}

static bool count_tick(void *ctx)
{
    int *count = ctx;
    (*count)++;
    return *count < 100;
}

static void test_work_left_does_not_sleep(void **state)
{
    (void)state;
    struct world *world = world_new();
    int count = 0;
    hark_loop_on_tick(world->loop, count_tick, &count);
    assert_int_equal(hark_loop_step(world->loop, 0), 0);
    while (count < 100) {
        assert_int_equal(hark_loop_step(world->loop, LONG_MS), 0);
    }
    world_free(world);
}

static void on_defer(struct hark_defer *item)
{
    hark_defer_init(item, NULL); // ran
}

static void test_deferred_before_the_tick_does_not_sleep(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct hark_defer item;
    hark_defer_init(&item, on_defer);
    hark_defer_post(hark_loop_defer(world->loop), &item);
    assert_int_equal(hark_loop_step(world->loop, LONG_MS), 0);
    assert_null(item.fn);
    world_free(world);
}

static void test_output_before_the_tick_does_not_sleep(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct probe probe = {0};
    int ends[2];
    char data[8];
    unix_pair(ends);
    probe_open(world, &probe, ends[0]);
    assert_int_equal(hark_stream_write(probe.stream, HARK_LIT("hello")), 0);
    assert_int_equal(recv(ends[1], data, sizeof(data), MSG_DONTWAIT), -1); // nothing at once
    assert_int_equal(hark_loop_step(world->loop, LONG_MS), 0);
    assert_int_equal(recv(ends[1], data, sizeof(data), MSG_DONTWAIT), 5);
    probe_free(world, &probe);
    close(ends[1]);
    world_free(world);
}

static void *wake_it(void *loop)
{
    hark_loop_wake(loop);
    return NULL;
}

static void *stop_it(void *loop)
{
    hark_loop_stop(loop);
    return NULL;
}

static void test_wake_from_another_thread(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_it, world->loop), 0);
        assert_int_equal(hark_loop_step(world->loop, LONG_MS), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        settle(world); // the wake may have come before the step: take it
    }
    world_free(world);
}

static void test_stop_from_another_thread(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_it, world->loop), 0);
        assert_int_equal(hark_loop_run(world->loop), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    // A stop before the run counts, and counts once.
    hark_loop_stop(world->loop);
    assert_int_equal(hark_loop_run(world->loop), 0);
    int count = 0;
    hark_loop_on_tick(world->loop, count_tick, &count);
    assert_int_equal(hark_loop_step(world->loop, 0), 0);
    assert_int_equal(count, 1);
    world_free(world);
}

static bool stop_tick(void *ctx)
{
    hark_loop_stop(ctx);
    return true;
}

static void test_stop_from_inside(void **state)
{
    (void)state;
    struct world *world = world_new();
    hark_loop_on_tick(world->loop, stop_tick, world->loop);
    hark_loop_wake(world->loop);
    assert_int_equal(hark_loop_run(world->loop), 0);
    world_free(world);
}

static void test_free_ends_what_was_begun(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct probe probe = {0};
    struct hark_defer item;
    int ends[2];
    unix_pair(ends);
    probe_open(world, &probe, ends[0]);
    hark_stream_close(probe.stream, false);
    hark_defer_init(&item, on_defer);
    hark_defer_post(hark_loop_defer(world->loop), &item);
    world_free(world);
    assert_int_equal(probe.closes, 1);
    assert_null(item.fn);
    hark_loop_free(NULL);
    hark_buf_deinit(&probe.in);
    close(ends[1]);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct hark_stats stats = {0};
    struct hark_loop *loop = NULL;
    int status = HARK_ENOMEM;
    size_t n = 0;
    for (; status != 0; n++) {
        hark_mem_fail_after(n);
        status = hark_loop_new(&stats, &loop);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || (status == HARK_ENOMEM && loop == NULL));
    }
    assert_true(n > 3);
    hark_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_a_tick),
        cmocka_unit_test(test_step_waits_as_long_as_it_was_told),
        cmocka_unit_test(test_a_timer_ends_the_wait),
        cmocka_unit_test(test_work_left_does_not_sleep),
        cmocka_unit_test(test_deferred_before_the_tick_does_not_sleep),
        cmocka_unit_test(test_output_before_the_tick_does_not_sleep),
        cmocka_unit_test(test_wake_from_another_thread),
        cmocka_unit_test(test_stop_from_another_thread),
        cmocka_unit_test(test_stop_from_inside),
        cmocka_unit_test(test_free_ends_what_was_begun),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
