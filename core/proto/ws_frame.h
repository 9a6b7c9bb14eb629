// SPDX-License-Identifier: MIT
//
// WebSocket frames as a server sends them (RFC 6455 section 5.2): never masked, never in fragments,
// no extension. A frame is made once and shared by all who get it. Also the rules for close frames,
// which both directions share (sections 5.5.1 and 7.4).
#ifndef HARK_PROTO_WS_FRAME_H
#define HARK_PROTO_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

enum hark_ws_opcode {
    HARK_WS_CONTINUATION = 0,
    HARK_WS_TEXT = 1,
    HARK_WS_BINARY = 2,
    HARK_WS_CLOSE = 8,
    HARK_WS_PING = 9,
    HARK_WS_PONG = 10,
};

#define HARK_WS_HEAD_MAX    10  // two bytes and up to eight of length
#define HARK_WS_CONTROL_MAX 125 // payload of a control frame (section 5.5)
#define HARK_WS_CLOSE_MAX   (2 + HARK_WS_CONTROL_MAX)
#define HARK_WS_NO_CODE     1005 // stands for a close frame without a code; never on the wire

// Writes the header of a frame with `len` bytes of payload to out[HARK_WS_HEAD_MAX]; returns its
// size.
size_t hark_ws_frame_head(char *out, enum hark_ws_opcode opcode, size_t len);

// Appends a whole frame: 0, HARK_ETOOBIG, HARK_ENOMEM (nothing appended).
HARK_MUSTCHECK int
hark_ws_frame_encode(struct hark_buf *buf, enum hark_ws_opcode opcode, struct hark_slice payload);

// Writes a whole control frame to out[HARK_WS_CLOSE_MAX]; a payload over 125 bytes is cut.
size_t hark_ws_frame_control(char *out, enum hark_ws_opcode opcode, struct hark_slice payload);

// Writes a whole close frame to out[HARK_WS_CLOSE_MAX] and returns its size. A reason that does not
// fit is cut between two characters; one that is no UTF-8 is left out. HARK_WS_NO_CODE: empty
// payload.
size_t hark_ws_frame_close(char *out, uint16_t code, struct hark_slice reason);

// Whether an endpoint may send this code (section 7.4 and IANA's registry).
bool hark_ws_frame_code_is_valid(uint16_t code);

// Reads the payload of a close frame. 0: *ret_code is HARK_WS_NO_CODE or valid, *ret_reason
// borrowed from payload. Otherwise the code with which to fail the connection: 1002 or 1007.
uint16_t hark_ws_frame_parse_close(struct hark_slice payload,
                                   uint16_t *ret_code,
                                   struct hark_slice *ret_reason);

#endif
