// SPDX-License-Identifier: MIT
//
// Shared bytes and a worker's chunks: who frees what, also when memory is short and across threads.
// That nothing is left over or freed twice is for the address sanitizer to say.
#include "base/bytes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/chunk.h"
#include "base/mem.h"

static void test_copy(void **state)
{
    (void)state;
    struct hark_bytes *bytes = hark_bytes_copy(HARK_LIT("hello"));
    assert_true(hark_slice_is(hark_bytes_slice(bytes), HARK_LIT("hello")));
    assert_ptr_equal(hark_bytes_ref(bytes), bytes);
    hark_bytes_unref(bytes);
    assert_true(hark_slice_is(hark_bytes_slice(bytes), HARK_LIT("hello")));
    hark_bytes_unref(bytes);
    hark_bytes_unref(NULL);
    bytes = hark_bytes_copy(HARK_SLICE_NONE);
    assert_int_equal(bytes->len, 0);
    hark_bytes_unref(bytes);
}

static void test_too_long(void **state)
{
    (void)state;
    assert_null(hark_bytes_new((size_t)UINT32_MAX + 1));
    assert_null(hark_chunk_copy(hark_slice("", (size_t)UINT32_MAX + 1)));
}

static void test_chunk_holds_one_reference(void **state)
{
    (void)state;
    struct hark_bytes *bytes = hark_bytes_copy(HARK_LIT("shared"));
    struct hark_chunk *chunk = hark_chunk_new(hark_bytes_ref(bytes));
    assert_int_equal(bytes->refs, 2);
    assert_ptr_equal(chunk->data, bytes->data);
    assert_int_equal(chunk->len, 6);
    (void)hark_chunk_ref(chunk); // the same pointer
    assert_int_equal(bytes->refs, 2);
    hark_chunk_unref(chunk);
    assert_int_equal(bytes->refs, 2);
    hark_chunk_unref(chunk);
    assert_int_equal(bytes->refs, 1);
    hark_chunk_unref(NULL);
    hark_bytes_unref(bytes);
}

static void test_chunk_of_a_copy(void **state)
{
    (void)state;
    char data[] = "mine";
    struct hark_chunk *chunk = hark_chunk_copy(hark_slice(data, 4));
    data[0] = 'x';
    assert_memory_equal(chunk->data, "mine", 4);
    assert_int_equal(chunk->len, 4);
    hark_chunk_unref(chunk);
}

static void test_no_memory(void **state)
{
    (void)state;
    hark_mem_fail_after(0);
    assert_null(hark_bytes_copy(HARK_LIT("a")));
    hark_mem_fail_after(0);
    assert_null(hark_chunk_copy(HARK_LIT("a")));
    hark_mem_fail_after(SIZE_MAX);
    assert_null(hark_chunk_new(NULL));
    // The reference is taken over also when the chunk cannot be made.
    struct hark_bytes *bytes = hark_bytes_copy(HARK_LIT("a"));
    hark_mem_fail_after(0);
    assert_null(hark_chunk_new(hark_bytes_ref(bytes)));
    hark_mem_fail_after(SIZE_MAX);
    assert_int_equal(bytes->refs, 1);
    hark_bytes_unref(bytes);
}

static void *use_and_drop(void *arg)
{
    struct hark_bytes *bytes = arg;
    uintptr_t wrong = 0;
    for (int i = 0; i < 10000; i++) {
        struct hark_chunk *chunk = hark_chunk_new(hark_bytes_ref(bytes));
        wrong += chunk == NULL || chunk->data[0] != 'd';
        hark_chunk_unref(chunk);
    }
    hark_bytes_unref(bytes);
    return (void *)wrong;
}

static void test_shared_by_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct hark_bytes *bytes = hark_bytes_copy(HARK_LIT("data"));
    for (size_t i = 0; i < HARK_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_and_drop, hark_bytes_ref(bytes)), 0);
    }
    hark_bytes_unref(bytes); // whoever is last frees it
    for (size_t i = 0; i < HARK_ARRAY_LEN(threads); i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_chunk_holds_one_reference),
        cmocka_unit_test(test_chunk_of_a_copy),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_shared_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
