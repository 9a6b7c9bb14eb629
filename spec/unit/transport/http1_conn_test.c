// SPDX-License-Identifier: MIT
//
// HTTP/1.1 connections over real sockets, the reading half: cut requests, keep-alive, pipelining,
// expectations, refusals, deadlines, drain and stop. Responses are compared byte for byte.
#include "http_fixture.h"

#include "base/mem.h"

static void test_one_request(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/a%20b?c")));
    client_expect(f, fd, OK("11", "GET /a b []"));
    assert_int_equal(hark_stats_get(&f->stats.requests), 1);
    close(fd);
    await_no_conns(f);
}

static void test_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    const struct hark_slice text =
        HARK_LIT("POST /x HTTP/1.1\r\nHost: a\r\n" ID "Transfer-Encoding: chunked\r\n\r\n"
                 "2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: dropped\r\n\r\n" GET("/y"));
    for (size_t i = 0; i < text.len; i++) {
        client_send(f, fd, hark_slice(text.ptr + i, 1));
        step(f);
    }
    client_expect(f, fd, OK("15", "POST /x [hello]") OK("9", "GET /y []"));
    close(fd);
}

static void test_versions_and_keep_alive(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n" ID "\r\n"));
    client_expect(f, fd,
                  "HTTP/1.1 200 OK\r\n" DATE ID
                  "Content-Length: 9\r\nConnection: keep-alive\r\n\r\nGET /1 []");
    client_send(f, fd, HARK_LIT("\r\n" GET("/2")));
    client_expect(f, fd, OK("9", "GET /2 []"));
    client_send(f, fd, HARK_LIT("GET /3 HTTP/1.0\r\n" ID "\r\n"));
    client_expect_end(f, fd, OK_CLOSE("9", "GET /3 []"));
    fd = client_open(f);
    client_send(
        f, fd,
        HARK_LIT("GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" ID "\r\n" GET("/no")));
    client_expect_end(f, fd, OK_CLOSE("9", "GET /4 []"));
    assert_int_equal(f->requests, 4);
    await_no_conns(f);
}

static void test_head_gets_no_body(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT("HEAD / HTTP/1.1\r\nHost: a\r\n" ID "\r\n" GET("/b")));
    client_expect(f, fd, OK("9", "") OK("9", "GET /b []"));
    close(fd);
}

static void test_pipelined_answers_come_in_order(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1") GET("/2") GET("/3")));
    for (size_t i = 0; i < 3; i++) {
        await(f, &f->held_count, i + 1);
        step(f);
        assert_int_equal(f->held_count, i + 1); // one at a time
        fixture_echo(f, f->held[i]);
    }
    client_expect(f, fd, OK("9", "GET /1 []") OK("9", "GET /2 []") OK("9", "GET /3 []"));
    close(fd);
    await_no_conns(f);
    assert_int_equal(f->gone, 0);
}

// The fixture's hook asserts that no handler runs inside another.
static void test_thousands_of_pipelined_requests(void **state)
{
    struct fixture *f = *state;

    enum { COUNT = 5000 };

    int fd = client_open(f);
    for (size_t i = 0; i < COUNT; i++) {
        client_send(f, fd, HARK_LIT(GET("/")));
        if (i % 100 == 99) {
            bool end = false;
            size_t each = strlen(OK("8", "GET / []"));
            struct hark_slice got = client_read(f, fd, each * 100, &end);
            assert_false(end);
            for (size_t at = 0; at < got.len; at += each) {
                assert_memory_equal(got.ptr + at, OK("8", "GET / []"), each);
            }
        }
    }
    assert_int_equal(f->requests, COUNT);
    close(fd);
}

// A client that sends and never reads: neither what it sends nor what it gets piles up here.
static void test_a_client_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    const struct hark_slice text = HARK_LIT(GET("/"));
    size_t sent = 0;
    for (size_t idle = 0; idle < 20 && sent < RECEIVE_MAX;) {
        ssize_t n = send(fd, text.ptr + sent % text.len, text.len - sent % text.len, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        step(f);
    }
    assert_true(sent < RECEIVE_MAX);
    size_t served = f->requests;
    for (size_t i = 0; i < 5; i++) {
        step(f);
    }
    assert_int_equal(f->requests, served);
    assert_true(sent > f->requests * text.len); // some wait
    size_t whole = sent / text.len;
    bool end = false;
    struct hark_slice got = client_read(f, fd, whole * strlen(OK("8", "GET / []")), &end);
    assert_false(end);
    assert_int_equal(got.len, whole * strlen(OK("8", "GET / []")));
    assert_int_equal(f->requests, whole);
    close(fd);
}

