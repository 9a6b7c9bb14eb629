// SPDX-License-Identifier: MIT
//
// Counters and gauges of one worker: written by that worker alone (relaxed stores), read by any
// thread and summed there. gateway/metrics renders them; the X-macro is the whole list.
#ifndef HARK_BASE_STATS_H
#define HARK_BASE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

// name, type for Prometheus, help
#define HARK_STATS_MAP(X)                                                                     \
    X(connections_accepted, counter, "Sockets accepted")                                      \
    X(connections_refused, counter, "Sockets refused or closed at a limit")                   \
    X(connections_open, gauge, "Sockets open now")                                            \
    X(connections_moved, counter, "Connections handed to the worker that owns their session") \
    X(requests, counter, "HTTP requests read")                                                \
    X(requests_refused, counter, "HTTP requests refused as malformed or over a limit")        \
    X(sessions_opened, counter, "Sessions opened")                                            \
    X(sessions_resumed, counter, "Sessions opened with a cursor that history still held")     \
    X(sessions_websocket, gauge, "Sessions on WebSocket now")                                 \
    X(sessions_sse, gauge, "Sessions on Server-Sent Events now")                              \
    X(sessions_longpoll, gauge, "Sessions on long polling now")                               \
    X(messages_in, counter, "Messages from clients")                                          \
    X(bytes_in, counter, "Payload bytes from clients")                                        \
    X(messages_published, counter, "Messages published to channels")                          \
    X(deliveries, counter, "Messages handed to sessions")                                     \
    X(deliveries_dropped, counter, "Messages dropped by a slow-consumer policy")              \
    X(bytes_out, counter, "Bytes written to sockets")                                         \
    X(sends, counter, "Write operations on sockets")                                          \
    X(sends_refused, counter, "Writes that the kernel took in part or not at all")            \
    X(gaps, counter, "Gaps told to clients")                                                  \
    X(slow_closed, counter, "Sessions closed because they were too slow")                     \
    X(lagging, gauge, "Subscriptions reading from history because they are slow")             \
    X(channels, gauge, "Channels with subscribers on this worker")                            \
    X(subscriptions, gauge, "Subscriptions now")                                              \
    X(handler_runs, counter, "Handler runs started")                                          \
    X(handler_errors, counter, "Handler runs that ended in an error")                         \
    X(handler_stopped, counter, "Handler runs stopped at a limit")                            \
    X(encoder_runs, counter, "Encoder and variant runs in Lua")                               \
    X(tasks_waiting, gauge, "Handler runs suspended in a wait")                               \
    X(lua_bytes, gauge, "Bytes held by the Lua state")                                        \
    X(timers_dropped, counter, "Named timers whose handler is gone after a reload")

struct hark_stats {
#define X(name, type, help) _Atomic uint64_t name;
    HARK_STATS_MAP(X)
#undef X
};

static inline void hark_stats_add(_Atomic uint64_t *field, uint64_t n)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void hark_stats_sub(_Atomic uint64_t *field, uint64_t n)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline void hark_stats_set(_Atomic uint64_t *field, uint64_t n)
{
    atomic_store_explicit(field, n, memory_order_relaxed);
}

static inline uint64_t hark_stats_get(const _Atomic uint64_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

#endif
