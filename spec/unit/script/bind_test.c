// SPDX-License-Identifier: MIT
//
// The rest of hark.core: values and digests, log, places that cannot wait, budgets, tasks, slots;
// and calls from C into the engine.
#include "script/worker.h"

#include "script/scratch.h"

static void test_digests_and_codes(void **state)
{
    struct worker *worker = *state;
    lua_is(worker, "return core.digest.sha256('abc')",
           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    lua_is(worker, "return core.digest.sha1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d");
    lua_is(worker, "return core.hmac.sha256('key', 'The quick brown fox jumps over the lazy dog')",
           "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    lua_is(worker, "return core.equal('a', 'a'), core.equal('a', 'b'), core.equal('a', 'aa')",
           "true,false,false");
    lua_is(worker, "return #core.random(16), core.random(16) ~= core.random(16)", "16,true");
    lua_fails(worker, "core.random(0)", "1 to 1024 bytes");
    lua_is(worker,
           "return core.base64.encode('a?>'), core.base64.encode('a?>', true), "
           "core.base64.decode('YT8-')",
           "YT8+,YT8-,a?>");
    lua_is(worker, "return core.base64.decode('!!')", "nil,not base64");
    lua_is(worker, "return core.unpack(core.pack({ 1, { x = 2 } }))[2].x", "2");
    lua_fails(worker, "core.pack(print)", "pack: a function");
    lua_fails(worker, "core.unpack('garbage')", "these bytes are no packed value");
    lua_is(worker, "return core.json.encode(core.json.decode('[{\"a\":[]}]'))", "[{\"a\":[]}]");
}

static void test_host(void **state)
{
    struct worker *worker = *state;
    lua_is(worker, "return core.version, core.worker()", HARK_VERSION ",0,1");
    lua_is(worker, "return core.now() > 1.6e9, core.scratch, core.block", "true,false,nil");
    lua_is(worker, "return core.draining(), core.stats().handler_runs > 0", "false,true");
    lua_is(worker, "core.log.debug('text', { a = 1, b = 'x', c = true }) return 'logged'",
           "logged");
    lua_fails(worker, "core.log.info()", "string expected");
    lua_is(worker, "return core.read_tree('/nonexistent/dir')",
           "nil,/nonexistent/dir: No such file or directory");
}

static void test_places_that_cannot_wait(void **state)
{
    struct worker *worker = *state;
    lua_is(worker, "return core.no_wait('transport', function(a, b) return b, a end, 1, 2)", "2,1");
    lua_fails(worker, "core.no_wait('transport', core.sleep, 1)",
              "sleep cannot be called in transport, which cannot wait");
    lua_fails(worker, "core.no_wait('transport', core.publish, 'c', 'x')",
              "publish cannot be called in transport");
    // Inside a coroutine of the script's own, and after an error was caught.
    lua_fails(worker, "core.no_wait('transport', function() coroutine.wrap(core.sleep)(1) end)",
              "in transport");
    lua_waits(worker, "local ok, e = pcall(core.no_wait, 'transport', error, 'x') return ok, e, "
                      "core.sleep(0.01)");
    worker_pass(worker, 24);
    assert_string_equal(worker->text, "false,x,true");
    lua_fails(worker, "core.no_wait('transport')", "value expected");
}

static void test_limited(void **state)
{
    struct worker *worker = *state;
    lua_is(worker, "return core.limited('load', function(a) return a, a + 1 end, 1)", "1,2");
    lua_fails(worker, "core.limited('load', error, 'bad')", "bad");
    lua_fails(worker, "core.limited('load', core.sleep, 1)", "sleep cannot be called in load");
    // 500 ms of its own, then the run goes on with what it had left.
    lua_is(worker,
           "local a, why = core.limited('load', pcall, function() while true do end end) "
           "return a, why:match('limit: cpu, 500 ms'), 'goes on'",
           "nil,limit: cpu, 500 ms,goes on");
    lua_is(worker,
           "local co = coroutine.create(function() coroutine.yield(7) return 8 end) "
           "local _, a = core.limited('load', coroutine.resume, co) local _, b = "
           "core.limited('load', coroutine.resume, "
           "co) return a, b",
           "7,8");
}

static void test_loading_has_an_allowance(void **state)
{
    struct worker *worker = *state;
    // The engine's own work may take what it needs, a script that is loaded 16 MiB.
    lua_is(worker, "big = {} for i = 1, 20 do big[i] = ('x'):rep(1024):rep(1024) end return #big",
           "20");
    lua_fails(worker,
              "core.limited('load', function() for i = 21, 60 do big[i] = "
              "('x'):rep(1024):rep(1024) end end)",
              "limit: memory, 16384 KiB");
    lua_is(worker,
           "return core.limited('load', pcall, function() for i = 21, 60 do "
           "big[i] = ('x'):rep(1024):rep(1024) end end)",
           "false,not enough memory");
    lua_is(worker, "big = nil return 'fine'", "fine");
}

static void test_spawning(void **state)
{
    struct worker *worker = *state;
    lua_is(worker,
           "task = core.spawn(function(a, b) log[1] = a .. b core.sleep(1) log[2] = 'woken' end, "
           "'x', 'y') "
           "return log[1], task.done",
           "nil,false");
    lua_is(worker, "return log[1], task.done", "xy,false");
    worker_pass(worker, 1010);
    lua_is(worker, "return log[2], task.done", "woken,true");
    // A service: endless, until it is told.
    lua_is(worker,
           "task = core.spawn(function() local n = 0 while core.sleep(10) do n = n + 1 end log[3] "
           "= n end)",
           "");
    worker_pass(worker, 95000);
    lua_is(worker, "task:retire()", "");
    worker_pass(worker, 16);
    lua_is(worker, "return log[3], task.done", "9,true");
    lua_is(worker,
           "task = core.spawn(function() local x <close> = setmetatable({}, { __close = function() "
           "log[4] = 'closed' "
           "end }) while true do core.sleep(5) end end)",
           "");
    lua_is(worker, "task:cancel()", "");
    worker_tick(worker);
    lua_is(worker, "return log[4], task.done", "closed,true");
    lua_is(worker, "task:cancel() task:retire() return task.done", "true");
    lua_fails(worker, "return task.state",
              "a task has no field state; there are: done, retire(), cancel()");
    lua_fails(worker, "core.spawn(5)", "function expected");
    lua_fails(worker, "core.sleep('x')", "sleep: x is no duration");
}

static void test_slots(void **state)
{
    struct worker *worker = *state;
    struct client client;
    lua_fails(worker, "core.slot_set(core.slot('s'), { opn = print })",
              "slot_set: opn is no option; allowed: open");
    lua_fails(worker, "core.slot_set(core.slot('s'), { open = 5 })",
              "slot_set: open must be a function, not 5");
    lua_fails(worker, "core.slot_set(core.slot('s'), { codec = 'xml' })",
              "codec must be \"json\" or a table");
    lua_fails(worker, "core.slot_set(core.slot('s'), { variant = {} })",
              "variant wants two functions");
    lua_fails(worker, "core.slot_set(core.slot('s'), { policy = { pings = 1 } })",
              "policy: pings is no option");
    lua_is(worker, "return core.slot('s') == core.slot('s'), core.slot('s') ~= core.slot('t')",
           "true,true");
    endpoint(worker, "return { policy = { queue_bytes = 1000, ping_ms = 5 } }");
    client_connect(worker, &client, NULL);
    assert_int_equal(worker_slot(worker)->policy->queue_bytes, 1000);
    endpoint(worker, "return { policy = { queue_bytes = 2000 } }"); // of the living session too
    assert_int_equal(worker_slot(worker)->policy->queue_bytes, 2000);
    // The endpoint is gone: the slot stays as long as its session.
    lua_is(worker,
           "gone = core.slot('test') core.slot_clear(gone) return core.slot('test') == gone, "
           "core.slot_count(gone)",
           "true,1");
    hark_session_close(client.session, 1000, HARK_SLICE_NONE);
    worker_tick(worker);
    lua_is(worker,
           "gone = nil collectgarbage() collectgarbage() return core.slot_count(core.slot('test'))",
           "0");
}

static void test_retiring_a_slot(void **state)
{
    struct worker *worker = *state;
    static struct client clients[20];
    endpoint(worker, "return {}");
    for (size_t i = 0; i < 20; i++) {
        client_connect(worker, &clients[i], NULL);
    }
    lua_is(worker,
           "local s = core.slot('test') core.retire(s, 'endpoint gone', 1000) core.slot_clear(s)",
           "");
    worker_pass(worker, 500);
    size_t ended = 0;
    for (size_t i = 0; i < 20; i++) {
        ended += clients[i].ended;
    }
    assert_in_range(ended, 1, 19);
    worker_pass(worker, 700);
    for (size_t i = 0; i < 20; i++) {
        assert_true(clients[i].ended);
        assert_int_equal(clients[i].code, 1012);
    }
    // One that comes back keeps who is left.
    client_connect(worker, &clients[0], NULL);
    assert_true(clients[0].session != NULL);
    lua_is(worker,
           "local s = core.slot('test') core.retire(s, 'endpoint gone', 100) core.slot_clear(s)",
           "");
    endpoint(worker, "return { message = function(conn) conn:send('here') end }");
    worker_pass(worker, 1000);
    client_say(worker, &clients[0], "");
    client_got(&clients[0], "here ");
}

static void on_loaded(void *ctx, int status, const char *why)
{
    struct worker *worker = ctx;
    worker->status = status;
    (void)snprintf(worker->text, sizeof(worker->text), "%s", why == NULL ? "" : why);
}

static void test_calls_from_c(void **state)
{
    struct worker *worker = *state;
    hark_script_load(worker->script, "good", on_loaded, worker);
    worker_tick(worker);
    assert_int_equal(worker->status, 0);
    hark_script_load(worker->script, "bad", on_loaded, worker);
    worker_tick(worker);
    assert_int_equal(worker->status, HARK_ESCRIPT);
    assert_string_equal(worker->text, "first: broken\nsecond: broken too");
    worker_call(worker, "nosuch", "");
    assert_int_equal(worker->status, HARK_ENOENT);
    lua_waits(worker, "return core.ask('double', 21, 5)[1]");
    worker_tick(worker);
    worker_tick(worker);
    assert_string_equal(worker->text, "42");
}

static int in_scratch(lua_State *L)
{
    if (luaL_dostring(
            L, "local core = require 'hark.core' assert(core.scratch and not core.publish and "
               "core.block) "
               "core.block(0.001) local d = core.shared('x') d:set('a', 1) assert(d:get('a') == 1) "
               "assert(core.limited('load', function() return true end)) "
               "assert(not pcall(core.limited, 'load', coroutine.yield))") != LUA_OK) {
        return lua_error(L);
    }
    return 0;
}

static void test_a_scratch_state(void **state)
{
    struct worker *worker = *state;
    struct hark_vm *vm = NULL;
    struct hark_buf why;
    hark_buf_init(&why, 4096);
    assert_int_equal(hark_scratch_new(worker->lua_dir, NULL, &vm, &why), 0);
    if (hark_vm_call(vm, in_scratch, NULL, 0, NULL, &why) != 0) {
        fail_msg("%.*s", (int)hark_buf_len(&why), hark_buf_slice(&why).ptr);
    }
    hark_vm_free(vm);
    for (size_t n = 0; n < 3000; n += 7) {
        vm = NULL;
        hark_mem_fail_after(n);
        int status = hark_scratch_new(worker->lua_dir, NULL, &vm, NULL);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || status == HARK_ENOMEM);
        hark_vm_free(vm);
    }
    hark_buf_deinit(&why);
}

static void test_a_worker_without_memory(void **state)
{
    struct worker *worker = *state;
    hark_log_set_level(HARK_LOG_ERROR + 1);
    int made = 0;
    for (size_t n = 0; n < 6000 && made < 2; n += made == 0 ? 11 : 1) {
        struct hark_server server = worker->server;
        struct hark_session_env env = worker->env;
        server.sessions = &env;
        hark_list_init(&server.conns);
        const struct hark_script_options options = {
            .server = &server, .lua_dir = worker->lua_dir, .settings = &worker->settings};
        struct hark_script *script = NULL;
        hark_mem_fail_after(n);
        int status = hark_script_new(&options, &script);
        hark_mem_fail_after(SIZE_MAX);
        made += status == 0;
        hark_script_free(script);
    }
    assert_int_equal(made, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_digests_and_codes),
        TEST(test_host),
        TEST(test_places_that_cannot_wait),
        TEST(test_limited),
        TEST(test_loading_has_an_allowance),
        TEST(test_spawning),
        TEST(test_slots),
        TEST(test_retiring_a_slot),
        TEST(test_calls_from_c),
        TEST(test_a_scratch_state),
        TEST(test_a_worker_without_memory),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
