// SPDX-License-Identifier: MIT
//
// Small blocks of memory whose size is known when they are freed: one list of free blocks for each
// size, cut from slabs. Several times faster than the heap, and what comes and goes quickly does
// not lie between what stays. Slabs are kept until the end. One thread at a time.
#ifndef HARK_BASE_POOL_H
#define HARK_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

#define HARK_POOL_MAX  256 // largest block
#define HARK_POOL_STEP 16  // blocks are aligned to it

struct hark_pool {
    /* private */
    void *free[HARK_POOL_MAX / HARK_POOL_STEP];
    void *slabs;
    char *at; // what has not been cut yet
    size_t left;
};

void hark_pool_init(struct hark_pool *pool);
void hark_pool_deinit(struct hark_pool *pool); // all blocks are gone

// 1 to HARK_POOL_MAX bytes. NULL: no memory.
HARK_MUSTCHECK void *hark_pool_alloc(struct hark_pool *pool, size_t size);
// size: any that takes as many steps as the one it was made with.
void hark_pool_free(struct hark_pool *pool, void *block, size_t size);

// Whether a block of one size may serve as one of another.
static inline bool hark_pool_is_same(size_t a, size_t b)
{
    return (a + HARK_POOL_STEP - 1) / HARK_POOL_STEP == (b + HARK_POOL_STEP - 1) / HARK_POOL_STEP;
}

#endif
