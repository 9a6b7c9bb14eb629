// SPDX-License-Identifier: MIT
//
// A message: immutable once published, atomically reference-counted, shared by all workers. One
// allocation holds the struct and its text. Wire forms that C makes are cached in it, each made by
// whoever needs it first (compare-and-swap) and shared by all workers.
#ifndef HARK_HUB_MSG_H
#define HARK_HUB_MSG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/slice.h"

#define HARK_MSG_CHANNEL_MAX 255
#define HARK_MSG_EVENT_MAX   128
#define HARK_MSG_KEY_MAX     256
#define HARK_MSG_ONCE_MAX    256
#define HARK_MSG_PAYLOAD_MAX (64u << 20) // a backstop; the limits that people set lie far below

// Slots of the wire-form cache; the encoders live above (session/form.c), msg knows only the slot.
enum hark_msg_wire {
    HARK_WIRE_WS,            // a WebSocket frame: the payload itself
    HARK_WIRE_ENVELOPE,      // a WebSocket frame: {"id","event","data"}, id of this channel alone
    HARK_WIRE_ENVELOPE_BODY, // what such a frame holds behind the id
    HARK_WIRE_SSE,           // an SSE block with an id line of this channel alone
    HARK_WIRE_SSE_BODY,      // an SSE block without id line
    HARK_WIRE_COUNT,
};

enum hark_msg_flags {
    HARK_MSG_BINARY = 1, // payload is not text
    HARK_MSG_JSON = 2,   // payload is JSON text made from a Lua table
    HARK_MSG_OUTSIDE =
        4, // outside the log: no offset, cannot be resumed (history = false, presence)
    HARK_MSG_NOTICE = 8,  // made by the engine: hark.join, hark.leave, hark.gap, hark.error
    HARK_MSG_DIRECT = 16, // conn:send: for one session, no channel
};

// Where a message stands in its channel's log.
struct hark_position {
    uint64_t epoch;
    uint64_t offset; // 1 is the first message; 0: before the first, or outside the log
};

struct hark_msg {
    _Atomic uint32_t refs;
    uint32_t flags;
    uint64_t channel_id; // hark_hash_stable(channel), set by the broker; 0 for a direct message
    struct hark_position position;
    uint64_t time_ms; // Unix time
    uint64_t except;  // session serial that must not get it; 0: none
    struct hark_slice channel;
    struct hark_slice event; // empty: none
    struct hark_slice key;   // conflation key of `latest`; empty: none
    struct hark_slice payload;
    _Atomic(struct hark_bytes *) wire[HARK_WIRE_COUNT];
    char text[]; // storage of the slices
};

// What a message is made from; all slices are borrowed and copied.
struct hark_msg_draft {
    struct hark_slice channel;
    struct hark_slice event;
    struct hark_slice key;
    struct hark_slice once; // idempotency key; empty: none
    struct hark_slice payload;
    uint32_t flags;
    uint64_t except;
};

// A channel's name: 1 to 255 bytes of valid UTF-8 without control bytes (below 0x20, 0x7F).
bool hark_msg_is_channel(struct hark_slice name);

// A new message with one reference. channel_id, position and time are 0: the broker sets them
// before the message is shared. EINVAL: not a channel's name (it may be empty for a direct message
// only), or an event name with a control byte or bad UTF-8. ETOOBIG: event, key, once or payload
// over its maximum. ENOMEM.
HARK_MUSTCHECK int hark_msg_new(const struct hark_msg_draft *draft, struct hark_msg **ret);
// A copy with other payload, event and flags; same channel, key, position, time, except (a
// transformed message). EINVAL, ETOOBIG, ENOMEM as above.
HARK_MUSTCHECK int hark_msg_derive(const struct hark_msg *msg,
                                   struct hark_slice event,
                                   struct hark_slice payload,
                                   uint32_t flags,
                                   struct hark_msg **ret);

struct hark_msg *hark_msg_ref(struct hark_msg *msg);
void hark_msg_unref(struct hark_msg *msg); // accepts NULL; any thread

// Bytes accounted in history and queues: the struct and its text, without the cached wire forms.
size_t hark_msg_size(const struct hark_msg *msg);

static inline bool hark_msg_is_logged(const struct hark_msg *msg)
{
    return (msg->flags & (HARK_MSG_OUTSIDE | HARK_MSG_DIRECT)) == 0;
}

// The cached form or NULL; borrowed as long as msg lives.
static inline struct hark_bytes *hark_msg_wire(const struct hark_msg *msg, enum hark_msg_wire slot)
{
    return atomic_load_explicit(&msg->wire[slot], memory_order_acquire);
}
// Stores a form (takes the reference over) and returns the one that won; borrowed.
struct hark_bytes *
hark_msg_wire_store(struct hark_msg *msg, enum hark_msg_wire slot, struct hark_bytes *made);

#endif
