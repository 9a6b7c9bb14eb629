// SPDX-License-Identifier: MIT
//
// Text codings: the vectors of RFC 4648 section 10, round trips, what strict decoders must refuse,
// JSON quoting (RFC 8259 section 7), and failures that leave the buffer alone.
#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

typedef int coder_fn(struct hark_buf *buf, struct hark_slice data);

// Behind "keep:", which no result may disturb.
static void check(coder_fn *fn, struct hark_slice in, int status, struct hark_slice out)
{
    struct hark_buf buf;
    hark_buf_init(&buf, 100000);
    assert_int_equal(hark_buf_append_text(&buf, "keep:"), 0);
    assert_int_equal(fn(&buf, in), status);
    struct hark_slice held = hark_buf_slice(&buf);
    assert_true(hark_slice_starts(held, HARK_LIT("keep:")));
    assert_true(hark_slice_is(hark_slice_from(held, 5), out));
    hark_buf_deinit(&buf);
}

static void check_text(coder_fn *fn, const char *in, const char *out)
{
    check(fn, hark_slice_text(in), 0, hark_slice_text(out));
}

static void check_bad(coder_fn *fn, const char *in)
{
    check(fn, hark_slice_text(in), HARK_EINVAL, HARK_SLICE_NONE);
}

static void test_base64_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xFB\xFF\xBE", "+/++", "-_--"},
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(vectors); i++) {
        check_text(hark_codec_base64, vectors[i][0], vectors[i][1]);
        check_text(hark_codec_unbase64, vectors[i][1], vectors[i][0]);
        check_text(hark_codec_base64url, vectors[i][0], vectors[i][2]);
        check_text(hark_codec_unbase64url, vectors[i][2], vectors[i][0]);
    }
}

static void test_base64_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",      "Zg",   "Zg=",  "Zm8",      "Z===", "====", "=",    "Zm9v=",     "Zg==Zg==",
        "Zm9v\n", "Zm 9", "Zm-_", "Zm9v====", "Zh==", "Zm9=", "Zg=v", "AA\xC3\xA9"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        check_bad(hark_codec_unbase64, bad[i]);
    }
    static const char *const bad_url[] = {"Z",  "Zg==", "Zm8=",  "Zm+/", "Zm9vY",
                                          "Zh", "Zm9",  "Zm\n9", "Zm 9"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad_url); i++) {
        check_bad(hark_codec_unbase64url, bad_url[i]);
    }
    check(hark_codec_unbase64, hark_slice("Zg\0=", 4), HARK_EINVAL, HARK_SLICE_NONE);
}

static void test_hex(void **state)
{
    (void)state;
    check(hark_codec_hex, hark_slice("\x00\x0f\xa5\xff", 4), 0, HARK_LIT("000fa5ff"));
    check(hark_codec_unhex, HARK_LIT("000fA5fF"), 0, hark_slice("\x00\x0f\xa5\xff", 4));
    check_text(hark_codec_unhex, "", "");
    static const char *const bad[] = {"0", "0g", "g0", "0x", "00 ", "000"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        check_bad(hark_codec_unhex, bad[i]);
    }
}

static void test_round_trips(void **state)
{
    (void)state;
    struct hark_buf text;
    struct hark_buf back;
    unsigned char data[300];
    hark_buf_init(&text, 1000);
    hark_buf_init(&back, 1000);
    coder_fn *const pairs[][2] = {{hark_codec_base64, hark_codec_unbase64},
                                  {hark_codec_base64url, hark_codec_unbase64url},
                                  {hark_codec_hex, hark_codec_unhex}};
    srandom(2);
    for (size_t len = 0; len < sizeof(data); len++) {
        for (size_t i = 0; i < len; i++) {
            data[i] = (unsigned char)random();
        }
        for (size_t i = 0; i < HARK_ARRAY_LEN(pairs); i++) {
            hark_buf_clear(&text);
            hark_buf_clear(&back);
            assert_int_equal(pairs[i][0](&text, hark_slice(data, len)), 0);
            assert_int_equal(pairs[i][1](&back, hark_buf_slice(&text)), 0);
            assert_true(hark_slice_is(hark_buf_slice(&back), hark_slice(data, len)));
        }
    }
    hark_buf_deinit(&text);
    hark_buf_deinit(&back);
}

