// SPDX-License-Identifier: MIT
//
// The strict half of the HTTP/1.1 parser: decides over the bytes of a request head alone whether we
// serve it, and how its body is framed (RFC 9112). llhttp tokenizes what passes here; it forgives
// too much to be asked for permission. Pure functions, no state, no allocation.
#ifndef HARK_PROTO_HTTP1_GUARD_H
#define HARK_PROTO_HTTP1_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define HARK_HTTP1_TARGET_MAX 8192 // longer request targets get 414; RFC 9112 section 3 wants 8000

// Why a request is not served: the status of the answer, and a text for the client.
struct hark_http1_refusal {
    int status;
    const char *why; // static
};

// What a head says, apart from its fields. Slices point into the head (or are literals).
struct hark_http1_head {
    struct hark_slice method;
    struct hark_slice target; // as received
    struct hark_slice path;   // of the target, raw; may be empty (absolute-form); "*" for OPTIONS *
    struct hark_slice query;  // raw, without '?'
    struct hark_slice host;   // the target's authority (absolute-form), else the Host field
    uint64_t length;          // Content-Length; 0 without
    size_t field_count;
    uint8_t minor;         // 0 or 1
    bool chunked;          // Transfer-Encoding: chunked
    bool keep_alive;       // the client lets the connection stay (RFC 9112 section 9.3)
    bool expects_continue; // Expect: 100-continue, and there is a body to wait for
};

// Finds the end of a head: *at is where to go on looking, 0 at first. 0: the head is the first *at
// bytes; EAGAIN: more bytes are needed; EPROTO: a line that ends in a bare LF, or a first byte that
// begins no method.
HARK_MUSTCHECK int
hark_http1_guard_end(struct hark_slice data, size_t *at, struct hark_http1_refusal *ret_refusal);

// Judges a whole head, with its empty line, as hark_http1_guard_end found it. 0, or EPROTO with
// *ret_refusal. Fields of *ret are set on success only.
HARK_MUSTCHECK int hark_http1_guard_head(struct hark_slice head,
                                         struct hark_http1_head *ret,
                                         struct hark_http1_refusal *ret_refusal);

#endif
