// SPDX-License-Identifier: MIT
//
// Requests in Lua over a real connection: what they say, how they are answered, what is left
// unanswered, and how they become sessions.
#include "script/worker.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/http1_conn.h"

#define TURNS 2000

// A connection to the worker; what it answers is gathered in text.
struct caller {
    int fd;
    bool ended;
    size_t len;
    char text[6000];
};

static void call_open(struct worker *worker, struct caller *caller, const char *request)
{
    int fds[2];
    memset(caller, 0, sizeof(*caller));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    caller->fd = fds[0];
    hark_http1_conn_accept(&worker->server, fds[1]);
    size_t len = strlen(request);
    assert_int_equal(write(caller->fd, request, len), len);
}

static void call_turn(struct worker *worker, struct caller *caller)
{
    assert_int_equal(hark_loop_step(worker->loop, 1), 0);
    worker_tick(worker);
    ssize_t got =
        read(caller->fd, caller->text + caller->len, sizeof(caller->text) - 1 - caller->len);
    if (got > 0) {
        caller->len += (size_t)got;
        caller->text[caller->len] = '\0';
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        caller->ended = true;
    }
}

static void call_until(struct worker *worker, struct caller *caller, const char *part)
{
    for (int i = 0; i < TURNS && strstr(caller->text, part) == NULL && !caller->ended; i++) {
        call_turn(worker, caller);
    }
    if (strstr(caller->text, part) == NULL) {
        fail_msg("got:\n%s\nexpected: %s", caller->text, part);
    }
}

static void call_close(struct worker *worker, struct caller *caller)
{
    close(caller->fd);
    for (int i = 0; i < TURNS && !hark_list_is_empty(&worker->server.conns); i++) {
        assert_int_equal(hark_loop_step(worker->loop, 1), 0);
        worker_tick(worker);
    }
    assert_true(hark_list_is_empty(&worker->server.conns));
}

static void serve(struct worker *worker, const char *body)
{
    char source[4096];
    snprintf(source, sizeof(source), "return function(req) %s end", body);
    worker_call(worker, "serve", source);
    assert_int_equal(worker->status, 0);
}

// One request, whose answer must hold the parts.
static void assert_answers(struct worker *worker, const char *request, const char *const *parts)
{
    struct caller caller;
    call_open(worker, &caller, request);
    for (int i = 0; i < TURNS && !caller.ended; i++) {
        call_turn(worker, &caller);
    }
    for (; *parts != NULL; parts++) {
        if (strstr(caller.text, *parts) == NULL) {
            fail_msg("%s\nwas answered:\n%s\nexpected: %s", request, caller.text, *parts);
        }
    }
    call_close(worker, &caller);
}

#define ANSWERS(worker, request, ...) \
    assert_answers(worker, request, (const char *const[]){__VA_ARGS__, NULL})
#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"

