// SPDX-License-Identifier: MIT
//
// Joins, live delivery and resume through the hub, on the memory broker.
#include "hub/rig.h"

#include "base/hash.h"

static const struct hark_channel_options plain = {.history_count = 0};
static const struct hark_channel_options ten = {.history_count = 10};

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

static struct rig_sink *
resume(struct rig *rig, const struct hark_channel_options *options, struct hark_position position)
{
    const struct hark_start start = {.has_position = true, .position = position};
    struct rig_sink *sink = rig_sink_new();
    rig_join_with(rig, 0, sink, options, &start);
    return sink;
}

static void delivers_in_order_on_all_workers(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &plain);
    struct rig_sink *b = rig_join(rig, 1, &plain);
    (void)rig_publish(rig, 0, &plain, 2);
    (void)rig_publish(rig, 1, &plain, 1);
    assert_int_equal(a->passes, 0); // never from inside publish
    rig_tick(rig);
    rig_expect(a, "1 2 3");
    rig_expect(b, "1 2 3");
    assert_int_equal(a->passes, 1); // joined to one
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.messages_published), 2);
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.subscriptions), 1);
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.channels), 1);
    rig_leave(rig, 0, a);
    rig_leave(rig, 1, b);
}

static void a_join_does_not_see_what_was_before(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &plain);
    (void)rig_publish(rig, 0, &plain, 2); // in the mailbox when b joins
    struct rig_sink *b = rig_join(rig, 0, &plain);
    assert_int_equal(b->how.position.offset, 2);
    assert_false(b->how.resumed);
    (void)rig_publish(rig, 0, &plain, 1);
    rig_tick(rig);
    rig_expect(a, "1 2 3");
    rig_expect(b, "3");
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
}

static void those_at_one_position_share_a_pass(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &plain);
    struct rig_sink *b = rig_join(rig, 0, &plain);
    (void)rig_publish(rig, 0, &plain, 2);
    struct rig_sink *c = rig_join(rig, 0, &plain);
    struct rig_sink *d = rig_join(rig, 0, &plain);
    (void)rig_publish(rig, 0, &plain, 2);
    rig_tick(rig);
    rig_expect(a, "1 2 3 4");
    rig_expect(d, "3 4");
    assert_int_equal(a->pass_id, b->pass_id);
    assert_int_equal(c->pass_id, d->pass_id);
    assert_int_not_equal(a->pass_id, c->pass_id);
    assert_int_not_equal(a->pass_id, 0);
    uint64_t before = a->pass_id;
    (void)rig_publish(rig, 0, &plain, 1);
    rig_tick(rig);
    assert_int_equal(a->pass_id, c->pass_id);
    assert_int_not_equal(a->pass_id, before);
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
    rig_leave(rig, 0, c);
    rig_leave(rig, 0, d);
}

static void passes_are_bounded_by_count_and_bytes(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &plain);
    (void)rig_publish(rig, 0, &plain, 200);
    rig_tick(rig);
    assert_in_range(a->passes, 4, 6);
    a->passes = 0;
    a->len = 0;
    static char large[200 * 1024];
    const struct hark_msg_draft draft = {.channel = HARK_LIT("room"),
                                         .payload = hark_slice(large, sizeof(large))};
    for (int i = 0; i < 3; i++) {
        (void)rig_publish_draft(rig, 0, &plain, &draft); // its place is seen below
    }
    rig_tick(rig);
    rig_expect(a, "201 202 203");
    assert_int_equal(a->passes, 3);
    rig_leave(rig, 0, a);
}

static void rewind_gives_the_last_of_history(void **state)
{
    struct rig *rig = *state;
    (void)rig_publish(rig, 0, &ten, 15);
    const struct hark_start three = {.rewind = 3};
    struct rig_sink *a = rig_sink_new();
    rig_join_with(rig, 0, a, &ten, &three);
    rig_expect(a, "13 14 15");
    assert_int_equal(a->how.replayed, 3);
    const struct hark_start many = {.rewind = 100};
    struct rig_sink *b = rig_sink_new();
    rig_join_with(rig, 1, b, &ten, &many);
    rig_expect(b, "6 7 8 9 10 11 12 13 14 15"); // fewer than asked for is no gap
    (void)rig_publish(rig, 1, &ten, 1);
    rig_tick(rig);
    rig_expect(a, "16");
    rig_expect(b, "16");
    rig_leave(rig, 0, a);
    rig_leave(rig, 1, b);
}

static void resume_goes_on_where_it_was(void **state)
{
    struct rig *rig = *state;
    struct hark_position at = rig_publish(rig, 0, &ten, 5);
    (void)rig_publish(rig, 0, &ten, 3);
    struct rig_sink *a = resume(rig, &ten, at);
    rig_expect(a, "6 7 8");
    assert_true(a->how.resumed && a->how.recovered);
    assert_int_equal(a->how.missed, 0);
    assert_int_equal(a->how.position.offset, 8);
    at.offset = 8;
    struct rig_sink *b = resume(rig, &ten, at); // nothing lay between
    rig_expect(b, "");
    assert_true(b->how.recovered);
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
}

