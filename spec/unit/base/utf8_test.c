// SPDX-License-Identifier: MIT
//
// UTF-8 validation: lists of good and bad texts cut at every point, every code point, and every
// sequence of up to three bytes against a decoder that is too simple to be wrong.
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"

static const char *const good[] = {
    "",
    "plain ASCII, longer than a machine word",
    "\x7F",
    "\xC2\x80",
    "\xDF\xBF",
    "\xE0\xA0\x80",
    "\xED\x9F\xBF",
    "\xEE\x80\x80",
    "\xEF\xBF\xBF",
    "\xF0\x90\x80\x80",
    "\xF4\x8F\xBF\xBF",
    "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5",
    "12345678\xC3\xA9-12345678\xF0\x9F\x98\x80-1234567\xE2\x82\xAC",
};

static const char *const bad[] = {
    "\x80",
    "\xBF",
    "\xC0\x80",
    "\xC1\xBF",
    "\xC2\x7F",
    "\xC2\xC0",
    "\xE0\x80\x80",
    "\xE0\x9F\xBF",
    "\xED\xA0\x80",
    "\xED\xBF\xBF",
    "\xE2\x82\x28",
    "\xE2\x28\xA1",
    "\xF0\x80\x80\x80",
    "\xF0\x8F\xBF\xBF",
    "\xF0\x9F\x98\x28",
    "\xF4\x90\x80\x80",
    "\xF5\x80\x80\x80",
    "\xF8\x88\x80\x80\x80",
    "\xFC\x84\x80\x80\x80\x80",
    "\xFE",
    "\xFF",
    "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80-edited",
    "1234567812345678\x80",
};

// Beginnings of a character: not wrong yet, but not whole.
static const char *const half[] = {"\xC2",         "\xE0\xA0", "\xE2",   "\xE2\x82",
                                   "\xF0\x9F\x98", "\xF4\x8F", "abc\xC3"};

static bool feed_in_two(const char *text, size_t len, size_t cut, bool *ret_complete)
{
    struct hark_utf8 utf8;
    hark_utf8_init(&utf8);
    bool first = hark_utf8_feed(&utf8, hark_slice(text, cut));
    bool second = hark_utf8_feed(&utf8, hark_slice(text + cut, len - cut));
    // What was broken stays broken, unless there was nothing more to look at.
    assert_true(first || !second || cut == len);
    *ret_complete = hark_utf8_is_complete(&utf8);
    return first && second;
}

static void test_good_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(good); i++) {
        size_t len = strlen(good[i]);
        assert_true(hark_utf8_is_valid(hark_slice_text(good[i])));
        for (size_t cut = 0; cut <= len; cut++) {
            bool is_complete = false;
            assert_true(feed_in_two(good[i], len, cut, &is_complete));
            assert_true(is_complete);
        }
    }
}

static void test_bad_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        size_t len = strlen(bad[i]);
        assert_false(hark_utf8_is_valid(hark_slice_text(bad[i])));
        for (size_t cut = 0; cut <= len; cut++) {
            bool is_complete = true;
            assert_false(feed_in_two(bad[i], len, cut, &is_complete));
            assert_false(is_complete);
        }
    }
}

static void test_half(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(half); i++) {
        bool is_complete = true;
        assert_true(feed_in_two(half[i], strlen(half[i]), 1, &is_complete));
        assert_false(is_complete);
        assert_false(hark_utf8_is_valid(hark_slice_text(half[i])));
    }
}

// RFC 6455 section 8.1: as early as possible, so at the byte that cannot be continued.
static void test_fails_at_the_first_wrong_byte(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        size_t at;
    } cases[] = {
        {"ab\xC0", 2}, {"\xE0\x9F", 1}, {"\xED\xA0", 1}, {"\xF4\x90", 1}, {"\xF0\x9F\x98\x41", 3}};

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        struct hark_utf8 utf8;
        hark_utf8_init(&utf8);
        assert_true(hark_utf8_feed(&utf8, hark_slice(cases[i].text, cases[i].at)));
        assert_false(hark_utf8_feed(&utf8, hark_slice(cases[i].text + cases[i].at, 1)));
        assert_false(hark_utf8_feed(&utf8, HARK_LIT("a")));
        assert_false(hark_utf8_feed(&utf8, HARK_LIT("\x80")));
    }
}

static size_t encode(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (unsigned char)(c | (uint32_t)(0xF00 >> len & 0xFF));
    return len;
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x200000; c++) {
        unsigned char text[4];
        size_t len = encode(c, text);
        bool is_scalar = c < 0xD800 || (c > 0xDFFF && c <= 0x10FFFF);
        if (hark_utf8_is_valid(hark_slice(text, len)) != is_scalar) {
            fail_msg("U+%04X", (unsigned)c);
        }
    }
}

// A text is valid exactly when it is the encoding of some code points.
static bool is_valid_simply(const unsigned char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t n = text[i] < 0x80 ? 1 : text[i] >> 5 == 6 ? 2 : text[i] >> 4 == 14 ? 3 : 0;
        if (n == 0 || i + n > len) {
            return false;
        }
        uint32_t c = n == 1 ? text[i] : n == 2 ? text[i] & 0x1F : text[i] & 0x0F;
        for (size_t k = 1; k < n; k++) {
            c = c << 6 | (text[i + k] & 0x3F);
        }
        unsigned char again[4];
        if ((c >= 0xD800 && c <= 0xDFFF) || encode(c, again) != n ||
            memcmp(again, text + i, n) != 0) {
            return false;
        }
        i += n;
    }
    return true;
}

static void test_every_three_bytes(void **state)
{
    (void)state;
    for (uint32_t x = 0; x < 1U << 24; x++) {
        const unsigned char text[3] = {(unsigned char)(x >> 16), (unsigned char)(x >> 8),
                                       (unsigned char)x};
        if (hark_utf8_is_valid(hark_slice(text, 3)) != is_valid_simply(text, 3)) {
            fail_msg("%06X", (unsigned)x);
        }
    }
}

static void test_next(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        size_t len;
        bool is_valid;
    } cases[] = {
        {"ab", 1, true},
        {"\xC3\xA9z", 2, true},
        {"\xF0\x9F\x98\x80", 4, true},
        {"\x80\x80", 1, false},
        {"\xE2\x82", 2, false},
        {"\xE2\x82z", 2, false},
        {"\xED\xA0\x80", 1, false},
        {"\xF0\x9F\x98\xC3", 3, false},
        {"\xC3", 1, false},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        bool is_valid = !cases[i].is_valid;
        assert_int_equal(hark_utf8_next(hark_slice_text(cases[i].text), &is_valid), cases[i].len);
        assert_int_equal(is_valid, cases[i].is_valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_at_every_cut),
        cmocka_unit_test(test_bad_at_every_cut),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_fails_at_the_first_wrong_byte),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_every_three_bytes),
        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
