// SPDX-License-Identifier: MIT
//
// The answering half of HTTP/1.1 connections: bodies made while they are sent, the stream handed
// over with what came behind the request, and connections moved between two workers on two threads.
#include "http_fixture.h"

#include <pthread.h>

// --- bodies from a source ---

struct source {
    size_t pieces;
    size_t bytes;
    size_t done;
    size_t fail_after; // bytes; 0: never
    size_t piece_max;
};

static int source_next(void *ctx, size_t max, struct hark_chunk **ret)
{
    struct source *source = ctx;
    static char filler[65536];
    assert_int_equal(source->done, 0);
    assert_true(max > 0 && max <= sizeof(filler));
    if (source->fail_after > 0 && source->bytes >= source->fail_after) {
        return HARK_EIO;
    }
    max = source->piece_max > 0 && max > source->piece_max ? source->piece_max : max;
    memset(filler, 'a' + (int)(source->pieces % 26), max);
    source->pieces++;
    source->bytes += max;
    *ret = hark_chunk_copy(hark_slice(filler, max));
    return *ret == NULL ? HARK_ENOMEM : 0;
}

static void source_done(void *ctx)
{
    struct source *source = ctx;
    source->done++;
}

static const struct hark_body_source SOURCE = {.next = source_next, .done = source_done};
#define BODY_LEN (1 << 21)

static void from_source(struct fixture *f, struct hark_exchange *exchange)
{
    const struct hark_response head = {.status = 200};
    hark_exchange_respond_from(exchange, &head, BODY_LEN, &SOURCE, f->note);
}

static void test_body_is_made_as_the_client_reads(void **state)
{
    struct fixture *f = *state;
    struct source source = {0};
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1") GET("/2")));
    for (size_t i = 0; i < 20; i++) {
        step(f);
    }
    // No more than the socket takes and a little: the client has not read a byte.
    assert_true(source.bytes > 0 && source.bytes < BODY_LEN / 2);
    assert_int_equal(f->requests, 1);
    const char *head = OK("2097152", "");
    bool end = false;
    struct hark_slice got = client_read(f, fd, strlen(head) + BODY_LEN, &end);
    assert_false(end);
    assert_true(hark_slice_starts(got, hark_slice_text(head)));
    size_t pieces = source.pieces;
    for (size_t i = 0; i < pieces && (i + 1) * 65536 <= BODY_LEN; i++) {
        assert_int_equal(got.ptr[strlen(head) + i * 65536], 'a' + (int)(i % 26));
    }
    await(f, &f->requests, 2); // the connection went on
    assert_int_equal(source.done, 1);
    source = (struct source){0};
    got = client_read(f, fd, strlen(head) + BODY_LEN, &end);
    assert_int_equal(got.len, strlen(head) + BODY_LEN);
    await(f, &source.done, 1);
    assert_int_equal(source.bytes, BODY_LEN);
    close(fd);
}

static void test_small_pieces(void **state)
{
    struct fixture *f = *state;
    struct source source = {.piece_max = 1000};
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT("GET / HTTP/1.0\r\n" ID "\r\n"));
    bool end = false;
    struct hark_slice got = client_read(f, fd, SIZE_MAX, &end);
    assert_int_equal(got.len, strlen(OK_CLOSE("2097152", "")) + BODY_LEN);
    assert_int_equal(source.done, 1);
    close(fd);
}

static void test_head_needs_no_body(void **state)
{
    struct fixture *f = *state;
    struct source source = {0};
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT("HEAD / HTTP/1.1\r\nHost: a\r\n" ID "\r\n"));
    client_expect(f, fd, OK("2097152", ""));
    assert_int_equal(source.pieces, 0);
    assert_int_equal(source.done, 1);
    close(fd);
}

static void test_a_source_that_fails_cuts_the_connection(void **state)
{
    struct fixture *f = *state;
    struct source source = {.fail_after = 100000};
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    bool end = false;
    struct hark_slice got = client_read(f, fd, SIZE_MAX, &end);
    assert_true(end);
    assert_true(got.len < BODY_LEN);
    assert_int_equal(source.done, 1);
    close(fd);
    await_no_conns(f);
}