static void test_what_a_request_says(void **state)
{
    struct worker *worker = *state;
    serve(worker, "return core.respond(req, 200, table.concat({ req.method, req.path, req.target, "
                  "req.host, req.ip, #req.id, "
                  "req.body, tostring(req.user), next(req.params) or '-' }, ' '))");
    ANSWERS(worker,
            "POST /a%20b?q=1 HTTP/1.1\r\nHost: example\r\nContent-Length: 4\r\nConnection: "
            "close\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\n", "Content-Type: text/plain; charset=utf-8",
            "POST /a b /a%20b?q=1 example unix 24 body nil -");
    serve(
        worker,
        "local q, c, h = req.query, req.cookies, req.headers return core.respond(req, 200, "
        "table.concat({ q.a, q['b c'], "
        "tostring(q.none), q.twice, q.flag, c.one, c.two, h['x-a'], h['x-b'], req:bearer() or '-', "
        "tostring(req.query == q) }, '|'))");
    ANSWERS(worker,
            GET("/?a=1&b+c=%C3%A4&twice=1&twice=2&flag&=x&&bad=%zz") "Cookie: one=1; two=\"2\"; "
                                                                     "one=3\r\nX-A: v\r\nx-b: 1\r\n"
                                                                     "X-B: 2\r\nAuthorization: "
                                                                     "Bearer t0k \r\n\r\n",
            "1|\xC3\xA4|nil|1||1|2|v|1, 2|t0k|true");
    serve(worker, "local o = req.offers return core.respond(req, 200, tostring(o.websocket) .. "
                  "tostring(o.sse) .. "
                  "tostring(o.longpoll) .. table.concat(req.subprotocols, '+'))");
    ANSWERS(worker, GET("/") "Accept: text/event-stream\r\nSec-WebSocket-Protocol: a, b\r\n\r\n",
            "niltruetruea+b");
    serve(worker, "local v, why = req:json() return core.respond(req, 200, tostring(v and v.n) .. "
                  "tostring(why))");
    ANSWERS(worker,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{\"n\":7}",
            "7nil");
    ANSWERS(worker, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{",
            "nilnot JSON");
    serve(worker, "core.set_params(req, { room = 'r' }) core.set_user(req, { id = 'u' }) "
                  "return core.respond(req, 200, req.params.room .. req.user.id)");
    ANSWERS(worker, GET("/") "\r\n", "\r\n\r\nru");
}

static void test_answers(void **state)
{
    struct worker *worker = *state;
    serve(worker, "core.add_header(req, 'X-All', 'yes') return core.respond(req, 201, { ok = true "
                  "}, { ['Set-Cookie'] = { 'a=1', "
                  "'b=2' }, ['X-N'] = 5 })");
    ANSWERS(worker, GET("/") "\r\n", "HTTP/1.1 201 Created\r\n", "X-All: yes\r\n",
            "Set-Cookie: a=1\r\n", "Set-Cookie: b=2\r\n", "X-N: 5\r\n",
            "Content-Type: application/json\r\n", "\r\n\r\n{\"ok\":true}");
    serve(worker, "return core.respond(req, 200, '<b>', { ['content-type'] = 'text/html' })");
    ANSWERS(worker, GET("/") "\r\n", "content-type: text/html\r\n");
    serve(worker, "return core.respond(req, 204)");
    ANSWERS(worker, GET("/") "\r\n", "HTTP/1.1 204 No Content\r\n");
    serve(worker, "return core.refuse(req, 404, 'not_found')");
    ANSWERS(worker, GET("/") "\r\n", "HTTP/1.1 404 ", "{\"error\":\"not_found\"}");
    serve(worker, "assert(not core.static(req)) core.respond(req, 200, 'first') local a, b = "
                  "core.respond(req, 200, 'second') "
                  "log[1] = tostring(a) .. b .. tostring(req.path) .. tostring(core.static(req))");
    ANSWERS(worker, GET("/") "\r\n", "first");
    lua_is(worker, "return log[1]", "nilclosedniltrue");
}

static void test_mistakes(void **state)
{
    struct worker *worker = *state;

    static const struct {
        const char *call;
        const char *why;
    } cases[] = {
        {"core.respond(req, 99)", "respond: the status is 99; allowed: 200 to 599"},
        {"core.respond(req, 200, 5)", "the body must be a string, a table or nil, not number"},
        {"core.respond(req, 200, { print })", "respond: at [1]: a function"},
        {"core.respond(req, 200, 'x', { ['a b'] = 'c' })", "a b is no name of a header field"},
        {"core.respond(req, 200, 'x', { a = 'b\\r\\nc' })", "header a holds a control character"},
        {"core.respond(req, 200, 'x', { a = print })",
         "header a must be a string, a number or a list"},
        {"core.respond(req, 200, 'x', { 'c' })", "1 is no name of a header field"},
        {"core.add_header(req, 'a', 'b\\n')", "add_header: a"},
        {"core.refuse(req, 200, 'x')", "refuse: the status is 200; allowed: 400 to 599"},
        {"req.path = 'x'", "a request is read only: path cannot be set"},
        {"return req.pth", "a request has no field pth; there are: method, path"},
        {"core.respond({}, 200)", "request expected, got table"},
        {"core.move(req, 5)", "no such worker"},
    };

    char source[1024];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(source, sizeof(source),
                 "local ok, e = pcall(function() %s end) core.respond(req, 200, tostring(ok) .. ' "
                 "' .. tostring(e))",
                 cases[i].call);
        serve(worker, source);
        ANSWERS(worker, GET("/") "\r\n", "false ", cases[i].why);
    }
}

static void test_what_is_left_unanswered(void **state)
{
    struct worker *worker = *state;
    hark_log_set_level(HARK_LOG_ERROR + 1);
    serve(worker, "error('secret')");
    hark_log_set_level(HARK_LOG_ERROR + 1);
    ANSWERS(worker, GET("/") "\r\n", "HTTP/1.1 500 ", "{\"error\":\"internal\",\"reference\":\"");
    serve(worker, "return nil");
    hark_log_set_level(HARK_LOG_ERROR + 1);
    ANSWERS(worker, GET("/") "\r\n", "HTTP/1.1 500 ", "\"reference\":\"");
    serve(worker, "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) end");
    hark_log_set_level(HARK_LOG_ERROR + 1);
    ANSWERS(worker, GET("/") "\r\n", "HTTP/1.1 500 ", "\"reference\":\"");
}

// Runs until the handler waits; what was answered before is left unread.
static void call_until_asleep(struct worker *worker)
{
    for (int i = 0; i < TURNS && hark_tasks_live(worker->script->tasks) == 0; i++) {
        assert_int_equal(hark_loop_step(worker->loop, 1), 0);
        worker_tick(worker);
    }
    assert_int_equal(hark_tasks_live(worker->script->tasks), 1);
}

// Closing a Unix socket over unread bytes resets it.
static void test_a_client_that_goes(void **state)
{
    struct worker *worker = *state;
    struct caller caller;
    serve(worker, "if req.path == '/unread' then return core.respond(req, 200, 'x') end "
                  "log.began = true core.sleep(1) log.after = { core.respond(req, 200, 'x') } "
                  "log.path = tostring(req.path)");
    call_open(worker, &caller, "GET /unread HTTP/1.1\r\nHost: h\r\n\r\n" GET("/") "\r\n");
    call_until_asleep(worker);
    call_close(worker, &caller);
    worker_pass(worker, 1010);
    lua_is(worker, "return log.began, log.after[1], log.after[2], log.path", "true,nil,closed,nil");
}

static void test_a_client_that_has_said_all(void **state)
{
    struct worker *worker = *state;
    struct caller caller;
    serve(worker, "core.sleep(1) return core.respond(req, 200, 'later')");
    call_open(worker, &caller, GET("/") "\r\n");
    assert_int_equal(shutdown(caller.fd, SHUT_WR), 0);
    call_until_asleep(worker);
    for (int i = 0; i < 10; i++) {
        call_turn(worker, &caller);
    }
    assert_false(caller.ended);
    worker_pass(worker, 1010);
    call_until(worker, &caller, "\r\n\r\nlater");
    call_close(worker, &caller);
}

static void test_the_admin_address(void **state)
{
    struct worker *worker = *state;
    struct caller caller;
    int fds[2];
    memset(&caller, 0, sizeof(caller));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    caller.fd = fds[0];
    hark_http1_conn_accept(&worker->admin, fds[1]);
    assert_int_equal(write(caller.fd, GET("/") "\r\n", sizeof(GET("/") "\r\n") - 1),
                     sizeof(GET("/") "\r\n") - 1);
    call_until(worker, &caller, "\r\n\r\nadmin");
    close(caller.fd);
    for (int i = 0; i < TURNS && !hark_list_is_empty(&worker->admin.conns); i++) {
        assert_int_equal(hark_loop_step(worker->loop, 1), 0);
    }
}

// The token out of the answer's head.
static void token_of(const struct caller *caller, char *out, size_t max)
{
    const char *at = strstr(caller->text, "Hark-Session: ");
    assert_non_null(at);
    at += sizeof("Hark-Session: ") - 1;
    size_t len = strcspn(at, "\r");
    assert_true(len < max);
    memcpy(out, at, len);
    out[len] = '\0';
}

static void test_becoming_a_session(void **state)
{
    struct worker *worker = *state;
    struct caller caller;
    lua_is(worker, "core.channels_set({ { pattern = 'c' } })", "");
    endpoint(worker, "return { open = function(conn) conn:send(conn.user.id .. conn.params.room .. "
                     "conn.query.q) end,"
                     "message = function(conn, text) conn:send('got ' .. text) end }");
    serve(worker, "local id = core.session_id(req) local conn = id and core.session(id) "
                  "if req.method == 'POST' and conn then return core.post(req, conn) end "
                  "if req.method == 'DELETE' and conn then return core.delete(req, conn) end "
                  "local conn = core.accept(req, core.slot('test'), { transport = 'sse', user = { "
                  "id = 'ann' }, "
                  "params = { room = 'r' }, query = req.query }) log.id = conn.id log.user = "
                  "core.conn_user(conn).id");
    call_open(worker, &caller,
              "GET /?q=7 HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n");
    call_until(worker, &caller, "data: annr7\n");
    char token[64];
    char request[512];
    token_of(&caller, token, sizeof(token));
    snprintf(request, sizeof(request), "return log.user, core.owner('short'), core.owner('%s')",
             token);
    lua_is(worker, request, "ann,nil,0,token");
    lua_is(worker, "return core.owner(('a'):rep(22))", "0,chosen");
    snprintf(request, sizeof(request),
             "POST / HTTP/1.1\r\nHost: h\r\nHark-Session: %s\r\nContent-Length: "
             "2\r\nConnection: close\r\n\r\nhi",
             token);
    struct caller post;
    call_open(worker, &post, request);
    call_until(worker, &post, "HTTP/1.1 204 ");
    close(post.fd);
    call_until(worker, &caller, "data: got hi\n");
    lua_is(worker, "return core.disconnect('ann', 1008, 'out')", "1");
    for (int i = 0; i < TURNS && !caller.ended; i++) {
        call_turn(worker, &caller);
    }
    assert_true(caller.ended);
    call_close(worker, &caller);
    assert_int_equal(hark_session_count(&worker->env), 0);
}

static void test_no_memory(void **state)
{
    struct worker *worker = *state;
    hark_log_set_level(HARK_LOG_ERROR + 1);
    endpoint(worker, "return { open = function(conn) conn:send('x') end }");
    serve(worker, "local q = req.query.a return core.accept(req, core.slot('test'), { transport = "
                  "'sse', user = { id = q } })");
    hark_log_set_level(HARK_LOG_ERROR + 1);
    for (size_t n = 0; n < 120; n++) {
        struct caller caller;
        call_open(worker, &caller,
                  "GET /?a=1 HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n");
        hark_mem_fail_after(n);
        for (int i = 0; i < 3; i++) {
            call_turn(worker, &caller);
        }
        hark_mem_fail_after(SIZE_MAX);
        call_close(worker, &caller);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(hark_loop_step(worker->loop, 1), 0);
        worker_tick(worker);
    }
    assert_int_equal(hark_session_count(&worker->env), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_request_says),
        TEST(test_answers),
        TEST(test_mistakes),
        TEST(test_what_is_left_unanswered),
        TEST(test_a_client_that_goes),
        TEST(test_a_client_that_has_said_all),
        TEST(test_the_admin_address),
        TEST(test_becoming_a_session),
        TEST(test_no_memory),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
