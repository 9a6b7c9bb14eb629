// SPDX-License-Identifier: MIT
//
// Slow subscribers: what each policy gives them, with and without history, and how they become live
// again without a hole and without a double.
#include "hub/rig.h"

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_down(*state);
    free(*state);
    return 0;
}

static struct hark_channel_options with(enum hark_slow slow, uint32_t history)
{
    return (struct hark_channel_options){.history_count = history, .slow = slow};
}

// A subscriber that has had 1 and 2, refused what came behind, and would take more now.
static struct rig_sink *
lagging(struct rig *rig, const struct hark_channel_options *options, unsigned refused)
{
    struct rig_sink *sink = rig_join(rig, 0, options);
    (void)rig_publish(rig, 0, options, 2);
    rig_tick(rig);
    rig_expect(sink, "1 2");
    sink->is_refusing = true;
    (void)rig_publish(rig, 1, options, refused);
    rig_tick(rig);
    rig_expect(sink, "");
    sink->is_refusing = false;
    return sink;
}

static void catch_up(struct rig *rig, struct rig_sink *sink)
{
    hark_hub_catch_up(rig_hub(rig, 0), &sink->sub);
}

static void a_refused_pass_makes_it_lag(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 100);
    struct rig_sink *sink = lagging(rig, &options, 3);
    assert_true(hark_sub_is_lagging(&sink->sub));
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.lagging), 1);
    (void)rig_publish(rig, 0, &options, 2);
    rig_tick(rig);
    rig_expect(sink, "");                   // not before it asks
    (void)rig_publish(rig, 0, &options, 1); // still in the mailbox
    catch_up(rig, sink);
    rig_expect(sink, "3 4 5 6 7 8");
    assert_false(hark_sub_is_lagging(&sink->sub));
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.lagging), 0);
    rig_tick(rig);
    rig_expect(sink, ""); // 8 came once
    (void)rig_publish(rig, 0, &options, 1);
    rig_tick(rig);
    rig_expect(sink, "9");
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.gaps), 0);
    catch_up(rig, sink); // live: nothing to do
    rig_expect(sink, "");
    rig_leave(rig, 0, sink);
}

static void it_may_refuse_again_while_catching_up(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 1000);
    struct rig_sink *sink = lagging(rig, &options, 600);
    sink->takes = 1;
    catch_up(rig, sink);
    assert_int_equal(sink->sub.position.offset, 2 + 256);
    assert_true(hark_sub_is_lagging(&sink->sub));
    sink->is_refusing = false;
    sink->len = 0;
    catch_up(rig, sink);
    assert_int_equal(sink->sub.position.offset, 602);
    assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    assert_null(strstr(sink->log, "gap"));
    rig_leave(rig, 0, sink);
}

static void close_behind_history_cuts_it_off(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 3);
    struct rig_sink *sink = lagging(rig, &options, 6);
    catch_up(rig, sink);
    rig_expect(sink, "gap(2-5 slow)");
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.deliveries_dropped), 3);
    (void)rig_publish(rig, 0, &options, 2);
    rig_tick(rig);
    catch_up(rig, sink);
    rig_expect(sink, ""); // its session is closing: nothing more
    rig_leave(rig, 0, sink);
}

static void close_without_history_cuts_at_once(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 0);
    struct rig_sink *sink = rig_join(rig, 0, &options);
    sink->is_refusing = true;
    (void)rig_publish(rig, 0, &options, 2);
    rig_tick(rig);
    rig_expect(sink, "gap(0-2 slow)");
    assert_int_equal(sink->sub.state, HARK_SUB_CUT);
    rig_leave(rig, 0, sink);
}

static void oldest_goes_on_with_what_is_held(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_OLDEST, 3);
    struct rig_sink *sink = lagging(rig, &options, 6);
    catch_up(rig, sink);
    rig_expect(sink, "gap(2-5 slow) 6 7 8");
    (void)rig_publish(rig, 0, &options, 1);
    rig_tick(rig);
    rig_expect(sink, "9");
    rig_leave(rig, 0, sink);
}

