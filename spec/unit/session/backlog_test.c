// SPDX-License-Identifier: MIT
//
// Clients that cannot keep up: what waits, in which order it goes on, what is refused and read from
// history later, and what each policy makes of a client that is too slow. And the polling side:
// messages stay until they are acknowledged.
#include "session/backlog.h"

#include "session/rig.h"
#include "session/state.h"

static const struct hark_channel_options BARE = {.slow = HARK_SLOW_CLOSE};

static struct hark_session *listener(struct rig *rig,
                                     struct rig_transport *transport,
                                     const char *channel,
                                     const struct hark_channel_options *options)
{
    struct hark_session *session = rig_session(rig, transport);
    rig_join(session, channel, options);
    transport->log.len = 0;
    transport->log.text[0] = '\0';
    return session;
}

static void end(struct rig *rig, struct rig_transport *transport)
{
    if (transport->base.session != NULL) {
        hark_session_close(transport->base.session, 1000, HARK_SLICE_NONE);
    }
    rig_tick(rig);
    rig_transport_free(transport);
}

// Publishes "name0" to "name<n-1>", one pass each.
static void
flood(struct rig *rig, const char *channel, int n, const struct hark_channel_options *options)
{
    for (int i = 0; i < n; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%s%d", channel, i);
        rig_publish(rig, channel, text, options);
        rig_tick(rig);
    }
}

