// SPDX-License-Identifier: MIT
//
// Reader of one HTTP/1.1 request, without I/O: bytes in, a whole request out. The head is gathered
// until its end, judged by http1_guard, and only then tokenized by llhttp; the body is decoded into
// memory. A reader is made for a request and owns all that the request's slices point into; between
// requests a connection has none.
#ifndef HARK_PROTO_HTTP1_H
#define HARK_PROTO_HTTP1_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"
#include "proto/http.h"
#include "proto/http1_guard.h"

struct hark_http1_limits {
    size_t
        head_bytes; // request line and fields; also the extensions and trailers of a chunked body
    size_t body_bytes; // decoded
};

enum hark_http1_stage {
    HARK_HTTP1_START, // no byte of a request yet
    HARK_HTTP1_HEAD,  // in the head
    HARK_HTTP1_BODY,  // the head has been accepted
    HARK_HTTP1_DONE,  // the request is whole
    HARK_HTTP1_REFUSED,
};

struct hark_http1;

// Limits are copied. NULL: no memory.
HARK_MUSTCHECK struct hark_http1 *hark_http1_new(const struct hark_http1_limits *limits);
void hark_http1_free(struct hark_http1 *reader); // accepts NULL

// Takes bytes; *ret_consumed is set unless it fails. 0: the request is whole, the bytes behind it
// are not consumed; EAGAIN: all consumed, more are needed; EPROTO: refused for good, see
// hark_http1_refusal; ENOMEM: as EPROTO, with status 503. The result does not depend on how the
// bytes are cut.
HARK_MUSTCHECK int
hark_http1_feed(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed);

enum hark_http1_stage hark_http1_stage(const struct hark_http1 *reader);
// In stage BODY: the client waits for 100 before it sends the body, of which nothing has come.
bool hark_http1_wants_continue(const struct hark_http1 *reader);

// In stage DONE. Valid as long as the reader.
const struct hark_request *hark_http1_request(const struct hark_http1 *reader);
bool hark_http1_keep_alive(const struct hark_http1 *reader);

// In stage REFUSED.
struct hark_http1_refusal hark_http1_refusal(const struct hark_http1 *reader);

#endif
