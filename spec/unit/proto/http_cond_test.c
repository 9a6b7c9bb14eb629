// SPDX-License-Identifier: MIT
//
// Entity tags and byte ranges.
#include "proto/http_cond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"

struct tag_row {
    const char *list;
    const char *etag;
    bool weak;   // comparison
    bool strong; // comparison
};

static const struct tag_row TAGS[] = {
    {"\"a\"", "\"a\"", true, true},
    {"*", "\"a\"", true, true},
    {" * ", "\"a\"", true, true},
    {"\"b\", \"a\"", "\"a\"", true, true},
    {"\"b\",\"a\" , \"c\"", "\"a\"", true, true},
    {", ,\"a\"", "\"a\"", true, true},
    {"W/\"a\"", "\"a\"", true, false},
    {"\"a\"", "W/\"a\"", true, false},
    {"W/\"a\"", "W/\"a\"", true, false},
    {"\"a,b\"", "\"a,b\"", true, true},
    {"\"a,b\"", "\"a\"", false, false},
    {"\"\"", "\"\"", true, true},
    {"", "\"a\"", false, false},
    {"a", "\"a\"", false, false},
    {"\"a", "\"a\"", false, false},
    {"x, \"a\"", "\"a\"", false, false},
    {"\"a\" x", "\"a\"", false, false},
    {"w/\"a\"", "\"a\"", false, false},
    {"\"A\"", "\"a\"", false, false},
};

static void test_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(TAGS); i++) {
        struct hark_slice list = hark_slice_text(TAGS[i].list);
        struct hark_slice etag = hark_slice_text(TAGS[i].etag);
        assert_int_equal(hark_http_cond_etag(list, etag, true), TAGS[i].weak);
        assert_int_equal(hark_http_cond_etag(list, etag, false), TAGS[i].strong);
    }
}

struct range_row {
    const char *value;
    uint64_t size;
    enum hark_http_range range;
    uint64_t first;
    uint64_t last;
};

static const struct range_row RANGES[] = {
    {"bytes=0-0", 10, HARK_HTTP_RANGE_ONE, 0, 0},
    {"bytes=0-9", 10, HARK_HTTP_RANGE_ONE, 0, 9},
    {"bytes=2-5", 10, HARK_HTTP_RANGE_ONE, 2, 5},
    {"Bytes= 2-5 ", 10, HARK_HTTP_RANGE_ONE, 2, 5},
    {"bytes=5-", 10, HARK_HTTP_RANGE_ONE, 5, 9},
    {"bytes=5-99", 10, HARK_HTTP_RANGE_ONE, 5, 9},
    {"bytes=0-99999999999999999999999", 10, HARK_HTTP_RANGE_ONE, 0, 9},
    {"bytes=-3", 10, HARK_HTTP_RANGE_ONE, 7, 9},
    {"bytes=-10", 10, HARK_HTTP_RANGE_ONE, 0, 9},
    {"bytes=-99", 10, HARK_HTTP_RANGE_ONE, 0, 9},
    {"bytes=10-", 10, HARK_HTTP_RANGE_NONE, 0, 0},
    {"bytes=99999999999999999999999-", 10, HARK_HTTP_RANGE_NONE, 0, 0},
    {"bytes=-0", 10, HARK_HTTP_RANGE_NONE, 0, 0},
    {"bytes=0-", 0, HARK_HTTP_RANGE_NONE, 0, 0},
    {"bytes=-1", 0, HARK_HTTP_RANGE_NONE, 0, 0},
    {"bytes=0-1,3-4", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=5-2", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=-", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=5", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=a-5", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=1-5x", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=+1-5", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"bytes=--5", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"items=0-1", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
    {"", 10, HARK_HTTP_RANGE_WHOLE, 0, 0},
};

static void test_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(RANGES); i++) {
        const struct range_row *row = &RANGES[i];
        uint64_t first = 0;
        uint64_t last = 0;
        enum hark_http_range range =
            hark_http_cond_range(hark_slice_text(row->value), row->size, &first, &last);
        if (range != row->range || first != row->first || last != row->last) {
            fail_msg("%s of %d: %d, %d-%d", row->value, (int)row->size, (int)range, (int)first,
                     (int)last);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
