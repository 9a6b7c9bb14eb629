// SPDX-License-Identifier: MIT
//
// What an exchange is on every HTTP version: ids and serials, added fields, refusals, and responses
// that are none.
#include "http_fixture.h"

#define ID_64 "0123456789012345678901234567890123456789012345678901234567890123"

static void hold_one(struct fixture *f, int fd, struct hark_slice request)
{
    f->handler = fixture_hold;
    client_send(f, fd, request);
    await(f, &f->held_count, 1);
}

static void test_request_and_peer(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/a?b")));
    struct hark_exchange *exchange = f->held[0];
    assert_true(hark_slice_is(hark_exchange_request(exchange)->query, HARK_LIT("b")));
    assert_ptr_equal(hark_exchange_server(exchange), &f->server);
    assert_int_equal(hark_exchange_peer(exchange).family, 0);
    assert_false(hark_exchange_was_moved(exchange));
    fixture_echo(f, exchange);
    assert_int_equal(hark_exchange_peer(exchange).family, 0); // dead, and still to be asked
    close(fd);
}

static void test_serials_differ(void **state)
{
    struct fixture *f = *state;
    int one = client_open(f);
    int two = client_open(f);
    f->handler = fixture_hold;
    client_send(f, one, HARK_LIT(GET("/")));
    client_send(f, two, HARK_LIT(GET("/")));
    await(f, &f->held_count, 2);
    uint64_t first = hark_exchange_serial(f->held[0]);
    uint64_t second = hark_exchange_serial(f->held[1]);
    assert_int_not_equal(first, 0);
    assert_int_not_equal(first, second);
    close(one);
    close(two);
}

static void test_ids(void **state)
{
    struct fixture *f = *state;

    static const struct {
        const char *field;
        bool taken;
    } rows[] = {
        {"X-Request-Id: abc-DEF_1.2:3\r\n", true},
        {"x-request-id: " ID_64 ID_64 "\r\n", true},
        {"X-Request-Id: " ID_64 ID_64 "4\r\n", false},
        {"X-Request-Id: a b\r\n", false},
        {"X-Request-Id: a\"b\r\n", false},
        {"X-Request-Id: a\xff\r\n", false},
        {"X-Request-Id:\r\n", false},
        {"", false},
    };

    char made[HARK_ARRAY_LEN(rows)][25] = {{0}};
    f->handler = fixture_hold;
    for (size_t i = 0; i < HARK_ARRAY_LEN(rows); i++) {
        int fd = client_open(f);
        char text[256];
        int len =
            snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].field);
        client_send(f, fd, hark_slice(text, (size_t)len));
        f->held_count = 0;
        await(f, &f->held_count, 1);
        struct hark_slice id = hark_exchange_id(f->held[0]);
        if (rows[i].taken) {
            assert_int_equal(id.len, strlen(rows[i].field) - strlen("X-Request-Id: \r\n"));
        } else {
            assert_int_equal(id.len, 24);
            memcpy(made[i], id.ptr, 24);
            assert_int_equal(strspn(made[i], "0123456789abcdef"), 24);
            for (size_t j = 0; j < i; j++) {
                assert_string_not_equal(made[i], made[j]);
            }
        }
        char expected[256];
        snprintf(expected, sizeof(expected),
                 "HTTP/1.1 200 OK\r\n" DATE
                 "X-Request-Id: %.*s\r\nContent-Length: 8\r\n\r\nGET / []",
                 (int)id.len, id.ptr);
        fixture_echo(f, f->held[0]);
        client_expect(f, fd, expected);
        close(fd);
    }
}

static void test_added_fields_come_with_every_answer(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/")));
    struct hark_exchange *exchange = f->held[0];
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("Vary"), HARK_LIT("Origin")), 0);
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("X-Empty"), HARK_LIT("")), 0);
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("a b"), HARK_LIT("x")),
                     HARK_EINVAL);
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("a"), HARK_LIT("x\ny")),
                     HARK_EINVAL);
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("a"), HARK_LIT("\r\nB: c")),
                     HARK_EINVAL);
    static const char much[5000] = {[0 ... 4999] = 'x'};
    assert_int_equal(hark_exchange_add_header(exchange, HARK_LIT("a"), hark_slice(much, 5000)),
                     HARK_ETOOBIG);
    hark_exchange_refuse(exchange, 403, HARK_LIT("not \"yours\""));
    client_expect(f, fd,
                  "HTTP/1.1 403 Forbidden\r\n" DATE "Content-Type: application/json\r\n"
                  "Vary: Origin\r\nX-Empty: \r\n" ID
                  "Content-Length: 25\r\n\r\n{\"error\":\"not \\\"yours\\\"\"}");
    close(fd);
}

static void test_refusal_without_text(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/")));
    hark_exchange_refuse(f->held[0], 404, HARK_SLICE_NONE);
    client_expect(f, fd, "HTTP/1.1 404 Not Found\r\n" DATE ID "Content-Length: 0\r\n\r\n");
    close(fd);
}

