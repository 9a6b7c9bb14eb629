// SPDX-License-Identifier: MIT
//
// What waits for one client: references to messages in order, and where the client stands in front
// of the first. Exists only while something waits (on long poll: always). Bounded by the caller.
#ifndef HARK_SESSION_OUTBOX_H
#define HARK_SESSION_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/wheel.h"
#include "hub/msg.h"
#include "session/place.h"

struct hark_outbox {
    struct hark_timer timer; // the owner's: to go on when the kernel has taken a batch
    void *owner;
    struct hark_places places; // where the client stands: behind all that has left
    uint64_t life;             // tells this outbox from others
    uint64_t passed;           // messages that have left since it was made
    size_t bytes;
    uint32_t count;
    /* private */
    uint32_t head;
    uint32_t cap; // a power of two
    struct hark_msg **ring;
};

// NULL: no memory. timer_fn: the function of its timer.
HARK_MUSTCHECK struct hark_outbox *hark_outbox_new(void *owner, hark_timer_fn *timer_fn);
void hark_outbox_free(
    struct hark_outbox *outbox); // drops what waits; the timer is not armed any more

// Makes room, so that the next `count` pushes cannot fail. 0 or HARK_ENOMEM.
HARK_MUSTCHECK int hark_outbox_reserve(struct hark_outbox *outbox, size_t count);
void hark_outbox_push(struct hark_outbox *outbox, struct hark_msg *msg); // takes a reference

// The i-th message; borrowed.
struct hark_msg *hark_outbox_at(const struct hark_outbox *outbox, uint32_t i);
// The first one leaves, and the client stands behind it.
void hark_outbox_pop(struct hark_outbox *outbox);

// Messages of that channel leave without having been delivered.
void hark_outbox_drop(struct hark_outbox *outbox, uint64_t channel);

// Moves places behind a message. A client without a place for its channel (too many) stays without.
void hark_outbox_pass(struct hark_places *places, const struct hark_msg *msg);

#endif
