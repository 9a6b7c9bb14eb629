// SPDX-License-Identifier: MIT
//
// The reader of one request: heads and bodies cut at every byte, limits, trailers, and no memory.
#include "proto/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

#define HOST    "Host: a\r\n"
#define CHUNKED "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define NEXT    "GET /next HTTP/1.1\r\n"

static const struct hark_http1_limits LIMITS = {.head_bytes = 512, .body_bytes = 64};

// Feeds `step` bytes a time, each piece from its own allocation, so that a sanitizer sees any look
// beyond it. Returns the reader's last status, *ret_consumed in all.
static struct hark_http1 *feed(struct hark_slice text, size_t step, int *ret, size_t *ret_consumed)
{
    struct hark_http1 *reader = hark_http1_new(&LIMITS);
    assert_non_null(reader);
    *ret = HARK_EAGAIN;
    *ret_consumed = 0;
    while (text.len > 0 && *ret == HARK_EAGAIN) {
        size_t n = step < text.len ? step : text.len;
        char *piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, text.ptr, n);
        size_t consumed = 0;
        *ret = hark_http1_feed(reader, hark_slice(piece, n), &consumed);
        memset(piece, 'X', n);
        free(piece);
        *ret_consumed += consumed;
        if (*ret == HARK_EAGAIN) {
            assert_int_equal(consumed, n);
        }
        text = hark_slice_from(text, n);
    }
    return reader;
}

static void assert_body(struct hark_slice text, const char *body)
{
    const size_t end = text.len - strlen(NEXT);
    for (size_t step = 1; step <= text.len; step++) {
        int status = 0;
        size_t consumed = 0;
        struct hark_http1 *reader = feed(text, step, &status, &consumed);
        assert_int_equal(status, 0);
        assert_int_equal(consumed, end);
        assert_int_equal(hark_http1_stage(reader), HARK_HTTP1_DONE);
        struct hark_slice got = hark_http1_request(reader)->body;
        assert_true(hark_slice_is(got, hark_slice_text(body)));
        hark_http1_free(reader);
    }
}

static void assert_refused(struct hark_slice text, int refusal)
{
    for (size_t step = 1; step <= text.len; step++) {
        int status = 0;
        size_t consumed = 0;
        struct hark_http1 *reader = feed(text, step, &status, &consumed);
        assert_int_equal(status, HARK_EPROTO);
        assert_int_equal(hark_http1_stage(reader), HARK_HTTP1_REFUSED);
        if (hark_http1_refusal(reader).status != refusal) {
            fail_msg("%d (%s) instead of %d, %zu bytes a time:\n%.*s",
                     hark_http1_refusal(reader).status, hark_http1_refusal(reader).why, refusal,
                     step, (int)text.len, text.ptr);
        }
        size_t more = 0;
        assert_int_equal(hark_http1_feed(reader, HARK_LIT("x"), &more), HARK_EPROTO);
        hark_http1_free(reader);
    }
}

static void test_request(void **state)
{
    (void)state;
    const struct hark_slice text =
        HARK_LIT("GET /a%20b/../c?d=e HTTP/1.1\r\nHost: h:1\r\nX-One:  1 \r\nEmpty:\r\n\r\n" NEXT);
    for (size_t step = 1; step <= text.len; step++) {
        int status = 0;
        size_t consumed = 0;
        struct hark_http1 *reader = feed(text, step, &status, &consumed);
        assert_int_equal(status, 0);
        assert_int_equal(consumed, text.len - strlen(NEXT));
        const struct hark_request *request = hark_http1_request(reader);
        assert_true(hark_slice_is(request->method, HARK_LIT("GET")));
        assert_true(hark_slice_is(request->target, HARK_LIT("/a%20b/../c?d=e")));
        assert_true(hark_slice_is(request->path, HARK_LIT("/c")));
        assert_true(hark_slice_is(request->query, HARK_LIT("d=e")));
        assert_true(hark_slice_is(request->host, HARK_LIT("h:1")));
        assert_int_equal(request->minor, 1);
        assert_int_equal(request->header_count, 3);
        assert_true(hark_slice_is(request->headers[1].name, HARK_LIT("X-One")));
        assert_true(hark_slice_is(request->headers[1].value, HARK_LIT("1")));
        assert_true(hark_slice_is(request->headers[2].name, HARK_LIT("Empty")));
        assert_int_equal(request->headers[2].value.len, 0);
        assert_int_equal(request->body.len, 0);
        assert_true(hark_http1_keep_alive(reader));
        hark_http1_free(reader);
    }
}

