// SPDX-License-Identifier: MIT
//
// The pool of small blocks: whatever is taken and given back, in whatever order, no block overlaps
// another, and memory that ends is an ordinary failure.
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define BLOCKS 4000
#define ROUNDS 200000

struct block {
    unsigned char *at;
    size_t size;
    unsigned char mark;
};

static void check(const struct block *block)
{
    assert_int_equal((uintptr_t)block->at % HARK_POOL_STEP, 0);
    for (size_t i = 0; i < block->size; i++) {
        assert_int_equal(block->at[i], block->mark);
    }
}

static void test_blocks_keep_their_bytes(void **state)
{
    (void)state;
    static struct block blocks[BLOCKS];
    struct hark_pool pool;
    hark_pool_init(&pool);
    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        struct block *block = &blocks[rand() % BLOCKS];
        if (block->at != NULL) {
            check(block);
            hark_pool_free(&pool, block->at, block->size);
            block->at = NULL;
            continue;
        }
        block->size = 1 + (size_t)rand() % HARK_POOL_MAX;
        block->mark = (unsigned char)rand();
        block->at = hark_pool_alloc(&pool, block->size);
        assert_non_null(block->at);
        memset(block->at, block->mark, block->size);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].at != NULL) {
            check(&blocks[i]);
        }
    }
    hark_pool_deinit(&pool);
}

static void test_a_block_is_used_again(void **state)
{
    (void)state;
    struct hark_pool pool;
    hark_pool_init(&pool);
    void *first = hark_pool_alloc(&pool, 33);
    hark_pool_free(&pool, first, 48); // as many steps
    assert_ptr_equal(hark_pool_alloc(&pool, 40), first);
    assert_true(hark_pool_is_same(33, 48));
    assert_false(hark_pool_is_same(48, 49));
    hark_pool_deinit(&pool);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct hark_pool pool;
    hark_pool_init(&pool);
    hark_mem_fail_after(0);
    assert_null(hark_pool_alloc(&pool, 16));
    hark_mem_fail_after(SIZE_MAX);
    assert_non_null(hark_pool_alloc(&pool, 16));
    hark_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_keep_their_bytes),
        cmocka_unit_test(test_a_block_is_used_again),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
