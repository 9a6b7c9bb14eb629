// SPDX-License-Identifier: MIT
//
// A connection of the bare reference: its HTTP head, its WebSocket frames, and what its socket
// would not take at once. It knows nothing of how a channel sends; fanout.h does.
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_channel;
struct bench_fanout;

enum bench_role {
    BENCH_ROLE_HEAD,      // the request has not come whole
    BENCH_ROLE_WS,        // GET /ch/N with Upgrade: subscriber by WebSocket
    BENCH_ROLE_SSE,       // GET /ch/N: subscriber by server-sent events
    BENCH_ROLE_PUBLISHER, // GET /pub/N with Upgrade: each frame is published in channel N
    BENCH_ROLE_ECHO       // GET /echo with Upgrade: each frame comes back
};

struct bench_conn {
    int fd;
    enum bench_role role;
    struct bench_channel *channel; // NULL for an echo and before the head
    size_t place;                  // in the channel's list
    uint8_t *in;                   // begun, not yet parsed
    uint8_t *out;                  // refused by the socket
    uint32_t in_size;
    uint32_t out_size;
    bool closed; // to be freed at the end of the tick
    struct bench_conn *next_closed;
};

// What the connections of one server share.
struct bench_server {
    int epoll;
    struct bench_fanout *fanout;
    struct bench_conn *closed; // freed at the end of the tick
    uint8_t *scratch;          // BENCH_SCRATCH bytes: the unparsed tail and one recv() behind it
    uint8_t *reply;            // BENCH_SCRATCH bytes: the echoed frames of one recv()
};

enum {
    BENCH_SCRATCH = 256 * 1024,
    BENCH_RECV = 64 * 1024,
    BENCH_OUT_MAX = 1024 * 1024 // a client that reads nothing is closed, as every server here does
};

// Takes the descriptor; false (and closed) when it cannot be watched.
bool bench_conn_open(struct bench_server *server, int fd);
void bench_conn_on_event(struct bench_server *server, struct bench_conn *conn, uint32_t events);

// Sends now, keeps what the socket refuses. Order is kept.
void bench_conn_send(struct bench_server *server,
                     struct bench_conn *conn,
                     const uint8_t *bytes,
                     size_t size);
// Keeps bytes that were refused elsewhere.
void bench_conn_keep(struct bench_server *server,
                     struct bench_conn *conn,
                     const uint8_t *bytes,
                     size_t size);

void bench_conn_close(struct bench_server *server, struct bench_conn *conn);
void bench_conn_free_closed(struct bench_server *server);

#endif