static void test_upgrade_keeps_the_bytes_behind(void **state)
{
    (void)state;
    assert_body(HARK_LIT("GET / HTTP/1.1\r\n" HOST
                         "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" NEXT),
                "");
    assert_body(HARK_LIT("POST / HTTP/1.1\r\n" HOST
                         "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab" NEXT),
                "ab");
    assert_body(HARK_LIT("POST / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" NEXT),
                "ab");
}

static void test_empty_line_before(void **state)
{
    (void)state;
    assert_body(HARK_LIT("\r\nGET / HTTP/1.1\r\n" HOST "\r\n" NEXT), "");
    assert_refused(HARK_LIT("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_refused(HARK_LIT("\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_refused(HARK_LIT("\rGET / HTTP/1.1\r\n" HOST "\r\n"), 400);
}

static void test_only_an_empty_line_is_no_beginning(void **state)
{
    (void)state;
    int status = 0;
    size_t consumed = 0;
    struct hark_http1 *reader = feed(HARK_LIT("\r\n"), 2, &status, &consumed);
    assert_int_equal(status, HARK_EAGAIN);
    assert_int_equal(hark_http1_stage(reader), HARK_HTTP1_START);
    hark_http1_free(reader);
}

static void test_sized_bodies(void **state)
{
    (void)state;
#define SIZED(n) "POST /x HTTP/1.1\r\n" HOST "Content-Length: " n "\r\n\r\n"
    assert_body(HARK_LIT(SIZED("5") "hello" NEXT), "hello");
    assert_body(HARK_LIT(SIZED("0") NEXT), "");
    assert_body(HARK_LIT(SIZED("2") "\r\n" NEXT), "\r\n");
    assert_body(
        HARK_LIT("POST /x HTTP/1.0\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab" NEXT),
        "ab");
    assert_refused(HARK_LIT(SIZED("65")), 413);
    assert_refused(
        HARK_LIT("POST /x HTTP/1.1\r\n" HOST "Content-Length: 65\r\nExpect: 100-continue\r\n\r\n"),
        413);
}

static void test_chunked_bodies(void **state)
{
    (void)state;
    assert_body(HARK_LIT(CHUNKED "5\r\nhello\r\n0\r\n\r\n" NEXT), "hello");
    assert_body(HARK_LIT(CHUNKED "1\r\nh\r\n004\r\nello\r\n000\r\n\r\n" NEXT), "hello");
    assert_body(HARK_LIT(CHUNKED "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n" NEXT),
                "01234567890123456789");
    assert_body(HARK_LIT(CHUNKED "0\r\n\r\n" NEXT), "");
    assert_body(HARK_LIT(CHUNKED "1;a\r\nh\r\n1;b=c\r\ni\r\n1;d=\"e;f\"\r\nj\r\n0;g\r\n\r\n" NEXT),
                "hij");
    assert_body(HARK_LIT(CHUNKED "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n" NEXT), "a");
    assert_body(HARK_LIT(CHUNKED "2\r\n\r\n\r\n0\r\n\r\n" NEXT), "\r\n");
}

static void test_malformed_chunks(void **state)
{
    (void)state;
    static const struct hark_slice rows[] = {
        HARK_LIT(CHUNKED "\r\n"),
        HARK_LIT(CHUNKED "x\r\n"),
        HARK_LIT(CHUNKED "-1\r\n"),
        HARK_LIT(CHUNKED "+1\r\n"),
        HARK_LIT(CHUNKED "0x1\r\n"),
        HARK_LIT(CHUNKED " 1\r\n"),
        HARK_LIT(CHUNKED "1 \r\na"),
        HARK_LIT(CHUNKED "1\ra"),
        HARK_LIT(CHUNKED "1\na"),
        HARK_LIT(CHUNKED "1\r\nab"),
        HARK_LIT(CHUNKED "1\r\na\n0\r\n\r\n"),
        HARK_LIT(CHUNKED "1\r\na\rX0\r\n\r\n"),
        HARK_LIT(CHUNKED "1\r\naXX0\r\n\r\n"),
        HARK_LIT(CHUNKED "1\r\na0\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\n\n"),
        HARK_LIT(CHUNKED "0\r\n\rX"),
        HARK_LIT(CHUNKED "0\rX\r\n"),
        HARK_LIT(CHUNKED "0\n\r\n"),
        HARK_LIT(CHUNKED "00000000000000001\r\n"),
        HARK_LIT(CHUNKED "10000000000000000\r\n"),
        HARK_LIT(CHUNKED "1;a\n\r\n"),
        HARK_LIT(CHUNKED "1;a\rX\r\n"),
        HARK_LIT(CHUNKED "1;a=\"b\r\n"),
        HARK_LIT(CHUNKED "1;a\0b\r\n"),
        HARK_LIT(CHUNKED "1;a b c\r\n"),
        HARK_LIT(CHUNKED "0\r\n X: y\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\nX : y\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\nX\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\n: y\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\nX: a\rb\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\nX: a\nb\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\nX: y\r\n z\r\n\r\n"),
        HARK_LIT(CHUNKED "0\r\nX: a\0b\r\n\r\n"),
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(rows); i++) {
        assert_refused(rows[i], 400);
    }
}

static void test_chunks_over_the_limits(void **state)
{
    (void)state;
    assert_refused(HARK_LIT(CHUNKED "41\r\n"), 413);
    assert_refused(HARK_LIT(CHUNKED "FFFFFFFFFFFFFFFF\r\n"), 413);
    assert_refused(HARK_LIT(CHUNKED "1\r\na\r\n40\r\n"), 413);
    char text[1024] = CHUNKED "1;";
    size_t len = strlen(text);
    memset(text + len, 'e', LIMITS.head_bytes + 1);
    assert_refused(hark_slice(text, len + LIMITS.head_bytes + 1), 400);
    memcpy(text, CHUNKED "0\r\nX:", sizeof(CHUNKED "0\r\nX:"));
    len = strlen(CHUNKED "0\r\nX:");
    memset(text + len, 'e', LIMITS.head_bytes);
    assert_refused(hark_slice(text, len + LIMITS.head_bytes), 431);
}

// Many small extensions are as bad as a large one.
static void test_extensions_are_bounded_together(void **state)
{
    (void)state;
    char text[4096] = CHUNKED;
    size_t len = strlen(text);
    for (size_t i = 0; i < 60; i++) {
        memcpy(text + len, "1;123456789\r\na\r\n", 16);
        len += 16;
    }
    int status = 0;
    size_t consumed = 0;
    struct hark_http1 *reader = feed(hark_slice(text, len), len, &status, &consumed);
    assert_int_equal(status, HARK_EPROTO);
    assert_int_equal(hark_http1_refusal(reader).status, 400);
    hark_http1_free(reader);
}

static void test_heads_over_the_limit(void **state)
{
    (void)state;
    char text[1024] = "GET /";
    memset(text + 5, 'a', sizeof(text) - 5);
    assert_refused(hark_slice(text, LIMITS.head_bytes), 414);
    memcpy(text, "GET / HTTP/1.1\r\nX:", 18);
    assert_refused(hark_slice(text, LIMITS.head_bytes), 431);
    memcpy(text + LIMITS.head_bytes - 3, "\r\n\r\n", 4); // one byte too long
    assert_refused(hark_slice(text, LIMITS.head_bytes + 1), 431);
    memcpy(text, "GET / HTTP/1.1\r\nHost: a\r\nX:", 27);
    memcpy(text + LIMITS.head_bytes - 4, "\r\n\r\n" NEXT, 4 + strlen(NEXT)); // just fits
    assert_body(hark_slice(text, LIMITS.head_bytes + strlen(NEXT)), "");
}

static void test_ambiguous_paths(void **state)
{
    (void)state;
    assert_body(HARK_LIT("GET /a%2Fb HTTP/1.1\r\n" HOST "\r\n" NEXT), "");
    assert_refused(HARK_LIT("GET /%00 HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_refused(HARK_LIT("GET /%zz HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_body(HARK_LIT("GET /?a%2Fb%zz HTTP/1.1\r\n" HOST "\r\n" NEXT), "");
}

static void test_asterisk_is_the_path(void **state)
{
    (void)state;
    int status = 0;
    size_t consumed = 0;
    struct hark_http1 *reader =
        feed(HARK_LIT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 99, &status, &consumed);
    assert_int_equal(status, 0);
    assert_true(hark_slice_is(hark_http1_request(reader)->path, HARK_LIT("*")));
    hark_http1_free(reader);
}

static void test_continue_is_wanted_until_the_body_comes(void **state)
{
    (void)state;
    int status = 0;
    size_t consumed = 0;
    const struct hark_slice head =
        HARK_LIT("PUT / HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    struct hark_http1 *reader = feed(head, head.len, &status, &consumed);
    assert_int_equal(status, HARK_EAGAIN);
    assert_true(hark_http1_wants_continue(reader));
    assert_int_equal(hark_http1_feed(reader, HARK_LIT("a"), &consumed), HARK_EAGAIN);
    assert_false(hark_http1_wants_continue(reader));
    assert_int_equal(hark_http1_feed(reader, HARK_LIT("b"), &consumed), 0);
    hark_http1_free(reader);
}

// Every allocation fails once: a clean refusal, no leak.
static void test_no_memory(void **state)
{
    (void)state;
    const struct hark_slice text = HARK_LIT(CHUNKED "5\r\nhello\r\n0\r\n\r\n");
    int status = HARK_ENOMEM;
    size_t failing = 0;
    for (; status != 0; failing++) {
        size_t at = 0;
        status = HARK_EAGAIN;
        struct hark_http1 *reader = hark_http1_new(&LIMITS);
        hark_mem_fail_after(failing);
        while (at < text.len && status == HARK_EAGAIN) {
            size_t consumed = 0;
            status = hark_http1_feed(reader, hark_slice(text.ptr + at, 1), &consumed);
            at++;
        }
        hark_mem_fail_after(SIZE_MAX);
        if (status != 0) {
            assert_int_equal(status, HARK_ENOMEM);
            assert_int_equal(hark_http1_refusal(reader).status, 503);
        }
        hark_http1_free(reader);
    }
    assert_true(failing > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_upgrade_keeps_the_bytes_behind),
        cmocka_unit_test(test_empty_line_before),
        cmocka_unit_test(test_only_an_empty_line_is_no_beginning),
        cmocka_unit_test(test_sized_bodies),
        cmocka_unit_test(test_chunked_bodies),
        cmocka_unit_test(test_malformed_chunks),
        cmocka_unit_test(test_chunks_over_the_limits),
        cmocka_unit_test(test_extensions_are_bounded_together),
        cmocka_unit_test(test_heads_over_the_limit),
        cmocka_unit_test(test_ambiguous_paths),
        cmocka_unit_test(test_asterisk_is_the_path),
        cmocka_unit_test(test_continue_is_wanted_until_the_body_comes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
