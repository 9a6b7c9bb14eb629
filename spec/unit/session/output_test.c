// SPDX-License-Identifier: MIT
//
// From passes to bytes: shared blocks for those who keep up, private ones with positions for those
// with several channels, views, and the order of all that goes to one client.
#include "session/output.h"

#include "session/rig.h"
#include "session/state.h"

static struct hark_session *
listener(struct rig *rig, struct rig_transport *transport, const char *channels)
{
    struct hark_session *session = rig_session(rig, transport);
    for (; *channels != '\0'; channels++) {
        const char name[] = {*channels, '\0'};
        rig_join(session, name, &RIG_HISTORY);
    }
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

static void test_a_pass_is_one_block_for_all(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws[3];
    for (size_t i = 0; i < 3; i++) {
        ws[i] = rig_transport_new(rig, &rig_raw_ops);
        (void)listener(rig, ws[i], "a");
        rig_expect(&ws[i]->log, "opened() ");
    }
    rig_publish(rig, "a", "one", &RIG_HISTORY);
    rig_publish(rig, "a", "two", &RIG_HISTORY);
    rig_publish(rig, "a", "three", &RIG_HISTORY);
    rig_tick(rig);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ws[i]->writes, 1);
        assert_ptr_equal(ws[i]->chunk, ws[0]->chunk);
        rig_expect(&ws[i]->log, "one two three ");
    }
    assert_int_equal(hark_stats_get(&rig->stats.deliveries), 9);
    for (size_t i = 0; i < 3; i++) {
        end(rig, ws[i]);
    }
}

static void test_one_message_is_made_once_for_all_workers(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    (void)listener(rig, ws, "a");
    struct hark_msg *msg = NULL;
    const struct hark_msg_draft draft = {.channel = HARK_LIT("a"), .payload = HARK_LIT("x")};
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    struct hark_bytes *made = hark_bytes_copy(HARK_LIT("from another worker "));
    assert_ptr_equal(hark_msg_wire_store(msg, HARK_WIRE_WS, made), made);
    const struct hark_pass pass = {.id = 1000, .msgs = &msg, .count = 1};
    struct hark_sub *sub = hark_session_find(ws->base.session, HARK_LIT("a"));
    ws->log.len = 0;
    assert_true(hark_output_pass(ws->base.session, sub, &pass));
    rig_expect(&ws->log, "from another worker ");
    assert_ptr_equal(ws->chunk->bytes, made);
    hark_msg_unref(msg);
    end(rig, ws);
}

static void test_position_of_one_channel_is_shared(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *one = rig_transport_new(rig, &rig_sse_ops);
    struct rig_transport *two = rig_transport_new(rig, &rig_sse_ops);
    (void)listener(rig, one, "a");
    (void)listener(rig, two, "a");
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_publish(rig, "a", "y", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&one->log, "head opened() <a1>x <a2>y ");
    rig_expect(&two->log, "head opened() <a1>x <a2>y ");
    assert_ptr_equal(one->chunk, two->chunk);
    end(rig, one);
    end(rig, two);
}

static void test_positions_of_several_channels_are_private(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    (void)listener(rig, sse, "ab");
    sse->log.len = 0;
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_publish(rig, "a", "y", &RIG_HISTORY);
    rig_publish(rig, "b", "z", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&sse->log, "<a1.b0>x <a2.b0>y <a2.b1>z ");
    assert_int_equal(sse->writes, 2); // one a pass
    end(rig, sse);
}

