// SPDX-License-Identifier: MIT
//
// A session over long polling: many requests, one after the other. Messages wait in the outbox; a
// poll is parked until there is one, and what it was answered with is let go only when a later
// poll's cursor acknowledges it.
#ifndef HARK_TRANSPORT_POLL_TRANSPORT_H
#define HARK_TRANSPORT_POLL_TRANSPORT_H

#include "base/attr.h"
#include "session/place.h"
#include "transport/exchange.h"

struct hark_session;

// The session is polled from now on; the exchange is its first poll. ENOMEM: it is untouched.
HARK_MUSTCHECK int hark_poll_transport_open(struct hark_exchange *exchange,
                                            struct hark_session *session);

// A further poll of such a session. cursor: what the client has; sequence: its own part of that,
// NULL if it brought none. An older poll that is still parked gets an empty answer.
void hark_poll_transport_poll(struct hark_exchange *exchange,
                              struct hark_session *session,
                              const struct hark_places *cursor,
                              const struct hark_place *sequence);

#endif
