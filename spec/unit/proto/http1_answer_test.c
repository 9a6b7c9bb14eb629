// SPDX-License-Identifier: MIT
//
// Response heads, byte for byte.
#include "proto/http1_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

#define DATE      HARK_LIT("Sun, 06 Nov 1994 08:49:37 GMT")
#define DATE_LINE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void assert_text(const struct hark_http1_answer *answer, const char *expected)
{
    struct hark_bytes *bytes = NULL;
    assert_int_equal(hark_http1_answer(answer, &bytes), 0);
    if (!hark_slice_is(hark_bytes_slice(bytes), hark_slice_text(expected))) {
        fail_msg("wrote\n%.*s\ninstead of\n%s", (int)bytes->len, bytes->data, expected);
    }
    hark_bytes_unref(bytes);
}

static struct hark_http1_answer plain(const struct hark_response *response)
{
    return (struct hark_http1_answer){
        .response = response,
        .date = DATE,
        .framing = HARK_HTTP1_SIZED,
        .length = response->body.len,
        .with_body = true,
        .keep_alive = true,
        .minor = 1,
    };
}

static void test_whole(void **state)
{
    (void)state;
    const struct hark_header headers[] = {
        {HARK_LIT("Content-Type"), HARK_LIT("text/plain")},
        {HARK_LIT("X-Empty"), HARK_LIT("")},
    };
    const struct hark_response response = {200, headers, 2, HARK_LIT("hello"), false};
    struct hark_http1_answer answer = plain(&response);
    answer.request_id = HARK_LIT("id-1");
    answer.fields = HARK_LIT("Vary: Origin\r\n");
    assert_text(&answer,
                "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Type: text/plain\r\nVary: Origin\r\n"
                "X-Request-Id: id-1\r\nContent-Length: 5\r\n\r\nhello");
}

