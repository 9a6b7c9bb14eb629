// SPDX-License-Identifier: MIT
//
// The only caller of malloc, realloc and free. Tests let an allocation fail through a countdown,
// which is thread-local so that a test of one thread does not disturb the others.
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local size_t countdown = SIZE_MAX;

void *hark_mem_alloc(size_t size)
{
    if (HARK_UNLIKELY(hark_mem_is_failing())) {
        return NULL;
    }
    return malloc(size == 0 ? 1 : size);
}

void *hark_mem_zalloc(size_t size)
{
    if (HARK_UNLIKELY(hark_mem_is_failing())) {
        return NULL;
    }
    return calloc(1, size == 0 ? 1 : size);
}

void *hark_mem_array(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    return hark_mem_zalloc(total);
}

void *hark_mem_realloc(void *ptr, size_t size)
{
    if (HARK_UNLIKELY(hark_mem_is_failing())) {
        return NULL;
    }
    return realloc(ptr, size == 0 ? 1 : size);
}

char *hark_mem_dup(const void *data, size_t len)
{
    if (len == SIZE_MAX) {
        return NULL;
    }
    char *copy = hark_mem_alloc(len + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (len > 0) {
        memcpy(copy, data, len);
    }
    copy[len] = '\0';
    return copy;
}

void hark_mem_free(void *ptr)
{
    free(ptr);
}

void hark_mem_fail_after(size_t count)
{
    countdown = count;
}

bool hark_mem_is_failing(void)
{
    if (HARK_LIKELY(countdown == SIZE_MAX)) {
        return false;
    }
    // Reaching zero wraps to SIZE_MAX: it fails once and is off again.
    return countdown-- == 0;
}
