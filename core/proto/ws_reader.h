// SPDX-License-Identifier: MIT
//
// WebSocket on the way in (RFC 6455 section 5): bytes in any pieces -> messages and control frames.
// Sans-I/O and a pull parser: the caller asks for the next event until there is none.
//
// A reader belongs to the worker, not to the connection: it is taken from the pool when bytes
// arrive and given back when they ended with a whole message. Only while part of a message is in
// flight does a connection keep one.
#ifndef HARK_PROTO_WS_READER_H
#define HARK_PROTO_WS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct hark_ws_reader;
struct hark_ws_reader_pool;

enum hark_ws_event_kind {
    HARK_WS_EVENT_NONE, // the bytes are used up
    HARK_WS_EVENT_MESSAGE,
    HARK_WS_EVENT_PING,
    HARK_WS_EVENT_PONG,
    HARK_WS_EVENT_CLOSE, // nothing may be read after it
};

struct hark_ws_event {
    enum hark_ws_event_kind kind;
    bool binary;   // MESSAGE
    uint16_t code; // CLOSE: what the peer said, or HARK_WS_NO_CODE
    struct hark_slice
        data; // payload; CLOSE: the reason. Borrowed until the next call with this reader
};

// Keeps at most `keep` unused readers (about 4.5 KB each). NULL: no memory.
HARK_MUSTCHECK struct hark_ws_reader_pool *hark_ws_reader_pool_new(size_t keep);
void hark_ws_reader_pool_free(struct hark_ws_reader_pool *pool); // accepts NULL

// A reader at a message boundary; messages over message_max bytes are refused. NULL: no memory.
HARK_MUSTCHECK struct hark_ws_reader *hark_ws_reader_take(struct hark_ws_reader_pool *pool,
                                                          size_t message_max);
// Gives it back; what was in flight is dropped. Accepts NULL.
void hark_ws_reader_give(struct hark_ws_reader_pool *pool, struct hark_ws_reader *reader);
void hark_ws_reader_free(struct hark_ws_reader *reader); // when the pool may be gone; accepts NULL

// Reads on in *data and moves it behind what was used. 0: *ret_event is filled (NONE: *data is
// empty, come back with more). HARK_EPROTO: fail the connection with *ret_code (1002 protocol
// error, 1007 text that is no UTF-8, 1009 too big) and give the reader back. HARK_ENOMEM: likewise,
// 1011. Failures are noticed as early as the bytes allow: a size by the frame's header alone, bad
// text in the middle of a frame.
HARK_MUSTCHECK int hark_ws_reader_next(struct hark_ws_reader *reader,
                                       struct hark_slice *data,
                                       struct hark_ws_event *ret_event,
                                       uint16_t *ret_code);

// Nothing of an unfinished frame or message is held. Ends the loan of the last event's data.
bool hark_ws_reader_is_idle(struct hark_ws_reader *reader);

#endif