static void test_client_goes_in_the_middle(void **state)
{
    struct fixture *f = *state;
    struct source source = {0};
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    bool end = false;
    (void)client_read(f, fd, 1000, &end);
    close(fd);
    await(f, &source.done, 1);
    await_no_conns(f);
    assert_int_equal(source.done, 1);
}

static void test_a_client_that_stalls_is_cut(void **state)
{
    struct fixture *f = *state;
    struct source source = {0};
    f->limits.body_timeout_ms = 30;
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &source.done, 1);
    await_no_conns(f);
    assert_true(source.bytes < BODY_LEN);
    close(fd);
}

static void test_stop_lets_go_of_the_source(void **state)
{
    struct fixture *f = *state;
    struct source source = {0};
    f->handler = from_source;
    f->note = &source;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &source.pieces, 1);
    hark_http1_conn_close_all(&f->server);
    assert_int_equal(source.done, 1);
    close(fd);
}

// --- the stream taken over ---

struct taker {
    char got[256];
    size_t len;
    size_t ended;
    size_t closed;
    struct hark_stream *stream;
    int status;
};

static void taker_read(void *owner, struct hark_slice data)
{
    struct taker *taker = owner;
    assert_true(taker->len + data.len < sizeof(taker->got));
    memcpy(taker->got + taker->len, data.ptr, data.len);
    taker->len += data.len;
}

static void taker_end(void *owner)
{
    struct taker *taker = owner;
    taker->ended++;
    hark_stream_close(taker->stream, false);
}

static void taker_drained(void *owner)
{
    (void)owner;
}

static void taker_closed(void *owner, int status)
{
    struct taker *taker = owner;
    (void)status;
    taker->closed++;
}

static const struct hark_stream_ops TAKER_OPS = {taker_read, taker_end, taker_drained,
                                                 taker_closed};

static const struct hark_header UPGRADE = {HARK_LIT("Upgrade"), HARK_LIT("test")};

static void take_over(struct fixture *f, struct hark_exchange *exchange)
{
    struct taker *taker = f->note;
    const struct hark_response head = {.status = 101, .headers = &UPGRADE, .header_count = 1};
    struct hark_slice early = HARK_SLICE_NONE;
    taker->status = hark_exchange_take(exchange, &head, &TAKER_OPS, taker, &taker->stream, &early);
    if (taker->status == 0 && early.len > 0) {
        taker_read(taker, early);
    }
}

#define UPGRADED                                                                      \
    "HTTP/1.1 101 Switching Protocols\r\n" DATE "Upgrade: test\r\n" ID "Connection: " \
    "Upgrade\r\n\r\n"

static void test_take_with_early_bytes(void **state)
{
    struct fixture *f = *state;
    struct taker taker = {0};
    f->handler = take_over;
    f->note = &taker;
    int fd = client_open(f);
    client_send(f, fd,
                HARK_LIT("GET / HTTP/1.1\r\nHost: a\r\n" ID
                         "Connection: upgrade\r\nUpgrade: test\r\n\r\nearly"));
    client_expect(f, fd, UPGRADED);
    assert_true(hark_list_is_empty(&f->server.conns)); // nothing of the connection is left
    client_send(f, fd, HARK_LIT(" late"));
    await(f, &taker.len, 10);
    assert_slice(hark_slice(taker.got, taker.len), "early late");
    assert_int_equal(hark_stream_write(taker.stream, HARK_LIT("hi")), 0);
    client_expect(f, fd, "hi");
    close(fd);
    await(f, &taker.closed, 1);
    assert_int_equal(taker.ended, 1);
}

static void test_take_later_behind_pipelined_answers(void **state)
{
    struct fixture *f = *state;
    struct taker taker = {0};
    f->handler = fixture_hold;
    f->note = &taker;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1") GET("/2") "bytes"));
    await(f, &f->held_count, 1);
    fixture_echo(f, f->held[0]);
    await(f, &f->held_count, 2);
    take_over(f, f->held[1]);
    assert_int_equal(taker.status, 0);
    assert_slice(hark_slice(taker.got, taker.len), "bytes");
    client_expect(f, fd, OK("9", "GET /1 []") UPGRADED);
    close(fd);
    await(f, &taker.closed, 1);
}

