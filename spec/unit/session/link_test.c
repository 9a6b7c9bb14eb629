// SPDX-License-Identifier: MIT
//
// Transports that come and go: the end without grace, the grace time, going on over another one,
// and what was lost on the way.
#include "session/link.h"

#include "session/rig.h"
#include "session/state.h"

static void end(struct rig *rig, struct rig_transport *transport)
{
    if (transport->base.session != NULL) {
        hark_session_close(transport->base.session, 1000, HARK_SLICE_NONE);
    }
    rig_tick(rig);
    rig_transport_free(transport);
}

static void attach(struct hark_session *session,
                   struct rig_transport *transport,
                   uint64_t channel_a_at,
                   bool has_cursor)
{
    struct hark_place place = {0};
    struct hark_places cursor = {
        .list = &place, .count = has_cursor ? 1 : 0, .cap = 1, .is_fixed = true};
    const struct hark_sub *sub = hark_session_find(session, HARK_LIT("a"));
    if (has_cursor) {
        place.channel = hark_hash_stable(HARK_LIT("a"));
        place.position = (struct hark_position){sub->position.epoch, channel_a_at};
    }
    hark_link_resume(session, &cursor, NULL);
    bool begins = transport->base.ops->begin != NULL || !transport->base.ops->is_streaming;
    hark_link_attach(session, &transport->base, begins ? NULL : transport, 0);
}

static void test_without_grace_a_cut_is_the_end(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_join(session, "a", &RIG_HISTORY);
    hark_link_gone(&ws->base, 1006, HARK_LIT("connection lost"), false);
    assert_false(ws->has_ended); // it has gone by itself
    rig_tick(rig);
    rig_expect(&rig->log, "open close(1006 connection lost) ");
    hark_link_gone(&ws->base, 1006, HARK_LIT("again"), false);
    rig_transport_free(ws);
}

static void test_grace(void **state)
{
    struct rig *rig = *state;
    rig->policy.grace_ms = 1000;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_expect(&rig->log, "open ");
    hark_link_gone(&ws->base, 1006, HARK_LIT("cut"), false);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_websocket), 0);
    rig_expect(&rig->log, "detach(cut) ");
    rig_pass_time(rig, 900);
    assert_true(hark_session_is_open(session));
    rig_pass_time(rig, 200);
    rig_expect(&rig->log, "close(1006 did not come back) ");
    // A goodbye with 1000 is the end at once, another code is a cut.
    struct rig_transport *polite = rig_transport_new(rig, &rig_raw_ops);
    (void)rig_session(rig, polite);
    hark_link_gone(&polite->base, 1000, HARK_LIT("bye"), true);
    rig_tick(rig);
    rig_expect(&rig->log, "open close(1000 bye) ");
    struct rig_transport *leaving = rig_transport_new(rig, &rig_raw_ops);
    session = rig_session(rig, leaving);
    hark_link_gone(&leaving->base, 1001, HARK_LIT("next page"), true);
    assert_true(hark_session_is_open(session));
    rig_transport_free(ws);
    rig_transport_free(polite);
    rig_transport_free(leaving);
}