static void resume_behind_history_tells_a_gap(void **state)
{
    struct rig *rig = *state;
    struct hark_position at = rig_publish(rig, 0, &ten, 2);
    (void)rig_publish(rig, 0, &ten, 18);
    struct rig_sink *a = resume(rig, &ten, at);
    rig_expect(a, "gap(2-10 history) 11 12 13 14 15 16 17 18 19 20");
    assert_false(a->how.recovered);
    assert_int_equal(a->how.missed, 8);
    assert_int_equal(hark_stats_get(&rig->workers[0].stats.gaps), 1);
    rig_leave(rig, 0, a);
}

static void resume_without_history(void **state)
{
    struct rig *rig = *state;
    struct hark_position at = rig_publish(rig, 0, &plain, 2);
    struct rig_sink *a = resume(rig, &plain, at); // epoch and top outlive the messages
    rig_expect(a, "");
    assert_true(a->how.recovered);
    (void)rig_publish(rig, 0, &plain, 3);
    struct rig_sink *b = resume(rig, &plain, at);
    rig_expect(b, "gap(2-5 history)");
    assert_int_equal(b->how.missed, 3);
    (void)rig_publish(rig, 0, &plain, 1);
    rig_tick(rig);
    rig_expect(a, "3 4 5 6");
    rig_expect(b, "6");
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
}

static void an_unknown_position_is_a_gap_and_then_live(void **state)
{
    struct rig *rig = *state;
    struct hark_position at = rig_publish(rig, 0, &ten, 4);
    struct hark_position foreign = {at.epoch + 1, 2};
    struct rig_sink *a = resume(rig, &ten, foreign);
    rig_expect(a, "gap(epoch 4)");
    assert_true(a->how.resumed && !a->how.recovered);
    assert_int_equal(a->how.missed, 0);
    assert_int_equal(a->how.replayed, 0);
    struct hark_position beyond = {at.epoch, 9};
    struct rig_sink *b = resume(rig, &ten, beyond);
    rig_expect(b, "gap(epoch 4)");
    (void)rig_publish(rig, 0, &ten, 1);
    rig_tick(rig);
    rig_expect(a, "5");
    rig_expect(b, "5");
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
}

static void a_long_history_comes_in_batches(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options long_history = {.history_count = 2000};
    struct hark_position at = rig_publish(rig, 0, &long_history, 1);
    (void)rig_publish(rig, 0, &long_history, 1500);
    struct rig_sink *a = resume(rig, &long_history, at);
    assert_int_equal(a->how.replayed, 1500);
    assert_int_equal(a->passes, (1500 + 255) / 256);
    assert_int_equal(a->pass_id, 0);
    assert_int_equal(a->sub.state, HARK_SUB_LIVE);
    rig_leave(rig, 0, a);
}

static void a_refused_replay_goes_on_later(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options long_history = {.history_count = 2000};
    struct hark_position at = rig_publish(rig, 0, &long_history, 1);
    (void)rig_publish(rig, 0, &long_history, 600);
    struct rig_sink *a = rig_sink_new();
    a->takes = 1;
    const struct hark_start start = {.has_position = true, .position = at};
    rig_join_with(rig, 0, a, &long_history, &start);
    assert_int_equal(a->how.replayed, 256);
    assert_true(a->how.recovered);
    assert_true(hark_sub_is_lagging(&a->sub));
    a->is_refusing = false;
    a->len = 0;
    hark_hub_catch_up(rig_hub(rig, 0), &a->sub);
    assert_int_equal(a->sub.state, HARK_SUB_LIVE);
    assert_int_equal(a->sub.position.offset, 601);
    assert_int_equal(a->passes, 3);
    assert_null(strstr(a->log, "gap"));
    rig_leave(rig, 0, a);
}

static void messages_outside_the_log_have_no_place(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &ten);
    (void)rig_publish(rig, 0, &ten, 1);
    rig_publish_outside(rig, 1, &ten, "typing");
    (void)rig_publish(rig, 0, &ten, 1);
    struct rig_sink *b = rig_join(rig, 0, &ten); // joined behind all of them
    rig_tick(rig);
    rig_expect(a, "1 [typing] 2");
    rig_expect(b, "");
    rig_publish_outside(rig, 1, &ten, "typing");
    rig_tick(rig);
    rig_expect(a, "[typing]");
    rig_expect(b, "[typing]");
    rig_publish_outside(rig, 1, &ten, "typing");
    (void)hark_mailbox_drain(rig->workers[0].mailbox, SIZE_MAX); // a pass of its own, not begun
    (void)rig_publish(rig, 0, &ten, 1);
    struct rig_sink *later = rig_join(rig, 0, &ten);
    assert_false(hark_hub_flush(rig_hub(rig, 0), UINT64_MAX));
    rig_expect(a, "[typing]");
    rig_expect(later, "");
    rig_tick(rig);
    rig_expect(a, "3");
    rig_expect(later, "");
    rig_leave(rig, 0, later);
    assert_int_equal(a->sub.position.offset, 3);
    struct hark_position at = a->sub.position;
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
    struct rig_sink *c = resume(rig, &ten, at);
    rig_expect(c, "");
    rig_leave(rig, 0, c);
}

