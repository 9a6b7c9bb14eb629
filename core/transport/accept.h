// SPDX-License-Identifier: MIT
//
// The ways by which a request becomes (part of) a session, one function each, for script's
// dispatch: a new session on one of the three transports, a further poll, a POST beside SSE or long
// poll, and what a request offers. Each function that gets an exchange ends it unless it says
// otherwise.
#ifndef HARK_TRANSPORT_ACCEPT_H
#define HARK_TRANSPORT_ACCEPT_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"
#include "session/session.h"
#include "transport/exchange.h"

// What got through to us: kinds as a bit set (WebSocket: a handshake, of which hark_accept_session
// refuses a bad version or key; SSE: Accept names text/event-stream; long poll: always).
unsigned hark_accept_offers(const struct hark_exchange *exchange);

// Session id that the request carries: header Hark-Session, ?session=, or (GET) the one in the ETag
// form of If-None-Match. false: none. *ret borrowed from the exchange.
bool hark_accept_session_id(const struct hark_exchange *exchange, struct hark_slice *ret_id);

struct hark_accept {
    enum hark_transport_kind kind;
    struct hark_slice subprotocol; // WebSocket: the chosen one; empty: none
    bool envelope;                 // WebSocket: hark.envelope
    struct hark_slice id;          // client-chosen session id; empty: a token is made
    void *endpoint;
    struct hark_view *view;
    const struct hark_session_policy *policy;
};

// New session: reads the cursor (query before header), writes 101 or the SSE head (which waits for
// the first output or the end of `open`, so that a close before it can answer 204), or parks the
// poll.
// `*ret_session` is OPENING and not started: the caller attaches its data, then hark_session_start.
// On failure the exchange has been answered (400 cursor or key, 409 id taken, 410 a poll for a
// session that was closed meanwhile, 426, 503 no memory) and the status is returned.
HARK_MUSTCHECK int hark_accept_session(struct hark_exchange *exchange,
                                       const struct hark_accept *accept,
                                       struct hark_session **ret_session);

// A further poll (GET) of a session, or the first one of a session that was carried otherwise; a
// cursor that is garbage is refused with 400.
void hark_accept_poll(struct hark_exchange *exchange, struct hark_session *session);
// A message (POST) for a session on SSE or long poll: answered when the handler has ended.
void hark_accept_post(struct hark_exchange *exchange, struct hark_session *session);
// DELETE: the client ends its session; 204.
void hark_accept_delete(struct hark_exchange *exchange, struct hark_session *session);
// A new connection, or poll, for a session that is in its grace time (or replaces its transport):
// the same session goes on over it, with what the client's cursor says it has not got. ENOENT: it
// has ended, exchange untouched. 0: the exchange is ended in one way or the other.
HARK_MUSTCHECK int hark_accept_attach(struct hark_exchange *exchange,
                                      struct hark_session *session,
                                      const struct hark_accept *accept);

// Accepts a WebSocket only to close it with that code and reason: an identity refused by a close
// code.
void hark_accept_reject(struct hark_exchange *exchange, uint16_t code, struct hark_slice why);

#endif
