// SPDX-License-Identifier: MIT
//
// Output queue of one stream: shared chunks in order and how far the first has been taken. One
// chunk costs no memory of the queue's own; a ring for more exists only while there are more.
#ifndef HARK_IO_OUTQ_H
#define HARK_IO_OUTQ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attr.h"
#include "base/chunk.h"

struct hark_outq_ring;

struct hark_outq {
    struct hark_chunk *first;    // private
    struct hark_outq_ring *rest; // private: NULL with at most one chunk
    size_t bytes;                // still to be taken
    uint32_t offset;             // private: bytes of the first chunk that are gone
};

void hark_outq_init(struct hark_outq *queue);

// Takes a reference of its own. 0 or ENOMEM. An empty chunk is nothing.
HARK_MUSTCHECK int hark_outq_push(struct hark_outq *queue, struct hark_chunk *chunk);

// Describes the bytes at the front, at most max pieces; returns how many.
size_t hark_outq_peek(const struct hark_outq *queue, struct iovec *out, size_t max);

// The first n bytes are gone.
void hark_outq_advance(struct hark_outq *queue, size_t n);

void hark_outq_clear(struct hark_outq *queue);

#endif
