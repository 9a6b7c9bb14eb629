// SPDX-License-Identifier: MIT
//
// The opening handshake of WebSocket over HTTP/1.1, the server's side (RFC 6455 section 4.2): is
// the request one, is it a good one, and what answers it. No extension is ever agreed to.
#ifndef HARK_PROTO_WS_HANDSHAKE_H
#define HARK_PROTO_WS_HANDSHAKE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"
#include "proto/http.h"

enum hark_ws_handshake {
    HARK_WS_HANDSHAKE_NONE,        // an ordinary request: also when a proxy stripped `Connection`
    HARK_WS_HANDSHAKE_VALID,       // answer 101
    HARK_WS_HANDSHAKE_BAD_VERSION, // answer 426 with Sec-WebSocket-Version: 13 (section 4.4)
    HARK_WS_HANDSHAKE_BAD_KEY,     // answer 400
};

#define HARK_WS_ACCEPT_LEN 28

// *ret_key (may be NULL) is set when VALID; borrowed from the request.
enum hark_ws_handshake hark_ws_handshake_check(const struct hark_request *request,
                                               struct hark_slice *ret_key);

// Writes the value of Sec-WebSocket-Accept to out[HARK_WS_ACCEPT_LEN], without a NUL. 0,
// HARK_ENOMEM.
HARK_MUSTCHECK int hark_ws_handshake_accept(struct hark_slice key, char *out);

#endif
