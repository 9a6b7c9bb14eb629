// SPDX-License-Identifier: MIT
//
// Messages from clients: one at a time, held while a handler waits, POSTs in their order, and what
// each outcome looks like to the client.
#include "session/input.h"

#include "session/rig.h"

struct post {
    struct hark_reply reply;
    int answers;
    int drops;
    enum hark_outcome outcome;
    char text[32];
};

static void on_answer(struct hark_reply *reply, enum hark_outcome outcome, struct hark_slice text)
{
    struct post *post = HARK_CONTAINER_OF(reply, struct post, reply);
    post->answers++;
    post->outcome = outcome;
    (void)snprintf(post->text, sizeof(post->text), "%.*s", (int)text.len,
                   text.ptr == NULL ? "" : text.ptr);
}

static void on_drop(struct hark_reply *reply)
{
    HARK_CONTAINER_OF(reply, struct post, reply)->drops++;
}

static const struct hark_reply_ops post_ops = {on_answer, on_drop};

static struct post post_of(const char *text)
{
    return (struct post){.reply = {.ops = &post_ops, .data = hark_slice_text(text)}};
}

static void end(struct rig *rig, struct rig_transport *transport)
{
    if (transport->base.session != NULL) {
        hark_session_close(transport->base.session, 1000, HARK_SLICE_NONE);
    }
    rig_tick(rig);
    rig_transport_free(transport);
}

static void test_ready(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = NULL;
    const struct hark_session_options options = {.policy = &rig->policy, .view = &rig->view};
    rig->opens_later = true;
    assert_int_equal(hark_session_new(&rig->env, &options, &session), 0);
    assert_false(hark_input_is_ready(session)); // not before the start
    hark_session_start(session);
    assert_true(hark_input_is_ready(session)); // conn:request inside open
    hark_session_hold(session, true);
    assert_false(hark_input_is_ready(session));
    hark_session_hold(session, false);
    assert_true(hark_input_is_ready(session));
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    assert_false(hark_input_is_ready(session));
    rig_tick(rig);
}

static void test_transport_is_resumed_after_a_hold(void **state)
{
    struct rig *rig = *state;
    struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
    struct hark_session *session = rig_session(rig, ws);
    rig_tick(rig);
    unsigned before = ws->resumes;
    hark_session_hold(session, true);
    hark_session_hold(session, false);
    assert_int_equal(ws->resumes, before); // not inside the handler's own call
    rig_tick(rig);
    assert_int_equal(ws->resumes, before + 1);
    hark_session_hold(session, true);
    hark_session_hold(session, false);
    hark_session_hold(session, true); // changed its mind
    rig_tick(rig);
    assert_int_equal(ws->resumes, before + 1);
    end(rig, ws);
}

static void test_posts_keep_their_order(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    struct post posts[] = {post_of("one"), post_of("two"), post_of("three")};
    assert_int_equal(hark_input_post(session, &posts[0].reply), 0);
    assert_int_equal(posts[0].answers, 1);
    hark_session_hold(session, true);
    assert_int_equal(hark_input_post(session, &posts[1].reply), 0);
    assert_int_equal(hark_input_post(session, &posts[2].reply), 0);
    assert_true(posts[1].reply.is_waiting);
    rig_tick(rig);
    rig_expect(&rig->log, "open message(one) ");
    hark_session_hold(session, false);
    rig_tick(rig);
    rig_expect(&rig->log, "message(two) message(three) ");
    assert_int_equal(posts[2].answers, 1);
    assert_int_equal(hark_stats_get(&rig->stats.messages_in), 3);
    assert_int_equal(hark_stats_get(&rig->stats.bytes_in), 11);
}

static void hold_again(struct rig *rig, struct hark_session *session)
{
    (void)rig;
    hark_session_hold(session, true);
}

