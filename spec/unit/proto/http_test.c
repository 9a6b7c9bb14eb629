// SPDX-License-Identifier: MIT
//
// Questions about a request head, and the character classes against their definitions in RFC 9110.
#include "proto/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct hark_header HEADERS[] = {
    {HARK_LIT("Host"), HARK_LIT("a")},
    {HARK_LIT("Accept"), HARK_LIT("text/html, text/event-stream")},
    {HARK_LIT("Connection"), HARK_LIT("keep-alive")},
    {HARK_LIT("connection"), HARK_LIT(" ,Upgrade ,\tx")},
    {HARK_LIT("Empty"), HARK_LIT("")},
};

static const struct hark_request REQUEST = {
    .headers = HEADERS,
    .header_count = HARK_ARRAY_LEN(HEADERS),
    .query = HARK_LIT("a=1&cur%73or=x%20y&b&a=2"),
};

static void test_header_is_found_without_case(void **state)
{
    (void)state;
    assert_ptr_equal(hark_request_header(&REQUEST, HARK_LIT("ACCEPT")), &HEADERS[1]);
    assert_ptr_equal(hark_request_header(&REQUEST, HARK_LIT("Connection")), &HEADERS[2]);
    assert_null(hark_request_header(&REQUEST, HARK_LIT("Accep")));
    assert_true(hark_slice_is(hark_request_value(&REQUEST, HARK_LIT("host")), HARK_LIT("a")));
    assert_int_equal(hark_request_value(&REQUEST, HARK_LIT("Empty")).len, 0);
    assert_int_equal(hark_request_value(&REQUEST, HARK_LIT("None")).len, 0);
}

static void test_tokens_of_all_lines(void **state)
{
    (void)state;
    const struct hark_slice name = HARK_LIT("Connection");
    assert_true(hark_request_has_token(&REQUEST, name, HARK_LIT("upgrade")));
    assert_true(hark_request_has_token(&REQUEST, name, HARK_LIT("Keep-Alive")));
    assert_true(hark_request_has_token(&REQUEST, name, HARK_LIT("x")));
    assert_false(hark_request_has_token(&REQUEST, name, HARK_LIT("up")));
    assert_false(hark_request_has_token(&REQUEST, name, HARK_LIT("keep")));
    assert_false(hark_request_has_token(&REQUEST, HARK_LIT("Empty"), HARK_LIT("x")));
}

static void test_query_parameter(void **state)
{
    (void)state;
    struct hark_slice raw = HARK_LIT("untouched");
    assert_false(hark_request_query(&REQUEST, HARK_LIT("c"), &raw));
    assert_true(hark_slice_is(raw, HARK_LIT("untouched")));
    assert_true(hark_request_query(&REQUEST, HARK_LIT("a"), &raw));
    assert_true(hark_slice_is(raw, HARK_LIT("1")));
    assert_true(hark_request_query(&REQUEST, HARK_LIT("cursor"), &raw));
    assert_true(hark_slice_is(raw, HARK_LIT("x%20y")));
    assert_true(hark_request_query(&REQUEST, HARK_LIT("b"), &raw));
    assert_int_equal(raw.len, 0);
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(hark_http_reason(404), "Not Found");
    assert_string_equal(hark_http_reason(101), "Switching Protocols");
    assert_string_equal(hark_http_reason(299), "");
    assert_string_equal(hark_http_reason(0), "");
}

static void test_classes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        struct hark_slice text = hark_slice(&byte, 1);
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool token = letter || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
        bool target = c > 0x20 && c < 0x7f && c != '#';
        assert_int_equal(hark_http_is_token(text), token);
        assert_int_equal(hark_http_is_value(text), value);
        assert_int_equal(hark_http_is_target(text), target);
    }
    assert_false(hark_http_is_token(HARK_SLICE_NONE));
    assert_false(hark_http_is_target(HARK_SLICE_NONE));
    assert_true(hark_http_is_value(HARK_SLICE_NONE));
    assert_false(hark_http_is_value(HARK_LIT("a\r\nb")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_is_found_without_case),
        cmocka_unit_test(test_tokens_of_all_lines),
        cmocka_unit_test(test_query_parameter),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