static void take_open(struct fixture *f, struct hark_exchange *exchange)
{
    struct taker *taker = f->note;
    static const struct hark_header type = {HARK_LIT("Content-Type"),
                                            HARK_LIT("text/event-stream")};
    const struct hark_response head = {200, &type, 1, HARK_LIT(": hi\n\n"), false};
    struct hark_slice early;
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("Vary"), HARK_LIT("Origin")), 0);
    taker->status = hark_exchange_take(exchange, &head, &TAKER_OPS, taker, &taker->stream, &early);
    assert_int_equal(early.len, 0);
}

static void test_take_with_an_open_body(void **state)
{
    struct fixture *f = *state;
    struct taker taker = {0};
    f->handler = take_open;
    f->note = &taker;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    client_expect(f, fd,
                  "HTTP/1.1 200 OK\r\n" DATE
                  "Content-Type: text/event-stream\r\nVary: Origin\r\n" ID
                  "Connection: close\r\n\r\n: hi\n\n");
    hark_stream_close(taker.stream, false);
    client_expect_end(f, fd, "");
    await(f, &taker.closed, 1);
}

static void take_broken(struct fixture *f, struct hark_exchange *exchange)
{
    struct taker *taker = f->note;
    static const struct hark_header broken = {HARK_LIT("Bad Name"), HARK_LIT("x")};
    const struct hark_response head = {.status = 200, .headers = &broken, .header_count = 1};
    struct hark_slice early;
    taker->status = hark_exchange_take(exchange, &head, &TAKER_OPS, taker, &taker->stream, &early);
}

static void test_take_with_a_broken_head(void **state)
{
    struct fixture *f = *state;
    struct taker taker = {0};
    f->handler = take_broken;
    f->note = &taker;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    client_expect(f, fd,
                  "HTTP/1.1 500 Internal Server Error\r\n" DATE ID "Content-Length: 0\r\n\r\n");
    assert_int_equal(taker.status, HARK_EINVAL);
    assert_null(taker.stream);
    close(fd);
}

// --- moved to another worker ---

struct other {
    struct fixture fixture;
    pthread_t thread;
    char id[64];
    bool moved;
};

static void other_handler(struct fixture *f, struct hark_exchange *exchange)
{
    struct other *other = HARK_CONTAINER_OF(f, struct other, fixture);
    struct hark_slice id = hark_exchange_id(exchange);
    memcpy(other->id, id.ptr, id.len);
    other->moved = hark_exchange_was_moved(exchange);
    fixture_echo(f, exchange);
}

static void *other_main(void *arg)
{
    struct other *other = arg;
    (void)hark_loop_run(other->fixture.loop);
    return NULL;
}

static void other_start(struct other *other, struct fixture *f, struct hark_server **workers)
{
    memset(other, 0, sizeof(*other));
    fixture_init(&other->fixture);
    other->fixture.handler = other_handler;
    other->fixture.server.worker = 1;
    workers[0] = &f->server;
    workers[1] = &other->fixture.server;
    f->server.workers = workers;
    f->server.worker_count = 2;
    other->fixture.server.workers = workers;
    other->fixture.server.worker_count = 2;
    assert_int_equal(pthread_create(&other->thread, NULL, other_main, other), 0);
}

static void other_stop(struct other *other)
{
    hark_loop_stop(other->fixture.loop);
    assert_int_equal(pthread_join(other->thread, NULL), 0);
}

static void move_over(struct fixture *f, struct hark_exchange *exchange)
{
    size_t *status = f->note;
    struct hark_slice id = hark_exchange_id(exchange);
    memcpy(f->received, id.ptr, id.len);
    f->received[id.len] = '\0';
    *status = (size_t)-hark_exchange_move(exchange, 1);
}

