// SPDX-License-Identifier: MIT
//
// One worker's view of the channels: local subscriptions, ordered passes, catch-up of slow readers.
// The log itself (offsets, history, presence) belongs to the broker behind hub/broker.h, which is
// shared by all workers (memory) or remote. All calls in the worker's thread; results that may need
// a remote broker come by callback, which may run before the call returns.
//
// Promise: each subscription sees the offsets of its channel in order, without a hole and without a
// double, or a gap is told through its sink.
//
// A worker's tick: drain the mailbox (the memory broker hands over what was published), then
// hark_hub_flush; about once a second hark_hub_sweep.
#ifndef HARK_HUB_HUB_H
#define HARK_HUB_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/stats.h"
#include "hub/msg.h"
#include "hub/options.h"
#include "hub/sink.h"

struct hark_hub;
struct hark_broker;

// position is where the message stands; offset 0 when it is outside the log, epoch 0 as well when
// it is and there is no such channel, so that it reached nobody.
typedef void hark_hub_published_fn(void *ctx, int status, struct hark_position position);
// msgs are borrowed until return. status EGAP: `since` is no longer held; msgs is what is left
// behind it (nothing, when its epoch is unknown).
typedef void hark_hub_history_fn(
    void *ctx, int status, struct hark_msg *const *msgs, size_t count, struct hark_position top);
typedef void
hark_hub_members_fn(void *ctx, int status, const struct hark_member *members, size_t count);

struct hark_hub_options {
    struct hark_broker *broker; // borrowed
    struct hark_stats *stats;   // borrowed; counts messages_published, channels, subscriptions,
                                // lagging, gaps, deliveries_dropped
    unsigned worker;            // index of this worker
};

HARK_MUSTCHECK int hark_hub_new(const struct hark_hub_options *options, struct hark_hub **ret);
// No subscription may be left; accepts NULL. The broker may still owe the end of channels that were
// just left, so memory goes when the mailbox has been drained or freed too, in either order.
void hark_hub_free(struct hark_hub *hub);

// once (draft->once not empty): the same key on the same channel within 5 minutes gives the first
// position and publishes nothing. 0 or EINVAL/ENOMEM/ETOOBIG/EFULL (too many channels) at once (fn
// not called), else fn is called exactly once. fn may be NULL.
HARK_MUSTCHECK int hark_hub_publish(struct hark_hub *hub,
                                    const struct hark_msg_draft *draft,
                                    const struct hark_channel_options *options,
                                    hark_hub_published_fn *fn,
                                    void *ctx);

// Atomic join of history and live. `member` (NULL: none) enters presence; the same id may enter
// several times (counted), join and leave are told once. sub->ops, owner and serial are set, the
// rest is zero. EINVAL (name, member), ENOMEM, EFULL, EEXIST (sub is subscribed) at once, and fn is
// not called; else fn (may be NULL) is called exactly once.
HARK_MUSTCHECK int hark_hub_subscribe(struct hark_hub *hub,
                                      struct hark_sub *sub,
                                      struct hark_slice channel,
                                      const struct hark_channel_options *options,
                                      const struct hark_start *start,
                                      const struct hark_member *member,
                                      hark_hub_joined_fn *fn);
void hark_hub_unsubscribe(struct hark_hub *hub,
                          struct hark_sub *sub); // idempotent; leaves presence

// The sink can take output again: continues from history behind sub->position, in batches of at
// most 64 KiB or 256 messages, until the sink refuses one (then it calls again when it has room) or
// the subscription has reached the top and is live. hub/options.h says what each policy gets. Does
// nothing unless lagging.
void hark_hub_catch_up(struct hark_hub *hub, struct hark_sub *sub);

// Puts a subscription that has joined to another position, back or forth: what stands behind it
// comes by hark_hub_catch_up, until then it is lagging. It is not slow for that: until it refuses a
// batch it gets all that history holds, whatever the policy, and a gap is HARK_GAP_HISTORY. Also
// for one that was cut under `close`, which goes on.
void hark_hub_seek(struct hark_hub *hub, struct hark_sub *sub, struct hark_position position);

static inline bool hark_sub_is_lagging(const struct hark_sub *sub)
{
    return sub->state == HARK_SUB_LAGGING;
}

// Runs waiting passes over the subscriptions until done or deadline_ns (CLOCK_MONOTONIC, as
// hark_loop_clock_ns); at least 64 subscriptions. true: some are left, call again next tick.
bool hark_hub_flush(struct hark_hub *hub, uint64_t deadline_ns);

// Housekeeping in bounded steps, to be called about once a second by every worker: messages past
// their age, idle channels, presence events held back in a storm, reads to be tried again.
void hark_hub_sweep(struct hark_hub *hub);

// Messages behind `since` (NULL: the last `limit`), at most limit. EINVAL, ENOMEM at once.
HARK_MUSTCHECK int hark_hub_history(struct hark_hub *hub,
                                    struct hark_slice channel,
                                    const struct hark_position *since,
                                    uint32_t limit,
                                    hark_hub_history_fn *fn,
                                    void *ctx);
// Who is there, in no order; nobody when the channel has no presence. EINVAL, ENOMEM at once.
HARK_MUSTCHECK int hark_hub_members(struct hark_hub *hub,
                                    struct hark_slice channel,
                                    hark_hub_members_fn *fn,
                                    void *ctx);

// Applies new options to a channel that exists (history grown or cut at once, presence on or off
// with its events), on all workers. EINVAL for a bad name; ENOENT: a channel that does not exist is
// not made; ENOMEM: nothing has changed.
HARK_MUSTCHECK int hark_hub_configure(struct hark_hub *hub,
                                      struct hark_slice channel,
                                      const struct hark_channel_options *options);
// Drops history, keeps epoch and top. EINVAL, ENOENT.
HARK_MUSTCHECK int hark_hub_clear(struct hark_hub *hub, struct hark_slice channel);

// All channels of the broker, for admin and reload: fn(ctx, name, subscribers on all workers,
// position, messages held). 0, or ENOMEM: not all were given.
typedef void hark_hub_channel_fn(void *ctx,
                                 struct hark_slice name,
                                 uint64_t subscribers,
                                 struct hark_position top,
                                 uint32_t held);
int hark_hub_each_channel(struct hark_hub *hub, hark_hub_channel_fn *fn, void *ctx);

#endif
