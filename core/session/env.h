// SPDX-License-Identifier: MIT
//
// What sessions are given: the settings of their endpoint, and the worker they live in. Plain data;
// session.h has the functions.
#ifndef HARK_SESSION_ENV_H
#define HARK_SESSION_ENV_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/stats.h"

struct hark_defer_queue;
struct hark_handlers;
struct hark_hub;
struct hark_session_table;
struct hark_wheel;

enum hark_transport_kind {
    HARK_TRANSPORT_WEBSOCKET = 1,
    HARK_TRANSPORT_SSE = 2,
    HARK_TRANSPORT_LONGPOLL = 4, // bits: a set of kinds is what an endpoint offers
};

// Settings of an endpoint, shared by its sessions; owned by script, immutable, outlives the
// sessions.
struct hark_session_policy {
    size_t message_bytes;   // 64 KiB: largest message from the client
    size_t queue_bytes;     // 1 MiB: outbox
    uint32_t channels;      // 128: subscriptions a session may have
    uint64_t grace_ms;      // websocket, sse: 0 ends the session with its transport
    uint64_t poll_grace_ms; // 30 s between two polls
    uint64_t poll_wait_ms;  // 45 s parked at most
    uint32_t poll_batch;    // 1: one raw message an answer; more: JSON array
    uint64_t ping_ms;       // 25 s WebSocket ping; 0: none
    uint64_t pong_ms;       // 10 s to answer it
    uint64_t comment_ms;    // 15 s SSE heartbeat comment; 0: none
    uint64_t retry_ms;      // SSE retry: field at the start; 0: none
};

// One per worker. The maker sets the fields up to worker_count, then hark_session_env_init.
struct hark_session_env {
    struct hark_hub *hub;
    struct hark_stats *stats;
    struct hark_wheel *wheel;
    struct hark_defer_queue *defer;
    const uint64_t *now_ms; // the loop's monotonic clock
    const struct hark_handlers *handlers;
    void *handlers_ctx;
    unsigned worker;
    unsigned worker_count;
    struct hark_session_table *table; // made by hark_session_env_init
    /* private */
    struct hark_epitaphs *epitaphs;
    struct hark_buf block; // wire forms are put together here
    struct hark_buf body;
};

#endif
