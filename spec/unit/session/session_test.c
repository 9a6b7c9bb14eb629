// SPDX-License-Identifier: MIT
//
// Life of a session: its states, its end in every state, timers, and being found.
#include "session/session.h"

#include "session/epitaph.h"
#include "session/rig.h"

static void test_open_close_release(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_expect(&rig->log, "open ");
    assert_true(hark_session_is_open(session));
    assert_ptr_equal(hark_session_endpoint(session), rig);
    assert_int_equal(hark_session_kind(session), HARK_TRANSPORT_WEBSOCKET);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_websocket), 1);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_opened), 1);
    assert_int_equal(hark_session_count(&rig->env), 1);
    hark_session_close(session, 4000, HARK_LIT("enough"));
    assert_false(hark_session_is_open(session));
    assert_true(ws->has_ended);
    assert_int_equal(ws->ending.code, 4000);
    assert_string_equal(ws->why, "enough");
    rig_expect(&rig->log, ""); // never inside
    hark_session_close(session, 4001, HARK_LIT("again"));
    rig_tick(rig);
    rig_expect(&rig->log, "close(4000 enough) ");
    assert_int_equal(hark_session_count(&rig->env), 0);
    assert_int_equal(hark_stats_get(&rig->stats.sessions_websocket), 0);
    rig_transport_free(ws);
}

static void test_calls_after_the_end(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig->keeps = true;
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    rig_tick(rig);
    const struct hark_start live = {.rewind = 0};
    assert_int_equal(rig_direct(session, "x"), HARK_ECLOSED);
    assert_int_equal(
        hark_session_join(session, HARK_LIT("a"), &RIG_HISTORY, &live, NULL, rig_on_joined, NULL),
        HARK_ECLOSED);
    assert_int_equal(hark_session_after(session, 10, HARK_LIT("t")), HARK_ECLOSED);
    assert_false(hark_session_leave(session, HARK_LIT("a")));
    hark_session_opened(session);
    hark_session_hold(session, true);
    hark_session_hold(session, false);
    hark_session_drain(session, HARK_LIT("x"));
    rig_tick(rig);
    rig_expect(&rig->log, "open close(1000 ) ");
    // Still there for whoever kept the serial, but its id is free.
    uint64_t serial = hark_session_serial(session);
    assert_ptr_equal(hark_session_find_serial(&rig->env, serial), session);
    assert_null(hark_session_find_id(&rig->env, hark_session_id(session)));
    hark_session_release(session);
    assert_null(hark_session_find_serial(&rig->env, serial));
    rig_tick(rig);
    rig_transport_free(ws);
}

static void test_close_inside_open(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    rig->opens_later = true;
    struct hark_session *session = rig_session(rig, sse);
    hark_session_close(session, 1000, HARK_LIT("nothing here"));
    hark_session_opened(session);
    rig_tick(rig);
    rig_expect(&rig->log, "open close(1000 nothing here) ");
    rig_expect(&sse->log, ""); // no head: the transport answers by its ending
    assert_int_equal(sse->ending.code, 1000);
    rig_transport_free(sse);
}

static void test_transport_lost_before_start(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = NULL;
    const struct hark_session_options options = {.policy = &rig->policy, .view = &rig->view};
    assert_int_equal(hark_session_new(&rig->env, &options, &session), 0);
    hark_link_attach(session, &ws->base, ws, 0);
    hark_link_gone(&ws->base, 1001, HARK_LIT("left"), true);
    rig_tick(rig);
    rig_expect(&rig->log, ""); // the caller has not attached its data yet
    hark_session_start(session);
    rig_tick(rig);
    rig_expect(&rig->log, "open close(1001 connection lost) ");
    rig_transport_free(ws);
}

static void test_discard(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = NULL;
    const struct hark_session_options options = {.policy = &rig->policy, .view = &rig->view};
    assert_int_equal(hark_session_new(&rig->env, &options, &session), 0);
    hark_session_discard(session);
    rig_tick(rig);
    rig_expect(&rig->log, "");
    assert_int_equal(hark_session_count(&rig->env), 0);
}