static void bad_calls_are_refused(void **state)
{
    struct rig *rig = *state;
    struct hark_hub *hub = rig_hub(rig, 0);
    struct rig_sink *a = rig_sink_new();
    const struct hark_start start = {.rewind = 0};
    static char long_id[HARK_MEMBER_ID_MAX + 1];
    const struct hark_member nobody = {.id = HARK_SLICE_NONE};
    const struct hark_member long_one = {.id = hark_slice(long_id, sizeof(long_id))};
    struct hark_slice room = rig_slice("room");
    struct hark_slice bad = rig_slice("a\nb");
    assert_int_equal(hark_hub_subscribe(hub, &a->sub, bad, &plain, &start, NULL, NULL),
                     HARK_EINVAL);
    assert_int_equal(hark_hub_subscribe(hub, &a->sub, room, &plain, &start, &nobody, NULL),
                     HARK_EINVAL);
    assert_int_equal(hark_hub_subscribe(hub, &a->sub, room, &plain, &start, &long_one, NULL),
                     HARK_EINVAL);
    assert_int_equal(hark_hub_subscribe(hub, &a->sub, room, &plain, &start, NULL, NULL), 0);
    assert_int_equal(hark_hub_subscribe(hub, &a->sub, room, &plain, &start, NULL, NULL),
                     HARK_EEXIST);
    const struct hark_msg_draft direct = {.channel = room, .flags = HARK_MSG_DIRECT};
    const struct hark_msg_draft nameless = {.payload = room};
    assert_int_equal(hark_hub_publish(hub, &direct, &plain, NULL, NULL), HARK_EINVAL);
    assert_int_equal(hark_hub_publish(hub, &nameless, &plain, NULL, NULL), HARK_EINVAL);
    assert_int_equal(hark_hub_configure(hub, bad, &plain), HARK_EINVAL);
    assert_int_equal(hark_hub_configure(hub, rig_slice("unseen"), &plain), HARK_ENOENT);
    assert_int_equal(hark_hub_clear(hub, bad), HARK_EINVAL);
    assert_int_equal(hark_hub_clear(hub, rig_slice("unseen")), HARK_ENOENT);
    assert_int_equal(hark_hub_history(hub, bad, NULL, 1, NULL, NULL), HARK_EINVAL);
    assert_int_equal(hark_hub_members(hub, bad, NULL, NULL), HARK_EINVAL);
    rig_leave(rig, 0, a);
}

static void unsubscribing_is_idempotent_and_frees_the_channel(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &plain);
    assert_true(hark_slice_is(hark_channel_name(a->sub.channel), rig_slice("room")));
    assert_int_equal(hark_channel_id(a->sub.channel), hark_hash_stable(rig_slice("room")));
    assert_int_equal(hark_channel_options(a->sub.channel)->history_bytes, HARK_HISTORY_BYTES);
    (void)rig_publish(rig, 0, &plain, 2); // on its way when the channel is left
    hark_hub_unsubscribe(rig_hub(rig, 0), &a->sub);
    hark_hub_unsubscribe(rig_hub(rig, 0), &a->sub);
    assert_null(a->sub.channel);
    rig_tick(rig);
    rig_expect(a, "");
    const struct hark_start start = {.rewind = 0};
    rig_join_with(rig, 0, a, &plain, &start);
    rig_publish_outside(rig, 0, &plain, "old");
    (void)hark_mailbox_drain(rig->workers[0].mailbox, SIZE_MAX); // not passed yet
    hark_hub_unsubscribe(rig_hub(rig, 0), &a->sub);
    rig_join_with(rig, 0, a, &plain, &start); // before the goodbye of the last feed
    (void)rig_publish(rig, 0, &plain, 1);
    rig_tick(rig);
    rig_expect(a, "3");
    rig_leave(rig, 0, a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(delivers_in_order_on_all_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_join_does_not_see_what_was_before, setup, teardown),
        cmocka_unit_test_setup_teardown(those_at_one_position_share_a_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(passes_are_bounded_by_count_and_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(rewind_gives_the_last_of_history, setup, teardown),
        cmocka_unit_test_setup_teardown(resume_goes_on_where_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(resume_behind_history_tells_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(resume_without_history, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_position_is_a_gap_and_then_live, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_long_history_comes_in_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_replay_goes_on_later, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_outside_the_log_have_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_calls_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(unsubscribing_is_idempotent_and_frees_the_channel, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
