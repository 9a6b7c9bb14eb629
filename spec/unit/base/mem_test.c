// SPDX-License-Identifier: MIT
//
// The door to the heap: sizes that overflow, size zero, and the failing countdown on every entry.
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_zeroed(void **state)
{
    (void)state;
    unsigned char *a = hark_mem_zalloc(100);
    unsigned char *b = hark_mem_array(10, 10);
    static const unsigned char zeros[100];
    assert_memory_equal(a, zeros, 100);
    assert_memory_equal(b, zeros, 100);
    hark_mem_free(a);
    hark_mem_free(b);
}

static void test_size_zero_is_a_block(void **state)
{
    (void)state;
    void *blocks[] = {hark_mem_alloc(0), hark_mem_zalloc(0), hark_mem_array(0, 8),
                      hark_mem_realloc(NULL, 0)};
    for (size_t i = 0; i < HARK_ARRAY_LEN(blocks); i++) {
        assert_non_null(blocks[i]);
        hark_mem_free(blocks[i]);
    }
    hark_mem_free(NULL);
}

static void test_product_that_overflows(void **state)
{
    (void)state;
    assert_null(hark_mem_array(SIZE_MAX / 2, 3));
    assert_null(hark_mem_array(3, SIZE_MAX / 2));
    assert_null(hark_mem_dup("", SIZE_MAX));
}

static void test_dup_appends_a_nul(void **state)
{
    (void)state;
    char *copy = hark_mem_dup("ab\0cd", 5);
    assert_memory_equal(copy, "ab\0cd", 6);
    hark_mem_free(copy);
    copy = hark_mem_dup(NULL, 0);
    assert_string_equal(copy, "");
    hark_mem_free(copy);
}

static void test_realloc_that_fails_keeps_the_block(void **state)
{
    (void)state;
    char *block = hark_mem_dup("hello", 5);
    hark_mem_fail_after(0);
    assert_null(hark_mem_realloc(block, 1000));
    assert_string_equal(block, "hello");
    block = hark_mem_realloc(block, 1000); // once only
    assert_non_null(block);
    assert_string_equal(block, "hello");
    hark_mem_free(block);
}

static void test_countdown(void **state)
{
    (void)state;
    for (size_t n = 0; n < 5; n++) {
        hark_mem_fail_after(n);
        for (size_t i = 0; i < 8; i++) {
            void *block = hark_mem_alloc(1);
            assert_int_equal(block == NULL, i == n);
            hark_mem_free(block);
        }
    }
    hark_mem_fail_after(1);
    hark_mem_fail_after(SIZE_MAX);
    for (size_t i = 0; i < 4; i++) {
        void *block = hark_mem_zalloc(1);
        assert_non_null(block);
        hark_mem_free(block);
    }
}

static void test_countdown_counts_every_entry(void **state)
{
    (void)state;
    hark_mem_fail_after(0);
    assert_null(hark_mem_alloc(1));
    hark_mem_fail_after(0);
    assert_null(hark_mem_zalloc(1));
    hark_mem_fail_after(0);
    assert_null(hark_mem_array(1, 1));
    hark_mem_fail_after(0);
    assert_null(hark_mem_dup("a", 1));
    hark_mem_fail_after(SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_size_zero_is_a_block),
        cmocka_unit_test(test_product_that_overflows),
        cmocka_unit_test(test_dup_appends_a_nul),
        cmocka_unit_test(test_realloc_that_fails_keeps_the_block),
        cmocka_unit_test(test_countdown),
        cmocka_unit_test(test_countdown_counts_every_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
