// SPDX-License-Identifier: MIT
//
// The response head of a WebSocket.
#include "transport/ws_upgrade.h"

#include "hark.h"
#include "proto/ws_handshake.h"

int hark_ws_upgrade_take(struct hark_exchange *exchange,
                         const struct hark_ws_upgrade *upgrade,
                         const struct hark_stream_ops *ops,
                         void *owner,
                         struct hark_stream **ret_stream,
                         struct hark_slice *ret_early)
{
    char accept[HARK_WS_ACCEPT_LEN];
    int status = hark_ws_handshake_accept(upgrade->key, accept);
    if (status != 0) {
        hark_exchange_refuse(exchange, 503, HARK_LIT("busy"));
        return status;
    }
    // A field without a value is left out by whoever writes the head.
    const struct hark_header headers[] = {
        {HARK_LIT("Upgrade"), HARK_LIT("websocket")},
        {HARK_LIT("Sec-WebSocket-Accept"), hark_slice(accept, sizeof(accept))},
        {HARK_LIT("Sec-WebSocket-Protocol"), upgrade->subprotocol},
        {HARK_LIT("Hark-Session"), upgrade->session_id},
    };
    const struct hark_response head = {
        .status = 101,
        .headers = headers,
        .header_count = HARK_ARRAY_LEN(headers),
    };
    return hark_exchange_take(exchange, &head, ops, owner, ret_stream, ret_early);
}
