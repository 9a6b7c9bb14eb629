// SPDX-License-Identifier: MIT
//
// One client connection of the load generator: connect, upgrade, messages in, frames out. What a
// message means is the run's affair, told through struct bench_client_events.
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "body.h"
#include "options.h"

struct bench_client;

struct bench_client_events {
    void (*on_open)(void *owner, struct bench_client *client);
    // A whole message: a text or binary frame, or the data of an SSE block. Borrowed.
    void (*on_message)(void *owner, struct bench_client *client, const char *bytes, size_t size);
    // Closed already; `why` is text for a person.
    void (*on_close)(void *owner, struct bench_client *client, const char *why);
};

// What all clients of the process share.
struct bench_clients {
    int epoll;
    const struct bench_options *options;
    const struct bench_client_events *events;
    void *owner;
    uint8_t *scratch; // BENCH_CLIENT_SCRATCH bytes
    uint64_t random;  // state of the mask generator
};

enum bench_client_state {
    BENCH_CLIENT_NEW,
    BENCH_CLIENT_CONNECTING,
    BENCH_CLIENT_UPGRADING,
    BENCH_CLIENT_OPEN,
    BENCH_CLIENT_CLOSED
};

enum bench_chunk {
    BENCH_CHUNK_NONE, // the body is not chunked
    BENCH_CHUNK_SIZE,
    BENCH_CHUNK_EXTENSION,
    BENCH_CHUNK_DATA,
    BENCH_CHUNK_END
};

struct bench_client {
    int fd;
    enum bench_client_state state;
    enum bench_kind kind;
    enum bench_chunk chunk; // RFC 9112 section 7.1
    uint64_t chunk_left;
    uint32_t index;
    uint32_t channel;
    bool publisher;
    struct bench_order order;
    uint64_t probe;  // highest probe seen
    uint64_t sent;   // echo: last sequence number sent
    uint8_t key[16]; // nonce of the upgrade
    uint8_t *rest;   // begun, not yet decoded
    uint8_t *out;    // refused by the socket
    uint32_t rest_size;
    uint32_t out_size;
};

enum {
    BENCH_CLIENT_RECV = 64 * 1024,
    BENCH_CLIENT_SCRATCH = 256 * 1024,
    BENCH_CLIENT_OUT_MAX = 4 * 1024 * 1024
};

// Starts to connect; false with errno when no socket can be had.
bool bench_client_start(struct bench_clients *clients, struct bench_client *client);
void bench_client_on_event(struct bench_clients *clients,
                           struct bench_client *client,
                           uint32_t events);
void bench_client_free(struct bench_client *client);

// Writes one masked text frame at `out` (BENCH_WS_HEAD_MAX + size bytes); returns its size.
size_t
bench_client_frame(struct bench_clients *clients, uint8_t *out, const char *body, size_t size);

// Sends now, keeps what the socket refuses; the client may be closed afterwards.
void bench_client_send(struct bench_clients *clients,
                       struct bench_client *client,
                       const uint8_t *bytes,
                       size_t size);

uint64_t bench_client_now(void); // CLOCK_MONOTONIC in nanoseconds

#endif