static void test_move(void **state)
{
    struct fixture *f = *state;
    struct other other;
    struct hark_server *workers[2];
    size_t status = 99;
    other_start(&other, f, workers);
    f->handler = move_over;
    f->note = &status;
    int fd = client_open(f);
    // The body, and a pipelined request that has been read ahead, go along.
    client_send(f, fd,
                HARK_LIT("POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" GET("/n")));
    await(f, &f->requests, 1);
    assert_int_equal(status, 0);
    char id[64];
    strcpy(id, f->received);
    assert_int_equal(strlen(id), 24);
    char expected[512];
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\r\n" DATE
             "X-Request-Id: %s\r\nContent-Length: 12\r\n\r\nPOST /m [hi]" OK("9", "GET /n []"),
             id);
    client_expect(f, fd, expected);
    client_send(f, fd, HARK_LIT(GET("/o"))); // and the connection lives there
    client_expect(f, fd, OK("9", "GET /o []"));
    assert_int_equal(f->requests, 1);
    assert_true(hark_list_is_empty(&f->server.conns));
    assert_int_equal(hark_stats_get(&f->stats.connections_moved), 1);
    close(fd);
    other_stop(&other);
    assert_int_equal(other.fixture.requests, 3);
    assert_int_equal(hark_stats_get(&other.fixture.stats.requests), 2); // read there
    fixture_deinit(&other.fixture);
}

static void test_moved_is_told_and_keeps_its_id(void **state)
{
    struct fixture *f = *state;
    struct other other;
    struct hark_server *workers[2];
    size_t status = 99;
    other_start(&other, f, workers);
    f->handler = move_over;
    f->note = &status;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    client_expect(f, fd, OK("8", "GET / []"));
    close(fd);
    other_stop(&other);
    assert_true(other.moved);
    assert_string_equal(other.id, "t1");
    fixture_deinit(&other.fixture);
}

static void echo_then_move(struct fixture *f, struct hark_exchange *exchange)
{
    size_t *status = f->note;
    if (f->requests == 1) {
        fixture_echo(f, exchange);
        return;
    }
    *status = (size_t)-hark_exchange_move(exchange, 1);
    fixture_echo(f, exchange);
}

static void test_no_move_with_output_queued(void **state)
{
    struct fixture *f = *state;
    struct other other;
    struct hark_server *workers[2];
    size_t status = 99;
    other_start(&other, f, workers);
    f->handler = echo_then_move;
    f->note = &status;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1") GET("/2")));
    client_expect(f, fd, OK("9", "GET /1 []") OK("9", "GET /2 []"));
    assert_int_equal(status, (size_t)-HARK_EAGAIN);
    close(fd);
    other_stop(&other);
    assert_int_equal(other.fixture.requests, 0);
    fixture_deinit(&other.fixture);
}

// The other worker stopped before the mail arrived.
static void test_move_to_a_stopped_worker(void **state)
{
    struct fixture *f = *state;
    struct other other;
    struct hark_server *workers[2];
    size_t status = 99;
    other_start(&other, f, workers);
    other_stop(&other);
    hark_http1_conn_close_all(&other.fixture.server);
    f->handler = move_over;
    f->note = &status;
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/1") "more"));
    await(f, &f->requests, 1);
    assert_int_equal(status, 0);
    fixture_deinit(&other.fixture);
    client_expect_end(f, fd, "");
    assert_int_equal(other.fixture.requests, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_body_is_made_as_the_client_reads),
        TEST(test_small_pieces),
        TEST(test_head_needs_no_body),
        TEST(test_a_source_that_fails_cuts_the_connection),
        TEST(test_client_goes_in_the_middle),
        TEST(test_a_client_that_stalls_is_cut),
        TEST(test_stop_lets_go_of_the_source),
        TEST(test_take_with_early_bytes),
        TEST(test_take_later_behind_pipelined_answers),
        TEST(test_take_with_an_open_body),
        TEST(test_take_with_a_broken_head),
        TEST(test_move),
        TEST(test_moved_is_told_and_keeps_its_id),
        TEST(test_no_move_with_output_queued),
        TEST(test_move_to_a_stopped_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
