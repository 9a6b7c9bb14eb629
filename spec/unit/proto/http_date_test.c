// SPDX-License-Identifier: MIT
//
// HTTP dates in the three forms, and against the C library's calendar.
#include "proto/http_date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/attr.h"

#define NOW 1700000000 // 2023

static void test_examples_of_the_rfc(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(forms); i++) {
        int64_t seconds = 0;
        assert_true(hark_http_date_parse(hark_slice_text(forms[i]), NOW, &seconds));
        assert_int_equal(seconds, 784111777);
    }
    char out[HARK_HTTP_DATE_LEN];
    hark_http_date_format(784111777, out);
    assert_memory_equal(out, forms[0], HARK_HTTP_DATE_LEN);
}

// Every 37 hours and some seconds from 1900 to 2400.
static void test_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t at = -2208988800; at < 13569465600; at += 37 * 3600 + 1021) {
        time_t clock = (time_t)at;
        struct tm tm;
        char expected[64];
        char out[HARK_HTTP_DATE_LEN];
        int64_t back = 0;
        assert_non_null(gmtime_r(&clock, &tm));
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        hark_http_date_format(at, out);
        assert_memory_equal(out, expected, HARK_HTTP_DATE_LEN);
        assert_true(hark_http_date_parse(hark_slice(out, sizeof(out)), NOW, &back));
        assert_int_equal(back, at);
    }
}

static void test_out_of_range_is_clamped(void **state)
{
    (void)state;
    char out[HARK_HTTP_DATE_LEN];
    hark_http_date_format(INT64_MAX, out);
    assert_memory_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT", HARK_HTTP_DATE_LEN);
    hark_http_date_format(INT64_MIN, out);
    assert_memory_equal(out, "Sat, 01 Jan 0000 00:00:00 GMT", HARK_HTTP_DATE_LEN);
}

static void test_two_digit_years(void **state)
{
    (void)state;
    int64_t seconds = 0;
    char out[HARK_HTTP_DATE_LEN];
    assert_true(hark_http_date_parse(HARK_LIT("Sunday, 01-Jan-70 00:00:00 GMT"), NOW, &seconds));
    hark_http_date_format(seconds, out);
    assert_memory_equal(out + 12, "2070", 4);
    assert_true(hark_http_date_parse(HARK_LIT("Sunday, 01-Jan-74 00:00:00 GMT"), NOW, &seconds));
    hark_http_date_format(seconds, out);
    assert_memory_equal(out + 12, "1974", 4);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "Sun",
        "Sun,",
        "0",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov 6 08:49:37 1994",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        int64_t seconds = 42;
        assert_false(hark_http_date_parse(hark_slice_text(bad[i]), NOW, &seconds));
        assert_int_equal(seconds, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_the_rfc),
        cmocka_unit_test(test_agrees_with_the_c_library),
        cmocka_unit_test(test_out_of_range_is_clamped),
        cmocka_unit_test(test_two_digit_years),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