static void oldest_tells_a_gap_once_even_if_the_rest_is_refused(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_OLDEST, 3);
    struct rig_sink *sink = lagging(rig, &options, 6);
    sink->is_refusing = true;
    catch_up(rig, sink);
    rig_expect(sink, "gap(2-5 slow)");
    sink->is_refusing = false;
    catch_up(rig, sink);
    rig_expect(sink, "6 7 8");
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.gaps), 1);
    rig_leave(rig, 0, sink);
}

static void oldest_without_history_goes_on_live(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_OLDEST, 0);
    struct rig_sink *sink = lagging(rig, &options, 6);
    (void)rig_publish(rig, 0, &options, 1); // in the mailbox: skipped as well, and told
    catch_up(rig, sink);
    rig_expect(sink, "gap(2-9 slow)");
    rig_tick(rig);
    (void)rig_publish(rig, 0, &options, 1);
    rig_tick(rig);
    rig_expect(sink, "10");
    rig_leave(rig, 0, sink);
}

static void
publish_keys(struct rig *rig, const struct hark_channel_options *options, const char *keys)
{
    for (const char *key = keys; *key != '\0'; key++) {
        const char text[] = {*key == '-' ? '\0' : *key, '\0'};
        (void)rig_publish_key(rig, 0, options, text);
    }
}

static void latest_goes_on_with_the_newest_per_key(struct rig *rig, uint32_t history)
{
    const struct hark_channel_options options = with(HARK_SLOW_LATEST, history);
    struct rig_sink *sink = lagging(rig, &options, 0);
    sink->is_refusing = true;
    publish_keys(rig, &options, "abacbc-a-"); // 3 to 11
    rig_tick(rig);
    sink->is_refusing = false;
    catch_up(rig, sink);
    rig_expect(sink, "gap(2-11 slow latest) 7 8 10 11");
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.deliveries_dropped), 5);
    publish_keys(rig, &options, "aa");
    rig_tick(rig);
    rig_expect(sink, "12 13"); // who follows gets all
    rig_leave(rig, 0, sink);
}

static void latest_without_history(void **state)
{
    latest_goes_on_with_the_newest_per_key(*state, 0);
}

static void latest_with_history(void **state)
{
    latest_goes_on_with_the_newest_per_key(*state, 100);
}

static void latest_without_a_skip_is_no_gap(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_LATEST, 0);
    struct rig_sink *sink = lagging(rig, &options, 0);
    sink->is_refusing = true;
    publish_keys(rig, &options, "abc");
    rig_tick(rig);
    assert_true(hark_sub_is_lagging(&sink->sub));
    sink->is_refusing = false;
    catch_up(rig, sink);
    rig_expect(sink, "3 4 5");
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.gaps), 0);
    rig_leave(rig, 0, sink);
}

static void latest_of_many_keys_comes_in_batches(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_LATEST, 0);
    struct rig_sink *sink = lagging(rig, &options, 0);
    sink->is_refusing = true;
    for (int i = 0; i < 1200; i++) { // 3 to 1202; the table holds 1024 keys
        char key[16];
        (void)snprintf(key, sizeof(key), "%d", i % 600); // fits
        (void)rig_publish_key(rig, 0, &options, key);
    }
    rig_tick(rig);
    sink->is_refusing = false;
    sink->passes = 0;
    catch_up(rig, sink);
    assert_int_equal(sink->passes, 3);
    assert_int_equal(strncmp(sink->log, "gap(2-858 slow latest) 603 604", 30), 0);
    sink->log[RIG_LOG - 1] = '\0';
    assert_non_null(
        strstr(sink->log, " 857 858 859 860")); // no second gap: nothing was skipped there
    assert_int_equal(sink->sub.position.offset, 1202);
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.gaps), 1);
    rig_leave(rig, 0, sink);
}

static void latest_that_is_too_old_is_a_plain_gap(void **state)
{
    struct rig *rig = *state;
    struct hark_channel_options options = with(HARK_SLOW_LATEST, 0);
    options.ttl_ms = 1000;
    struct rig_sink *sink = lagging(rig, &options, 4);
    rig->now_ms += 1000;
    catch_up(rig, sink);
    rig_expect(sink, "gap(2-6 slow)");
    assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    rig_leave(rig, 0, sink);
}

