// SPDX-License-Identifier: MIT
//
// script/transform: deliver per client, variants and encoders once a message, and views that follow
// their slot through reloads.
#include "script/worker.h"

static void declare(struct worker *worker)
{
    lua_is(worker, "core.channels_set({ { pattern = 'c', history = 50, presence = true } })", "");
}

static void publish(struct worker *worker, const char *data)
{
    char source[256];
    snprintf(source, sizeof(source), "core.publish('c', %s)", data);
    lua_is(worker, source, "");
}

// The key is what the client says.
#define JOIN \
    "message = function(conn, text) conn.data.key = text conn:join('c', { rewind = 10 }) end,"

static void connect_as(struct worker *worker, struct client *client, const char *key)
{
    client_connect(worker, client, NULL);
    client_say(worker, client, key);
}

static void test_deliver_runs_per_client(void **state)
{
    struct worker *worker = *state;
    struct client a;
    struct client b;
    declare(worker);
    endpoint(worker, "return {" JOIN "deliver = function(conn, event) log.n = (log.n or 0) + 1 "
                     "if event.data == conn.data.key then return nil end "
                     "if event.data == 'x' then event.data = { to = conn.data.key, event.channel } "
                     "event.event = 'new' "
                     "event.data[1] = nil end return event end }");
    connect_as(worker, &a, "a");
    connect_as(worker, &b, "b");
    publish(worker, "'a'");
    client_got(&a, "");
    client_got(&b, "a ");
    publish(worker, "'x'");
    client_got(&a, "new|{\"to\":\"a\"} ");
    client_got(&b, "new|{\"to\":\"b\"} ");
    lua_is(worker, "return log.n", "4");
}

static void test_an_error_skips_the_message(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker);
    hark_log_set_level(HARK_LOG_ERROR + 1);
    endpoint(
        worker,
        "return {" JOIN
        "deliver = function(conn, event) if event.data == 'bad' then error('no') end "
        "if event.data == 'wait' then core.sleep(1) end if event.data == 'num' then return 5 end "
        "if event.data == 'fn' then event.data = print end if event.data == 'loop' then while true "
        "do end end "
        "return event end }");
    connect_as(worker, &client, "k");
    static const char *const bad[] = {"'bad'", "'wait'", "'num'", "'fn'", "'loop'"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        lua_run(worker, "");
        hark_log_set_level(HARK_LOG_ERROR + 1);
        publish(worker, bad[i]);
        client_got(&client, "");
    }
    publish(worker, "'good'");
    client_got(&client, "good ");
    assert_int_equal(hark_stats_get(&worker->stats.handler_errors), 5);
}

static void test_a_variant_runs_once_a_key(void **state)
{
    struct worker *worker = *state;
    static struct client clients[6];
    declare(worker);
    endpoint(
        worker,
        "return {" JOIN "variant = { key = function(conn) return conn.data.key end,"
        "fn = function(key, event) log.n = (log.n or 0) + 1 if key == 'none' then return nil end "
        "event.data = key .. ':' .. event.data return event end } }");
    for (size_t i = 0; i < 6; i++) {
        connect_as(worker, &clients[i], i % 3 == 0 ? "en" : i % 3 == 1 ? "de" : "none");
    }
    publish(worker, "'x'");
    for (size_t i = 0; i < 6; i++) {
        client_got(&clients[i], i % 3 == 0 ? "en:x " : i % 3 == 1 ? "de:x " : "");
    }
    lua_is(worker, "return log.n", "3");
    // A newcomer reads history: what was made before serves again.
    struct client late;
    connect_as(worker, &late, "en");
    client_got(&late, "en:x ");
    lua_is(worker, "return log.n", "3");
}

static void test_a_key_is_taken_again_by_refresh(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker);
    endpoint(worker,
             "return { message = function(conn, text) conn.data.key = text if conn:joined('c') "
             "then conn:refresh() "
             "else conn:join('c') end end,"
             "variant = { key = function(conn) return conn.data.key end,"
             "fn = function(key, event) event.data = key .. event.data return event end } }");
    connect_as(worker, &client, "a");
    publish(worker, "'1'");
    client_say(worker, &client, "b");
    publish(worker, "'2'");
    client_got(&client, "a1 b2 ");
}