static void test_goes_on_with_what_came_meanwhile(void **state)
{
    struct rig *rig = *state;
    rig->policy.grace_ms = 1000;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_join(session, "a", &RIG_HISTORY);
    rig_publish(rig, "a", "one", &RIG_HISTORY);
    rig_tick(rig);
    hark_link_gone(&ws->base, 1006, HARK_LIT("cut"), false);
    rig_publish(rig, "a", "two", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(rig_direct(session, "direct"), 0);
    struct rig_transport *next = rig_transport_new(rig, &rig_raw_ops);
    attach(session, next, 0, false);
    rig_tick(rig);
    rig_expect(&next->log, "opened() two direct ");
    rig_expect(&rig->log, "open detach(cut) attach(websocket) ");
    rig_pass_time(rig, 2000); // the grace time is over for good
    assert_true(hark_session_is_open(session));
    rig_publish(rig, "a", "three", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&next->log, "three ");
    rig_transport_free(ws);
    end(rig, next);
}

static void test_what_was_written_to_a_dead_connection_comes_again(void **state)
{
    struct rig *rig = *state;
    rig->policy.grace_ms = 1000;
    for (int waiting = 0; waiting < 2; waiting++) {
        struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
        struct hark_session *session = rig_session(rig, sse);
        rig_join(session, "a", &RIG_HISTORY);
        uint64_t base = hark_session_find(session, HARK_LIT("a"))->position.offset;
        rig_publish(rig, "a", "one", &RIG_HISTORY);
        rig_publish(rig, "a", "two", &RIG_HISTORY);
        rig_publish(rig, "a", "three", &RIG_HISTORY);
        rig_tick(rig);
        if (waiting > 0) {
            sse->is_congested = true;
            rig_publish(rig, "a", "four", &RIG_HISTORY);
            rig_tick(rig);
        }
        hark_link_gone(&sse->base, 1006, HARK_LIT("cut"), false);
        struct rig_transport *next = rig_transport_new(rig, &rig_raw_ops);
        attach(session, next, base + 1, true); // it had the first only
        rig_pass_time(rig, 20);
        rig_expect(&next->log, waiting > 0 ? "opened() two three four " : "opened() two three ");
        rig_publish(rig, "a", "live", &RIG_HISTORY);
        rig_tick(rig);
        rig_expect(&next->log, "live ");
        assert_null(session->outbox);
        rig_transport_free(sse);
        end(rig, next);
    }
}

static void test_a_client_that_has_all_gets_nothing_twice(void **state)
{
    struct rig *rig = *state;
    rig->policy.grace_ms = 1000;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = rig_session(rig, sse);
    rig_join(session, "a", &RIG_HISTORY);
    rig_publish(rig, "a", "one", &RIG_HISTORY);
    rig_tick(rig);
    hark_link_gone(&sse->base, 1006, HARK_LIT("cut"), false);
    rig_publish(rig, "a", "two", &RIG_HISTORY);
    rig_tick(rig);
    struct rig_transport *next = rig_transport_new(rig, &rig_sse_ops);
    attach(session, next, 1, true);
    rig_tick(rig);
    rig_expect(&next->log, "head opened(a1) <a2>two ");
    rig_transport_free(sse);
    end(rig, next);
}

static void test_newer_transport_replaces_the_older(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *old = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, old);
    rig_join(session, "a", &RIG_HISTORY);
    struct rig_transport *next = rig_transport_new(rig, &rig_sse_ops);
    attach(session, next, 0, false);
    assert_true(old->has_ended);
    assert_true(old->ending.is_replaced);
    assert_int_equal(old->ending.code, 1008);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_websocket), 0);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_sse), 1);
    hark_link_gone(&old->base, 1006, HARK_LIT("late"), false); // concerns nobody
    assert_true(hark_session_is_open(session));
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&next->log, "head opened(a0) <a1>x ");
    rig_transport_free(old);
    end(rig, next);
}

static void test_from_polling_to_a_stream_and_back(void **state)
{
    struct rig *rig = *state;
    rig->policy.grace_ms = 1000;
    struct rig_transport *poll = rig_transport_new(rig, &rig_poll_ops);
    struct hark_session *session = rig_session(rig, poll);
    rig_join(session, "a", &RIG_HISTORY);
    rig_publish(rig, "a", "one", &RIG_HISTORY);
    rig_publish(rig, "a", "two", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(rig_direct(session, "direct"), 0);
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    attach(session, sse, 1, true); // acknowledges the first
    rig_tick(rig);
    rig_expect(&sse->log, "head opened(a1) <a2>two <a2>direct ");
    assert_null(session->outbox);
    struct rig_transport *again = rig_transport_new(rig, &rig_poll_ops);
    attach(session, again, 2, true);
    rig_publish(rig, "a", "three", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(hark_backlog_count(session), 1);
    rig_transport_free(poll);
    rig_transport_free(sse);
    end(rig, again);
}

static void test_silence_is_measured(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_join(session, "a", &RIG_HISTORY);
    rig_pass_time(rig, 100);
    assert_int_equal(hark_link_silence(session), 100);
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(hark_link_silence(session), 0);
    rig_pass_time(rig, 50);
    assert_int_equal(rig_direct(session, "y"), 0);
    assert_int_equal(hark_link_silence(session), 0);
    end(rig, ws);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_grace_a_cut_is_the_end),
        TEST(test_grace),
        TEST(test_goes_on_with_what_came_meanwhile),
        TEST(test_what_was_written_to_a_dead_connection_comes_again),
        TEST(test_a_client_that_has_all_gets_nothing_twice),
        TEST(test_newer_transport_replaces_the_older),
        TEST(test_from_polling_to_a_stream_and_back),
        TEST(test_silence_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