// More than may be read ahead waits in the socket until the exchange has ended.
static void test_read_ahead_is_bounded(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    f->limits.pipeline_bytes = 1000;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1")));
    await(f, &f->held_count, 1);
    char *much = malloc(1 << 22);
    assert_non_null(much);
    memset(much, 'x', 1 << 22);
    size_t sent = 0;
    for (size_t idle = 0; idle < 20 && sent < 1 << 22;) {
        ssize_t n = send(fd, much + sent, (1 << 22) - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        step(f);
    }
    assert_true(sent < 1 << 22);
    free(much);
    fixture_echo(f, f->held[0]);
    bool end = false;
    struct hark_slice got = client_read(f, fd, SIZE_MAX, &end);
    assert_true(end);
    assert_true(hark_slice_starts(got, HARK_LIT(OK("9", "GET /1 []") "HTTP/1.1 414 ")));
    close(fd);
}

static void test_continue(void **state)
{
    struct fixture *f = *state;
#define EXPECT(length)                                                                     \
    "POST /x HTTP/1.1\r\nHost: a\r\n" ID "Expect: 100-continue\r\nContent-Length: " length \
    "\r\n\r\n"
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(EXPECT("5")));
    client_expect(f, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(f, fd, HARK_LIT("he"));
    step(f);
    client_send(f, fd, HARK_LIT("llo"));
    client_expect(f, fd, OK("15", "POST /x [hello]"));
    client_send(f, fd, HARK_LIT(EXPECT("5") "hello")); // came along: nobody waits for the 100
    client_expect(f, fd, OK("15", "POST /x [hello]"));
    client_send(f, fd, HARK_LIT(EXPECT("65537")));
    client_expect_refusal(f, fd, "413 Content Too Large", "body_too_large",
                          "the request body is larger than the limit");
}

static void test_refusals_close(void **state)
{
    struct fixture *f = *state;

    static const struct {
        struct hark_slice request;
        const char *status;
        const char *word;
        const char *why;
    } rows[] = {
        {HARK_LIT("GET / HTTP/1.1\r\n\r\n"), "400 Bad Request", "bad_request",
         "exactly one Host is needed"},
        {HARK_LIT("BREW / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/")), "501 Not Implemented",
         "not_implemented", "this method is not served"},
        {HARK_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505 HTTP Version Not Supported",
         "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are served here"},
        {HARK_LIT("\x16\x03\x01"), "400 Bad Request", "bad_request", "this is not an HTTP request"},
        {HARK_LIT("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"), "417 Expectation Failed",
         "expectation", "only Expect: 100-continue is understood"},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(rows); i++) {
        int fd = client_open(f);
        client_send(f, fd, rows[i].request);
        client_expect_refusal(f, fd, rows[i].status, rows[i].word, rows[i].why);
    }
    assert_int_equal(hark_stats_get(&f->stats.requests_refused), HARK_ARRAY_LEN(rows));
    assert_int_equal(f->requests, 0);
    await_no_conns(f);
}

