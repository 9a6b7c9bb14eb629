// SPDX-License-Identifier: MIT
//
// Output queue of one stream. The first chunk lies in the queue itself, those behind it in a ring
// that doubles while it is full and goes when it is empty: most streams hold one chunk for a moment
// and an idle one nothing.
#include "io/outq.h"

#include <assert.h>

#include "base/mem.h"
#include "hark.h"

#define RING_MIN 8
#define RING_MAX (UINT32_C(1) << 28)

struct hark_outq_ring {
    uint32_t cap; // power of two
    uint32_t head;
    uint32_t count;
    struct hark_chunk *items[];
};

static int push_rest(struct hark_outq *queue, struct hark_chunk *chunk);
static struct hark_outq_ring *grow(const struct hark_outq_ring *ring);
static struct hark_chunk *ring_at(const struct hark_outq_ring *ring, uint32_t index);
static void drop_first(struct hark_outq *queue);

void hark_outq_init(struct hark_outq *queue)
{
    *queue = (struct hark_outq){0};
}

int hark_outq_push(struct hark_outq *queue, struct hark_chunk *chunk)
{
    if (chunk->len == 0) {
        return 0;
    }
    if (queue->first == NULL) {
        queue->first = hark_chunk_ref(chunk);
    } else {
        int status = push_rest(queue, chunk);
        if (status != 0) {
            return status;
        }
    }
    queue->bytes += chunk->len;
    return 0;
}

size_t hark_outq_peek(const struct hark_outq *queue, struct iovec *out, size_t max)
{
    if (queue->first == NULL || max == 0) {
        return 0;
    }
    // The kernel reads only: the cast drops a const that struct iovec cannot say.
    out[0].iov_base = (void *)(uintptr_t)(queue->first->data + queue->offset);
    out[0].iov_len = queue->first->len - queue->offset;
    size_t count = 1;
    uint32_t rest = queue->rest == NULL ? 0 : queue->rest->count;
    for (uint32_t i = 0; i < rest && count < max; i++, count++) {
        const struct hark_chunk *chunk = ring_at(queue->rest, i);
        out[count].iov_base = (void *)(uintptr_t)chunk->data;
        out[count].iov_len = chunk->len;
    }
    return count;
}

void hark_outq_advance(struct hark_outq *queue, size_t n)
{
    assert(n <= queue->bytes);
    queue->bytes -= n;
    while (n > 0) {
        size_t left = queue->first->len - queue->offset;
        if (n < left) {
            queue->offset += (uint32_t)n;
            return;
        }
        n -= left;
        drop_first(queue);
    }
}

void hark_outq_clear(struct hark_outq *queue)
{
    while (queue->first != NULL) {
        drop_first(queue);
    }
    queue->bytes = 0;
}

static int push_rest(struct hark_outq *queue, struct hark_chunk *chunk)
{
    struct hark_outq_ring *ring = queue->rest;
    if (ring == NULL || ring->count == ring->cap) {
        struct hark_outq_ring *bigger = grow(ring);
        if (bigger == NULL) {
            return HARK_ENOMEM;
        }
        hark_mem_free(ring);
        queue->rest = bigger;
        ring = bigger;
    }
    ring->items[(ring->head + ring->count) & (ring->cap - 1)] = hark_chunk_ref(chunk);
    ring->count++;
    return 0;
}

// A ring of double size with the same items; the old one (or NULL) is left as it is.
static struct hark_outq_ring *grow(const struct hark_outq_ring *ring)
{
    uint32_t count = ring == NULL ? 0 : ring->count;
    uint32_t cap = ring == NULL ? RING_MIN : ring->cap * 2;
    if (cap > RING_MAX) {
        return NULL;
    }
    struct hark_outq_ring *bigger =
        hark_mem_alloc(sizeof(*bigger) + cap * sizeof(bigger->items[0]));
    if (bigger == NULL) {
        return NULL;
    }
    bigger->cap = cap;
    bigger->head = 0;
    bigger->count = count;
    for (uint32_t i = 0; i < count; i++) {
        bigger->items[i] = ring_at(ring, i);
    }
    return bigger;
}

static struct hark_chunk *ring_at(const struct hark_outq_ring *ring, uint32_t index)
{
    return ring->items[(ring->head + index) & (ring->cap - 1)];
}

static void drop_first(struct hark_outq *queue)
{
    hark_chunk_unref(queue->first);
    queue->first = NULL;
    queue->offset = 0;
    struct hark_outq_ring *ring = queue->rest;
    if (ring == NULL) {
        return;
    }
    queue->first = ring_at(ring, 0);
    ring->head = (ring->head + 1) & (ring->cap - 1);
    if (--ring->count == 0) {
        hark_mem_free(ring);
        queue->rest = NULL;
    }
}
