// SPDX-License-Identifier: MIT
//
// A worker's own handle on bytes: one atomic reference for the worker, a plain count inside it, so
// that appending a broadcast to ten thousand sockets costs no atomic operation. Never crosses
// threads.
#ifndef HARK_BASE_CHUNK_H
#define HARK_BASE_CHUNK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"

struct hark_chunk {
    uint32_t refs;
    uint32_t len;
    const char *data;
    struct hark_bytes *bytes; // what data points into; NULL: data lies behind the chunk (a copy)
};

// Takes over the caller's reference on `bytes`, also on failure. NULL: no memory (or bytes NULL).
HARK_MUSTCHECK struct hark_chunk *hark_chunk_new(struct hark_bytes *bytes);
HARK_MUSTCHECK struct hark_chunk *hark_chunk_copy(struct hark_slice data);

static inline struct hark_chunk *hark_chunk_ref(struct hark_chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

void hark_chunk_free(struct hark_chunk *chunk); // only hark_chunk_unref calls it

static inline void hark_chunk_unref(struct hark_chunk *chunk)
{
    if (chunk != NULL && --chunk->refs == 0) {
        hark_chunk_free(chunk);
    }
}

#endif