static void test_one_post_at_a_time(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    struct post posts[] = {post_of("one"), post_of("two"), post_of("three")};
    rig->on_message = hold_again; // each handler waits
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hark_input_post(session, &posts[i].reply), 0);
    }
    rig_tick(rig);
    rig_expect(&rig->log, "open message(one) ");
    hark_session_hold(session, false);
    rig_tick(rig);
    rig_expect(&rig->log, "message(two) ");
    hark_session_hold(session, false);
    rig_tick(rig);
    rig_expect(&rig->log, "message(three) ");
}

static void test_too_many_posts(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    struct post posts[HARK_INPUT_POSTS + 1];
    hark_session_hold(session, true);
    for (size_t i = 0; i <= HARK_INPUT_POSTS; i++) {
        posts[i] = post_of("x");
        int want = i < HARK_INPUT_POSTS ? 0 : HARK_EFULL;
        assert_int_equal(hark_input_post(session, &posts[i].reply), want);
    }
    hark_input_forget(session, &posts[3].reply); // its client has gone
    assert_false(posts[3].reply.is_waiting);
    assert_int_equal(hark_input_post(session, &posts[HARK_INPUT_POSTS].reply), 0);
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    for (size_t i = 0; i <= HARK_INPUT_POSTS; i++) {
        assert_int_equal(posts[i].drops, i != 3);
    }
    assert_int_equal(hark_input_post(session, &posts[0].reply), HARK_ECLOSED);
    rig_tick(rig);
}

static void test_outcomes_on_a_websocket(void **state)
{
    struct rig *rig = *state;

    static const struct {
        enum hark_outcome outcome;
        const char *told;
        uint16_t code;
        const char *why;
    } cases[] = {
        {HARK_OUTCOME_OK, "", 0, ""},
        {HARK_OUTCOME_REFUSED, "hark.error={\"error\":\"why\"} ", 0, ""},
        {HARK_OUTCOME_INVALID, "hark.error={\"error\":\"invalid_message\"} ", 0, ""},
        {HARK_OUTCOME_FAILED, "", 1011, "internal error why"},
        {HARK_OUTCOME_LATER, "", 1013, "try again later"},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        struct rig_transport *ws = rig_transport_new(rig, &rig_raw_ops);
        struct hark_session *session = rig_session(rig, ws);
        ws->log.len = 0;
        ws->log.text[0] = '\0';
        rig->outcome = cases[i].outcome;
        hark_input_message(session, HARK_LIT("x"), false);
        rig_expect(&ws->log, cases[i].told);
        assert_int_equal(ws->has_ended, cases[i].code != 0);
        assert_int_equal(ws->ending.code, cases[i].code);
        assert_string_equal(ws->why, cases[i].why);
        end(rig, ws);
    }
}

static void test_outcomes_of_a_post(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    for (int outcome = HARK_OUTCOME_OK; outcome <= HARK_OUTCOME_INVALID; outcome++) {
        struct post post = post_of("x");
        rig->outcome = (enum hark_outcome)outcome;
        assert_int_equal(hark_input_post(session, &post.reply), 0);
        assert_int_equal(post.answers, 1);
        assert_int_equal(post.outcome, outcome);
        assert_string_equal(post.text, "why");
    }
    assert_true(hark_session_is_open(session)); // it lives on, whatever a handler did
}

static void test_answer_after_the_end(void **state)
{
    struct rig *rig = *state;
    struct hark_session *session = rig_session(rig, NULL);
    struct post post = post_of("x");
    rig->answers_later = true;
    rig->keeps = true;
    assert_int_equal(hark_input_post(session, &post.reply), 0);
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    rig_tick(rig);
    assert_int_equal(post.answers, 0);
    hark_session_answer(session, rig->reply, HARK_OUTCOME_OK, HARK_SLICE_NONE);
    assert_int_equal(post.answers, 1);
    assert_int_equal(post.drops, 0);
    hark_session_release(session);
    rig_tick(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ready),
        TEST(test_transport_is_resumed_after_a_hold),
        TEST(test_posts_keep_their_order),
        TEST(test_one_post_at_a_time),
        TEST(test_too_many_posts),
        TEST(test_outcomes_on_a_websocket),
        TEST(test_outcomes_of_a_post),
        TEST(test_answer_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
