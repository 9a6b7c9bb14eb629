// SPDX-License-Identifier: MIT
//
// One logical client over one or many requests: identity, subscriptions, outbox, timers, and the
// transport that currently carries it. Implements hub/sink.h; is driven by transports from below
// (transport.h) and by script from above. Everything in the worker's thread.
//
// Life: new -> OPENING (open handler runs) -> OPEN (with or without a transport) -> ENDING (close
// handler runs) -> released and freed from the defer queue. A pointer is valid until
// hark_session_release returns; whoever keeps one longer keeps the serial and looks it up.
#ifndef HARK_SESSION_SESSION_H
#define HARK_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "base/stats.h"
#include "hub/hub.h"
#include "session/handlers.h"
#include "session/view.h"

struct hark_session;
struct hark_transport;
struct hark_wheel;
struct hark_defer_queue;

enum hark_transport_kind {
    HARK_TRANSPORT_WEBSOCKET = 1,
    HARK_TRANSPORT_SSE = 2,
    HARK_TRANSPORT_LONGPOLL = 4, // bits: a set of kinds is what an endpoint offers
};
const char *hark_transport_kind_name(enum hark_transport_kind kind); // "websocket", "sse", "longpoll"

// Settings of an endpoint, shared by its sessions; owned by script, immutable, outlives the sessions.
struct hark_session_policy {
    size_t message_bytes;   // 64 KiB: largest message from the client
    size_t queue_bytes;     // 1 MiB: outbox
    uint32_t channels;      // 128: subscriptions a session may have
    uint64_t grace_ms;      // websocket, sse: 0 ends the session with its transport
    uint64_t poll_grace_ms; // 30 s between two polls
    uint64_t poll_wait_ms;  // 45 s parked at most
    uint32_t poll_batch;    // 1: one raw message an answer; more: JSON array
    uint64_t ping_ms;       // 25 s WebSocket ping
    uint64_t pong_ms;       // 10 s to answer it
    uint64_t comment_ms;    // 15 s SSE heartbeat comment
    uint64_t retry_ms;      // SSE retry: field at the start; 0: none
};
void hark_session_policy_init(struct hark_session_policy *policy); // the defaults above

// One per worker.
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
    uint64_t next_serial;
};
HARK_MUSTCHECK int hark_session_env_init(struct hark_session_env *env);
void hark_session_env_deinit(struct hark_session_env *env);

struct hark_session_options {
    struct hark_slice id;        // client-chosen ("?session="); empty: a token is made
    void *endpoint;              // the script's slot, for its use
    struct hark_view *view;      // never NULL
    const struct hark_session_policy *policy;
    struct hark_slice cursor;    // decoded and validated already (proto/cursor); empty: none
    bool envelope;               // WebSocket in hark.envelope form
    uint8_t peer[16];            // client address, for conn.ip; family 4, 6, 0
    uint8_t peer_family;
};

// Makes a session in state OPENING without transport; the open handler runs at hark_session_start.
// EINVAL: bad id or cursor; EEXIST: that id is taken.
HARK_MUSTCHECK int hark_session_new(struct hark_session_env *env, const struct hark_session_options *options, struct hark_session **ret);
void hark_session_start(struct hark_session *session);

// --- for script ---
uint64_t hark_session_serial(const struct hark_session *session); // unique in the process, never 0
struct hark_slice hark_session_id(const struct hark_session *session);
enum hark_transport_kind hark_session_kind(const struct hark_session *session); // the current or last one
void *hark_session_endpoint(const struct hark_session *session);
void hark_session_set_endpoint(struct hark_session *session, void *endpoint);
void *hark_session_data(const struct hark_session *session); // script's own pointer
void hark_session_set_data(struct hark_session *session, void *data);
struct hark_view *hark_session_view(const struct hark_session *session);
void hark_session_set_view(struct hark_session *session, struct hark_view *view);
size_t hark_session_backlog(const struct hark_session *session); // bytes queued for the client
size_t hark_session_peer_text(const struct hark_session *session, char *out); // HARK_PEER_TEXT_MAX
bool hark_session_is_open(const struct hark_session *session); // OPENING or OPEN

// A direct message (flags DIRECT is set here). 0, EFULL, ECLOSED, ENOMEM, EINVAL (event name).
HARK_MUSTCHECK int hark_session_send(struct hark_session *session, const struct hark_msg_draft *draft);

typedef void hark_session_joined_fn(void *ctx, struct hark_session *session, int status, const struct hark_joined *joined);
// Starts behind the client's cursor if it brought one for this channel, else as `start` says. Joining
// a channel again returns what is. EFULL: channels limit. fn exactly once on 0, maybe inside.
HARK_MUSTCHECK int hark_session_join(struct hark_session *session,
                                     struct hark_slice channel,
                                     const struct hark_channel_options *options,
                                     const struct hark_start *start,
                                     const struct hark_member *member,
                                     hark_session_joined_fn *fn,
                                     void *ctx);
bool hark_session_leave(struct hark_session *session, struct hark_slice channel); // false: was not joined
struct hark_sub *hark_session_find(struct hark_session *session, struct hark_slice channel);

HARK_MUSTCHECK int hark_session_after(struct hark_session *session, uint64_t delay_ms, struct hark_slice name); // replaces
bool hark_session_cancel(struct hark_session *session, struct hark_slice name);

// Ends the session: close frame with code and reason, end of stream, empty answer. Idempotent.
void hark_session_close(struct hark_session *session, uint16_t code, struct hark_slice why);
// Ends it with the advice to come back after retry_ms (1012 and friends, SSE retry:, Retry-After).
void hark_session_retire(struct hark_session *session, uint16_t code, struct hark_slice why, uint64_t retry_ms);

// Ends of handlers (see handlers.h).
void hark_session_opened(struct hark_session *session);
void hark_session_answer(struct hark_session *session, struct hark_reply *reply, enum hark_outcome outcome, struct hark_slice text);
void hark_session_drained(struct hark_session *session, uint64_t retry_ms);
void hark_session_release(struct hark_session *session);
// Stops and resumes reading of further messages from the client (control frames are read always).
void hark_session_hold(struct hark_session *session, bool hold);

// --- table: sessions of this worker, and whose worker another id is on ---
struct hark_session *hark_session_find_serial(struct hark_session_env *env, uint64_t serial);
struct hark_session *hark_session_find_id(struct hark_session_env *env, struct hark_slice id);
// The worker that owns sessions of that id (token: its place is inside; client-chosen: by hash).
// EINVAL: neither a token nor a valid client-chosen id (22 to 128 base64url characters).
HARK_MUSTCHECK int hark_session_owner(const struct hark_session_env *env, struct hark_slice id, unsigned *ret_worker);
typedef bool hark_session_each_fn(void *ctx, struct hark_session *session); // false: stop
void hark_session_each(struct hark_session_env *env, hark_session_each_fn *fn, void *ctx); // may close sessions inside
size_t hark_session_count(const struct hark_session_env *env);

#endif
