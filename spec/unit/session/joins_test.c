// SPDX-License-Identifier: MIT
//
// Subscriptions of a session: joins that start where the client's cursor says, limits, leaving, and
// gaps on the way back.
#include "session/rig.h"
#include "session/state.h"

static const struct hark_start LIVE = {.rewind = 0};

struct told {
    int calls;
    int status;
    struct hark_joined how;
    bool closes;
    bool leaves;
};

static void
on_joined(void *ctx, struct hark_session *session, int status, const struct hark_joined *joined)
{
    struct told *told = ctx;
    told->calls++;
    told->status = status;
    if (joined != NULL) {
        told->how = *joined;
    }
    if (told->closes) {
        hark_session_close(session, 1000, HARK_SLICE_NONE);
    }
    if (told->leaves) {
        (void)hark_session_leave(session, HARK_LIT("a"));
    }
}

static int join(struct hark_session *session,
                const char *channel,
                const struct hark_channel_options *options,
                struct told *told)
{
    return hark_session_join(session, rig_slice(channel), options, &LIVE, NULL, on_joined, told);
}

// A session that brings a cursor: channel a at `offset` of its log.
static struct hark_session *
comer(struct rig *rig, struct rig_transport *transport, uint64_t epoch, uint64_t offset)
{
    struct hark_place place = {hark_hash_stable(HARK_LIT("a")), {epoch, offset}};
    const struct hark_places cursor = {.list = &place, .count = 1, .cap = 1, .is_fixed = true};
    rig->opens_later = true;
    struct hark_session *session =
        rig_session_with(rig, transport, (struct hark_session_options){.cursor = &cursor});
    rig->opens_later = false;
    return session;
}

static uint64_t epoch_of(struct hark_session *session)
{
    return hark_session_find(session, HARK_LIT("a"))->position.epoch;
}

static void end(struct rig *rig, struct rig_transport *transport)
{
    if (transport->base.session != NULL) {
        hark_session_close(transport->base.session, 1000, HARK_SLICE_NONE);
    }
    rig_tick(rig);
    rig_transport_free(transport);
}

static void publish_n(struct rig *rig, int n)
{
    for (int i = 1; i <= n; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "m%d", i);
        rig_publish(rig, "a", text, &RIG_HISTORY);
    }
    rig_tick(rig);
}

static void test_cursor_goes_before_start(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *first = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = rig_session(rig, first);
    rig_join(session, "a", &RIG_HISTORY);
    publish_n(rig, 5);
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *back = comer(rig, sse, epoch_of(session), 3);
    struct told told = {0};
    assert_int_equal(join(back, "a", &RIG_HISTORY, &told), 0);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.status, 0);
    assert_true(told.how.resumed && told.how.recovered);
    assert_int_equal(told.how.replayed, 2);
    rig_expect(&sse->log, "head <a4>m4 <a5>m5 ");
    assert_int_equal(sse->writes, 1); // one write a history batch
    hark_session_opened(back);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_resumed), 1);
    assert_null(back->aside); // the cursor is gone when open has ended
    assert_true(hark_session_leave(back, HARK_LIT("a")));
    assert_int_equal(join(back, "a", &RIG_HISTORY, &told), 0);
    assert_false(told.how.resumed); // live only
    end(rig, first);
    end(rig, sse);
}

static void test_rewind_is_for_who_brings_no_cursor(void **state)
{
    struct rig *rig = *state;
    publish_n(rig, 5);
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    ws->log.len = 0;
    struct told told = {0};
    const struct hark_start rewind = {.rewind = 2};
    assert_int_equal(
        hark_session_join(session, HARK_LIT("a"), &RIG_HISTORY, &rewind, NULL, on_joined, &told),
        0);
    rig_expect(&ws->log, "m4 m5 ");
    assert_false(told.how.resumed);
    end(rig, ws);
}

static void test_gap_on_the_way_back(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options brief = {.history_count = 2};
    struct rig_transport *first = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = rig_session(rig, first);
    rig_join(session, "a", &brief);
    uint64_t epoch = epoch_of(session);
    publish_n(rig, 5);
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *back = comer(rig, sse, epoch, 1);
    struct told told = {0};
    assert_int_equal(join(back, "a", &brief, &told), 0);
    assert_false(told.how.recovered);
    assert_int_equal(told.how.missed, 2);
    char want[256];
    (void)snprintf(want, sizeof(want),
                   "head <a3>hark.gap={\"channel\":\"a\",\"from\":\"%llu:1\",\"to\":\"%llu:3\"} "
                   "<a4>m4 <a5>m5 ",
                   (unsigned long long)epoch, (unsigned long long)epoch);
    rig_expect(&sse->log, want);
    hark_session_opened(back);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_resumed), 0);
    // A position of another life of the channel.
    struct rig_transport *other = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *stranger = comer(rig, other, epoch ^ 1, 4);
    assert_int_equal(join(stranger, "a", &brief, &told), 0);
    assert_non_null(strstr(other->log.text, "hark.gap"));
    // The script's own words in its place.
    rig->tells_gaps = true;
    struct rig_transport *told_by_script = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *third = comer(rig, told_by_script, epoch, 1);
    assert_int_equal(join(third, "a", &brief, &told), 0);
    rig_expect(&told_by_script->log, "head <a4>m4 <a5>m5 ");
    hark_session_opened(stranger);
    hark_session_opened(third);
    end(rig, first);
    end(rig, sse);
    end(rig, other);
    end(rig, told_by_script);
}

