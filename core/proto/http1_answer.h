// SPDX-License-Identifier: MIT
//
// Writer of HTTP/1.1 response heads (and bodies that are whole) into one block of bytes, without
// I/O. What frames a message is decided here and by the caller's options, never by the response's
// fields: Content-Length, Transfer-Encoding, Connection and Date among them are left out.
#ifndef HARK_PROTO_HTTP1_ANSWER_H
#define HARK_PROTO_HTTP1_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/slice.h"
#include "proto/http.h"

enum hark_http1_framing {
    HARK_HTTP1_SIZED, // Content-Length, unless the status allows none (1xx, 204, 304)
    HARK_HTTP1_OPEN,  // no length: the body ends with the connection, or 101 follows
};

struct hark_http1_answer {
    const struct hark_response *response;
    struct hark_slice date;       // HTTP date; empty: no Date (interim responses)
    struct hark_slice request_id; // X-Request-Id; empty: none
    struct hark_slice fields;     // further fields as whole lines, each with its CRLF
    enum hark_http1_framing framing;
    uint64_t length; // SIZED: of the body, written here or later
    bool is_head;    // the request was HEAD: no body
    bool with_body;  // write response->body behind the head
    bool keep_alive; // the connection stays
    uint8_t minor;   // of the request: 1.0 must be told that the connection stays
};

// ENOMEM; EINVAL: a status outside 100 to 599, a name that is no token, a value with a control
// byte.
HARK_MUSTCHECK int hark_http1_answer(const struct hark_http1_answer *answer,
                                     struct hark_bytes **ret);

// Statuses that never have a body (RFC 9110 section 6.4.1): 1xx, 204, 304.
bool hark_http1_answer_is_bodiless(int status);

#endif
