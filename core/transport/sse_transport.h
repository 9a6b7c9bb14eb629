// SPDX-License-Identifier: MIT
//
// A session over Server-Sent Events: one response whose body is the stream and ends with the
// connection, so that blocks shared by all receivers go out as they are.
#ifndef HARK_TRANSPORT_SSE_TRANSPORT_H
#define HARK_TRANSPORT_SSE_TRANSPORT_H

#include "base/attr.h"
#include "transport/exchange.h"

struct hark_session;

// Ties the exchange to the session. The response begins with the first output or the end of the
// open handler; if the session ends before that, the answer says how instead: 204 (code 1000: an
// EventSource stops for good), 500 with a reference (1011), 503 (1012, 1013), else 403. ENOMEM: the
// exchange is untouched.
HARK_MUSTCHECK int hark_sse_transport_open(struct hark_exchange *exchange,
                                           struct hark_session *session);

#endif
