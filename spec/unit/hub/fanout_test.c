// SPDX-License-Identifier: MIT
//
// Passes in slices: deadlines that cut a walk short, and joins and leaves in the middle of it, from
// outside and from inside a sink.
#include "hub/rig.h"

#define CROWD 300

static const struct hark_channel_options ten = {.history_count = 10};

struct crowd {
    struct rig rig;
    struct rig_sink *sinks[CROWD];
};

static int setup(void **state)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    assert_non_null(crowd);
    rig_up(&crowd->rig);
    for (int i = 0; i < CROWD; i++) {
        crowd->sinks[i] = rig_join(&crowd->rig, 0, &ten);
        crowd->sinks[i]->ctx = crowd;
    }
    *state = crowd;
    return 0;
}

static int teardown(void **state)
{
    struct crowd *crowd = *state;
    for (int i = 0; i < CROWD; i++) {
        if (crowd->sinks[i] != NULL) {
            rig_leave(&crowd->rig, 0, crowd->sinks[i]);
        }
    }
    rig_down(&crowd->rig);
    free(crowd);
    return 0;
}

static bool slice(struct crowd *crowd)
{
    return hark_hub_flush(rig_hub(&crowd->rig, 0), 0); // a deadline that is long over
}

static unsigned served(const struct crowd *crowd)
{
    unsigned count = 0;
    for (int i = 0; i < CROWD; i++) {
        count += crowd->sinks[i] != NULL && crowd->sinks[i]->passes > 0 ? 1 : 0;
    }
    return count;
}

static void mail(struct crowd *crowd)
{
    (void)hark_mailbox_drain(crowd->rig.workers[0].mailbox, SIZE_MAX);
}

static void finish(struct crowd *crowd)
{
    int slices = 0;
    while (slice(crowd)) {
        mail(crowd);
        assert_true(++slices < 1000);
    }
}

static void a_deadline_cuts_a_pass_to_slices(void **state)
{
    struct crowd *crowd = *state;
    (void)rig_publish(&crowd->rig, 0, &ten, 2);
    mail(crowd);
    assert_true(slice(crowd));
    assert_int_equal(served(crowd), 64);
    (void)rig_publish(&crowd->rig, 1, &ten, 1); // waits for the next pass
    mail(crowd);
    assert_true(slice(crowd));
    assert_int_equal(served(crowd), 128);
    finish(crowd);
    for (int i = 0; i < CROWD; i++) {
        rig_expect(crowd->sinks[i], "1 2 3");
        assert_int_equal(crowd->sinks[i]->passes, 2);
    }
}

static void channels_take_turns(void **state)
{
    struct crowd *crowd = *state;
    struct rig_sink *other = rig_sink_new();
    const struct hark_start start = {.rewind = 0};
    struct hark_hub *hub = rig_hub(&crowd->rig, 0);
    assert_int_equal(
        hark_hub_subscribe(hub, &other->sub, rig_slice("other"), &ten, &start, NULL, NULL), 0);
    const struct hark_msg_draft draft = {.channel = HARK_LIT("other"), .payload = HARK_LIT("x")};
    (void)rig_publish(&crowd->rig, 0, &ten, 1);
    mail(crowd);
    assert_true(slice(crowd)); // the crowd's first pass is under way
    (void)rig_publish(&crowd->rig, 0, &ten, 1);
    (void)rig_publish_draft(&crowd->rig, 0, &ten, &draft);
    mail(crowd);
    while (other->passes == 0) {
        assert_true(slice(crowd));
    }
    assert_int_equal(crowd->sinks[CROWD - 1]->passes, 1); // the crowd's second one comes after it
    finish(crowd);
    rig_leave(&crowd->rig, 0, other);
}

static void joins_and_leaves_between_slices(void **state)
{
    struct crowd *crowd = *state;
    struct rig *rig = &crowd->rig;
    (void)rig_publish(rig, 0, &ten, 2);
    mail(crowd);
    assert_true(slice(crowd));
    (void)rig_publish(rig, 0, &ten, 1); // not passed yet, but before those who join now
    struct rig_sink *live = rig_join(rig, 0, &ten);
    struct rig_sink *rewound = rig_sink_new();
    const struct hark_start two = {.rewind = 2};
    rig_join_with(rig, 0, rewound, &ten, &two);
    struct rig_sink *resumed = rig_sink_new();
    const struct hark_start one = {.has_position = true, .position = {live->how.position.epoch, 1}};
    rig_join_with(rig, 0, resumed, &ten, &one);
    for (int i = 0; i < CROWD; i += 3) { // some visited, some not
        rig_leave(rig, 0, crowd->sinks[i]);
        crowd->sinks[i] = NULL;
    }
    mail(crowd);
    finish(crowd);
    (void)rig_publish(rig, 0, &ten, 1);
    mail(crowd);
    finish(crowd);
    for (int i = 0; i < CROWD; i++) {
        if (crowd->sinks[i] != NULL) {
            rig_expect(crowd->sinks[i], "1 2 3 4");
        }
    }
    rig_expect(live, "4");
    rig_expect(rewound, "2 3 4");
    rig_expect(resumed, "2 3 4");
    rig_leave(rig, 0, live);
    rig_leave(rig, 0, rewound);
    rig_leave(rig, 0, resumed);
}

