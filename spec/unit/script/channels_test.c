// SPDX-License-Identifier: MIT
//
// script/channels and the bindings of the hub: which pattern a name resolves to, joining,
// publishing, history, presence, and what is said when a script gets it wrong.
#include "script/worker.h"

static void declare(struct worker *worker, const char *list)
{
    char source[2048];
    snprintf(source, sizeof(source), "core.channels_set({ %s })", list);
    lua_is(worker, source, "");
}

static const char *resolve(struct worker *worker, const char *name)
{
    static char text[300];
    const struct hark_channel_entry *entry =
        hark_channels_find(worker->script->channels, hark_slice_text(name));
    snprintf(text, sizeof(text), "%.*s", entry == NULL ? 4 : (int)entry->pattern.len,
             entry == NULL ? "none" : entry->pattern.ptr);
    return text;
}

static void test_the_most_exact_pattern_wins(void **state)
{
    struct worker *worker = *state;
    declare(
        worker,
        "{ pattern = '*' }, { pattern = 'chat/:room' }, { pattern = 'chat/lobby' }, { pattern = "
        "'chat/*' },"
        "{ pattern = ':kind/:id/end' }, { pattern = 'chat/:room/end' }, { pattern = 'ticker' }");
    assert_string_equal(resolve(worker, "chat/lobby"), "chat/lobby");
    assert_string_equal(resolve(worker, "chat/7"), "chat/:room");
    assert_string_equal(resolve(worker, "chat/7/8"), "chat/*");
    assert_string_equal(resolve(worker, "chat/7/end"), "chat/:room/end");
    assert_string_equal(resolve(worker, "x/7/end"), ":kind/:id/end");
    assert_string_equal(resolve(worker, "x/7/en"), "*");
    assert_string_equal(resolve(worker, "ticker"), "ticker");
    assert_string_equal(resolve(worker, "ticker2"), "*");
    assert_string_equal(resolve(worker, "chat/"), "*");
    assert_string_equal(resolve(worker, ""), "none");
    declare(worker, "{ pattern = 'chat/:room' }");
    assert_string_equal(resolve(worker, "chat/"), "none");
    assert_string_equal(resolve(worker, "chat"), "none");
    assert_string_equal(resolve(worker, "chat/a/b"), "none");
    assert_string_equal(resolve(worker, "chatx/a"), "none");
}

static void test_declarations_are_checked(void **state)
{
    struct worker *worker = *state;
    declare(worker, "{ pattern = 'kept' }");
    lua_fails(worker, "core.channels_set({ { pattern = 'a*' } })", "\"a*\" is no pattern");
    lua_fails(worker, "core.channels_set({ { pattern = '*/a' } })", "\"*/a\" is no pattern");
    lua_fails(worker, "core.channels_set({ { pattern = 'a/:' } })", "\"a/:\" is no pattern");
    lua_fails(worker, "core.channels_set({ { pattern = '' } })", "is no pattern");
    lua_fails(worker, "core.channels_set({ { pattern = 'a\\n' } })", "is no pattern");
    lua_fails(worker, "core.channels_set({ { pattern = 'a' }, { pattern = 'a' } })",
              "a stands twice");
    lua_fails(worker, "core.channels_set({ { pattern = 'a', slow = 'never' } })",
              "slow is never; allowed: close");
    lua_fails(worker, "core.channels_set({ { pattern = 'a', histroy = 5 } })",
              "histroy is no option; allowed: pattern");
    lua_fails(worker, "core.channels_set({ { pattern = 'a', history = -1 } })",
              "history must be a whole number from 0");
    assert_string_equal(resolve(worker, "kept"), "kept"); // nothing has changed
}

static void test_undeclared_channels_are_mistakes(void **state)
{
    struct worker *worker = *state;
    lua_fails(worker, "core.publish('chat/1', 'x')",
              "publish: channel \"chat/1\" is not declared; declared are: none");
    declare(worker, "{ pattern = 'chat/:room' }, { pattern = 'ticker' }");
    lua_fails(worker, "core.publish('chat', 'x')",
              "channel \"chat\" is not declared; declared are: \"ticker\", \"chat/:room\"");
    // Names often come from clients: one that is none at all is no mistake of the script.
    lua_is(worker, "return core.publish('bad\\1', 'x')",
           "nil,a channel name has 1 to 255 bytes of UTF-8 without control characters");
    lua_fails(worker, "core.publish(5.5, 'x')", "is not declared");
    lua_fails(worker, "core.history('nope')", "history: channel \"nope\" is not declared");
}

