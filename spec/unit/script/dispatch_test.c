// SPDX-License-Identifier: MIT
//
// script/dispatch, run, queue: which handler runs when, and what its end means.
#include "script/worker.h"

#include "session/handlers.h"

// A message by POST, and what became of it.
struct post {
    struct hark_reply base;
    int answered;
    enum hark_outcome outcome;
    char text[256];
};

static void post_answer(struct hark_reply *reply, enum hark_outcome outcome, struct hark_slice text)
{
    struct post *post = HARK_CONTAINER_OF(reply, struct post, base);
    post->answered++;
    post->outcome = outcome;
    (void)snprintf(post->text, sizeof(post->text), "%.*s", (int)text.len,
                   text.ptr == NULL ? "" : text.ptr);
}

static void post_drop(struct hark_reply *reply)
{
    HARK_CONTAINER_OF(reply, struct post, base)->answered = -1;
}

static const struct hark_reply_ops post_ops = {post_answer, post_drop};

static void
client_post(struct worker *worker, struct client *client, struct post *post, const char *text)
{
    memset(post, 0, sizeof(*post));
    post->base.ops = &post_ops;
    post->base.data = hark_slice_text(text);
    assert_int_equal(hark_input_post(client->session, &post->base), 0);
    worker_tick(worker);
}

static void test_a_life(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return {"
                     "open = function(conn) conn:send('hello') end,"
                     "message = function(conn, text, kind) conn:send(kind .. ':' .. text) end,"
                     "close = function(conn, why, code) log[#log + 1] = code .. ' ' .. why end }");
    client_connect(worker, &client, NULL);
    client_got(&client, "hello ");
    assert_true(client_say(worker, &client, "one"));
    assert_true(client_say(worker, &client, "two"));
    client_got(&client, "text:one text:two ");
    hark_session_close(client.session, 4000, HARK_LIT("enough"));
    worker_tick(worker);
    lua_is(worker, "return log[1]", "4000 enough");
    assert_int_equal(hark_session_count(&worker->env), 0);
    assert_int_equal(worker_slot(worker)->sessions, 0);
}

static void test_an_endpoint_without_handlers(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct post post;
    endpoint(worker, "return {}");
    client_connect(worker, &client, NULL);
    client_post(worker, &client, &post, "hello");
    assert_int_equal(post.outcome, HARK_OUTCOME_REFUSED);
    assert_string_equal(post.text, "this endpoint takes no messages");
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_tick(worker);
    assert_int_equal(hark_session_count(&worker->env), 0);
}

