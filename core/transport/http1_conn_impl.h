// SPDX-License-Identifier: MIT
//
// The inside of an HTTP/1.1 connection, shared by its two halves: http1_conn (bytes in, deadlines,
// life) and http1_exchange (answers out). Nobody else includes it.
#ifndef HARK_TRANSPORT_HTTP1_CONN_IMPL_H
#define HARK_TRANSPORT_HTTP1_CONN_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/defer.h"
#include "base/list.h"
#include "base/wheel.h"
#include "io/stream.h"
#include "proto/http1.h"
#include "transport/http1_out.h"
#include "transport/server.h"

struct hark_exchange;

enum hark_http1_conn_state {
    HARK_HTTP1_READING, // waits for a request or is in one
    HARK_HTTP1_SERVING, // an exchange is out
    HARK_HTTP1_SENDING, // the body of its response is being made
    HARK_HTTP1_ENDING,  // the last response leaves, then FIN; what comes in is dropped
    HARK_HTTP1_CLOSING, // the stream's last event is to come
    HARK_HTTP1_GONE,    // the stream is another's or closed; the memory goes at the end of the tick
};

struct hark_http1_conn {
    struct hark_list node; // server->conns
    struct hark_server *server;
    struct hark_stream *stream;
    struct hark_timer timer;
    struct hark_defer defer;        // go on reading, or free
    struct hark_http1 *reader;      // of the request that is being read; NULL between requests
    struct hark_exchange *exchange; // SERVING
    struct hark_http1_out out;      // SENDING
    struct hark_buf ahead;          // read and not yet looked at
    size_t stalled; // what the queue held when the client was last looked at; 0: nothing
    uint8_t state;  // enum hark_http1_conn_state; only set_state assigns it
    bool running;   // requests are being read from `ahead` further up the stack
    bool waiting;   // for the queue to shrink
    bool ended;     // the client has sent FIN
    bool keep;      // the connection stays behind the response that is being sent
};

// A connection on a descriptor, which is the callee's, also on failure (closed). NULL: refused.
HARK_MUSTCHECK struct hark_http1_conn *hark_http1_conn_new(struct hark_server *server, int fd);

// Asserts that the step is legal.
void hark_http1_conn_set_state(struct hark_http1_conn *conn, enum hark_http1_conn_state state);

// Hands the whole request in conn->reader to the server's hook. made_id: of a request that was
// moved here; else NULL.
void hark_http1_conn_serve(struct hark_http1_conn *conn, const char *made_id);

// The exchange that is out waits with its answer, but not for a client that has hung up.
void hark_http1_conn_park(struct hark_http1_conn *conn);

// A response is complete: read the next request if the connection stays, else end.
void hark_http1_conn_next(struct hark_http1_conn *conn);

// The body could not be queued whole: go on when the queue has shrunk.
void hark_http1_conn_wait(struct hark_http1_conn *conn);

// Sends what is queued, then FIN.
void hark_http1_conn_end(struct hark_http1_conn *conn);

// Closes at once.
void hark_http1_conn_close(struct hark_http1_conn *conn, bool reset);

// The stream is no longer ours: leaves the server's list, frees all but what `early` points to at
// once and the rest at the end of the tick.
void hark_http1_conn_release(struct hark_http1_conn *conn);

#endif