// Leaves, joins and lags, at random, of anybody, from inside a sink.
static void meddle(struct rig_sink *sink)
{
    struct crowd *crowd = sink->ctx;
    struct hark_hub *hub = rig_hub(&crowd->rig, 0);
    int other = rand() % CROWD;
    struct rig_sink *victim = crowd->sinks[other];
    switch (rand() % 5) {
    case 0:
        if (victim != NULL) { // its memory goes too, though it may be the one that is being called
            rig_leave(&crowd->rig, 0, victim);
            crowd->sinks[other] = NULL;
        }
        break;
    case 1:
        if (victim == NULL) {
            crowd->sinks[other] = rig_join(&crowd->rig, 0, &ten);
            crowd->sinks[other]->ctx = crowd;
            crowd->sinks[other]->on_deliver = meddle;
        }
        break;
    case 2:
        if (victim != NULL) {
            victim->is_refusing = true;
        }
        break;
    case 3:
        if (victim != NULL) {
            victim->is_refusing = false;
            hark_hub_catch_up(hub, &victim->sub);
        }
        break;
    default:
        if (rand() % 50 == 0) {
            (void)rig_publish(&crowd->rig, 0, &ten, 1);
        }
        break;
    }
}

// Offsets go up by one, or a gap says from where to where.
static void check_log(const struct rig_sink *sink)
{
    unsigned long long at = 0;
    for (const char *text = sink->log; *text != '\0';) {
        unsigned long long from = 0;
        unsigned long long to = 0;
        int len = 0;
        if (sscanf(text, "gap(%llu-%llu %*[a-z])%n", &from, &to, &len) == 2) {
            assert_true((at == 0 || from == at) && to > from);
            at = to;
        } else {
            assert_int_equal(sscanf(text, "%llu%n", &to, &len), 1);
            assert_true(at == 0 || to == at + 1);
            at = to;
        }
        text += len;
        text += *text == ' ' ? 1 : 0;
    }
    if (sink->sub.channel != NULL && at != 0) {
        assert_int_equal(at, sink->sub.position.offset);
    }
}

static void anything_may_happen_inside_deliver(void **state)
{
    struct crowd *crowd = *state;
    srand(4);
    const struct hark_channel_options oldest = {.history_count = 10, .slow = HARK_SLOW_OLDEST};
    assert_int_equal(hark_hub_configure(rig_hub(&crowd->rig, 0), rig_slice("room"), &oldest), 0);
    for (int i = 0; i < CROWD; i++) {
        crowd->sinks[i]->on_deliver = meddle;
    }
    struct rig_sink *steady = rig_join(&crowd->rig, 0, &ten);
    for (int round = 0; round < 300; round++) {
        (void)rig_publish(&crowd->rig, round % 2 == 0, &ten, 1 + (unsigned)rand() % 3);
        mail(crowd);
        (void)slice(crowd); // what is left goes on in the next round
    }
    finish(crowd);
    mail(crowd);
    finish(crowd);
    check_log(steady);
    uint64_t top = steady->sub.position.offset;
    for (int i = 0; i < CROWD; i++) {
        struct rig_sink *sink = crowd->sinks[i];
        if (sink == NULL) {
            continue;
        }
        sink->on_deliver = NULL;
        sink->is_refusing = false;
        hark_hub_catch_up(rig_hub(&crowd->rig, 0), &sink->sub);
        check_log(sink);
        assert_int_equal(sink->sub.position.offset, top);
        assert_int_equal(sink->sub.state, HARK_SUB_LIVE);
    }
    rig_leave(&crowd->rig, 0, steady);
}

static void leave_all(struct rig_sink *sink)
{
    struct crowd *crowd = sink->ctx;
    for (int i = 0; i < CROWD; i++) {
        hark_hub_unsubscribe(rig_hub(&crowd->rig, 0), &crowd->sinks[i]->sub);
    }
}

static void all_may_leave_inside_deliver(void **state)
{
    struct crowd *crowd = *state;
    crowd->sinks[5]->on_deliver = leave_all;
    (void)rig_publish(&crowd->rig, 0, &ten, 2);
    mail(crowd);
    finish(crowd);
    assert_int_equal(served(crowd), 6);
    for (int i = 0; i < CROWD; i++) {
        free(crowd->sinks[i]);
        crowd->sinks[i] = NULL;
    }
    struct rig_sink *again = rig_join(&crowd->rig, 0, &ten); // the same channel, before its goodbye
    (void)rig_publish(&crowd->rig, 0, &ten, 1);
    mail(crowd);
    finish(crowd);
    rig_expect(again, "3");
    rig_leave(&crowd->rig, 0, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_deadline_cuts_a_pass_to_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(channels_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(joins_and_leaves_between_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(anything_may_happen_inside_deliver, setup, teardown),
        cmocka_unit_test_setup_teardown(all_may_leave_inside_deliver, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