static void test_order_is_kept_through_congestion(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    rig_publish(rig, "a", "one", &RIG_HISTORY);
    rig_tick(rig);
    ws->is_congested = true;
    rig_publish(rig, "a", "two", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(rig_direct(session, "direct"), 0);
    rig_publish(rig, "a", "three", &RIG_HISTORY);
    rig_tick(rig);
    assert_true(hark_session_backlog(session) > 1000);
    rig_expect(&ws->log, "one ");
    ws->is_congested = false; // but nobody has said so yet: what waits goes first
    rig_publish(rig, "a", "four", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&ws->log, "");
    hark_backlog_pump(session);
    rig_expect(&ws->log, "two direct three four ");
    assert_int_equal(ws->writes, 2); // one write for all that waited
    assert_null(session->outbox);
    assert_int_equal(hark_session_backlog(session), 0);
    rig_publish(rig, "a", "five", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&ws->log, "five ");
    assert_non_null(ws->chunk); // shared again
    end(rig, ws);
}

static void test_positions_while_messages_wait(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = listener(rig, sse, "a", &RIG_HISTORY);
    rig_join(session, "b", &RIG_HISTORY);
    sse->is_congested = true;
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_tick(rig);
    rig_publish(rig, "b", "y", &RIG_HISTORY);
    rig_tick(rig);
    rig_join(session, "c", &RIG_HISTORY); // cursors hold it from here on
    rig_publish(rig, "a", "z", &RIG_HISTORY);
    rig_publish(rig, "c", "w", &RIG_HISTORY);
    rig_tick(rig);
    rig_drain(rig, sse);
    // Each position is what the client has had, not what the hub has handed over.
    rig_expect(&sse->log, "<a1.b0.c0>x <a1.b1.c0>y <a2.b1.c0>z <a2.b1.c1>w ");
    end(rig, sse);
}

static void test_a_queue_that_was_full_for_a_tick_only(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 1000;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    for (int messages = 1; messages < 30; messages += 9) { // in the outbox, then also in history
        ws->is_full = true;
        for (int i = 0; i < messages; i++) {
            rig_publish(rig, "a", "x", &RIG_HISTORY);
            (void)hark_mailbox_drain(rig->mailbox, SIZE_MAX);
            assert_false(hark_hub_flush(rig->hub, UINT64_MAX));
        }
        rig_expect(&ws->log, "");
        ws->is_full = false; // the flush has taken it, and no event follows
        rig_pass_time(rig, 50);
        assert_int_equal(ws->log.len, 2 * (size_t)messages);
        assert_null(session->outbox);
        ws->log.len = 0;
        ws->log.text[0] = '\0';
    }
    end(rig, ws);
}

static void test_history_of_a_join_waits_behind_the_rest(void **state)
{
    struct rig *rig = *state;
    rig_publish(rig, "b", "old", &RIG_HISTORY);
    rig_publish(rig, "b", "older", &RIG_HISTORY);
    rig_tick(rig);
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = listener(rig, sse, "a", &RIG_HISTORY);
    sse->is_congested = true;
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_tick(rig);
    const struct hark_start rewind = {.rewind = 2};
    assert_int_equal(
        hark_session_join(session, HARK_LIT("b"), &RIG_HISTORY, &rewind, NULL, rig_on_joined, NULL),
        0);
    rig_drain(rig, sse);
    // A client that is cut behind the first must come back to all of b.
    rig_expect(&sse->log, "<a1.b0>x <a1.b1>old <a1.b2>older ");
    end(rig, sse);
}

static void test_batches_are_bounded(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    char payload[10001];
    memset(payload, 'x', 10000);
    payload[10000] = '\0';
    ws->is_congested = true;
    for (int i = 0; i < 60; i++) {
        rig_publish(rig, "a", payload, &RIG_HISTORY);
        rig_tick(rig);
    }
    ws->is_congested = false;
    hark_backlog_pump(session);
    assert_int_equal(ws->writes, 4); // 64 KiB each, then others have their turn
    assert_in_range(ws->log.len, 4 * 64 * 1024, 4 * 80 * 1024);
    rig_pass_time(rig, 40);
    assert_int_equal(ws->log.len, 60 * 10001);
    assert_null(session->outbox);
    end(rig, ws);
}

static void test_overflow_within_history_loses_nothing(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 2000; // about ten messages
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    ws->is_congested = true;
    flood(rig, "a", 300, &RIG_HISTORY);
    assert_int_equal(hark_stats_get(&rig->stats.lagging), 1);
    assert_true(session->outbox->bytes <= 2000);
    rig_drain(rig, ws);
    rig_pass_time(rig, 50);
    char want[4096] = "";
    size_t len = 0;
    for (int i = 0; i < 300; i++) {
        len += (size_t)snprintf(want + len, sizeof(want) - len, "a%d ", i);
    }
    rig_expect(&ws->log, want);
    assert_int_equal(hark_stats_get(&rig->stats.lagging), 0);
    assert_null(session->outbox);
    rig_publish(rig, "a", "live", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&ws->log, "live ");
    end(rig, ws);
}

static void test_reading_on_stops_when_the_stream_is_full_again(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 1000;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    ws->is_congested = true;
    flood(rig, "a", 50, &RIG_HISTORY);
    size_t waiting = session->outbox->count;
    assert_in_range(waiting, 1, 20);
    hark_backlog_pump(session); // no room: nothing happens
    rig_tick(rig);
    assert_int_equal(session->outbox->count, waiting);
    rig_drain(rig, ws);
    rig_expect(&rig->log, "open ");
    end(rig, ws);
}

static void test_close_is_with_an_invitation_to_come_back(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 1000;
    const struct hark_channel_options close = {.history_count = 5, .slow = HARK_SLOW_CLOSE};
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    (void)listener(rig, ws, "a", &close);
    ws->is_congested = true;
    flood(rig, "a", 100, &close);
    assert_false(ws->has_ended); // it may still find all in history
    rig_drain(rig, ws);
    assert_true(ws->has_ended);
    assert_int_equal(ws->ending.code, 1013);
    assert_int_equal(hark_stats_get(&rig->stats.slow_closed), 1);
    rig_expect(&rig->log, "open close(1013 too slow) ");
    end(rig, ws);
}

static void test_without_history_close_comes_at_once(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 1000;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    (void)listener(rig, ws, "a", &BARE);
    ws->is_congested = true;
    flood(rig, "a", 100, &BARE);
    assert_true(ws->has_ended);
    assert_int_equal(ws->ending.code, 1013);
    rig_expect(&ws->log, "");
    end(rig, ws);
}

static void test_oldest_is_told_as_a_gap(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 500;
    const struct hark_channel_options oldest = {.history_count = 3, .slow = HARK_SLOW_OLDEST};
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = listener(rig, sse, "a", &oldest);
    sse->is_congested = true;
    flood(rig, "a", 20, &oldest);
    size_t kept = session->outbox->count;
    rig_drain(rig, sse);
    char want[1024] = "";
    size_t len = 0;
    for (size_t i = 0; i < kept; i++) {
        len += (size_t)snprintf(want + len, sizeof(want) - len, "<a%zu>a%zu ", i + 1, i);
    }
    // Behind the notice the client stands at the gap's end.
    char told[160];
    const struct hark_sub *sub = hark_session_find(session, HARK_LIT("a"));
    unsigned long long epoch = sub->position.epoch;
    (void)snprintf(told, sizeof(told),
                   "<a17>hark.gap={\"channel\":\"a\",\"from\":\"%llu:%zu\",\"to\":\"%llu:17\"} ",
                   epoch, kept, epoch);
    len += (size_t)snprintf(want + len, sizeof(want) - len, "%s<a18>a17 <a19>a18 <a20>a19 ", told);
    rig_expect(&sse->log, want);
    assert_int_equal(hark_stats_get(&rig->stats.gaps), 1);
    end(rig, sse);
}

static void test_latest_stands_before_the_gap_until_the_newest_are_out(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 300;
    const struct hark_channel_options latest = {.history_count = 50, .slow = HARK_SLOW_LATEST};
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    (void)listener(rig, sse, "a", &latest);
    sse->is_congested = true;
    for (int i = 0; i < 30; i++) {
        char key[8];
        char text[16];
        (void)snprintf(key, sizeof(key), "k%d", i % 2);
        (void)snprintf(text, sizeof(text), "v%d", i);
        const struct hark_msg_draft draft = {.channel = HARK_LIT("a"),
                                             .key = hark_slice_text(key),
                                             .payload = hark_slice_text(text)};
        rig_publish_draft(rig, draft, &latest);
        rig_tick(rig);
    }
    sse->log.len = 0;
    size_t kept = sse->base.session->outbox->count;
    rig_drain(rig, sse);
    char before[32];
    (void)snprintf(before, sizeof(before), "<a%zu>hark.gap=", kept);
    assert_non_null(strstr(sse->log.text, before));
    const char *tail = strstr(sse->log.text, "} ");
    assert_non_null(tail);
    assert_string_equal(tail, "} <a29>v28 <a30>v29 ");
    end(rig, sse);
}

static void test_scripts_handle_gaps_themselves(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 300;
    rig->tells_gaps = true;
    const struct hark_channel_options oldest = {.slow = HARK_SLOW_OLDEST};
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &oldest);
    rig_expect(&rig->log, "open ");
    ws->is_congested = true;
    flood(rig, "a", 20, &oldest);
    char want[64];
    (void)snprintf(want, sizeof(want), "gap(a %u-20) ", session->outbox->count);
    rig_drain(rig, ws);
    rig_expect(&rig->log, want);
    assert_null(strstr(ws->log.text, "hark.gap"));
    end(rig, ws);
}

