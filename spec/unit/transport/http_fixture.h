// SPDX-License-Identifier: MIT
//
// One worker's HTTP side on a real loop, and clients on socket pairs, for the tests of transport/.
// Everything waits for an event with a deadline that only a broken test reaches.
#ifndef HARK_SPEC_HTTP_FIXTURE_H
#define HARK_SPEC_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/stats.h"
#include "hark.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "transport/exchange.h"
#include "transport/http1_conn.h"
#include "transport/server.h"

#define WAIT_MS     20000
#define RECEIVE_MAX (1 << 22)
// What the date of every response is turned into before it is compared.
#define DATE_TEXT "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE      "Date: " DATE_TEXT "\r\n"
// Requests bring this id, so that responses can be compared byte for byte.
#define ID "X-Request-Id: t1\r\n"

struct fixture {
    struct hark_stats stats;
    struct hark_http_limits limits;
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct hark_server server;
    void (*handler)(struct fixture *fixture, struct hark_exchange *exchange);
    struct hark_exchange *held[8]; // exchanges that a handler keeps
    size_t held_count;
    size_t requests;
    size_t gone;
    size_t depth; // of handlers on the stack
    void *note;   // a test's own
    char *received;
};

static inline void fixture_echo(struct fixture *fixture, struct hark_exchange *exchange)
{
    (void)fixture;
    const struct hark_request *request = hark_exchange_request(exchange);
    char text[1024];
    int len = snprintf(text, sizeof(text), "%.*s %.*s [%.*s]", (int)request->method.len,
                       request->method.ptr, (int)request->path.len, request->path.ptr,
                       (int)(request->body.len < 512 ? request->body.len : 512),
                       request->body.ptr == NULL ? "" : request->body.ptr);
    const struct hark_response response = {.status = 200, .body = hark_slice(text, (size_t)len)};
    hark_exchange_respond(exchange, &response);
}

static inline void fixture_on_gone(void *ctx, struct hark_exchange *exchange)
{
    (void)exchange;
    struct fixture *fixture = ctx;
    fixture->gone++;
}

static inline void fixture_hold(struct fixture *fixture, struct hark_exchange *exchange)
{
    assert_true(fixture->held_count < HARK_ARRAY_LEN(fixture->held));
    fixture->held[fixture->held_count++] = exchange;
    hark_exchange_on_gone(exchange, fixture_on_gone, fixture);
}

static inline void fixture_on_request(void *ctx, struct hark_exchange *exchange)
{
    struct fixture *fixture = ctx;
    fixture->requests++;
    fixture->depth++;
    assert_int_equal(fixture->depth, 1);
    fixture->handler(fixture, exchange);
    fixture->depth--;
}

static inline bool fixture_on_tick(void *ctx)
{
    struct fixture *fixture = ctx;
    return hark_mailbox_drain(fixture->mailbox, 100);
}

static inline void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){
        .limits = {.head_bytes = 16384,
                   .body_bytes = 65536,
                   .head_timeout_ms = WAIT_MS,
                   .body_timeout_ms = WAIT_MS,
                   .idle_timeout_ms = WAIT_MS,
                   .pipeline_bytes = 65536},
        .handler = fixture_echo,
    };
    assert_int_equal(hark_loop_new(&fixture->stats, &fixture->loop), 0);
    assert_int_equal(hark_mailbox_new(fixture->loop, fixture, &fixture->mailbox), 0);
    hark_loop_on_tick(fixture->loop, fixture_on_tick, fixture);
    fixture->server = (struct hark_server){
        .loop = fixture->loop,
        .mailbox = fixture->mailbox,
        .stats = &fixture->stats,
        .limits = &fixture->limits,
        .request = fixture_on_request,
        .request_ctx = fixture,
        .worker_count = 1,
    };
    hark_list_init(&fixture->server.conns);
    fixture->received = malloc(RECEIVE_MAX);
    assert_non_null(fixture->received);
}

static inline void fixture_deinit(struct fixture *fixture)
{
    hark_http1_conn_close_all(&fixture->server);
    hark_mailbox_free(fixture->mailbox);
    hark_loop_free(fixture->loop);
    assert_true(hark_list_is_empty(&fixture->server.conns));
    free(fixture->received);
}

static inline int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof(*fixture));
    assert_non_null(fixture);
    fixture_init(fixture);
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    fixture_deinit(*state);
    free(*state);
    return 0;
}

// A connected client; the server's end has been accepted.
static inline int client_open(struct fixture *fixture)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    hark_http1_conn_accept(&fixture->server, pair[1]);
    return pair[0];
}

// The same over TCP, where closing both halves looks like closing one.
static inline int client_open_tcp(struct fixture *fixture)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    int end = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(end >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(close(listener), 0);
    hark_http1_conn_accept(&fixture->server, end);
    return fd;
}

