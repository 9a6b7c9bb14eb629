// SPDX-License-Identifier: MIT
//
// The hub on a backend that answers late, loses messages, fails, and forgets: what a remote broker
// may do. The test plays the backend: it sees the reads and answers them when it likes.
#include "hub/rig.h"

#define READS 8

struct waiting_read {
    struct hark_read ask;
    hark_broker_read_fn *fn;
    void *ctx;
};

struct far {
    struct hark_broker base;
    struct hark_hub *hub;
    struct hark_stats stats;
    struct hark_feed *feed;   // open
    struct hark_feed *closed; // its goodbye is still to come
    uint64_t epoch;
    uint64_t top; // told when a feed is opened
    int read_status;
    struct waiting_read reads[READS];
    size_t count;
};

static struct far *far_of(struct hark_broker *broker)
{
    return HARK_CONTAINER_OF(broker, struct far, base);
}

static int on_open(struct hark_broker *broker,
                   unsigned worker,
                   struct hark_slice channel,
                   const struct hark_channel_options *options,
                   const struct hark_feed_events *events,
                   struct hark_feed **ret)
{
    (void)worker;
    (void)channel;
    struct hark_feed *feed = calloc(1, sizeof(*feed));
    assert_non_null(feed);
    feed->broker = broker;
    feed->events = events;
    feed->options = *options;
    feed->top = (struct hark_position){far_of(broker)->epoch, far_of(broker)->top};
    far_of(broker)->feed = feed;
    *ret = feed;
    return 0;
}

static void on_close(struct hark_feed *feed)
{
    struct far *far = far_of(feed->broker);
    assert_ptr_equal(far->feed, feed);
    assert_null(far->closed);
    far->feed = NULL;
    far->closed = feed;
}

static int
on_read(struct hark_feed *feed, const struct hark_read *ask, hark_broker_read_fn *fn, void *ctx)
{
    struct far *far = far_of(feed->broker);
    if (far->read_status != 0) {
        return far->read_status;
    }
    assert_true(far->count < READS);
    far->reads[far->count++] = (struct waiting_read){*ask, fn, ctx};
    return 0;
}

static void on_sweep(struct hark_broker *broker, unsigned worker)
{
    (void)broker;
    (void)worker;
}

static const struct hark_broker_ops far_ops = {
    .open = on_open,
    .close = on_close,
    .read = on_read,
    .sweep = on_sweep,
};

static struct hark_msg *make(uint64_t epoch, uint64_t offset)
{
    const struct hark_msg_draft draft = {.channel = HARK_LIT("room")};
    struct hark_msg *msg = NULL;
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    msg->position = (struct hark_position){epoch, offset};
    return msg;
}

// Answers the oldest read: messages first to last (0: none), and the top.
static void answer(struct far *far, int status, uint64_t first, uint64_t last, uint64_t top)
{
    assert_true(far->count > 0);
    const struct waiting_read read = far->reads[0];
    far->count--;
    memmove(far->reads, far->reads + 1, far->count * sizeof(far->reads[0]));
    struct hark_msg *msgs[16];
    size_t count = 0;
    for (uint64_t offset = first; first > 0 && offset <= last; offset++) {
        msgs[count++] = make(far->epoch, offset);
    }
    const struct hark_reading reading = {status, msgs, count, {far->epoch, top}};
    read.fn(read.ctx, &reading);
    for (size_t i = 0; i < count; i++) {
        hark_msg_unref(msgs[i]);
    }
}

static void receive(struct far *far, uint64_t first, uint64_t last)
{
    struct hark_runs runs = {NULL, NULL, 0, 0};
    for (uint64_t offset = first; offset <= last; offset++) {
        struct hark_msg *msg = make(far->epoch, offset);
        assert_int_equal(hark_runs_reserve(&runs, msg), 0);
        hark_runs_push(&runs, msg);
        hark_msg_unref(msg);
    }
    far->feed->events->receive(far->feed, &runs);
    assert_null(runs.head);
    assert_false(hark_hub_flush(far->hub, UINT64_MAX));
}

static void say_goodbye(struct far *far)
{
    struct hark_feed *feed = far->closed;
    assert_non_null(feed);
    far->closed = NULL;
    feed->events->closed(feed);
    free(feed);
}

static const struct hark_channel_options plain = {.history_count = 0};

static struct rig_sink *join(struct far *far, const struct hark_start *start)
{
    struct rig_sink *sink = rig_sink_new();
    assert_int_equal(hark_hub_subscribe(far->hub, &sink->sub, rig_slice("room"), &plain, start,
                                        NULL, rig_on_joined),
                     0);
    return sink;
}

static struct rig_sink *join_live(struct far *far)
{
    const struct hark_start start = {.rewind = 0};
    struct rig_sink *sink = join(far, &start);
    answer(far, 0, 0, 0, far->top);
    assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    return sink;
}