static int unpercent(struct hark_buf *buf, struct hark_slice text)
{
    return hark_codec_unpercent(buf, text, false);
}

static int unpercent_plus(struct hark_buf *buf, struct hark_slice text)
{
    return hark_codec_unpercent(buf, text, true);
}

static void test_percent(void **state)
{
    (void)state;
    check_text(unpercent, "a%20b%2Fc%2fd+e", "a b/c/d+e");
    check_text(unpercent_plus, "a+b%2Bc", "a b+c");
    check(unpercent, HARK_LIT("%00"), 0, hark_slice("\0", 1));
    check_text(unpercent, "%C3%a9", "\xC3\xA9");
    static const char *const bad[] = {"%",   "%2",   "abc%", "abc%4", "%g0",
                                      "%0g", "%%20", "% 20", "%-1"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        check_bad(unpercent, bad[i]);
    }
}

static void test_quote(void **state)
{
    (void)state;
    check_text(hark_codec_quote, "", "\"\"");
    check_text(hark_codec_quote, "a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    check_text(hark_codec_quote, "\b\f\n\r\t\x01\x1F\x7F", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\"");
    check(hark_codec_quote, hark_slice("a\0b", 3), 0, HARK_LIT("\"a\\u0000b\""));
    check_text(hark_codec_quote, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
               "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

// One U+FFFD for each longest part that could have begun a character.
static void test_quote_replaces_what_is_no_utf8(void **state)
{
    (void)state;
#define R "\xEF\xBF\xBD"
    check_text(hark_codec_quote, "\xFF", "\"" R "\"");
    check_text(hark_codec_quote, "a\x80z", "\"a" R "z\"");
    check_text(hark_codec_quote, "\xE2\x82", "\"" R "\"");
    check_text(hark_codec_quote, "\xE2\x82\"", "\"" R "\\\"\"");
    check_text(hark_codec_quote, "\xF0\x9F\x98x", "\"" R "x\"");
    check_text(hark_codec_quote, "\xC0\xAF", "\"" R R "\"");
    check_text(hark_codec_quote, "\xED\xA0\x80", "\"" R R R "\"");
    check_text(hark_codec_quote, "\xC3\xC3\xA9", "\"" R "\xC3\xA9\"");
#undef R
}

static void check_failures(coder_fn *fn, struct hark_slice in, size_t size)
{
    struct hark_buf buf;
    hark_buf_init(&buf, 5 + size - 1);
    assert_int_equal(hark_buf_append_text(&buf, "keep:"), 0);
    assert_int_equal(fn(&buf, in), HARK_ETOOBIG);
    assert_true(hark_slice_is(hark_buf_slice(&buf), HARK_LIT("keep:")));
    hark_buf_deinit(&buf);

    hark_buf_init(&buf, 100000);
    int status = HARK_ENOMEM;
    size_t failures = 0;
    while (status != 0) {
        hark_mem_fail_after(failures);
        status = fn(&buf, in);
        assert_true(status == 0 || status == HARK_ENOMEM);
        assert_int_equal(hark_buf_len(&buf), status == 0 ? size : 0);
        failures++;
        if (status != 0) {
            hark_buf_deinit(&buf);
        }
    }
    hark_mem_fail_after(SIZE_MAX);
    assert_true(failures > 1);
    hark_buf_deinit(&buf);
}

static void test_failures_change_nothing(void **state)
{
    (void)state;
    static char text[300];
    memset(text, 'a', sizeof(text));
    struct hark_slice in = hark_slice(text, sizeof(text));
    check_failures(hark_codec_base64, in, 400);
    check_failures(hark_codec_base64url, in, 400);
    check_failures(hark_codec_unbase64, in, 225);
    check_failures(hark_codec_unbase64url, in, 225);
    check_failures(hark_codec_hex, in, 600);
    check_failures(hark_codec_unhex, in, 150);
    check_failures(unpercent, in, 300);
    check_failures(hark_codec_quote, in, 302);
    memset(text, '\n', sizeof(text));
    check_failures(hark_codec_quote, in, 602);
    memset(text, 1, sizeof(text));
    check_failures(hark_codec_quote, in, 1802);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_quote_replaces_what_is_no_utf8),
        cmocka_unit_test(test_failures_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