static void test_ids(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    struct hark_slice token = hark_session_id(session);
    unsigned worker = 99;
    assert_true(token.len >= 22);
    assert_true(hark_session_is_token(token));
    assert_int_equal(hark_session_owner(&rig->env, token, &worker), 0);
    assert_int_equal(worker, 0);
    assert_ptr_equal(hark_session_find_id(&rig->env, token), session);
    const struct hark_slice chosen = HARK_LIT("0123456789-abcdefghij_");
    const struct hark_session_options options = {.id = chosen};
    struct hark_session *mine = rig_session_with(rig, NULL, options);
    assert_ptr_equal(hark_session_find_id(&rig->env, chosen), mine);
    assert_false(hark_session_is_token(chosen));
    struct hark_session *other = NULL;
    struct hark_session_options again = {.id = chosen, .policy = &rig->policy, .view = &rig->view};
    assert_int_equal(hark_session_new(&rig->env, &again, &other), HARK_EEXIST);
    again.id = HARK_LIT("short");
    assert_int_equal(hark_session_new(&rig->env, &again, &other), HARK_EINVAL);
    again.id = token; // a host's own form is not to be chosen
    assert_int_equal(hark_session_new(&rig->env, &again, &other), HARK_EINVAL);
    hark_session_close(mine, 1000, HARK_SLICE_NONE);
    assert_null(hark_session_find_id(&rig->env, chosen));
    again.id = chosen;
    assert_int_equal(hark_session_new(&rig->env, &again, &other), 0); // free at once
    hark_session_start(other);
    rig_tick(rig);
}

static bool close_each(void *ctx, struct hark_session *session)
{
    unsigned *left = ctx;
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    return --*left > 0;
}

static void test_each_may_close(void **state)
{
    struct rig *rig = *state;
    for (int i = 0; i < 200; i++) {
        (void)rig_session(rig, NULL);
    }
    unsigned left = 150;
    hark_session_each(&rig->env, close_each, &left);
    rig_tick(rig);
    assert_int_equal(hark_session_count(&rig->env), 50);
    left = 1000;
    hark_session_each(&rig->env, close_each, &left);
    assert_int_equal(left, 950);
    rig_tick(rig);
    assert_int_equal(hark_session_count(&rig->env), 0);
}

static void test_named_timers(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    rig_expect(&rig->log, "open ");
    assert_int_equal(hark_session_after(session, 100, HARK_LIT("quiet")), 0);
    assert_int_equal(hark_session_after(session, 200, HARK_LIT("late")), 0);
    assert_int_equal(hark_session_after(session, 300, HARK_LIT("quiet")), 0); // replaces
    assert_true(hark_session_cancel(session, HARK_LIT("late")));
    assert_false(hark_session_cancel(session, HARK_LIT("late")));
    rig_pass_time(rig, 290);
    rig_expect(&rig->log, "");
    rig_pass_time(rig, 40);
    rig_expect(&rig->log, "timer(quiet) ");
    assert_int_equal(hark_session_after(session, 10, HARK_SLICE_NONE), HARK_EINVAL);
    int status = 0;
    for (int i = 0; i < 100 && status == 0; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "t%d", i);
        status = hark_session_after(session, 10, hark_slice_text(name));
    }
    assert_int_equal(status, HARK_EFULL);
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    rig_pass_time(rig, 100);
    rig_expect(&rig->log, "close(1000 ) ");
}

static void test_heartbeat_is_the_transports(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    ws->beat_ms = 1000;
    hark_link_arm(session, 1000);
    rig_pass_time(rig, 5050);
    assert_int_equal(ws->beats, 5);
    ws->beat_ms = 0;
    rig_pass_time(rig, 5000);
    assert_int_equal(ws->beats, 6);
    rig_pass_time(rig, 5000);
    assert_int_equal(ws->beats, 6);
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    rig_tick(rig);
    rig_transport_free(ws);
}

static void test_phases_are_spread(void **state)
{
    struct rig *rig = *state;
    unsigned quarters[4] = {0};
    for (int i = 0; i < 400; i++) {
        struct hark_session *session = rig_session(rig, NULL);
        uint64_t phase = hark_link_phase(session, 25000);
        assert_in_range(phase, 1, 25000);
        quarters[(phase - 1) * 4 / 25000]++;
    }
    for (size_t i = 0; i < 4; i++) {
        assert_in_range(quarters[i], 80, 120);
    }
}