static void outside_messages_that_are_refused_are_dropped(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 0);
    struct rig_sink *sink = rig_join(rig, 0, &options);
    (void)rig_publish(rig, 0, &options, 1);
    rig_tick(rig);
    sink->is_refusing = true;
    rig_publish_outside(rig, 0, &options, "typing");
    rig_tick(rig);
    sink->is_refusing = false;
    rig_expect(sink, "1");
    assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.deliveries_dropped), 1);

    // A newcomer for whom only the tail of a pass is new, and that tail is outside the log.
    (void)rig_publish(rig, 0, &options, 1);
    struct rig_sink *late = rig_join(rig, 0, &options);
    rig_publish_outside(rig, 0, &options, "typing");
    late->is_refusing = true;
    rig_tick(rig);
    assert_int_equal(late->sub.state, HARK_SUB_LIVE);
    rig_expect(sink, "2 [typing]");
    rig_expect(late, "");
    rig_leave(rig, 0, sink);
    rig_leave(rig, 0, late);
}

static void leave_in_gap(struct rig_sink *sink)
{
    hark_hub_unsubscribe(sink->ctx, &sink->sub);
}

static void a_sink_may_leave_inside_gap(void **state)
{
    struct rig *rig = *state;
    for (int slow = HARK_SLOW_CLOSE; slow <= HARK_SLOW_LATEST; slow++) {
        for (uint32_t history = 0; history <= 3; history += 3) {
            struct hark_channel_options options = with((enum hark_slow)slow, history);
            int status = hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &options);
            assert_true(status == 0 || status == HARK_ENOENT); // the first time the join makes it
            struct rig_sink *sink = rig_join(rig, 0, &options);
            sink->on_gap = leave_in_gap;
            sink->ctx = rig_hub(rig, 0);
            sink->is_refusing = true;
            (void)rig_publish(rig, 0, &options, 6);
            rig_tick(rig);
            sink->is_refusing = false;
            catch_up(rig, sink);
            assert_non_null(strstr(sink->log, "gap"));
            assert_null(sink->sub.channel);
            free(sink);
            rig_tick(rig);
        }
    }
}

static void leave_in_deliver(struct rig_sink *sink)
{
    hark_hub_unsubscribe(sink->ctx, &sink->sub);
}

static void a_sink_may_leave_inside_a_replay(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 1000);
    struct rig_sink *sink = lagging(rig, &options, 600);
    sink->on_deliver = leave_in_deliver;
    sink->ctx = rig_hub(rig, 0);
    catch_up(rig, sink);
    assert_null(sink->sub.channel);
    assert_int_equal(sink->passes, 2);
    // ... and inside the replay of its join, which is told of it.
    const struct hark_start start = {.rewind = 600};
    sink->joined = 0;
    assert_int_equal(hark_hub_subscribe(rig_hub(rig, 0), &sink->sub, rig_slice("room"), &options,
                                        &start, NULL, rig_on_joined),
                     0);
    assert_int_equal(sink->joined, 1);
    assert_int_equal(sink->status, HARK_ECLOSED);
    assert_null(sink->sub.channel);
    free(sink);
}

static void forget(struct rig_sink *sink)
{
    sink->len = 0;
    sink->log[0] = '\0';
}

static void seek(struct rig *rig, struct rig_sink *sink, uint64_t offset)
{
    hark_hub_seek(rig_hub(rig, 0), &sink->sub,
                  (struct hark_position){sink->sub.position.epoch, offset});
}