static void test_errors_of_the_host(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/")));
    hark_exchange_refuse(f->held[0], 503, HARK_LIT("busy"));
    client_expect(f, fd,
                  "HTTP/1.1 503 Service Unavailable\r\n" DATE "Content-Type: application/json\r\n"
                  "Retry-After: 1\r\n" ID "Content-Length: 16\r\n\r\n{\"error\":\"busy\"}");
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->held_count, 2);
    hark_exchange_fail(f->held[1], "k3x9q2mf");
    client_expect(f, fd,
                  "HTTP/1.1 500 Internal Server Error\r\n" DATE
                  "Content-Type: application/json\r\n" ID "Content-Length: 43\r\n\r\n"
                  "{\"error\":\"internal\",\"reference\":\"k3x9q2mf\"}");
    close(fd);
}

static void test_answers_without_body(void **state)
{
    struct fixture *f = *state;
    static const int statuses[] = {204, 304};
    static const char *const lines[] = {"204 No Content", "304 Not Modified"};
    int fd = client_open(f);
    for (size_t i = 0; i < 2; i++) {
        f->held_count = 0;
        hold_one(f, fd, HARK_LIT(GET("/")));
        const struct hark_response response = {.status = statuses[i], .body = HARK_LIT("dropped")};
        hark_exchange_respond(f->held[0], &response);
        char expected[256];
        snprintf(expected, sizeof(expected), "HTTP/1.1 %s\r\n" DATE ID "\r\n", lines[i]);
        client_expect(f, fd, expected);
    }
    close(fd);
}

static void test_a_response_may_close(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/") GET("/2")));
    const struct hark_response response = {.status = 200, .body = HARK_LIT("bye"), .close = true};
    hark_exchange_respond(f->held[0], &response);
    client_expect_end(f, fd, OK_CLOSE("3", "bye"));
    assert_int_equal(f->requests, 1);
}

#define LARGE (1 << 21)

static void respond_large(struct fixture *f, struct hark_exchange *exchange)
{
    char *text = malloc(LARGE);
    assert_non_null(text);
    memset(text, 'x', LARGE);
    const struct hark_response response = {
        .status = 200, .body = hark_slice(text, LARGE), .close = f->note != NULL};
    hark_exchange_respond(exchange, &response);
    free(text);
}

static void test_a_large_last_answer_arrives_whole(void **state)
{
    struct fixture *f = *state;
    f->handler = respond_large;
    f->note = f; // closes
    int fd = client_open(f);
    client_send(f, fd, HARK_LIT(GET("/")));
    await(f, &f->requests, 1);
    bool end = false;
    size_t got = 0;
    while (!end) {
        got += client_read(f, fd, 100000, &end).len; // a look at the loop between two gulps
        step(f);
    }
    assert_int_equal(got, LARGE + strlen(OK_CLOSE("2097152", "")));
    close(fd);
}

// Whether the connection would stay or not: who takes nothing of an answer is cut.
static void test_a_large_answer_that_nobody_reads(void **state)
{
    struct fixture *f = *state;
    f->limits.body_timeout_ms = 30;
    f->limits.idle_timeout_ms = 30;
    f->handler = respond_large;
    for (size_t i = 0; i < 2; i++) {
        f->note = i == 0 ? NULL : f;
        int fd = client_open(f);
        client_send(f, fd, HARK_LIT(GET("/")));
        await(f, &f->requests, i + 1);
        await_no_conns(f);
        close(fd);
    }
}

static void test_what_is_no_response_becomes_500(void **state)
{
    struct fixture *f = *state;
    static const struct hark_header broken = {HARK_LIT("X"), HARK_LIT("a\r\nSet-Cookie: b")};
    static const struct hark_response responses[] = {
        {.status = 200, .headers = &broken, .header_count = 1, .body = HARK_LIT("no")},
        {.status = 0},
        {.status = 101},
        {.status = 600},
    };
    int fd = client_open(f);
    for (size_t i = 0; i < HARK_ARRAY_LEN(responses); i++) {
        f->held_count = 0;
        hold_one(f, fd, HARK_LIT(GET("/")));
        hark_exchange_respond(f->held[0], &responses[i]);
        client_expect(f, fd,
                      "HTTP/1.1 500 Internal Server Error\r\n" DATE ID "Content-Length: 0\r\n\r\n");
    }
    close(fd);
}

static void test_a_request_stays_readable_until_the_end_of_the_tick(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/path")));
    const struct hark_request *request = hark_exchange_request(f->held[0]);
    fixture_echo(f, f->held[0]);
    assert_true(hark_slice_is(request->path, HARK_LIT("/path")));
    close(fd);
}

static void test_moves_to_nowhere(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    hold_one(f, fd, HARK_LIT(GET("/")));
    assert_int_equal(hark_exchange_move(f->held[0], 0), HARK_EINVAL); // this worker
    assert_int_equal(hark_exchange_move(f->held[0], 1), HARK_EINVAL); // none
    fixture_echo(f, f->held[0]);
    client_expect(f, fd, OK("8", "GET / []"));
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_request_and_peer),
        TEST(test_serials_differ),
        TEST(test_ids),
        TEST(test_added_fields_come_with_every_answer),
        TEST(test_refusal_without_text),
        TEST(test_errors_of_the_host),
        TEST(test_answers_without_body),
        TEST(test_a_response_may_close),
        TEST(test_a_large_last_answer_arrives_whole),
        TEST(test_a_large_answer_that_nobody_reads),
        TEST(test_what_is_no_response_becomes_500),
        TEST(test_a_request_stays_readable_until_the_end_of_the_tick),
        TEST(test_moves_to_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
