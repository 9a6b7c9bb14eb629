// SPDX-License-Identifier: MIT
//
// One logical client over one or many requests: identity, subscriptions, outbox, timers, and the
// transport that currently carries it. What script calls is here; what transports call is in
// link.h, input.h and output.h. Everything in the worker's thread.
//
// Life: NEW (nothing is handed over yet) -> OPENING (the open handler runs) -> OPEN (with or
// without a transport) -> ENDING (the close handler runs) -> released, and freed from the defer
// queue. A pointer is valid until hark_session_release returns; whoever keeps one longer keeps the
// serial.
#ifndef HARK_SESSION_SESSION_H
#define HARK_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "hub/hub.h"
#include "session/env.h"
#include "session/handlers.h"
#include "session/place.h"
#include "session/view.h"

struct hark_ending;
struct hark_session;

const char *
hark_transport_kind_name(enum hark_transport_kind kind); // "websocket", "sse", "longpoll"

void hark_session_policy_init(struct hark_session_policy *policy); // the defaults of env.h

HARK_MUSTCHECK int hark_session_env_init(struct hark_session_env *env);
// The worker stops: whatever sessions are left are dropped with their connections, no handler is
// called.
void hark_session_env_deinit(struct hark_session_env *env);

struct hark_session_options {
    struct hark_slice id;   // client-chosen ("?session="); empty: a token is made
    void *endpoint;         // the script's slot, for its use
    struct hark_view *view; // never NULL
    const struct hark_session_policy *policy;
    const struct hark_places *cursor; // where the client stands; copied. NULL: it brought none
    uint8_t peer[16];                 // client address, for conn.ip; family 4, 6, 0
    uint8_t peer_family;
};

// Makes a session without transport; the open handler runs at hark_session_start, which must
// follow. EINVAL: bad id; EEXIST: that id is taken; EFULL; ENOMEM; EIO (no entropy).
HARK_MUSTCHECK int hark_session_new(struct hark_session_env *env,
                                    const struct hark_session_options *options,
                                    struct hark_session **ret);
void hark_session_start(struct hark_session *session);
void hark_session_discard(struct hark_session *session); // it got no transport: in place of start

// --- for script ---
uint64_t hark_session_serial(const struct hark_session *session); // unique in the process, never 0
struct hark_slice hark_session_id(const struct hark_session *session);
enum hark_transport_kind
hark_session_kind(const struct hark_session *session); // the current or last one
void *hark_session_endpoint(const struct hark_session *session);
void *hark_session_data(const struct hark_session *session); // script's own pointer
void hark_session_set_data(struct hark_session *session, void *data);
struct hark_view *hark_session_view(const struct hark_session *session);
void hark_session_set_view(struct hark_session *session, struct hark_view *view);
const struct hark_session_policy *hark_session_policy(const struct hark_session *session);
void hark_session_set_policy(struct hark_session *session,
                             const struct hark_session_policy *policy);
size_t hark_session_backlog(const struct hark_session *session); // bytes queued for the client
size_t hark_session_peer_text(const struct hark_session *session, char *out); // HARK_PEER_TEXT_MAX
bool hark_session_is_open(const struct hark_session *session); // not ENDING: it may be sent to

// A direct message (flags DIRECT is set here). 0, EFULL, ECLOSED, ENOMEM, EINVAL (event name),
// ETOOBIG.
HARK_MUSTCHECK int hark_session_send(struct hark_session *session,
                                     const struct hark_msg_draft *draft);

typedef void hark_session_joined_fn(void *ctx,
                                    struct hark_session *session,
                                    int status,
                                    const struct hark_joined *joined);
// Starts behind the client's cursor if it brought one for this channel (until open has ended), else
// as `start` says. Joining a channel again returns what is. ECLOSED; EFULL: the limit on channels;
// EAGAIN: is being joined; and as hark_hub_subscribe. fn exactly once on 0, maybe inside. In
// joins.c.
HARK_MUSTCHECK int hark_session_join(struct hark_session *session,
                                     struct hark_slice channel,
                                     const struct hark_channel_options *options,
                                     const struct hark_start *start,
                                     const struct hark_member *member,
                                     hark_session_joined_fn *fn,
                                     void *ctx);
bool hark_session_leave(struct hark_session *session,
                        struct hark_slice channel); // false: was not joined
// NULL: not joined.
struct hark_sub *hark_session_find(struct hark_session *session, struct hark_slice channel);

// Replaces one of the same name. EINVAL (name), EFULL, ENOMEM, ECLOSED.
HARK_MUSTCHECK int
hark_session_after(struct hark_session *session, uint64_t delay_ms, struct hark_slice name);
bool hark_session_cancel(struct hark_session *session, struct hark_slice name);

// Ends the session: close frame with code and reason, end of stream, 410 for the poll. What was
// sent before leaves first. Idempotent. The close handler is called from the defer queue, never
// inside.
void hark_session_close(struct hark_session *session, uint16_t code, struct hark_slice why);
// Ends it with the advice to come back after retry_ms: close with `code` and reason `retry=MS`, SSE
// `retry:`, 503 with Retry-After.
void hark_session_retire(struct hark_session *session,
                         uint16_t code,
                         struct hark_slice why,
                         uint64_t retry_ms);
// Any other end; is_lost: what waits in the outbox is dropped.
void hark_session_end(struct hark_session *session, const struct hark_ending *ending, bool is_lost);
// Calls the drain handler, once; its end retires the session.
void hark_session_drain(struct hark_session *session, struct hark_slice why);

// Ends of handlers (see handlers.h).
void hark_session_opened(struct hark_session *session);
void hark_session_answer(struct hark_session *session,
                         struct hark_reply *reply,
                         enum hark_outcome outcome,
                         struct hark_slice text);
void hark_session_drained(struct hark_session *session, uint64_t retry_ms);
void hark_session_release(struct hark_session *session);
// Stops and resumes the handing over of messages from the client: held while a handler waits (not
// while it waits for the client's answer). One further message is held, then reading pauses;
// control frames are read all the same.
void hark_session_hold(struct hark_session *session, bool hold);

// --- for link.c ---
// Takes the transport away, with a goodbye to its client.
void hark_session_part(struct hark_session *session, const struct hark_ending *ending);
void hark_session_count_kind(struct hark_session *session, bool is_coming);

// --- table: sessions of this worker, and whose worker another id is on ---
struct hark_session *hark_session_find_serial(struct hark_session_env *env, uint64_t serial);
struct hark_session *hark_session_find_id(struct hark_session_env *env, struct hark_slice id);
// The worker that owns sessions of that id (token: its place is inside; client-chosen: by hash).
// EINVAL: neither a token nor a valid client-chosen id (22 to 128 base64url characters).
HARK_MUSTCHECK int
hark_session_owner(const struct hark_session_env *env, struct hark_slice id, unsigned *ret_worker);
bool hark_session_is_token(struct hark_slice id); // made by a host, not chosen by a client
typedef bool hark_session_each_fn(void *ctx, struct hark_session *session); // false: stop
void hark_session_each(struct hark_session_env *env,
                       hark_session_each_fn *fn,
                       void *ctx); // may close sessions inside
size_t hark_session_count(const struct hark_session_env *env);

#endif