static void leave(struct far *far, struct rig_sink *sink)
{
    hark_hub_unsubscribe(far->hub, &sink->sub);
    free(sink);
}

static int setup(void **state)
{
    struct far *far = calloc(1, sizeof(*far));
    assert_non_null(far);
    far->base.ops = &far_ops;
    far->epoch = 5;
    far->top = 10;
    const struct hark_hub_options options = {&far->base, &far->stats, 0};
    assert_int_equal(hark_hub_new(&options, &far->hub), 0);
    *state = far;
    return 0;
}

static int teardown(void **state)
{
    struct far *far = *state;
    assert_int_equal(far->count, 0);
    hark_hub_free(far->hub); // before the last goodbye
    if (far->closed != NULL) {
        say_goodbye(far);
    }
    assert_int_equal(hark_stats_get(&far->stats.subscriptions), 0);
    assert_int_equal(hark_stats_get(&far->stats.channels), 0);
    assert_int_equal(hark_stats_get(&far->stats.lagging), 0);
    free(far);
    return 0;
}

static void a_late_answer_is_followed_by_another_read(void **state)
{
    struct far *far = *state;
    struct rig_sink *live = join_live(far);
    const struct hark_start start = {.has_position = true, .position = {5, 8}};
    struct rig_sink *late = join(far, &start);
    assert_true(far->reads[0].ask.has_since);
    assert_int_equal(far->reads[0].ask.since.offset, 8);
    receive(far, 11, 13); // passed while the answer, which is older, is on its way
    rig_expect(live, "11 12 13");
    answer(far, 0, 9, 10, 10);
    assert_int_equal(late->joined, 0);
    assert_int_equal(far->reads[0].ask.since.offset, 10);
    answer(far, 0, 11, 14, 14); // 14 is not passed yet
    rig_expect(late, "9 10 11 12 13 14");
    assert_int_equal(late->joined, 1);
    assert_int_equal(late->how.position.offset, 10);
    assert_true(late->how.recovered);
    receive(far, 14, 15);
    rig_expect(late, "15");
    rig_expect(live, "14 15");
    leave(far, live);
    leave(far, late);
}

static void live_only_begins_where_the_passes_are(void **state)
{
    struct far *far = *state;
    struct rig_sink *live = join_live(far);
    const struct hark_start start = {.rewind = 0};
    struct rig_sink *late = join(far, &start);
    receive(far, 11, 12);
    answer(far, 0, 0, 0, 10);
    assert_int_equal(late->joined, 1);
    assert_int_equal(late->how.position.offset, 12);
    receive(far, 13, 13);
    rig_expect(late, "13");
    leave(far, live);
    leave(far, late);
}

static void leaving_while_a_join_reads(void **state)
{
    struct far *far = *state;
    const struct hark_start start = {.rewind = 3};
    struct rig_sink *sink = join(far, &start);
    hark_hub_unsubscribe(far->hub, &sink->sub);
    assert_int_equal(sink->joined, 1);
    assert_int_equal(sink->status, HARK_ECLOSED);
    free(sink);
    answer(far, 0, 8, 10, 10); // touches nobody
    say_goodbye(far);
    struct rig_sink *other = join_live(far);
    leave(far, other);
}

static void leaving_while_catching_up(void **state)
{
    struct far *far = *state;
    struct rig_sink *sink = join_live(far);
    struct rig_sink *other = join_live(far);
    const struct hark_channel_options ten = {.history_count = 10};
    far->feed->options = ten;
    far->feed->events->configured(far->feed);
    assert_int_equal(hark_channel_options(sink->sub.channel)->history_count, 10);
    sink->is_refusing = true;
    receive(far, 11, 12);
    assert_true(hark_sub_is_lagging(&sink->sub));
    hark_hub_catch_up(far->hub, &sink->sub);
    hark_hub_catch_up(far->hub, &sink->sub); // one read at a time
    assert_int_equal(far->count, 1);
    leave(far, sink);
    answer(far, 0, 11, 12, 12);
    rig_expect(other, "11 12");
    leave(far, other);
}

static void a_join_that_cannot_read_ends(void **state)
{
    struct far *far = *state;
    const struct hark_start start = {.rewind = 3};
    struct rig_sink *sink = join(far, &start);
    answer(far, HARK_EIO, 0, 0, 0);
    assert_int_equal(sink->joined, 1);
    assert_int_equal(sink->status, HARK_EIO);
    assert_null(sink->sub.channel);
    say_goodbye(far);
    far->read_status = HARK_ENOMEM;
    sink->joined = 0;
    assert_int_equal(hark_hub_subscribe(far->hub, &sink->sub, rig_slice("room"), &plain, &start,
                                        NULL, rig_on_joined),
                     0);
    assert_int_equal(sink->joined, 1);
    assert_int_equal(sink->status, HARK_ENOMEM);
    free(sink);
}

