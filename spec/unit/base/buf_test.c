// SPDX-License-Identifier: MIT
//
// The growable buffer against a plain array: limits, failures that change nothing, consumption.
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

static void assert_holds(const struct hark_buf *buf, const char *text)
{
    struct hark_slice held = hark_buf_slice(buf);
    assert_int_equal(held.len, strlen(text));
    assert_int_equal(hark_buf_len(buf), held.len);
    if (held.len > 0) {
        assert_memory_equal(held.ptr, text, held.len);
    }
}

static void test_appends(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 100);
    assert_holds(&buf, "");
    assert_int_equal(hark_buf_append(&buf, "ab", 2), 0);
    assert_int_equal(hark_buf_append(&buf, NULL, 0), 0);
    assert_int_equal(hark_buf_append_slice(&buf, HARK_LIT("cd")), 0);
    assert_int_equal(hark_buf_append_text(&buf, "ef"), 0);
    assert_int_equal(hark_buf_append_char(&buf, 'g'), 0);
    assert_int_equal(hark_buf_printf(&buf, "-%d-%s", 42, "x"), 0);
    assert_holds(&buf, "abcdefg-42-x");
    hark_buf_consume(&buf, 2);
    hark_buf_truncate(&buf, 3);
    assert_holds(&buf, "cde");
    hark_buf_clear(&buf);
    assert_holds(&buf, "");
    hark_buf_deinit(&buf);
    assert_int_equal(hark_buf_append_text(&buf, "again"), 0);
    assert_holds(&buf, "again");
    hark_buf_deinit(&buf);
}

static void test_limit_is_on_what_is_held(void **state)
{
    (void)state;
    struct hark_buf buf;
    char *at = NULL;
    hark_buf_init(&buf, 10);
    assert_int_equal(hark_buf_append_text(&buf, "0123456789"), 0);
    assert_int_equal(hark_buf_append_char(&buf, 'x'), HARK_ETOOBIG);
    assert_int_equal(hark_buf_printf(&buf, "%d", 1), HARK_ETOOBIG);
    assert_int_equal(hark_buf_reserve(&buf, 1, &at), HARK_ETOOBIG);
    assert_int_equal(hark_buf_append(&buf, "", SIZE_MAX), HARK_ETOOBIG);
    assert_null(at);
    assert_holds(&buf, "0123456789");
    hark_buf_consume(&buf, 4);
    assert_int_equal(hark_buf_printf(&buf, "%s", "abcd"), 0);
    assert_holds(&buf, "456789abcd");
    assert_int_equal(hark_buf_append_char(&buf, 'x'), HARK_ETOOBIG);
    hark_buf_deinit(&buf);
}

static void test_printf_longer_than_the_allocation(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 1000);
    for (int width = 1; width <= 130; width++) {
        assert_int_equal(hark_buf_printf(&buf, "%*d", width, 7), 0);
        assert_int_equal(hark_buf_len(&buf), width);
        assert_int_equal(hark_buf_slice(&buf).ptr[width - 1], '7');
        hark_buf_deinit(&buf);
    }
}

static void test_reserve_and_commit(void **state)
{
    (void)state;
    struct hark_buf buf;
    char *at = NULL;
    hark_buf_init(&buf, 1000);
    assert_int_equal(hark_buf_reserve(&buf, 0, &at), 0);
    assert_non_null(at);
    assert_int_equal(hark_buf_reserve(&buf, 500, &at), 0);
    memcpy(at, "abc", 3);
    hark_buf_commit(&buf, 3);
    assert_holds(&buf, "abc");
    hark_buf_deinit(&buf);
}

static void test_no_memory_changes_nothing(void **state)
{
    (void)state;
    struct hark_buf buf;
    char *at = NULL;
    hark_buf_init(&buf, 100000);
    hark_mem_fail_after(0);
    assert_int_equal(hark_buf_append_text(&buf, "a"), HARK_ENOMEM);
    assert_holds(&buf, "");
    assert_int_equal(hark_buf_append_text(&buf, "abc"), 0);
    hark_buf_consume(&buf, 1);
    hark_mem_fail_after(0);
    assert_int_equal(hark_buf_reserve(&buf, 5000, &at), HARK_ENOMEM);
    hark_mem_fail_after(0);
    assert_int_equal(hark_buf_printf(&buf, "%5000d", 1), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_null(at);
    assert_holds(&buf, "bc");
    hark_buf_deinit(&buf);
}

static void test_absurd_limit_and_size(void **state)
{
    (void)state;
    struct hark_buf buf;
    char *at = NULL;
    hark_buf_init(&buf, SIZE_MAX);
    assert_int_equal(hark_buf_reserve(&buf, SIZE_MAX, &at), HARK_ENOMEM);
    assert_int_equal(hark_buf_reserve(&buf, SIZE_MAX / 2, &at), HARK_ENOMEM);
    assert_holds(&buf, "");
    hark_buf_deinit(&buf);
}

// A long queue that is fed and drained: the bytes stay right and the allocation stays bounded.
static void test_random_operations(void **state)
{
    (void)state;

    enum { MAX = 5000 };
    struct hark_buf buf;
    hark_buf_init(&buf, MAX);
    srandom(1);
    unsigned written = 0;
    unsigned read = 0;
    for (int i = 0; i < 200000; i++) {
        size_t n = (size_t)random() % 300;
        if (random() % 2 == 0) {
            unsigned char data[300];
            for (size_t k = 0; k < n; k++) {
                data[k] = (unsigned char)((written + k) * 7 % 251);
            }
            int status = hark_buf_append(&buf, data, n);
            assert_int_equal(status, written - read + n > MAX ? HARK_ETOOBIG : 0);
            written += status == 0 ? (unsigned)n : 0;
        } else {
            struct hark_slice held = hark_buf_slice(&buf);
            assert_int_equal(held.len, written - read);
            n = n < held.len ? n : held.len;
            for (size_t k = 0; k < n; k++) {
                assert_int_equal((unsigned char)held.ptr[k], (read + k) * 7 % 251);
            }
            hark_buf_consume(&buf, n);
            read += (unsigned)n;
        }
        assert_true(buf.cap <= 4 * MAX);
    }
    assert_true(read > 1000000);
    hark_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_limit_is_on_what_is_held),
        cmocka_unit_test(test_printf_longer_than_the_allocation),
        cmocka_unit_test(test_reserve_and_commit),
        cmocka_unit_test(test_no_memory_changes_nothing),
        cmocka_unit_test(test_absurd_limit_and_size),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
