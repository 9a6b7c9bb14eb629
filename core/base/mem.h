// SPDX-License-Identifier: MIT
//
// The only door to the heap. Out of memory is an ordinary error on every path; tests make the n-th
// allocation fail through hark_mem_fail_after.
#ifndef HARK_BASE_MEM_H
#define HARK_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

// Returns owned memory or NULL. Size 0 returns a pointer that can be freed.
HARK_MUSTCHECK void *hark_mem_alloc(size_t size);
HARK_MUSTCHECK void *hark_mem_zalloc(size_t size);

// count * size bytes, zeroed; NULL also when the product overflows.
HARK_MUSTCHECK void *hark_mem_array(size_t count, size_t size);

// As realloc; on NULL the old block is untouched.
HARK_MUSTCHECK void *hark_mem_realloc(void *ptr, size_t size);

// Copies len bytes and appends a NUL.
HARK_MUSTCHECK char *hark_mem_dup(const void *data, size_t len);

// Accepts NULL.
void hark_mem_free(void *ptr);

// Tests: the allocation after `count` more ones fails, once; SIZE_MAX turns it off. Thread-local.
void hark_mem_fail_after(size_t count);
// For allocators above this one: counts one allocation; true: it is the one that has to fail.
bool hark_mem_is_failing(void);

#endif
