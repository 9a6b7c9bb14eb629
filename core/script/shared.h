// SPDX-License-Identifier: MIT
//
// Named dictionaries that all workers of the process share: keys and values are bytes (values
// packed by script/value). Striped locks; no lock is held across a call into Lua. The memory of all
// dictionaries together is bounded. Every function may be called from any thread.
#ifndef HARK_SCRIPT_SHARED_H
#define HARK_SCRIPT_SHARED_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

#define HARK_SHARED_BYTES_MAX ((size_t)256 << 20) // default of bytes_max
#define HARK_SHARED_VALUE_MAX ((size_t)1 << 20)
#define HARK_SHARED_NAME_MAX  128
#define HARK_SHARED_KEY_MAX   1024

struct hark_shared;

struct hark_shared_key {
    struct hark_slice dictionary; // 1 to HARK_SHARED_NAME_MAX bytes
    struct hark_slice key;        // up to HARK_SHARED_KEY_MAX bytes
};

HARK_MUSTCHECK int hark_shared_new(size_t bytes_max, struct hark_shared **ret);
struct hark_shared *hark_shared_ref(struct hark_shared *shared);
void hark_shared_unref(struct hark_shared *shared); // the last one frees it; accepts NULL

// Appends the value to buf; *ret_version is what swap compares. ENOENT (version 0), ENOMEM,
// ETOOBIG.
HARK_MUSTCHECK int hark_shared_get(struct hark_shared *shared,
                                   const struct hark_shared_key *key,
                                   struct hark_buf *buf,
                                   uint64_t *ret_version);

enum hark_shared_mode {
    HARK_SHARED_SET,  // whatever is there
    HARK_SHARED_ADD,  // only when there is nothing: else EEXIST
    HARK_SHARED_SWAP, // only when the version is still the one: else EAGAIN
};

// ttl_ms 0: it stays. EFULL, ETOOBIG, ENOMEM, and as the mode says.
HARK_MUSTCHECK int hark_shared_put(struct hark_shared *shared,
                                   const struct hark_shared_key *key,
                                   struct hark_slice value,
                                   uint64_t ttl_ms,
                                   enum hark_shared_mode mode,
                                   uint64_t version);
// mode SET or SWAP. ENOENT, EAGAIN.
int hark_shared_delete(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       enum hark_shared_mode mode,
                       uint64_t version);

// Replaces the value by what fn makes of it, under the lock: fn must be short and must not block.
// `old` is empty when there is none; fn appends the new value to buf, or returns a status that ends
// it all. ttl_ms counts from the making of the key and is left alone afterwards.
typedef int hark_shared_change_fn(void *ctx, struct hark_slice old, struct hark_buf *buf);
HARK_MUSTCHECK int hark_shared_change(struct hark_shared *shared,
                                      const struct hark_shared_key *key,
                                      uint64_t ttl_ms,
                                      hark_shared_change_fn *fn,
                                      void *ctx);

// Milliseconds that the value has left; UINT64_MAX: it stays. ENOENT.
HARK_MUSTCHECK int
hark_shared_ttl(struct hark_shared *shared, const struct hark_shared_key *key, uint64_t *ret_ms);
// Sets them anew; 0: it stays. ENOENT.
int hark_shared_expire(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       uint64_t ttl_ms);

size_t hark_shared_bytes(const struct hark_shared *shared); // held by all dictionaries

#endif