static void test_limits_and_bad_names(void **state)
{
    struct rig *rig = *state;
    rig->policy.channels = 3;
    struct hark_session *session = rig_session(rig, NULL);
    struct told told = {0};
    assert_int_equal(join(session, "", &RIG_HISTORY, &told), HARK_EINVAL);
    assert_int_equal(join(session, "a\n", &RIG_HISTORY, &told), HARK_EINVAL);
    assert_int_equal(told.calls, 0);
    assert_int_equal(session->sub_count, 0);
    rig_join(session, "a", &RIG_HISTORY);
    rig_join(session, "b", &RIG_HISTORY);
    rig_join(session, "c", &RIG_HISTORY);
    assert_int_equal(join(session, "d", &RIG_HISTORY, &told), HARK_EFULL);
    rig_join(session, "b", &RIG_HISTORY); // what is
    assert_int_equal(session->sub_count, 3);
    assert_true(hark_session_leave(session, HARK_LIT("b")));
    assert_false(hark_session_leave(session, HARK_LIT("b")));
    assert_null(hark_session_find(session, HARK_LIT("b")));
    rig_join(session, "d", &RIG_HISTORY);
}

static void test_closing_and_leaving_inside(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    struct told told = {.leaves = true};
    assert_int_equal(join(session, "a", &RIG_HISTORY, &told), 0);
    assert_null(hark_session_find(session, HARK_LIT("a")));
    told = (struct told){.closes = true};
    assert_int_equal(join(session, "b", &RIG_HISTORY, &told), 0);
    assert_false(hark_session_is_open(session));
    end(rig, ws);
    rig_expect(&rig->log, "open close(1000 ) ");
}

static void test_joins_fail_cleanly_without_memory(void **state)
{
    struct rig *rig = *state;
    publish_n(rig, 3);
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = rig_session(rig, sse);
    const struct hark_start rewind = {.rewind = 3};
    for (size_t n = 0; n < 20; n++) {
        struct told told = {0};
        sse->log.len = 0;
        sse->log.text[0] = '\0';
        hark_mem_fail_after(n);
        int status = hark_session_join(session, HARK_LIT("a"), &RIG_HISTORY, &rewind, NULL,
                                       on_joined, &told);
        hark_mem_fail_after(SIZE_MAX);
        if (status != 0) {
            assert_int_equal(status, HARK_ENOMEM);
            assert_int_equal(told.calls, 0);
            assert_int_equal(session->sub_count, 0);
            continue;
        }
        assert_int_equal(told.calls, 1);
        if (told.status != 0) {
            assert_int_equal(session->sub_count, 0);
            continue;
        }
        rig_pass_time(rig, 50);
        hark_hub_sweep(rig->hub);
        hark_backlog_pump(session);
        rig_pass_time(rig, 50);
        assert_non_null(strstr(sse->log.text, "<a1>m1 <a2>m2 <a3>m3 "));
        assert_true(hark_session_leave(session, HARK_LIT("a")));
    }
    end(rig, sse);
}

static void test_presence_goes_with_the_session(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options present = {.history_count = 10, .presence = true};
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *watcher = rig_session(rig, ws);
    rig_join(watcher, "a", &present);
    ws->log.len = 0;
    struct hark_session *member = rig_session(rig, NULL);
    const struct hark_member ann = {HARK_LIT("ann"), HARK_LIT("{\"x\":1}")};
    struct told told = {0};
    assert_int_equal(
        hark_session_join(member, HARK_LIT("a"), &present, &LIVE, &ann, on_joined, &told), 0);
    rig_tick(rig);
    assert_non_null(strstr(ws->log.text, "hark.join="));
    assert_non_null(strstr(ws->log.text, "\"ann\""));
    hark_session_close(member, 1000, HARK_SLICE_NONE);
    rig_tick(rig);
    assert_non_null(strstr(ws->log.text, "hark.leave="));
    end(rig, ws);
}

static void test_more_channels_than_a_cursor_holds(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options bare = {.history_count = 0};
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = rig_session(rig, sse);
    for (int i = 0; i < 100; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "many/%d", i);
        rig_join(session, name, i < 60 ? &bare : &RIG_HISTORY);
    }
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places places;
    hark_places_init_fixed(&places, room, HARK_PLACES_MAX);
    hark_backlog_places(session, &places);
    assert_int_equal(places.count, HARK_PLACES_MAX);
    for (int i = 60; i < 100; i++) { // those that can be resumed are all there
        char name[32];
        (void)snprintf(name, sizeof(name), "many/%d", i);
        assert_non_null(hark_places_find(&places, hark_hash_stable(rig_slice(name))));
    }
    end(rig, sse);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cursor_goes_before_start),
        TEST(test_rewind_is_for_who_brings_no_cursor),
        TEST(test_gap_on_the_way_back),
        TEST(test_limits_and_bad_names),
        TEST(test_closing_and_leaving_inside),
        TEST(test_joins_fail_cleanly_without_memory),
        TEST(test_presence_goes_with_the_session),
        TEST(test_more_channels_than_a_cursor_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