static void test_outcomes(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct post post;
    endpoint(worker, "return { message = function(conn, text) return load(text)() end }");
    client_connect(worker, &client, NULL);

    static const struct {
        const char *text;
        enum hark_outcome outcome;
        const char *why;
    } cases[] = {
        {"", HARK_OUTCOME_OK, ""},
        {"return true", HARK_OUTCOME_OK, ""},
        {"return nil", HARK_OUTCOME_OK, ""},
        {"return false", HARK_OUTCOME_OK, ""},
        {"return 1, 2", HARK_OUTCOME_OK, ""},
        {"return nil, 'text missing'", HARK_OUTCOME_REFUSED, "text missing"},
        {"return false, 'no'", HARK_OUTCOME_REFUSED, "no"},
        {"return nil, 42", HARK_OUTCOME_REFUSED, "42"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client_post(worker, &client, &post, cases[i].text);
        assert_int_equal(post.answered, 1);
        assert_int_equal(post.outcome, cases[i].outcome);
        assert_string_equal(post.text, cases[i].why);
    }
    hark_log_set_level(HARK_LOG_ERROR + 1);
    client_post(worker, &client, &post, "error('secret of the script')");
    assert_int_equal(post.outcome, HARK_OUTCOME_FAILED);
    assert_int_equal(strlen(post.text), 8); // a reference, nothing else
    client_post(worker, &client, &post, "while true do end");
    assert_int_equal(post.outcome, HARK_OUTCOME_FAILED);
    assert_int_equal(hark_stats_get(&worker->stats.handler_stopped), 1);
    client_post(worker, &client, &post, "return true");
    assert_int_equal(post.outcome, HARK_OUTCOME_OK);
    // On a WebSocket an error closes.
    assert_true(client_say(worker, &client, "error('x')"));
    assert_true(client.ended);
    assert_int_equal(client.code, 1011);
}

static void test_one_at_a_time_and_in_order(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct client other;
    endpoint(worker, "return { message = function(conn, text) conn:send('<' .. text) core.sleep(1) "
                     "conn:send(text .. '>') end }");
    client_connect(worker, &client, NULL);
    client_connect(worker, &other, NULL);
    assert_true(client_say(worker, &client, "a"));
    assert_true(client_say(worker, &client, "b"));  // one more is taken
    assert_false(client_say(worker, &client, "c")); // then it is held
    assert_true(client_say(worker, &other, "x"));   // others go on
    client_got(&client, "<a ");
    client_got(&other, "<x ");
    worker_pass(worker, 1010);
    client_got(&client, "a> <b ");
    assert_true(client.resumes > 0);
    assert_true(client_say(worker, &client, "c"));
    worker_pass(worker, 2100);
    client_got(&client, "b> <c c> ");
}

static void test_messages_wait_for_open(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { open = function(conn) core.sleep(1) conn:send('open') end,"
                     "message = function(conn, text) conn:send(text) end }");
    client_connect(worker, &client, NULL);
    assert_true(client_say(worker, &client, "early"));
    client_got(&client, "");
    worker_pass(worker, 1010);
    client_got(&client, "open early ");
}

static void test_open_that_fails_or_refuses(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { open = function(conn) return nil, 'not today' end,"
                     "close = function() log[#log + 1] = 'closed' end }");
    client_connect(worker, &client, NULL);
    assert_int_equal(client.code, 1008);
    assert_string_equal(client.why, "not today");
    worker_tick(worker);
    lua_is(worker, "return table.concat(log)", "closed");
    endpoint(worker, "return { open = function(conn) error('bad') end }");
    hark_log_set_level(HARK_LOG_ERROR + 1);
    client_connect(worker, &client, NULL);
    assert_int_equal(client.code, 1011);
    assert_memory_equal(client.why, "reference ", 10);
}

static void test_close_comes_last(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker,
             "return { message = function(conn, text) log[#log + 1] = text core.sleep(1) "
             "log[#log + 1] = tostring(select(2, conn:send('x'))) .. tostring(conn.id ~= nil) end,"
             "close = function(conn) log[#log + 1] = 'close' end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "a");
    client_say(worker, &client, "b");
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_pass(worker, 3000);
    lua_is(worker, "return table.concat(log, ' ')", "a closedtrue b closedtrue close");
    assert_int_equal(hark_session_count(&worker->env), 0);
}

static void test_timers_by_name(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { message = function(conn, text) return eval(text, conn) end,"
                     "timers = { quiet = function(conn) conn:send('quiet') end } }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "conn:after(1, 'quiet') conn:after('2s', 'quiet')");
    worker_pass(worker, 1900);
    client_got(&client, "");
    worker_pass(worker, 200);
    client_got(&client, "quiet ");
    client_say(worker, &client,
               "conn:after(1, 'quiet') conn:send(tostring(conn:cancel('quiet')) .. "
               "tostring(conn:cancel('quiet')))");
    worker_pass(worker, 2000);
    client_got(&client, "truefalse ");
    // A name that nobody knows is a mistake; one that a reload took away is dropped and counted.
    client_say(worker, &client, "conn:send(select(2, pcall(conn.after, conn, 1, 'qiet')))");
    client_got(&client, "conn:after: there is no function \"qiet\" in timers of /test ");
    client_say(worker, &client, "conn:after(1, 'quiet')");
    endpoint(worker, "return { timers = { other = function(conn) end } }");
    worker_pass(worker, 1100);
    client_got(&client, "");
    assert_int_equal(hark_stats_get(&worker->stats.timers_dropped), 1);
}

static void test_a_reload_changes_the_next_event(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { generation = 1, open = function(conn) conn.data.n = 0 end,"
                     "message = function(conn) conn.data.n = conn.data.n + 1 core.sleep(1) "
                     "conn:send('old ' .. conn.data.n) end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "");
    client_say(worker, &client, "");
    endpoint(worker,
             "return { generation = 2, message = function(conn) conn.data.n = conn.data.n + 1 "
             "conn:send('new ' .. conn.data.n) end }");
    worker_pass(worker, 1100);
    client_got(&client, "old 1 new 2 ");
}

static void test_upgrade(void **state)
{
    struct worker *worker = *state;
    struct client a;
    struct client b;
    endpoint(worker, "return { version = 1, open = function(conn) conn.data.list = {1} end,"
                     "message = function(conn) conn:send('v1') end }");
    client_connect(worker, &a, NULL);
    client_connect(worker, &b, NULL);
    endpoint(worker,
             "return { version = 3, upgrade = function(conn, from) conn.data.from = from "
             "conn.data.list[2] = 2 end,"
             "message = function(conn) conn:send(conn.data.from .. ' ' .. #conn.data.list) end }");
    client_say(worker, &a, "");
    client_say(worker, &a, "");
    client_got(&a, "1 2 1 2 ");
    // One that fails, or wants to wait, leaves the data untouched, and the connection goes on.
    hark_log_set_level(HARK_LOG_ERROR + 1);
    endpoint(worker, "return { version = 4, upgrade = function(conn) conn.data.list[1] = 'half' "
                     "core.sleep(1) end,"
                     "message = function(conn) conn:send('' .. conn.data.list[1]) end }");
    client_say(worker, &a, "");
    client_say(worker, &b, "");
    client_got(&a, "1 ");
    client_got(&b, "1 ");
    assert_int_equal(hark_stats_get(&worker->stats.handler_errors), 2);
    // An older version, as after a rollback, calls nothing.
    endpoint(worker, "return { version = 2, upgrade = function() error('never') end,"
                     "message = function(conn) conn:send('back') end }");
    client_say(worker, &a, "");
    client_got(&a, "back ");
    assert_int_equal(hark_stats_get(&worker->stats.handler_errors), 2);
}

static void test_codecs(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct post post;
    endpoint(worker, "return { codec = 'json', message = function(conn, msg) conn:send({ got = "
                     "msg.n + 1 }) end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "{\"n\":41}");
    client_got(&client, "{\"got\":42} ");
    client_post(worker, &client, &post, "{broken");
    assert_int_equal(post.outcome, HARK_OUTCOME_INVALID);
    assert_non_null(strstr(post.text, "not JSON: expected a name in double quotes at byte 2"));
    endpoint(worker, "return { codec = { decode = function(data, kind) if data == 'bad' then "
                     "return nil, 'no such' end "
                     "return { data, kind } end, encode = function(v) return '[' .. tostring(v) .. "
                     "']', 'binary' end },"
                     "message = function(conn, msg) conn:send(msg[1] .. msg[2]) end }");
    client_say(worker, &client, "x");
    client_got(&client, "#[xtext] ");
    client_post(worker, &client, &post, "bad");
    assert_int_equal(post.outcome, HARK_OUTCOME_INVALID);
    assert_string_equal(post.text, "no such");
    endpoint(worker,
             "return { codec = { decode = function(data) core.sleep(1) end }, message = print }");
    hark_log_set_level(HARK_LOG_ERROR + 1);
    client_post(worker, &client, &post, "x");
    assert_int_equal(post.outcome, HARK_OUTCOME_FAILED);
}

static void test_request(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { codec = 'json', message = function(conn, msg) "
                     "if msg == 'slow' then core.sleep(1) end "
                     "local answer, why = conn:request({ ask = 1 }, 2) "
                     "conn:send({ answer or core.json.null, why }) end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "\"go\"");
    client_got(&client, "{\"ask\":1} ");
    client_say(worker, &client, "\"mine\"");
    client_got(&client, "[\"mine\"] ");
    // A message that was held already is not the answer.
    client_say(worker, &client, "\"slow\"");
    client_say(worker, &client, "\"held\"");
    assert_false(hark_input_is_ready(client.session));
    worker_pass(worker, 1010);
    client_got(&client, "{\"ask\":1} ");
    assert_true(client_say(worker, &client, "\"answer\""));
    client_got(&client, "[\"answer\"] {\"ask\":1} ");
    worker_pass(worker, 2100);
    client_got(&client, "[null,\"timeout\"] ");
    assert_true(hark_input_is_ready(client.session));
    client_say(worker, &client, "\"go\"");
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_tick(worker);
    assert_int_equal(hark_session_count(&worker->env), 0);
    assert_int_equal(hark_tasks_live(worker->script->tasks), 0);
}

static void test_attach_detach_gap_drain(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker,
             "return { policy = { grace_ms = 1000 },"
             "attach = function(conn, transport) log[#log + 1] = 'attach ' .. transport end,"
             "detach = function(conn, why, clean) log[#log + 1] = 'detach ' .. why .. "
             "tostring(clean) end,"
             "drain = function(conn, why) conn:send('bye: ' .. why) return 5 end }");
    client_connect(worker, &client, NULL);
    struct hark_session *session = client.session;
    hark_link_gone(&client.base, 1006, HARK_LIT("lost"), false);
    worker_tick(worker);
    lua_is(worker, "return table.concat(log, ';')", "detach lostfalse");
    struct client again = {.base.ops = &client_ops, .session = session};
    hark_link_attach(session, &again.base, &again, 0);
    worker_tick(worker);
    lua_is(worker, "return log[2]", "attach websocket");
    hark_script_drain(worker->script);
    worker_tick(worker);
    client_got(&again, "bye: shutdown ");
    assert_true(again.ended);
    assert_int_equal(again.code, 1012);
    lua_is(worker, "return stopped", "true");
}

static void test_stopping_answers_what_is_under_way(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct post post;
    endpoint(worker, "return { message = function(conn) core.sleep(30) end }");
    client_connect(worker, &client, NULL);
    client_post(worker, &client, &post, "x");
    assert_int_equal(post.answered, 0);
    hark_script_stop(worker->script);
    assert_int_equal(post.answered, 1);
    assert_int_equal(post.outcome, HARK_OUTCOME_LATER);
}

// Whatever fails: an outcome for each message, no crash, and the worker goes on.
static void test_every_allocation_may_fail(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct post post;
    endpoint(
        worker,
        "return { codec = 'json', message = function(conn, msg) conn.data.x = msg core.sleep(1) "
        "return conn:send({ msg }) end }");
    client_connect(worker, &client, NULL);
    hark_log_set_level(HARK_LOG_ERROR + 1);
    for (size_t n = 0; n < 120; n++) {
        memset(&post, 0, sizeof(post));
        post.base.ops = &post_ops;
        post.base.data = HARK_LIT("{\"a\":[1,\"b\"]}");
        hark_mem_fail_after(n);
        assert_int_equal(hark_input_post(client.session, &post.base), 0);
        worker_pass(worker, 1010);
        hark_mem_fail_after(SIZE_MAX);
        worker_pass(worker, 16);
        assert_int_equal(post.answered, 1);
        client.got[0] = '\0';
    }
    assert_int_equal(post.outcome, HARK_OUTCOME_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_life),
        TEST(test_an_endpoint_without_handlers),
        TEST(test_outcomes),
        TEST(test_one_at_a_time_and_in_order),
        TEST(test_messages_wait_for_open),
        TEST(test_open_that_fails_or_refuses),
        TEST(test_close_comes_last),
        TEST(test_timers_by_name),
        TEST(test_a_reload_changes_the_next_event),
        TEST(test_upgrade),
        TEST(test_codecs),
        TEST(test_request),
        TEST(test_attach_detach_gap_drain),
        TEST(test_stopping_answers_what_is_under_way),
        TEST(test_every_allocation_may_fail),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