static void test_a_large_body_is_shared_behind_a_private_position(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *one = rig_transport_new(rig, &rig_sse_ops);
    struct rig_transport *two = rig_transport_new(rig, &rig_sse_ops);
    (void)listener(rig, one, "ab");
    (void)listener(rig, two, "ac");
    one->log.len = 0;
    char payload[3001];
    memset(payload, 'x', 3000);
    payload[3000] = '\0';
    rig_publish(rig, "a", payload, &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(one->writes, 2);
    assert_ptr_equal(one->chunk, two->chunk);
    assert_int_equal(one->chunk->len, 3001);
    assert_memory_equal(one->log.text, "<a1.b0>xxx", 10);
    end(rig, one);
    end(rig, two);
}

static void test_outside_the_log_nothing_is_moved(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    (void)listener(rig, sse, "ab");
    sse->log.len = 0;
    struct hark_msg_draft typing = {
        .channel = HARK_LIT("a"), .payload = HARK_LIT("typing"), .flags = HARK_MSG_OUTSIDE};
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_publish_draft(rig, typing, &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&sse->log, "<a1.b0>x typing ");
    assert_int_equal(rig_direct(sse->base.session, "direct"), 0);
    rig_expect(&sse->log, "<a1.b0>direct ");
    end(rig, sse);
}

static void test_except_is_for_one_session(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *me = rig_transport_new(rig, &rig_raw_ops);
    struct rig_transport *you = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = listener(rig, me, "a");
    (void)listener(rig, you, "a");
    me->log.len = you->log.len = 0;
    struct hark_msg_draft mine = {.channel = HARK_LIT("a"),
                                  .payload = HARK_LIT("mine"),
                                  .except = hark_session_serial(session)};
    rig_publish(rig, "a", "before", &RIG_HISTORY);
    rig_publish_draft(rig, mine, &RIG_HISTORY);
    rig_publish(rig, "a", "after", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&me->log, "before after ");
    rig_expect(&you->log, "before mine after ");
    end(rig, me);
    end(rig, you);
}

static void test_direct_messages(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    struct hark_session *session = rig_session(rig, sse);
    sse->log.len = 0;
    assert_int_equal(rig_direct(session, "nowhere"), 0);
    rig_join(session, "a", &RIG_HISTORY);
    const struct hark_msg_draft named = {.event = HARK_LIT("greeting"), .payload = HARK_LIT("hi")};
    assert_int_equal(hark_session_send(session, &named), 0);
    rig_expect(&sse->log, "nowhere <a0>greeting=hi ");
    const struct hark_msg_draft bad = {.event = HARK_LIT("two\nlines"), .payload = HARK_LIT("x")};
    assert_int_equal(hark_session_send(session, &bad), HARK_EINVAL);
    const struct hark_msg_draft huge = {.payload = {"", HARK_MSG_PAYLOAD_MAX + 1}};
    assert_int_equal(hark_session_send(session, &huge), HARK_ETOOBIG);
    rig_expect(&sse->log, "");
    end(rig, sse);
}

static void test_first_output_begins_the_stream(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    rig->opens_later = true;
    struct hark_session *session = rig_session(rig, sse);
    rig_join(session, "a", &RIG_HISTORY);
    rig_expect(&sse->log, "");
    assert_int_equal(rig_direct(session, "early"), 0);
    rig_expect(&sse->log, "head <a0>early ");
    hark_session_opened(session); // the position has been told
    rig_expect(&sse->log, "");
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_tick(rig);
    rig_expect(&sse->log, "<a1>x ");
    end(rig, sse);
}

static void test_who_opens_in_silence_is_told_where_it_stands(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    rig_publish(rig, "a", "before", &RIG_HISTORY);
    rig_tick(rig);
    rig->opens_later = true;
    struct hark_session *session = rig_session(rig, sse);
    rig_join(session, "a", &RIG_HISTORY);
    hark_session_opened(session);
    rig_expect(&sse->log, "head opened(a1) ");
    end(rig, sse);
}

static void test_a_stream_that_cannot_begin_ends_the_session(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *sse = rig_transport_new(rig, &rig_sse_ops);
    sse->cannot_begin = true;
    struct hark_session *session = rig_session(rig, sse);
    assert_true(hark_session_is_open(session)); // the caller may still touch it
    rig_tick(rig);
    rig_expect(&rig->log, "open close(1006 connection lost) ");
    assert_true(sse->has_ended);
    end(rig, sse);
}

// --- views ---

struct test_view {
    struct hark_view view; // first
    unsigned runs;
    unsigned fails;
    bool closes;
};

static int transform(struct hark_view *view,
                     struct hark_session *session,
                     struct hark_msg *msg,
                     struct hark_msg **ret)
{
    struct test_view *self = (struct test_view *)(void *)view;
    self->runs++;
    if (self->closes) {
        hark_session_close(session, 4000, HARK_LIT("inside deliver"));
    }
    if (self->fails > 0) {
        self->fails--;
        return HARK_ESCRIPT;
    }
    if (hark_slice_is(msg->payload, HARK_LIT("hidden"))) {
        *ret = NULL;
        return 0;
    }
    if (hark_slice_is(msg->payload, HARK_LIT("same"))) {
        *ret = hark_msg_ref(msg);
        return 0;
    }
    char text[64];
    int len = snprintf(text, sizeof(text), "%.*s!", (int)msg->payload.len, msg->payload.ptr);
    return hark_msg_derive(msg, msg->event, hark_slice(text, (size_t)len), msg->flags, ret);
}

static struct test_view *view_new(enum hark_view_mode mode)
{
    struct test_view *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    hark_view_init(&self->view);
    self->view.mode = mode;
    self->view.transform = transform;
    return self;
}

static void view_free(struct test_view *self)
{
    hark_view_deinit(&self->view);
    free(self);
}

static void test_shared_view_runs_once_a_message(void **state)
{
    struct rig *rig = *state;
    struct test_view *view = view_new(HARK_VIEW_SHARED);
    struct rig_transport *all[6];
    const struct hark_transport_ops *const ops[] = {&rig_raw_ops, &rig_sse_ops};
    for (size_t i = 0; i < 6; i++) {
        all[i] = rig_transport_new(rig, ops[i % 2]);
        (void)listener(rig, all[i], "a");
        hark_session_set_view(all[i]->base.session, &view->view);
        all[i]->log.len = 0;
    }
    all[4]->is_congested = true;
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_publish(rig, "a", "hidden", &RIG_HISTORY);
    rig_publish(rig, "a", "same", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(view->runs, 3);
    rig_expect(&all[0]->log, "x! same ");
    rig_expect(&all[2]->log, "x! same ");
    rig_expect(&all[1]->log, "<a1>x! <a3>same ");
    assert_ptr_equal(all[1]->chunk, all[3]->chunk);
    rig_drain(rig, all[4]);
    rig_expect(&all[4]->log, "x! same ");
    assert_int_equal(view->runs, 3);
    rig_publish(rig, "a", "hidden", &RIG_HISTORY); // nothing for anybody
    rig_tick(rig);
    rig_expect(&all[0]->log, "");
    for (size_t i = 0; i < 6; i++) {
        end(rig, all[i]);
    }
    view_free(view);
}

static void test_private_view_runs_for_each(void **state)
{
    struct rig *rig = *state;
    struct test_view *view = view_new(HARK_VIEW_PRIVATE);
    struct rig_transport *one = rig_transport_new(rig, &rig_raw_ops);
    struct rig_transport *two = rig_transport_new(rig, &rig_raw_ops);
    hark_session_set_view(listener(rig, one, "a"), &view->view);
    hark_session_set_view(listener(rig, two, "a"), &view->view);
    one->log.len = two->log.len = 0;
    view->fails = 1; // an error keeps that one message back for that one client
    rig_publish(rig, "a", "x", &RIG_HISTORY);
    rig_publish(rig, "a", "y", &RIG_HISTORY);
    rig_tick(rig);
    assert_int_equal(view->runs, 4);
    rig_expect(&one->log, "y! ");
    rig_expect(&two->log, "x! y! ");
    end(rig, one);
    end(rig, two);
    view_free(view);
}

static void test_view_may_close_the_session(void **state)
{
    struct rig *rig = *state;
    for (int mode = HARK_VIEW_SHARED; mode <= HARK_VIEW_PRIVATE; mode++) {
        struct test_view *view = view_new((enum hark_view_mode)mode);
        struct rig_transport *one = rig_transport_new(rig, &rig_raw_ops);
        struct rig_transport *two = rig_transport_new(rig, &rig_raw_ops);
        hark_session_set_view(listener(rig, one, "a"), &view->view);
        hark_session_set_view(listener(rig, two, "a"), &view->view);
        view->closes = true;
        rig_publish(rig, "a", "x", &RIG_HISTORY);
        rig_tick(rig);
        bool is_private = mode == HARK_VIEW_PRIVATE;
        assert_true(one->has_ended || two->has_ended);
        assert_int_equal(one->has_ended && two->has_ended, is_private);
        view->closes = false;
        end(rig, one);
        end(rig, two);
        view_free(view);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pass_is_one_block_for_all),
        TEST(test_one_message_is_made_once_for_all_workers),
        TEST(test_position_of_one_channel_is_shared),
        TEST(test_positions_of_several_channels_are_private),
        TEST(test_a_large_body_is_shared_behind_a_private_position),
        TEST(test_outside_the_log_nothing_is_moved),
        TEST(test_except_is_for_one_session),
        TEST(test_direct_messages),
        TEST(test_first_output_begins_the_stream),
        TEST(test_who_opens_in_silence_is_told_where_it_stands),
        TEST(test_a_stream_that_cannot_begin_ends_the_session),
        TEST(test_shared_view_runs_once_a_message),
        TEST(test_private_view_runs_for_each),
        TEST(test_view_may_close_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
