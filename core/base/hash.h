// SPDX-License-Identifier: MIT
//
// Hashing: the one place that configures uthash (our heap, non-fatal out-of-memory, keyed hash),
// and the keyed 64-bit hash itself (SipHash-1-3, seeded once per process) so that clients cannot
// build collisions. After HASH_ADD* check with HASH_FIND or the oomed hook as uthash documents.
#ifndef HARK_BASE_HASH_H
#define HARK_BASE_HASH_H

#include <stdint.h>

#include "base/mem.h"
#include "base/slice.h"

// Keyed per process; not stable across processes.
uint64_t hark_hash_keyed(const void *data, size_t len);

// The same under a key of the caller's.
uint64_t hark_hash_with(const uint64_t key[2], const void *data, size_t len);

// Stable across processes and machines (first 8 bytes of SHA-256, big-endian): channel ids in
// cursors.
uint64_t hark_hash_stable(struct hark_slice text);

#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    hark_mem_alloc(size)
#define uthash_free(ptr, size) hark_mem_free(ptr)
#define HASH_FUNCTION(keyptr, keylen, hashv)                     \
    do {                                                         \
        (hashv) = (unsigned)hark_hash_keyed((keyptr), (keylen)); \
    } while (0)

#include <uthash.h>

#endif
