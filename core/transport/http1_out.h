// SPDX-License-Identifier: MIT
//
// The sending side of an HTTP/1.1 connection: responses onto the stream, with the date that is
// cached per second, and bodies pulled from their source as fast as the client takes them.
#ifndef HARK_TRANSPORT_HTTP1_OUT_H
#define HARK_TRANSPORT_HTTP1_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/http1_answer.h"
#include "proto/http1_guard.h"
#include "transport/exchange_impl.h"
#include "transport/server.h"

// More than this in the queue: no further response is made before the client has read.
#define HARK_HTTP1_OUT_HIGH (256 * 1024)

// A response's body that is being sent.
struct hark_http1_out {
    struct hark_exchange_body body; // source NULL: none
};

// Writes a response; answer->date is filled in here. 0, ENOMEM, ECLOSED; EINVAL: it is no HTTP.
HARK_MUSTCHECK int hark_http1_out_answer(struct hark_server *server,
                                         struct hark_stream *stream,
                                         struct hark_http1_answer *answer);

// Writes the connection's own refusal: {"error": word, "message": why} (413: and "limit"),
// Connection: close, and Retry-After with 503. is_head: the request was HEAD. As
// hark_http1_out_answer.
HARK_MUSTCHECK int hark_http1_out_refuse(struct hark_server *server,
                                         struct hark_stream *stream,
                                         const struct hark_http1_refusal *refusal,
                                         bool is_head);

// Pulls pieces until the queue is full or the body has ended: 0: all of it is queued, the source is
// done with; EAGAIN: call again when the queue has shrunk; else the body cannot be completed.
HARK_MUSTCHECK int hark_http1_out_pull(struct hark_http1_out *out, struct hark_stream *stream);

// Lets go of the source, if there is one.
void hark_http1_out_drop(struct hark_http1_out *out);

#endif