// By RST instead of FIN.
static inline void client_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(close(fd), 0);
}

static inline void step(struct fixture *fixture)
{
    assert_int_equal(hark_loop_step(fixture->loop, 2), 0);
}

static inline uint64_t deadline(void)
{
    return hark_loop_clock_ns() + (uint64_t)WAIT_MS * 1000000;
}

// Sends all of it, letting the loop run whenever the socket is full.
static inline void client_send(struct fixture *fixture, int fd, struct hark_slice data)
{
    uint64_t until = deadline();
    while (data.len > 0) {
        ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
        if (n > 0) {
            data = hark_slice_from(data, (size_t)n);
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        step(fixture);
        assert_true(hark_loop_clock_ns() < until);
    }
}

static inline void fix_dates(char *text, size_t len)
{
    const struct hark_slice name = HARK_LIT("Date: ");
    for (size_t i = 0; i + name.len + strlen(DATE_TEXT) <= len; i++) {
        if (memcmp(text + i, name.ptr, name.len) == 0) {
            memcpy(text + i + name.len, DATE_TEXT, strlen(DATE_TEXT));
        }
    }
}

// Reads until `len` bytes have come, or until the end of the stream (len SIZE_MAX). Returns what
// came; *ret_end: the stream has ended. A reset counts as the end.
static inline struct hark_slice
client_read(struct fixture *fixture, int fd, size_t len, bool *ret_end)
{
    uint64_t until = deadline();
    size_t got = 0;
    *ret_end = false;
    while (got < len) {
        size_t room = RECEIVE_MAX - got;
        ssize_t n = recv(fd, fixture->received + got, len - got < room ? len - got : room, 0);
        if (n > 0) {
            got += (size_t)n;
            continue;
        }
        if (n == 0 || errno == ECONNRESET) {
            *ret_end = true;
            break;
        }
        assert_int_equal(errno, EAGAIN);
        step(fixture);
        if (hark_loop_clock_ns() >= until) {
            fail_msg("nothing more came behind:\n%.*s", (int)got, fixture->received);
        }
    }
    fix_dates(fixture->received, got);
    return hark_slice(fixture->received, got);
}

static inline void assert_slice(struct hark_slice got, const char *text)
{
    if (!hark_slice_is(got, hark_slice_text(text))) {
        fail_msg("received:\n%.*s\ninstead of:\n%s", (int)got.len, got.ptr, text);
    }
}

// Exactly this text comes, and nothing more that is there already.
static inline void client_expect(struct fixture *fixture, int fd, const char *text)
{
    bool end = false;
    assert_slice(client_read(fixture, fd, strlen(text), &end), text);
    assert_false(end);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

// Exactly this text comes, then the end.
static inline void client_expect_end(struct fixture *fixture, int fd, const char *text)
{
    bool end = false;
    assert_slice(client_read(fixture, fd, SIZE_MAX, &end), text);
    assert_true(end);
    close(fd);
}

// The connection's own refusal, then the end.
static inline void client_expect_refusal(
    struct fixture *fixture, int fd, const char *status, const char *word, const char *why)
{
    char text[512];
    char body[256];
    char limit[32] = "";
    if (strncmp(status, "413", 3) == 0) {
        snprintf(limit, sizeof(limit), ",\"limit\":%zu", fixture->limits.body_bytes);
    }
    int len =
        snprintf(body, sizeof(body), "{\"error\":\"%s\",\"message\":\"%s\"%s}", word, why, limit);
    snprintf(text, sizeof(text),
             "HTTP/1.1 %s\r\n" DATE "Content-Type: application/json\r\n%sContent-Length: %d\r\n"
             "Connection: close\r\n\r\n%s",
             status, strncmp(status, "503", 3) == 0 ? "Retry-After: 2\r\n" : "", len, body);
    client_expect_end(fixture, fd, text);
}

// Lets the loop run until *count has reached n.
static inline void await(struct fixture *fixture, const size_t *count, size_t n)
{
    uint64_t until = deadline();
    while (*count < n) {
        step(fixture);
        assert_true(hark_loop_clock_ns() < until);
    }
}

static inline void await_no_conns(struct fixture *fixture)
{
    uint64_t until = deadline();
    while (!hark_list_is_empty(&fixture->server.conns)) {
        step(fixture);
        assert_true(hark_loop_clock_ns() < until);
    }
}

#define GET(path)        "GET " path " HTTP/1.1\r\nHost: a\r\n" ID "\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\n" DATE ID "Content-Length: " length "\r\n\r\n" body
#define OK_CLOSE(length, body) \
    "HTTP/1.1 200 OK\r\n" DATE ID "Content-Length: " length "\r\nConnection: close\r\n\r\n" body

#endif