static void test_direct_messages_are_bounded(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 5000;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    ws->is_congested = true;
    int sent = 0;
    int status = 0;
    while (status == 0 && sent < 1000) {
        status = rig_direct(session, "a message of some length, to fill it");
        sent += status == 0 ? 1 : 0;
    }
    assert_int_equal(status, HARK_EFULL);
    assert_in_range(sent, 5, 60);
    rig_drain(rig, ws);
    assert_int_equal(rig_direct(session, "fits"), 0);
    end(rig, ws);
}

static void test_one_message_over_the_limit_is_not_stuck(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 10;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    (void)listener(rig, ws, "a", &RIG_HISTORY);
    ws->is_congested = true;
    flood(rig, "a", 5, &RIG_HISTORY);
    rig_drain(rig, ws);
    rig_pass_time(rig, 50);
    rig_expect(&ws->log, "a0 a1 a2 a3 a4 ");
    end(rig, ws);
}

static void test_what_waits_leaves_before_the_close(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, ws, "a", &RIG_HISTORY);
    ws->is_congested = true;
    flood(rig, "a", 3, &RIG_HISTORY);
    assert_int_equal(rig_direct(session, "bye"), 0);
    hark_session_close(session, 1000, HARK_LIT("done"));
    rig_expect(&ws->log, "a0 a1 a2 bye ");
    assert_true(ws->has_ended);
    end(rig, ws);
}

// --- polling ---

static struct hark_places
cursor_of(struct hark_session *session, size_t count, struct hark_place *room)
{
    struct hark_places places;
    hark_places_init_fixed(&places, room, HARK_PLACES_MAX);
    hark_backlog_places(session, &places);
    for (size_t i = 0; i < count; i++) {
        hark_outbox_pass(&places, hark_backlog_at(session, i));
    }
    return places;
}

static void test_polled_messages_stay_until_acknowledged(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *poll = rig_transport_new(rig, &rig_poll_ops);
    struct hark_session *session = listener(rig, poll, "a", &RIG_HISTORY);
    flood(rig, "a", 3, &RIG_HISTORY);
    rig_expect(&poll->log, "wake wake wake ");
    assert_int_equal(rig_direct(session, "direct"), 0);
    rig_tick(rig);
    assert_int_equal(hark_backlog_count(session), 4);
    struct hark_place sequence = hark_backlog_sequence(session);
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places cursor = cursor_of(session, 2, room);
    hark_backlog_acknowledge(session, &cursor, NULL); // by positions
    assert_int_equal(hark_backlog_count(session), 2);
    assert_true(hark_slice_is(hark_backlog_at(session, 0)->payload, HARK_LIT("a2")));
    cursor = cursor_of(session, 2, room);
    hark_backlog_acknowledge(session, &cursor, NULL); // a direct message has none
    assert_int_equal(hark_backlog_count(session), 1);
    sequence.position.offset += 3;
    hark_backlog_acknowledge(session, &cursor, &sequence); // nothing new
    assert_int_equal(hark_backlog_count(session), 1);
    sequence.position.epoch ^= 1;
    sequence.position.offset += 1;
    hark_backlog_acknowledge(session, &cursor, &sequence); // of another life
    assert_int_equal(hark_backlog_count(session), 1);
    sequence.position.epoch ^= 1;
    hark_backlog_acknowledge(session, &cursor, &sequence);
    assert_int_equal(hark_backlog_count(session), 0);
    assert_int_equal(hark_stats_get(&rig->stats.deliveries), 4); // what has arrived
    sequence.position.offset += 1000; // made up: what is not there cannot be acknowledged
    flood(rig, "a", 2, &RIG_HISTORY);
    hark_backlog_acknowledge(session, &cursor, &sequence);
    assert_int_equal(hark_backlog_count(session), 0);
    end(rig, poll);
}

