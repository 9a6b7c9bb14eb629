// SPDX-License-Identifier: MIT
//
// Blocks of an event stream, byte for byte.
#include "proto/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hark.h"

static void expect_body(struct hark_slice event, struct hark_slice data, const char *want)
{
    struct hark_buf buf;
    hark_buf_init(&buf, 4096);
    assert_int_equal(hark_sse_body(&buf, event, data), 0);
    assert_int_equal(hark_buf_append_char(&buf, '\0'), 0);
    assert_string_equal(hark_buf_slice(&buf).ptr, want);
    hark_buf_deinit(&buf);
}

static void test_body(void **state)
{
    (void)state;
    expect_body(HARK_SLICE_NONE, HARK_LIT("plain"), "data: plain\n\n");
    expect_body(HARK_LIT("quote"), HARK_LIT("5"), "event: quote\ndata: 5\n\n");
    expect_body(HARK_SLICE_NONE, HARK_SLICE_NONE, "data: \n\n");
    expect_body(HARK_SLICE_NONE, HARK_LIT(" x"), "data:  x\n\n");
}

static void test_line_endings_of_all_kinds(void **state)
{
    (void)state;
    expect_body(HARK_SLICE_NONE, HARK_LIT("a\nb\rc\r\nd"),
                "data: a\ndata: b\ndata: c\ndata: d\n\n");
    expect_body(HARK_SLICE_NONE, HARK_LIT("end\n"), "data: end\ndata: \n\n");
    expect_body(HARK_SLICE_NONE, HARK_LIT("\r"), "data: \ndata: \n\n");
    expect_body(HARK_SLICE_NONE, HARK_LIT("\n\r"), "data: \ndata: \ndata: \n\n");
    expect_body(HARK_SLICE_NONE, HARK_LIT("x\n\nevent: evil\ndata: y"),
                "data: x\ndata: \ndata: event: evil\ndata: data: y\n\n");
}

static void test_id_retry_and_comment(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 4096);
    assert_int_equal(hark_sse_id(&buf, HARK_LIT("abc")), 0);
    assert_int_equal(hark_sse_end(&buf), 0);
    assert_int_equal(hark_sse_retry(&buf, 2000), 0);
    assert_int_equal(hark_buf_append_text(&buf, HARK_SSE_COMMENT), 0);
    assert_true(hark_slice_is(hark_buf_slice(&buf), HARK_LIT("id: abc\n\nretry: 2000\n\n:\n\n")));
    hark_buf_deinit(&buf);
}

static void test_limit_is_told(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 8);
    assert_int_equal(hark_sse_body(&buf, HARK_SLICE_NONE, HARK_LIT("too long")), HARK_ETOOBIG);
    hark_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_line_endings_of_all_kinds),
        cmocka_unit_test(test_id_retry_and_comment),
        cmocka_unit_test(test_limit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
