// SPDX-License-Identifier: MIT
//
// Inside of a WebSocket connection, shared by its two halves: ws_input (frames in) and ws_transport
// (life, output, heartbeat). Here is what both need: the states, and how a connection says goodbye.
#ifndef HARK_TRANSPORT_WS_CONN_H
#define HARK_TRANSPORT_WS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "session/transport.h"

struct hark_carriers;
struct hark_leaving;
struct hark_stream;
struct hark_ws_inbox;
struct hark_ws_reader;

enum hark_ws_state {
    HARK_WS_OPEN,
    HARK_WS_ENDED,     // the peer has ended; messages that came before it still wait for handlers
    HARK_WS_LEAVING,   // our close frame is out, its answer is awaited
    HARK_WS_FINISHING, // both have said goodbye: FIN, and the end of the stream
};

struct hark_ws_conn {
    struct hark_transport base;
    struct hark_stream *stream; // NULL: closed

    union {
        struct hark_carriers *carriers; // OPEN, ENDED
        struct hark_leaving *leaving;   // later; NULL: being closed, or closed
    } at;
    struct hark_ws_reader *reader; // NULL: between two messages
    struct hark_ws_inbox *inbox;   // NULL: empty
    uint8_t state;                 // enum hark_ws_state
    bool has_pinged;               // a ping is out, its answer is due
    bool has_heard;                // something came since
    bool is_paused;                // reading
    bool is_busy;                  // inside hark_ws_input_resume: must not be freed
};

// What it shares with the worker's other connections; NULL: it is being closed.
struct hark_carriers *hark_ws_conn_carriers(const struct hark_ws_conn *ws);

// The peer has ended; messages are still to be delivered.
void hark_ws_conn_set_ended(struct hark_ws_conn *ws);

void hark_ws_conn_send_close(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why);

// Our close frame, then wait for the peer's (RFC 6455 section 7.1.1), bounded.
void hark_ws_conn_leave(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why);

// FIN behind what is queued, then the peer's. Idempotent.
void hark_ws_conn_finish(struct hark_ws_conn *ws);

// Frees it when neither the session nor the stream will call any more.
void hark_ws_conn_release(struct hark_ws_conn *ws);

#endif
