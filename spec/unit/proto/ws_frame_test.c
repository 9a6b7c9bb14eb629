// SPDX-License-Identifier: MIT
//
// Frames on the way out: the three forms of length, and what may stand in a close frame.
#include "proto/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "hark.h"

static void test_length_takes_the_shortest_form(void **state)
{
    (void)state;

    static const struct {
        size_t len;
        size_t head_len;
        uint8_t head[HARK_WS_HEAD_MAX];
    } cases[] = {
        {0, 2, {0x81, 0}},
        {125, 2, {0x81, 125}},
        {126, 4, {0x81, 126, 0, 126}},
        {127, 4, {0x81, 126, 0, 127}},
        {65535, 4, {0x81, 126, 0xFF, 0xFF}},
        {65536, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
        {(size_t)1 << 40, 10, {0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0}},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        char head[HARK_WS_HEAD_MAX];
        assert_int_equal(hark_ws_frame_head(head, HARK_WS_TEXT, cases[i].len), cases[i].head_len);
        assert_memory_equal(head, cases[i].head, cases[i].head_len);
    }
}

static void test_frame_is_appended_whole_or_not_at_all(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 10);
    assert_int_equal(hark_ws_frame_encode(&buf, HARK_WS_BINARY, HARK_LIT("abc")), 0);
    assert_memory_equal(hark_buf_slice(&buf).ptr,
                        "\x82\x03"
                        "abc",
                        5);
    assert_int_equal(hark_ws_frame_encode(&buf, HARK_WS_TEXT, HARK_LIT("wxyz")), HARK_ETOOBIG);
    assert_int_equal(hark_buf_len(&buf), 5);
    assert_int_equal(hark_ws_frame_encode(&buf, HARK_WS_TEXT, HARK_SLICE_NONE), 0);
    assert_memory_equal(hark_buf_slice(&buf).ptr + 5, "\x81\0", 2);
    hark_buf_deinit(&buf);
}

static void test_control_frame_is_bounded(void **state)
{
    (void)state;
    char long_text[200];
    char out[HARK_WS_CLOSE_MAX];
    memset(long_text, 'p', sizeof(long_text));
    size_t len = hark_ws_frame_control(out, HARK_WS_PONG, hark_slice(long_text, sizeof(long_text)));
    assert_int_equal(len, 2 + HARK_WS_CONTROL_MAX);
    assert_memory_equal(out, "\x8A\x7Dpp", 4);
}

static void test_close_frame(void **state)
{
    (void)state;
    char out[HARK_WS_CLOSE_MAX];
    assert_int_equal(hark_ws_frame_close(out, 1000, HARK_LIT("bye")), 7);
    assert_memory_equal(out,
                        "\x88\x05\x03\xE8"
                        "bye",
                        7);
    assert_int_equal(hark_ws_frame_close(out, HARK_WS_NO_CODE, HARK_LIT("unsaid")), 2);
    assert_memory_equal(out, "\x88\0", 2);
    assert_int_equal(hark_ws_frame_close(out, 4000, HARK_LIT("\xFF")), 4); // no UTF-8: left out
}

static void test_close_reason_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t before = 118; before <= 124; before++) {
        char text[140];
        memset(text, 'x', sizeof(text));
        for (size_t i = before; i + 4 <= sizeof(text); i += 4) {
            memcpy(text + i, "\xF0\x9F\x98\x80", 4);
        }
        size_t text_len = before + (sizeof(text) - before) / 4 * 4;
        char out[HARK_WS_CLOSE_MAX];
        size_t len = hark_ws_frame_close(out, 1000, hark_slice(text, text_len));
        assert_in_range(len, 4 + 120, 4 + 123);
        assert_true(hark_utf8_is_valid(hark_slice(out + 4, len - 4)));
        assert_memory_equal(out + 4, text, len - 4);
    }
}

static void test_codes_on_the_wire(void **state)
{
    (void)state;
    static const uint16_t good[] = {1000, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4999};
    static const uint16_t bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < HARK_ARRAY_LEN(good); i++) {
        assert_true(hark_ws_frame_code_is_valid(good[i]));
    }
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        assert_false(hark_ws_frame_code_is_valid(bad[i]));
    }
}

static void test_close_payload_is_read(void **state)
{
    (void)state;
    uint16_t code = 0;
    struct hark_slice reason = HARK_LIT("before");
    assert_int_equal(hark_ws_frame_parse_close(HARK_SLICE_NONE, &code, &reason), 0);
    assert_int_equal(code, HARK_WS_NO_CODE);
    assert_int_equal(reason.len, 0);
    assert_int_equal(hark_ws_frame_parse_close(HARK_LIT("\x0F\xA0ok"), &code, &reason), 0);
    assert_int_equal(code, 4000);
    assert_true(hark_slice_is(reason, HARK_LIT("ok")));
    assert_int_equal(hark_ws_frame_parse_close(HARK_LIT("\x03"), &code, &reason), 1002);
    assert_int_equal(hark_ws_frame_parse_close(HARK_LIT("\x03\xED"), &code, &reason), 1002);
    assert_int_equal(hark_ws_frame_parse_close(HARK_LIT("\x03\xE8\xC3"), &code, &reason), 1007);
    assert_int_equal(code, 4000); // untouched
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_takes_the_shortest_form),
        cmocka_unit_test(test_frame_is_appended_whole_or_not_at_all),
        cmocka_unit_test(test_control_frame_is_bounded),
        cmocka_unit_test(test_close_frame),
        cmocka_unit_test(test_close_reason_is_cut_between_characters),
        cmocka_unit_test(test_codes_on_the_wire),
        cmocka_unit_test(test_close_payload_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
