// SPDX-License-Identifier: MIT
//
// What the WebSocket and SSE transports of one worker share: the readers that connections borrow,
// the heartbeats that are always the same bytes, and the connections whose session has left them.
#ifndef HARK_TRANSPORT_CARRIERS_H
#define HARK_TRANSPORT_CARRIERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/chunk.h"
#include "base/list.h"
#include "base/wheel.h"
#include "io/stream.h"
#include "proto/ws_reader.h"
#include "transport/server.h"

struct hark_carriers {
    struct hark_server *server;
    struct hark_ws_reader_pool *readers;
    struct hark_chunk *ping;    // a WebSocket frame
    struct hark_chunk *comment; // an SSE block
    struct hark_list leaving;   // struct hark_leaving
};

// A connection that says goodbye: closed hard when time is up or the worker stops.
struct hark_leaving {
    struct hark_list node;
    struct hark_timer timer;
    struct hark_stream *stream;
    struct hark_carriers *carriers; // gone when the worker has stopped
    struct hark_loop *loop;
};

// The worker's, made on first use. NULL: no memory.
HARK_MUSTCHECK struct hark_carriers *hark_carriers_of(struct hark_server *server);

// Whether some connection is still saying goodbye: a drain waits for it.
bool hark_carriers_are_leaving(const struct hark_server *server);

// The worker stops, after its sessions: closes all connections that are leaving. Their last events
// come from the loop; the rest must not be used after that.
void hark_carriers_stop(struct hark_server *server);

// NULL: no memory, and the stream is being closed.
HARK_MUSTCHECK struct hark_leaving *hark_carriers_leave(struct hark_carriers *carriers,
                                                        struct hark_stream *stream,
                                                        uint64_t timeout_ms);
void hark_carriers_left(struct hark_leaving *leaving); // the stream is closed; accepts NULL

#endif
