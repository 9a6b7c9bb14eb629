// SPDX-License-Identifier: MIT
//
// Connections in Lua: fields, data, handles that outlive their session, what idle ones cost.
#include "script/worker.h"

#include "script/conn_data.h"

static const char *const EVAL = "return { message = function(conn, text) "
                                "return conn:send(tostring(eval(text, conn))) end }";

static void
assert_eval(struct worker *worker, struct client *client, const char *source, const char *expected)
{
    char line[1024];
    assert_true(client_say(worker, client, source));
    snprintf(line, sizeof(line), "%s ", expected);
    if (strcmp(client->got, line) != 0) {
        fail_msg("%s\ngave: %s\nexpected: %s", source, client->got, expected);
    }
    client->got[0] = '\0';
}

static void pack_params(struct hark_buf *buf)
{
    hark_buf_init(buf, 4096);
    assert_int_equal(hark_value_put_map(buf), 0);
    assert_int_equal(hark_value_put_string(buf, HARK_LIT("room")), 0);
    assert_int_equal(hark_value_put_string(buf, HARK_LIT("7")), 0);
    assert_int_equal(hark_value_put_map_end(buf), 0);
    assert_int_equal(hark_value_put_map(buf), 0);
    assert_int_equal(hark_value_put_string(buf, HARK_LIT("lang")), 0);
    assert_int_equal(hark_value_put_string(buf, HARK_LIT("en")), 0);
    assert_int_equal(hark_value_put_map_end(buf), 0);
}

static void test_fields(void **state)
{
    struct worker *worker = *state;
    struct client client;
    struct hark_buf packed;
    pack_params(&packed);
    endpoint(worker, EVAL);
    client_connect(worker, &client, &packed);
    hark_buf_deinit(&packed);
    assert_eval(worker, &client, "return conn.params.room .. conn.query.lang", "7en");
    assert_eval(worker, &client, "return conn.transport .. ' ' .. conn.ip .. ' ' .. conn.backlog",
                "websocket unix 7");
    assert_eval(worker, &client, "return #conn.id, conn.id:find('^%x+$')", "16");
    assert_eval(worker, &client, "return conn.user", "nil");
    assert_eval(worker, &client, "return tostring(conn):match('^hark.conn %d+$') ~= nil", "true");
    assert_eval(worker, &client, "return core.session(conn.id)", "nil"); // only by its token
    assert_eval(
        worker, &client,
        "return select(2, pcall(function() return conn.nme end)):match('no field nme.*user')",
        "no field nme; there are: id, user");
    assert_eval(
        worker, &client,
        "return select(2, pcall(function() conn.user = 1 end)):match('conn.user cannot be set')",
        "conn.user cannot be set");
    assert_eval(worker, &client,
                "return select(2, pcall(function() conn.params.x = 1 end)):match('read only')",
                "read only");
    assert_eval(worker, &client, "return core.json.encode(conn.params)", "{\"room\":\"7\"}");
    assert_eval(worker, &client, "return getmetatable(conn)", "false");
}

static void test_data_holds_plain_values(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, EVAL);
    client_connect(worker, &client, NULL);
    assert_eval(worker, &client, "return conn.data.nothing", "nil");
    assert_eval(worker, &client, "conn.data.a = 1 conn.data.t = { x = { 2 } } return 'set'", "set");
    assert_eval(worker, &client, "conn.data[1] = 'one' conn.data[2] = 'two' return #conn.data",
                "2");
    assert_eval(worker, &client, "return conn.data.a + conn.data.t.x[1]", "3");
    assert_eval(worker, &client,
                "local n = 0 for k in pairs(conn.data) do n = n + 1 end for i, v in "
                "ipairs(conn.data) do n = n + 10 end "
                "return n",
                "24");
    assert_eval(worker, &client, "conn.data.a = nil return conn.data.a", "nil");
    assert_eval(worker, &client, "return core.json.encode(conn.data.t)", "{\"x\":[2]}");
    assert_eval(worker, &client,
                "conn.data = { fresh = true } return conn.data.fresh and not conn.data.t", "true");
    assert_eval(worker, &client, "conn.data = nil return next(conn.data)", "nil");
    assert_eval(
        worker, &client,
        "conn.data = { a = { 1 } } local copy = core.unpack(core.pack(conn.data)) return copy.a[1]",
        "1");
}

static void test_data_refuses_code(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, EVAL);
    client_connect(worker, &client, NULL);

    static const struct {
        const char *source;
        const char *why;
    } cases[] = {
        {"conn.data.fn = print", "conn.data.fn: a function"},
        {"conn.data.t = { a = { print } }", "conn.data.t: at .a[1]: a function"},
        {"conn.data.c = conn", "conn.data.c: a userdata"},
        {"conn.data.m = setmetatable({}, {})", "conn.data.m: a table with a metatable"},
        {"conn.data = { f = print }", "conn.data: at .f: a function"},
        {"conn.data = 5", "conn.data must be a table or nil, not number"},
        {"conn.data[{}] = 1", "a key must be a string, number or boolean"},
        {"conn.data[0/0] = 1", "a key must not be nil or NaN"},
    };

    char source[512];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(source, sizeof(source),
                 "return select(2, pcall(function() %s end)):find(%c%s%c, 1, true) ~= nil",
                 cases[i].source, '"', cases[i].why, '"');
        assert_eval(worker, &client, source, "true");
    }
}

