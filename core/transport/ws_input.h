// SPDX-License-Identifier: MIT
//
// The way in of a WebSocket connection: bytes to messages for the session, control frames answered,
// the peer's end noticed. While handlers are busy messages wait in the inbox; with more than a
// little in it the socket is not read any further.
#ifndef HARK_TRANSPORT_WS_INPUT_H
#define HARK_TRANSPORT_WS_INPUT_H

#include <stdint.h>

#include "base/slice.h"

struct hark_ws_conn;

void hark_ws_input_read(struct hark_ws_conn *ws, struct hark_slice data);

// Handlers take messages again. The connection may be gone afterwards.
void hark_ws_input_resume(struct hark_ws_conn *ws);

// The peer has gone without a close frame; told behind the messages that came before.
void hark_ws_input_lose(struct hark_ws_conn *ws, struct hark_slice why);

#endif
