// SPDX-License-Identifier: MIT
//
// The answer to a WebSocket handshake: 101 with the fields that RFC 6455 section 4.2.2 wants.
#ifndef HARK_TRANSPORT_WS_UPGRADE_H
#define HARK_TRANSPORT_WS_UPGRADE_H

#include "base/attr.h"
#include "base/slice.h"
#include "transport/exchange.h"

struct hark_ws_upgrade {
    struct hark_slice key;         // of the request, checked
    struct hark_slice subprotocol; // empty: none
    struct hark_slice session_id;  // empty: not told
};

// As hark_exchange_take: the exchange is dead afterwards.
HARK_MUSTCHECK int hark_ws_upgrade_take(struct hark_exchange *exchange,
                                        const struct hark_ws_upgrade *upgrade,
                                        const struct hark_stream_ops *ops,
                                        void *owner,
                                        struct hark_stream **ret_stream,
                                        struct hark_slice *ret_early);

#endif
