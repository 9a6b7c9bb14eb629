// SPDX-License-Identifier: MIT
//
// A worker's handle on bytes. A copy of small private data is one allocation: the data lies behind
// the handle itself.
#include "base/chunk.h"

#include "base/mem.h"

struct hark_chunk *hark_chunk_new(struct hark_bytes *bytes)
{
    if (bytes == NULL) {
        return NULL;
    }
    struct hark_chunk *chunk = hark_mem_alloc(sizeof(*chunk));
    if (chunk == NULL) {
        hark_bytes_unref(bytes);
        return NULL;
    }
    *chunk = (struct hark_chunk){.refs = 1, .len = bytes->len, .data = bytes->data, .bytes = bytes};
    return chunk;
}

struct hark_chunk *hark_chunk_copy(struct hark_slice data)
{
    if (data.len > UINT32_MAX) {
        return NULL;
    }
    struct hark_chunk *chunk = hark_mem_alloc(sizeof(*chunk) + data.len);
    if (chunk == NULL) {
        return NULL;
    }
    char *copy = (char *)(chunk + 1);
    if (data.len > 0) {
        memcpy(copy, data.ptr, data.len);
    }
    *chunk = (struct hark_chunk){.refs = 1, .len = (uint32_t)data.len, .data = copy};
    return chunk;
}

void hark_chunk_free(struct hark_chunk *chunk)
{
    hark_bytes_unref(chunk->bytes);
    hark_mem_free(chunk);
}