static void test_deadlines(void **state)
{
    struct fixture *f = *state;
    f->limits.head_timeout_ms = 30;
    f->limits.body_timeout_ms = 30;
    f->limits.idle_timeout_ms = 30;
    int fd = client_open(f);
    client_expect_end(f, fd, ""); // not a byte
    fd = client_open(f);
    client_send(f, fd, HARK_LIT("\r\n"));
    client_expect_end(f, fd, "");
    fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    client_expect_end(f, fd, OK("8", "GET / []")); // idle behind a request
    fd = client_open(f);
    client_send(f, fd, HARK_LIT("GET / HT"));
    client_expect_refusal(f, fd, "408 Request Timeout", "timeout",
                          "the request did not come in time");
    fd = client_open(f);
    client_send(f, fd, HARK_LIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
    client_expect_refusal(f, fd, "408 Request Timeout", "timeout",
                          "the request did not come in time");
}

// The deadline of a head counts from its first byte: bytes that trickle in do not move it.
static void test_a_trickle_does_not_help(void **state)
{
    struct fixture *f = *state;
    f->limits.head_timeout_ms = 50;
    int fd = client_open(f);
    uint64_t until = deadline();
    char byte = 'G';
    while (recv(fd, &byte, 1, MSG_PEEK) != 1) {
        byte = 'G';
        assert_int_equal(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
        step(f);
        assert_true(hark_loop_clock_ns() < until);
    }
    bool end = false;
    struct hark_slice got = client_read(f, fd, SIZE_MAX, &end);
    assert_true(hark_slice_starts(got, HARK_LIT("HTTP/1.1 408 ")));
    close(fd);
}

static void test_no_deadline_while_an_exchange_is_out(void **state)
{
    struct fixture *f = *state;
    f->limits.head_timeout_ms = 10;
    f->limits.idle_timeout_ms = 10;
    f->limits.body_timeout_ms = 10;
    f->handler = fixture_hold;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    uint64_t start = hark_loop_now_ms(f->loop);
    while (hark_loop_now_ms(f->loop) < start + 60) {
        step(f);
    }
    assert_int_equal(f->gone, 0);
    fixture_echo(f, f->held[0]);
    client_expect_end(f, fd, OK("8", "GET / []"));
}

static void test_client_goes_while_served(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    int fd = client_open_tcp(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    client_reset(fd);
    await(f, &f->gone, 1);
    await_no_conns(f);
    assert_int_equal(f->gone, 1);
}

// Lets the loop take the FIN in: what must not happen has had the time to.
static void take_end(struct fixture *f)
{
    for (size_t i = 0; i < 10; i++) {
        step(f);
    }
}

static void test_client_closes_its_half_while_served(void **state)
{
    struct fixture *f = *state;
    int (*const kinds[])(struct fixture *) = {client_open, client_open_tcp};
    f->handler = fixture_hold;
    for (size_t i = 0; i < HARK_ARRAY_LEN(kinds); i++) {
        f->held_count = 0;
        int fd = kinds[i](f);
        client_send(f, fd, HARK_LIT(GET("/1") GET("/2")));
        await(f, &f->held_count, 1);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        take_end(f);
        assert_int_equal(f->gone, 0);
        fixture_echo(f, f->held[0]);
        await(f, &f->held_count, 2);
        fixture_echo(f, f->held[1]);
        client_expect_end(f, fd, OK("9", "GET /1 []") OK("9", "GET /2 []"));
        await_no_conns(f);
    }
    assert_int_equal(f->gone, 0);
}

static void hold_parked(struct fixture *f, struct hark_exchange *exchange)
{
    fixture_hold(f, exchange);
    hark_exchange_park(exchange);
}

// A client that waits in a parked poll and one that went away look the same.
static void test_client_closes_its_half_while_parked(void **state)
{
    struct fixture *f = *state;
    f->handler = hold_parked;
    int fd = client_open_tcp(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    take_end(f);
    assert_int_equal(f->gone, 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    await(f, &f->gone, 1);
    client_expect_end(f, fd, "");
    await_no_conns(f);
    assert_int_equal(f->gone, 1);
}

static void test_parked_behind_the_end_of_the_client(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    int fd = client_open_tcp(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    take_end(f);
    hark_exchange_park(f->held[0]);
    assert_int_equal(f->gone, 0); // not within the call
    await(f, &f->gone, 1);
    client_expect_end(f, fd, "");
    await_no_conns(f);
}

// What is answered at once is answered, parked or not.
static void test_parked_and_answered_behind_the_end(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    int fd = client_open_tcp(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    take_end(f);
    hark_exchange_park(f->held[0]);
    fixture_echo(f, f->held[0]);
    client_expect_end(f, fd, OK("8", "GET / []"));
    await_no_conns(f);
    assert_int_equal(f->gone, 0);
}

static void test_client_closes_its_half_behind_requests(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1") GET("/2") "GET /ha"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    client_expect_end(f, fd, OK("9", "GET /1 []") OK("9", "GET /2 []"));
    await_no_conns(f);
}

static void test_drain(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    int idle = client_open(f);
    int busy = client_open(f);
    int half = client_open(f);
    client_send(f, half, HARK_LIT("GET / HTTP/1.1\r\n"));
    client_send(f, busy, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    step(f);
    hark_http1_conn_drain_all(&f->server);
    client_expect_end(f, idle, "");
    fixture_echo(f, f->held[0]);
    client_expect_end(f, busy, OK_CLOSE("8", "GET / []"));
    client_send(f, half, HARK_LIT("Host: a\r\n\r\n"));
    client_expect_refusal(f, half, "503 Service Unavailable", "draining",
                          "the server is going down");
    await_no_conns(f);
}

static void test_drain_refuses_a_body_early(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    step(f);
    f->server.draining = true;
    client_send(f, fd, HARK_LIT(EXPECT("5")));
    bool end = false;
    struct hark_slice got = client_read(f, fd, SIZE_MAX, &end);
    assert_true(hark_slice_starts(got, HARK_LIT("HTTP/1.1 503 ")));
    close(fd);
}

static void test_stop_closes_everything(void **state)
{
    struct fixture *f = *state;
    f->handler = fixture_hold;
    int idle = client_open(f);
    int busy = client_open(f);
    client_send(f, busy, HARK_LIT(GET("/")));
    await(f, &f->held_count, 1);
    hark_http1_conn_close_all(&f->server);
    assert_int_equal(f->gone, 1);
    client_expect_end(f, idle, "");
    client_expect_end(f, busy, "");
    await_no_conns(f);
    int late = client_open(f); // accepted a moment too late
    client_expect_end(f, late, "");
    assert_int_equal(hark_stats_get(&f->stats.connections_refused), 1);
}

// Whichever allocation fails, the connection answers or closes, and nothing leaks.
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    const struct hark_slice text =
        HARK_LIT("POST /x HTTP/1.1\r\nHost: a\r\n" ID "Transfer-Encoding: chunked\r\n\r\n"
                 "5\r\nhello\r\n0\r\n\r\n" GET("/y"));
    for (size_t failing = 0; failing < 60; failing++) {
        hark_mem_fail_after(failing);
        int fd = client_open(f);
        for (size_t i = 0; i < text.len; i += 20) {
            size_t n = text.len - i < 20 ? text.len - i : 20;
            (void)send(fd, text.ptr + i, n, MSG_NOSIGNAL); // may be closed already
            step(f);
        }
        hark_mem_fail_after(SIZE_MAX);
        shutdown(fd, SHUT_WR);
        bool end = false;
        struct hark_slice got = client_read(f, fd, SIZE_MAX, &end);
        assert_true(got.len == 0 || hark_slice_starts(got, HARK_LIT("HTTP/1.1 200 ")) ||
                    hark_slice_starts(got, HARK_LIT("HTTP/1.1 503 ")));
        close(fd);
        await_no_conns(f);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_request),
        TEST(test_byte_by_byte),
        TEST(test_versions_and_keep_alive),
        TEST(test_head_gets_no_body),
        TEST(test_pipelined_answers_come_in_order),
        TEST(test_thousands_of_pipelined_requests),
        TEST(test_a_client_that_does_not_read),
        TEST(test_read_ahead_is_bounded),
        TEST(test_continue),
        TEST(test_refusals_close),
        TEST(test_deadlines),
        TEST(test_a_trickle_does_not_help),
        TEST(test_no_deadline_while_an_exchange_is_out),
        TEST(test_client_goes_while_served),
        TEST(test_client_closes_its_half_while_served),
        TEST(test_client_closes_its_half_while_parked),
        TEST(test_parked_behind_the_end_of_the_client),
        TEST(test_parked_and_answered_behind_the_end),
        TEST(test_client_closes_its_half_behind_requests),
        TEST(test_drain),
        TEST(test_drain_refuses_a_body_early),
        TEST(test_stop_closes_everything),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
