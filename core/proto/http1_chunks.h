// SPDX-License-Identifier: MIT
//
// The strict half of the chunked decoder (RFC 9112 section 7.1): walks the framing of a chunked
// body beside llhttp, which takes any two bytes for the CRLF behind a chunk and bounds nothing.
// Finds no data and copies none: it says how far the bytes may be handed on.
#ifndef HARK_PROTO_HTTP1_CHUNKS_H
#define HARK_PROTO_HTTP1_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "proto/http1_guard.h"

struct hark_http1_chunks {
    /* private */
    uint8_t state;
    uint8_t digits;    // of the chunk size so far
    uint64_t left;     // of the chunk's data
    uint64_t room;     // data bytes that the body may still have
    size_t extra_room; // bytes that extensions and trailers may still have
};

void hark_http1_chunks_init(struct hark_http1_chunks *chunks, size_t body_max, size_t extra_max);

// Walks `data`; *ret_len is always set to the number of bytes that are sound. 0: the body ends
// there; EAGAIN: all of data is sound, the body goes on; EPROTO: the byte behind is refused.
HARK_MUSTCHECK int hark_http1_chunks_feed(struct hark_http1_chunks *chunks,
                                          struct hark_slice data,
                                          size_t *ret_len,
                                          struct hark_http1_refusal *ret_refusal);

#endif
