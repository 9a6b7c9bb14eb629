// SPDX-License-Identifier: MIT
//
// Cursors: what is written is read back, and nothing else is.
#include "proto/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "hark.h"

static void fill(struct hark_cursor_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct hark_cursor_entry){
            .channel = UINT64_C(0x0123456789ABCDEF) * (i + 1),
            .epoch = UINT64_MAX - i,
            .offset = i,
        };
    }
}

static int decode(struct hark_slice text, size_t *ret_count)
{
    struct hark_cursor_entry entries[HARK_CURSOR_MAX];
    char *copy = malloc(text.len + 1); // its own allocation: a look behind it is seen
    assert_non_null(copy);
    memcpy(copy, text.len > 0 ? text.ptr : "", text.len);
    int status = hark_cursor_decode(hark_slice(copy, text.len), entries, ret_count);
    free(copy);
    return status;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t count = 0; count <= HARK_CURSOR_MAX; count++) {
        struct hark_cursor_entry entries[HARK_CURSOR_MAX];
        struct hark_cursor_entry back[HARK_CURSOR_MAX];
        char text[HARK_CURSOR_TEXT_MAX];
        size_t back_count = 99;
        fill(entries, count);
        size_t len = hark_cursor_encode(entries, count, text);
        assert_int_equal(len, 2 + 32 * count);
        assert_int_equal(hark_cursor_decode(hark_slice(text, len), back, &back_count), 0);
        assert_int_equal(back_count, count);
        assert_memory_equal(back, entries, count * sizeof(entries[0]));
    }
}

static void test_entries_beyond_the_limit_are_left_out(void **state)
{
    (void)state;
    struct hark_cursor_entry entries[HARK_CURSOR_MAX + 5];
    char text[HARK_CURSOR_TEXT_MAX];
    fill(entries, HARK_CURSOR_MAX + 5);
    size_t len = hark_cursor_encode(entries, HARK_CURSOR_MAX + 5, text);
    size_t count = 0;
    assert_int_equal(decode(hark_slice(text, len), &count), 0);
    assert_int_equal(count, HARK_CURSOR_MAX);
}

static void test_garbage(void **state)
{
    (void)state;
    static const struct hark_slice bad[] = {
        HARK_LIT(""),     HARK_LIT("A"),       HARK_LIT("AA"),  HARK_LIT("AR"), // bits left over
        HARK_LIT("Ag"),                                                         // version 2
        HARK_LIT("AQ=="), HARK_LIT("AQ "),     HARK_LIT("A+"),  HARK_LIT("A/"),
        HARK_LIT("AQAA"), HARK_LIT("garbage"), HARK_LIT("!!!"), HARK_LIT("AAAA"),
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        size_t count = 77;
        assert_int_equal(decode(bad[i], &count), HARK_EINVAL);
        assert_int_equal(count, 77);
    }
    size_t count = 77;
    assert_int_equal(decode(HARK_LIT("AQ"), &count), 0);
    assert_int_equal(count, 0);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    struct hark_cursor_entry entries[3];
    char text[HARK_CURSOR_TEXT_MAX];
    fill(entries, 3);
    size_t len = hark_cursor_encode(entries, 3, text);
    for (size_t cut = 0; cut <= len; cut++) {
        size_t count = 0;
        bool is_whole = cut >= 2 && (cut - 2) % 32 == 0;
        int status = decode(hark_slice(text, cut), &count);
        // A cut at an entry's end leaves bits of the next one in the last character.
        assert_true(status == HARK_EINVAL || (status == 0 && is_whole));
    }
}

static void test_a_channel_twice_is_refused(void **state)
{
    (void)state;
    const struct hark_cursor_entry entries[] = {{7, 1, 1}, {8, 1, 1}, {7, 1, 2}};
    char text[HARK_CURSOR_TEXT_MAX];
    size_t count = 0;
    size_t len = hark_cursor_encode(entries, 3, text);
    assert_int_equal(decode(hark_slice(text, len), &count), HARK_EINVAL);
}

static void test_too_long_is_refused(void **state)
{
    (void)state;
    char text[4096];
    size_t count = 0;
    memset(text, 'A', sizeof(text));
    text[1] = 'Q';
    for (size_t len = HARK_CURSOR_TEXT_MAX - 8; len <= sizeof(text); len++) {
        assert_int_equal(decode(hark_slice(text, len), &count), HARK_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_entries_beyond_the_limit_are_left_out),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_a_channel_twice_is_refused),
        cmocka_unit_test(test_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