static void test_drain_retires(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    hark_session_drain(session, HARK_LIT("stopping"));
    hark_session_drain(session, HARK_LIT("stopping"));
    rig_tick(rig);
    rig_expect(&rig->log, "open drain(stopping) close(1012 draining) ");
    assert_true(ws->ending.is_retiring);
    assert_int_equal(ws->ending.retry_ms, 1234);
    rig->handlers.drain = NULL;
    struct rig_transport *other = rig_transport_new(rig, &rig_raw_ops);
    hark_session_drain(rig_session(rig, other), HARK_LIT("stopping"));
    assert_true(other->ending.is_retiring);
    assert_in_range(other->ending.retry_ms, 1000, 6000);
    rig_tick(rig);
    rig_transport_free(ws);
    rig_transport_free(other);
}

static void test_stop_drops_what_is_left(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_join(session, "a", &RIG_HISTORY);
    assert_int_equal(hark_session_after(session, 100, HARK_LIT("t")), 0);
    ws->is_congested = true;
    assert_int_equal(rig_direct(session, "waits"), 0);
    rig->keeps = true;
    hark_session_close(rig_session(rig, NULL), 1000, HARK_LIT("not released yet"));
    hark_session_env_deinit(&rig->env);
    assert_true(ws->is_aborted);
    assert_null(ws->base.session);
    assert_int_equal(hark_session_env_init(&rig->env), 0);
    rig_transport_free(ws);
}

static void test_address(void **state)
{
    struct rig *rig = *state;
    char text[64];
    struct hark_session_options options = {.peer_family = 4, .peer = {127, 0, 0, 1}};
    struct hark_session *session = rig_session_with(rig, NULL, options);
    assert_int_equal(hark_session_peer_text(session, text), 9);
    assert_string_equal(text, "127.0.0.1");
    options.peer_family = 6;
    memset(options.peer, 0, sizeof(options.peer));
    options.peer[15] = 1;
    (void)hark_session_peer_text(rig_session_with(rig, NULL, options), text);
    assert_string_equal(text, "::1");
    options.peer_family = 0;
    (void)hark_session_peer_text(rig_session_with(rig, NULL, options), text);
    assert_string_equal(text, "unix");
}

static void test_epitaphs(void **state)
{
    struct rig *rig = *state;
    struct hark_epitaphs *epitaphs = rig->env.epitaphs;
    uint16_t code = 0;
    struct hark_slice why = HARK_SLICE_NONE;
    hark_epitaphs_put(epitaphs, HARK_LIT("one"), 4002, HARK_LIT("enough"), rig->now_ms + 100);
    assert_false(hark_epitaphs_find(epitaphs, HARK_LIT("two"), &code, &why));
    assert_true(hark_epitaphs_find(epitaphs, HARK_LIT("one"), &code, &why));
    assert_int_equal(code, 4002);
    assert_true(hark_slice_is(why, HARK_LIT("enough")));
    rig_pass_time(rig, 120);
    assert_false(hark_epitaphs_find(epitaphs, HARK_LIT("one"), &code, &why));
    for (int i = 0; i < HARK_EPITAPHS_MAX + 10; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "id%d", i);
        hark_epitaphs_put(epitaphs, hark_slice_text(id), 1000, HARK_SLICE_NONE, rig->now_ms + 100);
    }
    assert_false(hark_epitaphs_find(epitaphs, HARK_LIT("id9"), &code, &why));
    assert_true(hark_epitaphs_find(epitaphs, HARK_LIT("id10"), &code, &why));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open_close_release),
        TEST(test_calls_after_the_end),
        TEST(test_close_inside_open),
        TEST(test_transport_lost_before_start),
        TEST(test_discard),
        TEST(test_ids),
        TEST(test_each_may_close),
        TEST(test_named_timers),
        TEST(test_heartbeat_is_the_transports),
        TEST(test_phases_are_spread),
        TEST(test_drain_retires),
        TEST(test_stop_drops_what_is_left),
        TEST(test_address),
        TEST(test_epitaphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
