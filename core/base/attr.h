// SPDX-License-Identifier: MIT
//
// Attributes and the two expressions every file needs. No control flow lives in macros.
#ifndef HARK_BASE_ATTR_H
#define HARK_BASE_ATTR_H

#include <stddef.h>

#define HARK_MUSTCHECK         __attribute__((warn_unused_result))
#define HARK_PRINTF(at, first) __attribute__((format(printf, at, first)))
#define HARK_LIKELY(x)         __builtin_expect(!!(x), 1)
#define HARK_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define HARK_ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))

// The struct that holds `member` at `ptr`.
#define HARK_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