static void a_join_that_fails_half_way_goes_on_later(void **state)
{
    struct far *far = *state;
    const struct hark_start start = {.has_position = true, .position = {5, 4}};
    struct rig_sink *sink = join(far, &start);
    answer(far, 0, 5, 7, 10);
    answer(far, HARK_EIO, 0, 0, 0);
    assert_int_equal(sink->status, 0);
    assert_int_equal(sink->how.replayed, 3);
    assert_true(hark_sub_is_lagging(&sink->sub));
    hark_hub_sweep(far->hub);
    assert_int_equal(far->reads[0].ask.since.offset, 7);
    answer(far, 0, 8, 10, 10);
    rig_expect(sink, "5 6 7 8 9 10");
    assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    leave(far, sink);
}

static void lost_messages_are_read_from_the_log(void **state)
{
    struct far *far = *state;
    struct rig_sink *sink = join_live(far);
    receive(far, 11, 11);
    receive(far, 14, 15); // 12 and 13 got lost on the way
    rig_expect(sink, "11");
    assert_int_equal(sink->sub.state, HARK_SUB_BEHIND);
    receive(far, 16, 16); // it is not in the walk now
    answer(far, 0, 12, 15, 15);
    answer(far, 0, 16, 16, 16);
    rig_expect(sink, "12 13 14 15 16");
    receive(far, 17, 17);
    rig_expect(sink, "17");
    assert_int_equal(hark_stats_get(&far->stats.gaps), 0);
    leave(far, sink);
}

static void lost_messages_that_no_log_holds_are_told(void **state)
{
    struct far *far = *state;
    struct rig_sink *sink = join_live(far);
    receive(far, 14, 15);
    answer(far, 0, 15, 15, 15);
    rig_expect(sink,
               "gap(10-14 history) 15"); // also under `close`: it is not the subscriber's fault
    receive(far, 18, 18);
    answer(far, 0, 0, 0, 15); // an answer from before: asked again
    rig_expect(sink, "");
    answer(far, 0, 0, 0, 15); // the log does not know what was passed
    rig_expect(sink, "gap(15-18 history)");
    receive(far, 19, 19);
    rig_expect(sink, "19");
    leave(far, sink);
}

static void a_lost_log_is_a_gap(void **state)
{
    struct far *far = *state;
    struct rig_sink *sink = join_live(far);
    struct rig_sink *slow = join_live(far);
    const struct hark_channel_options ten = {.history_count = 10};
    far->feed->options = ten;
    far->feed->events->configured(far->feed);
    slow->is_refusing = true;
    receive(far, 11, 11);
    far->epoch = 6; // the backend came back without its data
    receive(far, 1, 2);
    rig_expect(sink, "11 gap(epoch 0) 1 2");
    slow->is_refusing = false;
    hark_hub_catch_up(far->hub, &slow->sub);
    answer(far, 0, 0, 0, 2);
    rig_expect(slow, "gap(epoch 2)");
    receive(far, 3, 3);
    rig_expect(sink, "3");
    rig_expect(slow, "3");
    leave(far, sink);
    leave(far, slow);
}

static void a_top_that_is_not_known_at_first(void **state)
{
    struct far *far = *state;
    far->epoch = 0;
    const struct hark_start start = {.rewind = 0};
    struct rig_sink *sink = join(far, &start);
    far->epoch = 5;
    receive(far, 9, 10); // before the answer: known by then
    answer(far, 0, 0, 0, 10);
    assert_int_equal(sink->how.position.offset, 10);
    receive(far, 11, 11);
    rig_expect(sink, "11");
    leave(far, sink);
}

static void reads_fail_and_are_tried_again(void **state)
{
    struct far *far = *state;
    struct rig_sink *sink = join_live(far);
    far->read_status = HARK_EIO;
    receive(far, 12, 12); // 11 was lost, and so is the link
    assert_int_equal(sink->sub.state, HARK_SUB_BEHIND);
    hark_hub_sweep(far->hub);
    far->read_status = 0;
    hark_hub_sweep(far->hub);
    answer(far, HARK_EIO, 0, 0, 0);
    hark_hub_sweep(far->hub);
    answer(far, 0, 11, 12, 12);
    rig_expect(sink, "11 12");
    hark_hub_sweep(far->hub);
    assert_int_equal(far->count, 0);
    leave(far, sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_late_answer_is_followed_by_another_read, setup, teardown),
        cmocka_unit_test_setup_teardown(live_only_begins_where_the_passes_are, setup, teardown),
        cmocka_unit_test_setup_teardown(leaving_while_a_join_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(leaving_while_catching_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_join_that_cannot_read_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_join_that_fails_half_way_goes_on_later, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_messages_are_read_from_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_messages_that_no_log_holds_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_log_is_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(a_top_that_is_not_known_at_first, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_fail_and_are_tried_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