static void a_sink_may_go_back(void **state)
{
    struct rig *rig = *state;
    for (int slow = HARK_SLOW_CLOSE; slow <= HARK_SLOW_LATEST; slow++) {
        const struct hark_channel_options options = with((enum hark_slow)slow, 4);
        struct rig_sink *sink = rig_join(rig, 0, &options);
        uint64_t at = rig_publish(rig, 0, &options, 6).offset;
        assert_int_equal(hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &options), 0);
        rig_tick(rig);
        forget(sink);
        seek(rig, sink, at - 2);
        rig_tick(rig);
        rig_expect(sink, ""); // not before it asks
        catch_up(rig, sink);
        char text[128];
        (void)snprintf(text, sizeof(text), "%d %d", (int)at - 1, (int)at); // fits
        rig_expect(sink, text); // all of them, also under `latest`
        seek(rig, sink, at - 6);
        catch_up(rig, sink);
        (void)snprintf(text, sizeof(text), "gap(%d-%d history) %d %d %d %d", (int)at - 6,
                       (int)at - 4, (int)at - 3, (int)at - 2, (int)at - 1, (int)at); // fits
        rig_expect(sink, text); // it is not slow: `close` does not cut it off
        assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
        seek(rig, sink, at - 6);
        sink->is_refusing = true;
        catch_up(rig, sink); // now it is
        sink->is_refusing = false;
        (void)rig_publish(rig, 0, &options, 4);
        forget(sink);
        catch_up(rig, sink);
        assert_non_null(strstr(sink->log, slow == HARK_SLOW_LATEST ? " slow latest)" : " slow)"));
        rig_leave(rig, 0, sink);
        rig_tick(rig);
    }
}

static void one_that_was_cut_may_seek(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 0);
    struct rig_sink *sink = rig_join(rig, 0, &options);
    sink->is_refusing = true;
    (void)rig_publish(rig, 0, &options, 2);
    rig_tick(rig);
    rig_expect(sink, "gap(0-2 slow)");
    sink->is_refusing = false;
    seek(rig, sink, 2);
    catch_up(rig, sink);
    (void)rig_publish(rig, 0, &options, 1);
    rig_tick(rig);
    rig_expect(sink, "3");
    rig_leave(rig, 0, sink);
}

static void seek_in_deliver(struct rig_sink *sink)
{
    sink->on_deliver = NULL;
    hark_hub_seek(sink->ctx, &sink->sub, (struct hark_position){sink->sub.position.epoch, 0});
}

static void a_sink_may_seek_inside_deliver(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 10);
    struct rig_sink *sink = rig_join(rig, 0, &options);
    sink->ctx = rig_hub(rig, 0);
    sink->on_deliver = seek_in_deliver;
    (void)rig_publish(rig, 0, &options, 2);
    rig_tick(rig);
    rig_expect(sink, "1 2");
    assert_int_equal(sink->sub.position.offset, 0);
    sink->on_deliver = seek_in_deliver;
    catch_up(rig, sink);
    rig_expect(sink, "1 2");
    catch_up(rig, sink);
    rig_expect(sink, "1 2");
    assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    rig_leave(rig, 0, sink);
}

static void no_memory_to_read_is_tried_again(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options options = with(HARK_SLOW_CLOSE, 100);
    struct rig_sink *sink = lagging(rig, &options, 3);
    hark_mem_fail_after(0);
    catch_up(rig, sink);
    hark_mem_fail_after(SIZE_MAX);
    rig_expect(sink, "");
    rig_sweep(rig);
    rig_expect(sink, "3 4 5");
    rig_leave(rig, 0, sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_refused_pass_makes_it_lag, setup, teardown),
        cmocka_unit_test_setup_teardown(it_may_refuse_again_while_catching_up, setup, teardown),
        cmocka_unit_test_setup_teardown(close_behind_history_cuts_it_off, setup, teardown),
        cmocka_unit_test_setup_teardown(close_without_history_cuts_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(oldest_goes_on_with_what_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(oldest_tells_a_gap_once_even_if_the_rest_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(oldest_without_history_goes_on_live, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_without_history, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_with_history, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_without_a_skip_is_no_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_of_many_keys_comes_in_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_that_is_too_old_is_a_plain_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_messages_that_are_refused_are_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_sink_may_leave_inside_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sink_may_leave_inside_a_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sink_may_go_back, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_was_cut_may_seek, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sink_may_seek_inside_deliver, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_to_read_is_tried_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