static void test_close_and_keep_alive(void **state)
{
    (void)state;
    const struct hark_response response = {.status = 404};
    struct hark_http1_answer answer = plain(&response);
    answer.keep_alive = false;
    assert_text(&answer, "HTTP/1.1 404 Not Found\r\n" DATE_LINE
                         "Content-Length: 0\r\nConnection: close\r\n\r\n");
    answer.minor = 0;
    assert_text(&answer, "HTTP/1.1 404 Not Found\r\n" DATE_LINE
                         "Content-Length: 0\r\nConnection: close\r\n\r\n");
    answer.keep_alive = true;
    assert_text(&answer, "HTTP/1.1 404 Not Found\r\n" DATE_LINE
                         "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

static void test_head_tells_the_length(void **state)
{
    (void)state;
    const struct hark_response response = {.status = 200, .body = HARK_LIT("hello")};
    struct hark_http1_answer answer = plain(&response);
    answer.is_head = true;
    answer.length = UINT64_MAX;
    assert_text(&answer,
                "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 18446744073709551615\r\n\r\n");
}

static void test_bodiless_statuses(void **state)
{
    (void)state;
    struct hark_response response = {.status = 204, .body = HARK_LIT("dropped")};
    struct hark_http1_answer answer = plain(&response);
    assert_text(&answer, "HTTP/1.1 204 No Content\r\n" DATE_LINE "\r\n");
    response.status = 304;
    assert_text(&answer, "HTTP/1.1 304 Not Modified\r\n" DATE_LINE "\r\n");
    response.status = 100;
    answer.date = HARK_SLICE_NONE;
    assert_text(&answer, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void test_upgrade(void **state)
{
    (void)state;
    const struct hark_header headers[] = {{HARK_LIT("Upgrade"), HARK_LIT("websocket")}};
    struct hark_response response = {.status = 101, .headers = headers, .header_count = 1};
    struct hark_http1_answer answer = plain(&response);
    answer.framing = HARK_HTTP1_OPEN;
    answer.keep_alive = false;
    assert_text(&answer, "HTTP/1.1 101 Switching Protocols\r\n" DATE_LINE
                         "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    response.status = 426;
    answer.framing = HARK_HTTP1_SIZED;
    assert_text(&answer, "HTTP/1.1 426 Upgrade Required\r\n" DATE_LINE
                         "Upgrade: websocket\r\nContent-Length: 0\r\n"
                         "Connection: Upgrade, close\r\n\r\n");
}

static void test_open_body(void **state)
{
    (void)state;
    const struct hark_response response = {.status = 200, .body = HARK_LIT("retry: 1\n\n")};
    struct hark_http1_answer answer = plain(&response);
    answer.framing = HARK_HTTP1_OPEN;
    answer.keep_alive = false;
    assert_text(&answer, "HTTP/1.1 200 OK\r\n" DATE_LINE "Connection: close\r\n\r\nretry: 1\n\n");
}

static void test_framing_fields_are_left_out(void **state)
{
    (void)state;
    const struct hark_header headers[] = {
        {HARK_LIT("content-length"), HARK_LIT("99")},
        {HARK_LIT("Transfer-Encoding"), HARK_LIT("x")},
        {HARK_LIT("CONNECTION"), HARK_LIT("x")},
        {HARK_LIT("date"), HARK_LIT("x")},
        {HARK_LIT("Keep-Alive"), HARK_LIT("x")},
        {HARK_LIT("X-A"), HARK_LIT("b")},
    };
    const struct hark_response response = {200, headers, 6, HARK_LIT("hi"), false};
    struct hark_http1_answer answer = plain(&response);
    assert_text(&answer, "HTTP/1.1 200 OK\r\n" DATE_LINE "X-A: b\r\nContent-Length: 2\r\n\r\nhi");
}

static void test_unknown_status(void **state)
{
    (void)state;
    const struct hark_response response = {.status = 599};
    struct hark_http1_answer answer = plain(&response);
    assert_text(&answer, "HTTP/1.1 599 \r\n" DATE_LINE "Content-Length: 0\r\n\r\n");
}

static void test_what_cannot_be_written(void **state)
{
    (void)state;
    static const struct hark_header bad[] = {
        {HARK_LIT("X A"), HARK_LIT("b")},    {HARK_LIT(""), HARK_LIT("b")},
        {HARK_LIT("X:"), HARK_LIT("b")},     {HARK_LIT("X"), HARK_LIT("a\r\nSet-Cookie: b")},
        {HARK_LIT("X"), HARK_LIT("a\nb")},   {HARK_LIT("X"), HARK_LIT("a\0b")},
        {HARK_LIT("X\r\nY"), HARK_LIT("a")},
    };
    struct hark_bytes *bytes = NULL;
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        const struct hark_response response = {
            .status = 200, .headers = &bad[i], .header_count = 1};
        struct hark_http1_answer answer = plain(&response);
        assert_int_equal(hark_http1_answer(&answer, &bytes), HARK_EINVAL);
    }
    static const int statuses[] = {0, 99, 600, -200, 1000};
    for (size_t i = 0; i < HARK_ARRAY_LEN(statuses); i++) {
        const struct hark_response response = {.status = statuses[i]};
        struct hark_http1_answer answer = plain(&response);
        assert_int_equal(hark_http1_answer(&answer, &bytes), HARK_EINVAL);
    }
    assert_null(bytes);
}

static void test_no_memory(void **state)
{
    (void)state;
    const struct hark_response response = {.status = 200};
    struct hark_http1_answer answer = plain(&response);
    struct hark_bytes *bytes = NULL;
    hark_mem_fail_after(0);
    assert_int_equal(hark_http1_answer(&answer, &bytes), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_null(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_close_and_keep_alive),
        cmocka_unit_test(test_head_tells_the_length),
        cmocka_unit_test(test_bodiless_statuses),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_open_body),
        cmocka_unit_test(test_framing_fields_are_left_out),
        cmocka_unit_test(test_unknown_status),
        cmocka_unit_test(test_what_cannot_be_written),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
