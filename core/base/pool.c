// SPDX-License-Identifier: MIT
//
// A free block holds the address of the next one; so does the beginning of a slab. What is left of
// a slab when a block does not fit becomes a free block of its size.
#include "base/pool.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define SLAB_LEN 16384 // with the heap's own header: a little over four pages

static size_t class_of(size_t size);
static bool add_slab(struct hark_pool *pool);
static void push(void **list, void *block);
static void *pop(void **list);

void hark_pool_init(struct hark_pool *pool)
{
    memset(pool, 0, sizeof(*pool));
}

void hark_pool_deinit(struct hark_pool *pool)
{
    void *slab = NULL;
    while ((slab = pop(&pool->slabs)) != NULL) {
        hark_mem_free(slab);
    }
    hark_pool_init(pool);
}

void *hark_pool_alloc(struct hark_pool *pool, size_t size)
{
    assert(size > 0 && size <= HARK_POOL_MAX);
    if (HARK_UNLIKELY(hark_mem_is_failing())) {
        return NULL;
    }
    size_t class = class_of(size);
    void *block = pop(&pool->free[class]);
    if (HARK_LIKELY(block != NULL)) {
        return block;
    }
    size_t len = (class + 1) * HARK_POOL_STEP;
    if (pool->left < len && !add_slab(pool)) {
        return NULL;
    }
    block = pool->at;
    pool->at += len;
    pool->left -= len;
    return block;
}

void hark_pool_free(struct hark_pool *pool, void *block, size_t size)
{
    push(&pool->free[class_of(size)], block);
}

static size_t class_of(size_t size)
{
    return (size - 1) / HARK_POOL_STEP;
}

static bool add_slab(struct hark_pool *pool)
{
    void *slab = hark_mem_alloc(SLAB_LEN);
    if (slab == NULL) {
        return false;
    }
    if (pool->left > 0) { // less than HARK_POOL_MAX, in whole steps
        push(&pool->free[class_of(pool->left)], pool->at);
    }
    push(&pool->slabs, slab);
    pool->at = (char *)slab + HARK_POOL_STEP;
    pool->left = SLAB_LEN - HARK_POOL_STEP;
    return true;
}

static void push(void **list, void *block)
{
    memcpy(block, list, sizeof(*list));
    *list = block;
}

static void *pop(void **list)
{
    void *block = *list;
    if (block != NULL) {
        memcpy(list, block, sizeof(*list));
    }
    return block;
}
