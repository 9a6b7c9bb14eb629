// SPDX-License-Identifier: MIT
//
// What a WebSocket has received while its handler was busy, in order: whole messages and, last, how
// the peer ended. A list of records in one buffer, allocated only while there is something in it. A
// record is never larger than the frame that it came in.
#ifndef HARK_TRANSPORT_WS_INBOX_H
#define HARK_TRANSPORT_WS_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct hark_ws_inbox;

enum hark_ws_inbox_kind {
    HARK_WS_INBOX_TEXT,
    HARK_WS_INBOX_BINARY,
    HARK_WS_INBOX_CLOSE, // the peer's close frame; data is its reason
    HARK_WS_INBOX_LOST,  // the connection broke; data says how
};

struct hark_ws_inbox_item {
    enum hark_ws_inbox_kind kind;
    uint16_t code; // CLOSE, LOST
    struct hark_slice data;
};

// *inbox is made when it is NULL. max: bytes it may hold. 0, HARK_ETOOBIG, HARK_ENOMEM.
HARK_MUSTCHECK int
hark_ws_inbox_push(struct hark_ws_inbox **inbox, const struct hark_ws_inbox_item *item, size_t max);
// false: empty. The data is borrowed until the next call.
bool hark_ws_inbox_pop(struct hark_ws_inbox *inbox, struct hark_ws_inbox_item *ret_item);
size_t hark_ws_inbox_bytes(const struct hark_ws_inbox *inbox); // accepts NULL: 0
void hark_ws_inbox_free(struct hark_ws_inbox *inbox);          // accepts NULL

#endif
