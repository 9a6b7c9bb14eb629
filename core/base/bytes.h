// SPDX-License-Identifier: MIT
//
// Immutable, atomically reference-counted block of bytes: what workers share. Inside one worker a
// block travels as a `struct hark_chunk`, whose count is plain.
#ifndef HARK_BASE_BYTES_H
#define HARK_BASE_BYTES_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct hark_bytes {
    _Atomic uint32_t refs;
    uint32_t len;
    char data[]; // written only by the maker, before the block is shared
};

// A new block with one reference; data is uninitialised. NULL: no memory or len over UINT32_MAX.
HARK_MUSTCHECK struct hark_bytes *hark_bytes_new(size_t len);
HARK_MUSTCHECK struct hark_bytes *hark_bytes_copy(struct hark_slice data);

struct hark_bytes *hark_bytes_ref(struct hark_bytes *bytes);
void hark_bytes_unref(struct hark_bytes *bytes); // accepts NULL; any thread

static inline struct hark_slice hark_bytes_slice(const struct hark_bytes *bytes)
{
    return hark_slice(bytes->data, bytes->len);
}

#endif
