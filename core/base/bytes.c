// SPDX-License-Identifier: MIT
//
// Shared immutable bytes: allocation and the atomic count. The order of the atomics is the usual
// one: taking a reference needs none, dropping the last one must see every earlier use.
#include "base/bytes.h"

#include <assert.h>

#include "base/mem.h"

struct hark_bytes *hark_bytes_new(size_t len)
{
    if (len > UINT32_MAX) {
        return NULL;
    }
    struct hark_bytes *bytes = hark_mem_alloc(sizeof(*bytes) + len);
    if (bytes == NULL) {
        return NULL;
    }
    atomic_init(&bytes->refs, 1);
    bytes->len = (uint32_t)len;
    return bytes;
}

struct hark_bytes *hark_bytes_copy(struct hark_slice data)
{
    struct hark_bytes *bytes = hark_bytes_new(data.len);
    if (bytes != NULL && data.len > 0) {
        memcpy(bytes->data, data.ptr, data.len);
    }
    return bytes;
}

struct hark_bytes *hark_bytes_ref(struct hark_bytes *bytes)
{
    uint32_t before = atomic_fetch_add_explicit(&bytes->refs, 1, memory_order_relaxed);
    assert(before > 0 && before < UINT32_MAX);
    (void)before; // without assertions
    return bytes;
}

void hark_bytes_unref(struct hark_bytes *bytes)
{
    if (bytes == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        hark_mem_free(bytes);
    }
}
