// SPDX-License-Identifier: MIT
//
// What a message looks like on each transport: the functions behind the forms of
// session/transport.h. A raw WebSocket frame is the message itself; hark.envelope, SSE and
// long-poll batches are a position (the prefix) and a body.
#ifndef HARK_TRANSPORT_WIRE_H
#define HARK_TRANSPORT_WIRE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"
#include "hub/msg.h"
#include "session/place.h"

// The text of a cursor to out[HARK_TRANSPORT_ID_MAX]; returns its length.
size_t hark_wire_cursor(const struct hark_places *places, char *out);

// All append to buf: 0, HARK_ETOOBIG, HARK_ENOMEM, and then part of it may have been appended.

// A frame. Notices of the engine are text frames {"event","data"}, so that they can be told from
// messages; text that is no UTF-8 goes as binary, since a client must fail on it (RFC 6455 8.1).
HARK_MUSTCHECK int hark_wire_frame(struct hark_buf *buf, const struct hark_msg *msg);

// hark.envelope: the frame's header and the object up to the id; the rest of the object.
HARK_MUSTCHECK int
hark_wire_envelope_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len);
HARK_MUSTCHECK int hark_wire_envelope_body(struct hark_buf *buf, const struct hark_msg *msg);

// The frame that tells an envelope client where it begins: event hark.open with the session's id.
HARK_MUSTCHECK int
hark_wire_open(struct hark_buf *buf, struct hark_slice id, struct hark_slice session);

// A batch's item: the object up to the id; its body is the envelope's.
HARK_MUSTCHECK int
hark_wire_item_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len);

// SSE: the id line; event, data and the blank line. Binary data as base64.
HARK_MUSTCHECK int
hark_wire_sse_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len);
HARK_MUSTCHECK int hark_wire_sse_body(struct hark_buf *buf, const struct hark_msg *msg);

#endif