static void test_sending(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { message = function(conn, text) return eval(text, conn) end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client,
               "conn:send('plain') conn:send({ 1, 2 }) conn:send('bytes', { binary = true }) "
               "conn:send('named', { event = 'news' })");
    client_got(&client, "plain [1,2] #bytes news|named ");

    static const struct {
        const char *call;
        const char *why;
    } cases[] = {
        {"conn:send(5)", "the data must be a string or a table, not number"},
        {"conn:send()", "the data must be a string or a table, not no value"},
        {"conn:send({ print })", "the data: at [1]: a function"},
        {"conn:send('x', { evnt = 'y' })",
         "conn:send: evnt is no option; allowed: event, binary, key"},
        {"conn:send('x', { event = 5 })", "conn:send: event must be a string, not 5"},
        {"conn:send('x', 5)", "conn:send: options must be a table, not number"},
        {"conn:close(1006)", "conn:close: the code is 1006; allowed: 1000 to 1003, 1007 to 1009"},
        {"conn:after('5 parsecs', 'x')",
         "conn:after: 5 parsecs is no duration; allowed: seconds as a number"},
        {"conn.send('x')", "connection expected, got string"},
    };

    char source[512];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(source, sizeof(source),
                 "local ok, e = pcall(function() %s end) conn:send(tostring(ok) .. ' ' .. e)",
                 cases[i].call);
        client_say(worker, &client, source);
        if (strstr(client.got, cases[i].why) == NULL) {
            fail_msg("%s: %s", cases[i].call, client.got);
        }
        client.got[0] = '\0';
    }
    // Names may come from clients: a bad one is no mistake of the script.
    client_say(worker, &client,
               "local a, why = conn:send('x', { event = 'a\\nb' }) conn:send(tostring(a) .. why)");
    assert_non_null(strstr(client.got, "nilthe event name must be at most 128 bytes of UTF-8"));
    client.got[0] = '\0';
    client_say(worker, &client, "conn:send(tostring((conn:send('x', { event = 'hark.gap' }))))");
    client_got(&client, "nil ");
    client_say(worker, &client, "conn:close(4001, ('\\u{e4}'):rep(100)) conn:send('too late')");
    assert_int_equal(client.code, 4001);
    assert_int_equal(strlen(client.why), 122); // whole characters only
    client_got(&client, "");
}

static void test_dead_handles_say_closed(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { open = function(conn) log.conn = conn conn.data.kept = 5 end }");
    client_connect(worker, &client, NULL);
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_tick(worker);
    assert_int_equal(hark_session_count(&worker->env), 0);
    static const char *const calls[] = {
        "send('x')",     "close()",     "join('c')", "leave('c')",   "joined('c')",
        "after(1, 'x')", "cancel('x')", "refresh()", "request('x')",
    };
    lua_is(worker, "core.channels_set({ { pattern = 'c' } })", "");
    char source[256];
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        snprintf(source, sizeof(source), "local a, b = log.conn:%s return a, b", calls[i]);
        lua_is(worker, source, "nil,closed");
    }
    lua_is(
        worker,
        "return log.conn.id, log.conn.ip, log.conn.data.kept, tostring(log.conn):match('closed')",
        "nil,nil,5,closed");
}

static void test_idle_ones_hold_nothing_in_lua(void **state)
{
    struct worker *worker = *state;
    static struct client clients[50];
    endpoint(worker, "return { open = function(conn) conn:send(conn.transport) end }");
    lua_is(worker, "collectgarbage() collectgarbage()", "");
    size_t before = worker->script->vm->used;
    for (size_t i = 0; i < 50; i++) {
        client_connect(worker, &clients[i], NULL);
    }
    lua_is(worker, "collectgarbage() collectgarbage()", "");
    assert_in_range(worker->script->vm->used, 0,
                    before + 50 * 16 + 4096); // a place in the weak table
    lua_is(worker, "return #core.sessions()", "50");
    for (size_t i = 0; i < 50; i++) {
        hark_session_close(clients[i].session, 1000, HARK_SLICE_NONE);
    }
    worker_tick(worker);
}

static void test_data_keeps_its_handle(void **state)
{
    struct worker *worker = *state;
    struct client client;
    endpoint(worker, "return { open = function(conn) conn.data.n = 7 end,"
                     "message = function(conn) conn:send(tostring(conn.data.n)) end }");
    client_connect(worker, &client, NULL);
    lua_is(worker, "collectgarbage() collectgarbage()", "");
    client_say(worker, &client, "");
    client_got(&client, "7 ");
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_tick(worker);
    lua_is(worker, "collectgarbage() return #core.sessions()", "0");
}

static void test_sessions_for_the_engine(void **state)
{
    struct worker *worker = *state;
    struct client client;
    char source[256];
    endpoint(worker, "return { open = function(conn) log.conn, log.id = conn, conn.id end }");
    client_connect(worker, &client, NULL);
    lua_is(worker,
           "local s = core.sessions()[1] return s.id == log.id, s.app, s.path, s.transport, s.user",
           "true,test,/test,websocket,nil");
    snprintf(source, sizeof(source),
             "local conn = core.session('%s') return conn == log.conn, core.conn_slot(conn) == "
             "core.slot('test'), "
             "core.slot_count(core.slot('test'))",
             client_token(&client));
    lua_is(worker, source, "true,true,1");
    lua_is(worker,
           "return core.session('nobody'), core.close_session('nobody'), "
           "core.close_session(('0'):rep(16))",
           "nil,false,false");
    lua_is(worker, "return core.disconnect('ann')", "0");
    lua_is(worker, "return core.close_session(log.id, 1008, 'disconnected')", "true");
    assert_int_equal(client.code, 1008);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_fields),
        TEST(test_data_holds_plain_values),
        TEST(test_data_refuses_code),
        TEST(test_sending),
        TEST(test_dead_handles_say_closed),
        TEST(test_idle_ones_hold_nothing_in_lua),
        TEST(test_data_keeps_its_handle),
        TEST(test_sessions_for_the_engine),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
