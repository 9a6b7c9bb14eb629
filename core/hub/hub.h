// SPDX-License-Identifier: MIT
//
// One worker's view of the channels: local subscriptions, ordered passes, catch-up of slow readers.
// The log itself (offsets, history, presence) belongs to the broker behind hub/broker.h, which is
// shared by all workers (memory) or remote. All calls in the worker's thread; results that may need
// a remote broker come by callback, which may run before the call returns.
//
// Promise: each subscription sees the offsets of its channel in order, without a hole and without a
// double, or a gap is told through its sink.
#ifndef HARK_HUB_HUB_H
#define HARK_HUB_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/stats.h"
#include "hub/msg.h"
#include "hub/sink.h"

struct hark_hub;
struct hark_broker;
struct hark_channel; // one worker's side of a channel

enum hark_slow { HARK_SLOW_CLOSE, HARK_SLOW_OLDEST, HARK_SLOW_LATEST };

// Options of a channel, resolved from the scripts' patterns by the caller of publish or subscribe.
// The first that names a channel makes it with them; hark_hub_configure changes them later.
struct hark_channel_options {
    uint32_t history_count; // 0: none
    size_t history_bytes;   // default 1 MiB
    uint64_t ttl_ms;        // default 5 minutes; messages older than that leave history
    bool presence;
    enum hark_slow slow;
};

// One subscription, embedded in or owned by the sink's object. Fields are the hub's once subscribed.
struct hark_sub {
    const struct hark_sink_ops *ops;
    void *owner;                     // the sink's object, for its use
    uint64_t serial;                 // session serial, compared with msg->except
    struct hark_channel *channel;    // NULL: not subscribed
    struct hark_position position;   // last message handed over (or passed by)
    uint32_t index;                  // private: place in the channel's array
    uint8_t state;                   // private: joining, live, lagging
    uint8_t presence;                // private: is a member
    struct hark_list lag;            // private
};

// Where a subscription starts.
struct hark_start {
    bool has_position;             // resume after `position`
    struct hark_position position;
    uint32_t rewind;               // without a position: the last n of history
};

struct hark_joined {
    struct hark_position position; // where live begins: the top at the moment of joining
    bool resumed;                  // a position was given
    bool recovered;                // ... and history (or nothing) lay between: no message is missing
    uint64_t missed;               // messages that are gone for good (0 when recovered or unknown epoch)
    size_t replayed;               // messages of history handed over before live
};

// On success history since the start has been delivered through the sink before this is called; a
// gap has been told through the sink before that. status: 0, ENOMEM, EIO, ECLOSED (unsubscribed meanwhile).
typedef void hark_hub_joined_fn(struct hark_sub *sub, int status, const struct hark_joined *joined);
// The sub may be NULL'ed by the caller through ctx handling; position is where the message stands.
typedef void hark_hub_published_fn(void *ctx, int status, struct hark_position position);
// msgs are borrowed until return. status EGAP: `since` is no longer held; msgs is what is left.
typedef void hark_hub_history_fn(void *ctx, int status, struct hark_msg *const *msgs, size_t count, struct hark_position top);

struct hark_member {
    struct hark_slice id;   // borrowed
    struct hark_slice info; // JSON text or empty; borrowed
};
typedef void hark_hub_members_fn(void *ctx, int status, const struct hark_member *members, size_t count);

// `wake` is called when a pass is waiting while the loop may sleep (remote input); any thread.
struct hark_hub_options {
    struct hark_broker *broker; // borrowed
    struct hark_stats *stats;   // borrowed
    unsigned worker;            // index of this worker
};

HARK_MUSTCHECK int hark_hub_new(const struct hark_hub_options *options, struct hark_hub **ret);
void hark_hub_free(struct hark_hub *hub); // no subscription may be left; accepts NULL

// once (draft->once not empty): the same key within 5 minutes gives the first position and publishes
// nothing. 0 or EINVAL/ENOMEM/ETOOBIG at once (fn not called), else fn is called exactly once. fn may be NULL.
HARK_MUSTCHECK int hark_hub_publish(struct hark_hub *hub,
                                    const struct hark_msg_draft *draft,
                                    const struct hark_channel_options *options,
                                    hark_hub_published_fn *fn,
                                    void *ctx);

// Atomic join of history and live. `member` (NULL: none) enters presence; the same id may enter
// several times (counted), join and leave are told once. fn is called exactly once on 0.
HARK_MUSTCHECK int hark_hub_subscribe(struct hark_hub *hub,
                                      struct hark_sub *sub,
                                      struct hark_slice channel,
                                      const struct hark_channel_options *options,
                                      const struct hark_start *start,
                                      const struct hark_member *member,
                                      hark_hub_joined_fn *fn);
void hark_hub_unsubscribe(struct hark_hub *hub, struct hark_sub *sub); // idempotent; leaves presence

// The sink can take output again: continue from history behind sub->position. Batches of at most
// 64 KiB or 256 messages a call; the sink says when it wants more by calling again (deliver
// returned false) - it is live again when it has caught up, which the hub notices itself.
void hark_hub_catch_up(struct hark_hub *hub, struct hark_sub *sub);
bool hark_sub_is_lagging(const struct hark_sub *sub);

// Runs waiting passes over the subscriptions until done or deadline_ns (hark_loop_clock_ns); true:
// some are left, call again next tick.
bool hark_hub_flush(struct hark_hub *hub, uint64_t deadline_ns);

// Messages behind `since` (NULL: the last `limit`), at most limit.
HARK_MUSTCHECK int hark_hub_history(struct hark_hub *hub,
                                    struct hark_slice channel,
                                    const struct hark_position *since,
                                    uint32_t limit,
                                    hark_hub_history_fn *fn,
                                    void *ctx);
HARK_MUSTCHECK int hark_hub_members(struct hark_hub *hub, struct hark_slice channel, hark_hub_members_fn *fn, void *ctx);

// Applies new options to a channel that exists (history grown or cut at once, presence on or off with
// its events). EINVAL for a bad name; a channel that does not exist is not made.
HARK_MUSTCHECK int hark_hub_configure(struct hark_hub *hub, struct hark_slice channel, const struct hark_channel_options *options);
HARK_MUSTCHECK int hark_hub_clear(struct hark_hub *hub, struct hark_slice channel); // drops history, keeps epoch and top

// All channels of the broker, for admin and reload: fn(ctx, name, subscribers on all workers, position, messages held).
typedef void hark_hub_channel_fn(void *ctx, struct hark_slice name, uint64_t subscribers, struct hark_position top, uint32_t held);
void hark_hub_each_channel(struct hark_hub *hub, hark_hub_channel_fn *fn, void *ctx);

struct hark_slice hark_channel_name(const struct hark_channel *channel);
uint64_t hark_channel_id(const struct hark_channel *channel); // hark_hash_stable of the name
const struct hark_channel_options *hark_channel_options(const struct hark_channel *channel);

#endif
