// SPDX-License-Identifier: MIT
//
// What waits for a client: messages in the outbox, and subscriptions that had to be refused and
// read on from history. Streams take it in batches when they have room again; a polling transport
// looks at it when a client asks, and lets it go when the client has acknowledged it.
#ifndef HARK_SESSION_BACKLOG_H
#define HARK_SESSION_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "hub/sink.h"
#include "session/place.h"

struct hark_session;

// --- for session ---
// Keeps messages for later (but not what is excepted for this session). sub: whose they are, NULL
// for the session's own. must_fit: only if there is room under the policy, or nothing waits. 0,
// HARK_EFULL, HARK_ENOMEM.
HARK_MUSTCHECK int hark_backlog_push(struct hark_session *session,
                                     const struct hark_sub *sub,
                                     struct hark_msg *const *msgs,
                                     size_t count,
                                     bool must_fit);
// A pass was refused: sees to it that the subscription is asked again. Returns false.
bool hark_backlog_refuse(struct hark_session *session);
// Whether the hub may be asked for more.
bool hark_backlog_has_space(const struct hark_session *session);
// A subscription has joined at its position while messages wait: cursors hold it from now on. 0;
// HARK_EFULL: they have no room for it; HARK_ENOMEM: to be tried again before its first message.
int hark_backlog_joined(struct hark_session *session, const struct hark_sub *sub);
// Where the client stands behind all that has left. ret_places has room for HARK_PLACES_MAX.
void hark_backlog_places(const struct hark_session *session, struct hark_places *ret_places);
// The session leaves its transport: all that waits goes out, whatever room there is; with is_lost
// it is dropped.
void hark_backlog_finish(struct hark_session *session, bool is_lost);

// --- for transports ---
// There is room, or something was acknowledged: what waits goes on.
void hark_backlog_pump(struct hark_session *session);

// Polling: the waiting messages, which stay until they are acknowledged.
size_t hark_backlog_count(const struct hark_session *session);
struct hark_msg *hark_backlog_at(const struct hark_session *session, size_t i); // borrowed
// The session's own sequence, as a place of channel 0: which outbox, how many messages have left
// it.
struct hark_place hark_backlog_sequence(const struct hark_session *session);
// The client has all up to this cursor; the sequence (NULL: it held none) goes before positions.
void hark_backlog_acknowledge(struct hark_session *session,
                              const struct hark_places *cursor,
                              const struct hark_place *sequence);

#endif