static void test_publish_and_join(void **state)
{
    struct worker *worker = *state;
    struct client a;
    struct client b;
    declare(worker, "{ pattern = 'chat/:room', history = 10 }");
    endpoint(worker,
             "return { open = function(conn) local sub = conn:join('chat/1', { rewind = 2 }) "
             "conn:send(tostring(sub.recovered) .. sub.missed .. sub.channel .. ' ' .. "
             "sub.position) end,"
             "message = function(conn, text) return core.publish('chat/1', text, { except = conn "
             "}) end }");
    lua_run(worker, "core.publish('chat/1', 'one') core.publish('chat/1', { n = 2 }) return "
                    "core.publish('chat/1', 'three')");
    assert_int_equal(worker->status, 0);
    assert_non_null(strstr(worker->text, ":3"));
    client_connect(worker, &a, NULL);
    assert_memory_equal(a.got, "{\"n\":2} three false0chat/1 ", 27);
    a.got[0] = '\0';
    client_connect(worker, &b, NULL);
    b.got[0] = '\0';
    client_say(worker, &a, "hello");
    client_got(&a, "");
    client_got(&b, "hello ");
}

static void test_publish_options(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker, "{ pattern = 'c', history = 10 }");
    endpoint(worker, "return { open = function(conn) conn:join('c') end }");
    client_connect(worker, &client, NULL);
    lua_is(worker,
           "local a = core.publish('c', 'x', { event = 'named', once = 'k' }) "
           "local b = core.publish('c', 'y', { once = 'k' }) "
           "core.publish('c', 'bytes', { binary = true }) core.publish('c', 'gone', { history = "
           "false }) "
           "return a == b, #core.history('c')",
           "true,2");
    client_got(&client, "named|x #bytes gone ");
    lua_fails(worker, "core.publish('c', 'x', { except = 5 })",
              "except must be a connection, not number");
    lua_fails(worker, "core.publish('c', 'x', { evnt = 'y' })",
              "evnt is no option; allowed: event, key, once");
    lua_fails(worker, "core.publish('c', 5)", "the data must be a string or a table, not number");
    lua_is(worker,
           "return (core.publish('c', 'x', { event = 'a\\n' })), core.publish('c', 'x', { event = "
           "'hark.gap' })",
           "nil,nil,the event name must be at most 128 bytes of UTF-8 without control characters, "
           "and not begin "
           "with \"hark.\"");
}

static void test_history(void **state)
{
    struct worker *worker = *state;
    declare(worker, "{ pattern = 'c', history = 3 }");
    lua_is(worker,
           "for i = 1, 5 do core.publish('c', 'm' .. i, { event = 'e', key = 'k' .. i }) end "
           "local list = core.history('c', { limit = 2 }) local e = list[2] "
           "return #list, list[1].data, e.data, e.event, e.key, e.binary, e.channel, e.time > 0, "
           "e.id:match(':%d+$')",
           "2,m4,m5,e,k5,false,c,true,:5");
    lua_is(worker,
           "local all = core.history('c') return #all, #core.history('c', { since = all[1].id })",
           "3,2");
    lua_is(
        worker,
        "local epoch = core.history('c')[1].id:match('^%d+') local list, why = core.history('c', "
        "{ since = epoch .. ':1' }) return #list, why",
        "3,gap");
    lua_is(worker, "return core.history('c', { since = 'garbage' })", "nil,since is no position");
    lua_fails(worker, "core.history('c', { limit = 'x' })",
              "limit must be a whole number from 0, not x");
}

static void test_join_checks(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker,
            "{ pattern = 'inbox/:user', join = function(conn, ch) core.sleep(1) "
            "return ch.user == 'ann' and ch.name == 'inbox/ann', ch.user == 'bob' and 'not bob' or "
            "nil end },"
            "{ pattern = 'feed/*', join = function(conn, ch) error('rest ' .. ch['*'], 0) end }");
    endpoint(worker, "return { message = function(conn, name) local sub, why = conn:join(name) "
                     "conn:send(tostring(sub and sub.channel) .. ' ' .. tostring(why)) end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "inbox/ann");
    client_got(&client, "");
    worker_pass(worker, 1010);
    client_got(&client, "inbox/ann nil ");
    client_say(worker, &client, "inbox/bob");
    worker_pass(worker, 1010);
    client_got(&client, "nil not bob ");
    client_say(worker, &client, "inbox/eve");
    worker_pass(worker, 1010);
    client_got(&client, "nil refused ");
    // The connection goes while the check waits.
    client_say(worker, &client, "inbox/ann");
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_pass(worker, 1010);
    assert_int_equal(hark_session_count(&worker->env), 0);
    hark_log_set_level(HARK_LOG_ERROR + 1);
    client_connect(worker, &client, NULL);
    client_say(worker, &client, "feed/a/b");
    assert_int_equal(client.code, 1011);
}

