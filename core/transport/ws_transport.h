// SPDX-License-Identifier: MIT
//
// A session over a WebSocket (RFC 6455): frames in and out, pings, the closing handshake. Raw, or
// in hark.envelope.
#ifndef HARK_TRANSPORT_WS_TRANSPORT_H
#define HARK_TRANSPORT_WS_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "transport/exchange.h"

struct hark_session;
struct hark_ws_upgrade;

// Accepts the handshake and ties the connection to the session. The exchange is dead afterwards in
// any case; on failure (ECLOSED) the session has no transport.
HARK_MUSTCHECK int hark_ws_transport_open(struct hark_exchange *exchange,
                                          const struct hark_ws_upgrade *upgrade,
                                          struct hark_session *session,
                                          bool envelope);

// Accepts the handshake only to close with that code and reason. The exchange is dead afterwards.
void hark_ws_transport_reject(struct hark_exchange *exchange,
                              const struct hark_ws_upgrade *upgrade,
                              uint16_t code,
                              struct hark_slice why);

#endif