static void test_slow_poll_goes_on_behind_a_told_gap(void **state)
{
    struct rig *rig = *state;
    rig->policy.queue_bytes = 1000;
    const struct hark_channel_options close = {.history_count = 3, .slow = HARK_SLOW_CLOSE};
    const struct hark_channel_options *const all[] = {&close, &BARE};
    for (size_t k = 0; k < 2; k++) {
        struct rig_transport *poll = rig_transport_new(rig, &rig_poll_ops);
        struct hark_session *session = rig_session(rig, poll);
        const char *name = k == 0 ? "a" : "b";
        rig_join(session, name, all[k]);
        flood(rig, name, 50, all[k]);
        assert_false(poll->has_ended);
        bool has_gap = false;
        int last = -1;
        for (int round = 0; round < 100 && last < 49; round++) {
            size_t count = hark_backlog_count(session);
            struct hark_place sequence = hark_backlog_sequence(session);
            struct hark_place room[HARK_PLACES_MAX];
            struct hark_places cursor = cursor_of(session, count, room);
            for (size_t i = 0; i < count; i++) {
                const struct hark_msg *msg = hark_backlog_at(session, i);
                if (hark_slice_is(msg->event, HARK_LIT("hark.gap"))) {
                    has_gap = true;
                    continue;
                }
                char number[16] = "";
                memcpy(number, msg->payload.ptr + 1, msg->payload.len - 1);
                int n = atoi(number);
                assert_true(n == last + 1 || (has_gap && n > last));
                last = n;
            }
            sequence.position.offset += count;
            hark_backlog_acknowledge(session, &cursor, &sequence);
            hark_backlog_pump(session);
            rig_pass_time(rig, 16);
            if (k == 1 && hark_backlog_count(session) == 0) {
                rig_publish(rig, name, "b49", all[k]); // live again
                rig_tick(rig);
            }
        }
        assert_true(has_gap);
        assert_int_equal(last, 49);
        end(rig, poll);
    }
}

static void test_without_memory_passes_are_refused_and_read_later(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    (void)listener(rig, ws, "a", &RIG_HISTORY);
    for (size_t n = 0; n < 12; n++) {
        rig_publish(rig, "a", "x", &RIG_HISTORY);
        (void)hark_mailbox_drain(rig->mailbox, SIZE_MAX);
        hark_mem_fail_after(n);
        (void)hark_hub_flush(rig->hub, UINT64_MAX);
        hark_mem_fail_after(SIZE_MAX);
        rig_pass_time(rig, 50);
        hark_backlog_pump(ws->base.session); // as the heartbeat does
        rig_pass_time(rig, 50);
        rig_expect(&ws->log, "x ");
    }
    end(rig, ws);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_is_kept_through_congestion),
        TEST(test_positions_while_messages_wait),
        TEST(test_a_queue_that_was_full_for_a_tick_only),
        TEST(test_history_of_a_join_waits_behind_the_rest),
        TEST(test_batches_are_bounded),
        TEST(test_overflow_within_history_loses_nothing),
        TEST(test_reading_on_stops_when_the_stream_is_full_again),
        TEST(test_close_is_with_an_invitation_to_come_back),
        TEST(test_without_history_close_comes_at_once),
        TEST(test_oldest_is_told_as_a_gap),
        TEST(test_latest_stands_before_the_gap_until_the_newest_are_out),
        TEST(test_scripts_handle_gaps_themselves),
        TEST(test_direct_messages_are_bounded),
        TEST(test_one_message_over_the_limit_is_not_stuck),
        TEST(test_what_waits_leaves_before_the_close),
        TEST(test_polled_messages_stay_until_acknowledged),
        TEST(test_slow_poll_goes_on_behind_a_told_gap),
        TEST(test_without_memory_passes_are_refused_and_read_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