static void test_leaving(void **state)
{
    struct worker *worker = *state;
    struct client client;
    declare(worker, "{ pattern = 'c' }");
    endpoint(worker, "return { message = function(conn, text) return eval(text, conn) end }");
    client_connect(worker, &client, NULL);
    client_say(worker, &client,
               "conn:send(tostring(conn:joined('c')) .. tostring(conn:leave('c')))");
    client_got(&client, "nilfalse ");
    client_say(worker, &client,
               "conn:join('c') conn:join('c') conn:send(conn:joined('c').channel)");
    client_got(&client, "c ");
    lua_is(worker, "core.publish('c', 'x')", "");
    client_got(&client, "x ");
    client_say(worker, &client, "conn:send(tostring(conn:leave('c')))");
    client.got[0] = '\0';
    lua_is(worker, "core.publish('c', 'y')", "");
    client_got(&client, "");
    client_say(worker, &client, "conn:send(select(2, pcall(conn.join, conn, 'room/*')))");
    assert_non_null(strstr(client.got, "not declared"));
    client.got[0] = '\0';
    client_say(worker, &client, "conn:send(select(2, conn:join('c', { since = 'x' })))");
    client_got(&client, "since is no position ");
}

static void test_presence(void **state)
{
    struct worker *worker = *state;
    struct client a;
    struct client b;
    declare(worker, "{ pattern = 'room/:id', presence = true }");
    endpoint(worker,
             "return { message = function(conn, name) local sub = conn:join('room/1', { as = name, "
             "info = { name = name:upper() } }) log.sub, log.conn = sub, conn end }");
    client_connect(worker, &a, NULL);
    client_connect(worker, &b, NULL);
    client_say(worker, &a, "ann");
    client_say(worker, &b, "bob");
    lua_is(worker,
           "local list = log.sub:members() table.sort(list, function(x, y) return x.id < y.id end) "
           "return #list, list[1].id, list[1].info.name, list[2].id, list[2].info.name",
           "2,ann,ANN,bob,BOB");
    lua_is(worker, "return core.json.encode(core.presence('room/2'))", "[]");
    lua_fails(worker, "log.conn:join('room/3', { info = {} })", "info needs a member id");
    lua_fails(worker, "log.conn:join('room/3', { as = '' })", "as must have 1 to 256 bytes");
}

static void test_new_options_reach_living_channels(void **state)
{
    struct worker *worker = *state;
    declare(worker, "{ pattern = 'c', history = 10 }");
    lua_is(worker, "for i = 1, 8 do core.publish('c', 'm') end return #core.history('c')", "8");
    declare(worker, "{ pattern = 'c', history = 3 }");
    lua_is(worker, "return #core.history('c')", "3");
    // One that is declared no more keeps what it has.
    declare(worker, "{ pattern = 'd' }");
    lua_fails(worker, "core.history('c')", "not declared");
    declare(worker, "{ pattern = 'c', history = 3 }");
    lua_is(worker, "return #core.history('c')", "3");
}

static void on_published(void *ctx, int status, struct hark_position position)
{
    *(uint64_t *)ctx = status == 0 ? position.offset : 999;
}

static void test_publishing_from_c(void **state)
{
    struct worker *worker = *state;
    char why[HARK_SCRIPT_WHY_MAX];
    uint64_t offset = 0;
    struct hark_msg_draft draft = {.channel = HARK_LIT("c"), .payload = HARK_LIT("x")};
    declare(worker, "{ pattern = 'c', history = 5 }");
    assert_int_equal(hark_script_publish(worker->script, &draft, on_published, &offset, why), 0);
    assert_int_equal(offset, 1);
    lua_is(worker, "return core.history('c')[1].data", "x");
    draft.channel = HARK_LIT("d");
    assert_int_equal(hark_script_publish(worker->script, &draft, on_published, &offset, why),
                     HARK_ENOENT);
    assert_string_equal(why, "channel \"d\" is not declared; declared are: \"c\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_most_exact_pattern_wins),
        TEST(test_declarations_are_checked),
        TEST(test_undeclared_channels_are_mistakes),
        TEST(test_publish_and_join),
        TEST(test_publish_options),
        TEST(test_history),
        TEST(test_join_checks),
        TEST(test_leaving),
        TEST(test_presence),
        TEST(test_new_options_reach_living_channels),
        TEST(test_publishing_from_c),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
