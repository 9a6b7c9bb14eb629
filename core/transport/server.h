// SPDX-License-Identifier: MIT
//
// The worker as the transports see it: one loop, its mailbox, the limits, the session table, the
// hub, and the hook that gets each request. Made by gateway/worker; lives as long as the worker.
#ifndef HARK_TRANSPORT_SERVER_H
#define HARK_TRANSPORT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/stats.h"

struct hark_carriers;
struct hark_exchange;
struct hark_hub;
struct hark_loop;
struct hark_mailbox;
struct hark_session_env;

// Limits of HTTP connections (WIRE defaults). Immutable while workers run.
struct hark_http_limits {
    size_t head_bytes;        // 16 KiB: request line and fields together
    size_t body_bytes;        // 1 MiB
    uint64_t head_timeout_ms; // 10 s: from the first byte (or accept) to the end of the head
    uint64_t body_timeout_ms; // 30 s without progress of a body
    uint64_t idle_timeout_ms; // 75 s: keep-alive without a request
    size_t pipeline_bytes;    // 64 KiB read ahead while a request is being served
};

// A whole request has been read. The callee owns the exchange until it answers, takes or moves it.
typedef void hark_server_request_fn(void *ctx, struct hark_exchange *exchange);

struct hark_server {
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct hark_stats *stats;
    const struct hark_http_limits *limits;
    struct hark_hub *hub;
    struct hark_session_env *sessions;
    hark_server_request_fn *request;
    void *request_ctx;
    struct hark_server *const *workers; // all workers' servers by index, for moving a connection
    unsigned worker_count;
    unsigned worker;        // own index
    bool access_log;        // a line in the log for each answered request
    bool draining;          // answer with Connection: close, refuse new requests with 503
    struct hark_list conns; // every open HTTP connection of this worker (transport/http1_conn)
    /* private to transport: zero when the server is made */
    struct hark_carriers *carriers; // of WebSocket and SSE; made on first use
    bool stopped;                   // no connection is taken any more
    uint64_t exchange_serial;       // of the newest exchange
    int64_t date_second;            // what date_text says
    char date_text[32];             // HTTP date, not ended by NUL
};

#endif