static void test_more_keys_than_views(void **state)
{
    struct worker *worker = *state;

    enum { COUNT = HARK_TRANSFORM_VARIANTS_MAX + 5 };
    static struct client clients[COUNT];
    char key[16];
    char expected[32];
    declare(worker);
    endpoint(worker,
             "return {" JOIN "variant = { key = function(conn) return conn.data.key end,"
             "fn = function(key, event) event.data = key .. event.data return event end } }");
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "k%d-", i);
        connect_as(worker, &clients[i], key);
    }
    assert_int_equal(worker_slot(worker)->variant_count, HARK_TRANSFORM_VARIANTS_MAX);
    publish(worker, "'x'");
    for (int i = 0; i < COUNT; i++) {
        snprintf(expected, sizeof(expected), "k%d-x ", i);
        client_got(&clients[i], expected);
    }
    // When some go, their places serve others.
    for (int i = 0; i < 10; i++) {
        hark_session_close(clients[i].session, 1000, HARK_SLICE_NONE);
    }
    worker_tick(worker);
    struct client next;
    connect_as(worker, &next, "next-");
    next.got[0] = '\0';
    publish(worker, "'y'");
    client_got(&next, "next-y ");
    assert_int_equal(worker_slot(worker)->variant_count, HARK_TRANSFORM_VARIANTS_MAX);
}

static void test_encoders_run_once_a_message(void **state)
{
    struct worker *worker = *state;
    struct client a;
    struct client b;
    declare(worker);
    endpoint(worker, "return {" JOIN "codec = { encode = function(v) log.n = (log.n or 0) + 1 "
                     "return type(v) == 'table' and 'T' .. v.n or 'S' .. v end } }");
    connect_as(worker, &a, "a");
    connect_as(worker, &b, "b");
    publish(worker, "{ n = 5 }");
    publish(worker, "'text'");
    client_got(&a, "T5 Stext ");
    client_got(&b, "T5 Stext ");
    lua_is(worker, "return log.n", "2");
    // With deliver the encoder gets what deliver returned.
    endpoint(worker, "return { deliver = function(conn, event) event.data = conn.data.key .. "
                     "event.data return event end,"
                     "codec = { encode = function(v) return '<' .. v .. '>' end } }");
    publish(worker, "'x'");
    client_got(&a, "<ax> ");
    client_got(&b, "<bx> ");
}

static void test_views_follow_reloads(void **state)
{
    struct worker *worker = *state;
    struct client a;
    struct client b;
    declare(worker);
    endpoint(worker, "return {" JOIN "}");
    connect_as(worker, &a, "a");
    connect_as(worker, &b, "b");
    publish(worker, "'plain'");
    endpoint(worker, "return { deliver = function(conn, event) event.data = 'd' .. event.data "
                     "return event end }");
    publish(worker, "'1'");
    endpoint(worker,
             "return { variant = { key = function(conn) return conn.data.key end,"
             "fn = function(key, event) event.data = key .. event.data return event end } }");
    publish(worker, "'2'");
    endpoint(worker, "return { deliver = function(conn, event) event.data = 'e' .. event.data "
                     "return event end }");
    publish(worker, "'3'");
    endpoint(
        worker,
        "return { variant = { key = function(conn) return conn.data.key end,"
        "fn = function(key, event) event.data = key:upper() .. event.data return event end } }");
    publish(worker, "'4'");
    endpoint(worker, "return {}");
    publish(worker, "'5'");
    client_got(&a, "plain d1 a2 e3 A4 5 ");
    client_got(&b, "plain d1 b2 e3 B4 5 ");
}

static void test_history_replays_inside_join(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker);
    publish(worker, "'one'");
    publish(worker, "'two'");
    endpoint(worker, "return { open = function(conn) conn.data.key = '!' conn:join('c', { rewind = "
                     "5 }) conn:send('end') end,"
                     "deliver = function(conn, event) event.data = conn.data.key .. event.data "
                     "return event end }");
    client_connect(worker, &client, NULL);
    client_got(&client, "!one !two end ");
}

static void test_every_allocation_may_fail(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker);
    endpoint(worker,
             "return {" JOIN "variant = { key = function(conn) return conn.data.key end,"
             "fn = function(key, event) event.data = { key, event.data } return event end } }");
    connect_as(worker, &client, "k");
    for (size_t n = 0; n < 150; n++) {
        hark_log_set_level(HARK_LOG_ERROR + 1);
        lua_run(worker, "core.publish('c', 'x' .. os.time() .. math.random())");
        hark_mem_fail_after(n);
        worker_tick(worker);
        hark_mem_fail_after(SIZE_MAX);
        worker_tick(worker);
        client.got[0] = '\0';
        if (client.session == NULL) { // without memory for a gap notice a session may have to go
            connect_as(worker, &client, "k");
        }
    }
    client.got[0] = '\0';
    publish(worker, "'well'");
    client_got(&client, "[\"k\",\"well\"] ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_deliver_runs_per_client),   TEST(test_an_error_skips_the_message),
        TEST(test_a_variant_runs_once_a_key), TEST(test_a_key_is_taken_again_by_refresh),
        TEST(test_more_keys_than_views),      TEST(test_encoders_run_once_a_message),
        TEST(test_views_follow_reloads),      TEST(test_history_replays_inside_join),
        TEST(test_every_allocation_may_fail),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
