// SPDX-License-Identifier: MIT
//
// Interface: what a backend must implement (memory now; a remote one may answer later), and how it
// calls back. A worker's interest in one channel is a *feed*: opened once a worker and channel,
// read from by position, closed with the last subscription. hub uses it; whoever composes the
// program makes a backend and attaches it to the workers' loops by that backend's own functions.
//
// Threads: every call names the worker it comes from and is made in that worker's thread; answers
// and events come in the same thread, and never while the backend holds a lock. Answers may come
// inside the call; events (receive, configured, closed) never come inside a call into the backend.
//
// What makes a join atomic: an answer to a read tells the `top` of the log, and each message behind
// that top reaches `receive` of the feed, also when it comes before the answer. Messages up to the
// top may come too; the hub passes them by.
//
// Lost messages: a feed that cannot follow (a full queue, a broken link) leaves messages out. The
// hub sees the hole by the offsets and reads on from the log, or tells a gap. Messages outside the
// log are delivered at most once.
#ifndef HARK_HUB_BROKER_H
#define HARK_HUB_BROKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "hub/msg.h"
#include "hub/options.h"
#include "hub/run.h"

struct hark_broker_ops;
struct hark_feed;
struct hark_seat; // one member in a channel's presence; the backend's own

// A backend's object begins with it.
struct hark_broker {
    const struct hark_broker_ops *ops;
};

// Called by the backend.
struct hark_feed_events {
    // Messages in the order of the log. Takes the runs over: *runs is empty on return.
    void (*receive)(struct hark_feed *feed, struct hark_runs *runs);
    // Somebody changed the channel's options; feed->options has them.
    void (*configured)(struct hark_feed *feed);
    // After close and after every answer that was owed: the feed is gone when this returns.
    void (*closed)(struct hark_feed *feed);
};

// A backend's feed begins with it.
struct hark_feed {
    struct hark_broker *broker;
    const struct hark_feed_events *events;
    void *owner;                         // the hub's channel
    struct hark_channel_options options; // as they are, which may differ from those asked for
    struct hark_position top;            // when it was opened; epoch 0: not known yet
    _Atomic uint32_t subscribers;        // kept by the hub, read by anybody
};

// What to read: messages behind `since` (its epoch must be the log's, else none), or, without it,
// the newest `tail`. Oldest first, at most max_count, at most max_bytes but at least one message.
struct hark_read {
    bool has_since;
    struct hark_position since;
    uint32_t tail;
    bool latest; // only the newest message per key, out of what policy `latest` keeps
    size_t max_count;
    size_t max_bytes;
};

struct hark_reading {
    int status;                   // 0, ENOMEM, EIO, ECLOSED
    struct hark_msg *const *msgs; // borrowed until return
    size_t count;
    struct hark_position top; // where the log ends; epoch 0: there is no such channel
};

// A fresh message, which nobody else has, and what goes with it.
struct hark_publication {
    struct hark_msg *msg;
    struct hark_slice once; // idempotency key, see hark_hub_publish; empty: none
    const struct hark_channel_options *options;
};

typedef void hark_broker_read_fn(void *ctx, const struct hark_reading *reading);
typedef void hark_broker_published_fn(void *ctx, int status, struct hark_position position);
typedef void
hark_broker_members_fn(void *ctx, int status, const struct hark_member *members, size_t count);
typedef void hark_broker_each_fn(void *ctx,
                                 struct hark_slice name,
                                 uint64_t subscribers,
                                 struct hark_position top,
                                 uint32_t held);

// Functions that return int: 0, and then the callback is called exactly once; or a status at once,
// and then it is not. Slices and structs are borrowed until return unless it says otherwise.
struct hark_broker_ops {
    // Gives the message channel_id, time and, unless it is HARK_MSG_OUTSIDE, its offset; appends it
    // and hands it to all feeds of the channel. The backend takes its own references. fn may be
    // NULL. ENOMEM, EFULL.
    int (*publish)(struct hark_broker *broker,
                   unsigned worker,
                   const struct hark_publication *publication,
                   hark_broker_published_fn *fn,
                   void *ctx);

    // Opens a feed, and makes the channel with these options unless it is there. The caller sets
    // (*ret)->owner. ENOMEM, EFULL, EIO.
    int (*open)(struct hark_broker *broker,
                unsigned worker,
                struct hark_slice channel,
                const struct hark_channel_options *options,
                const struct hark_feed_events *events,
                struct hark_feed **ret);
    // No more receive or configured; `closed` follows.
    void (*close)(struct hark_feed *feed);
    int (*read)(struct hark_feed *feed,
                const struct hark_read *ask,
                hark_broker_read_fn *fn,
                void *ctx);

    // A member sits down (counted per id over all workers and nodes); `serial` is the session that
    // shall not be told of its own join. A backend with several nodes renews its leases in sweep.
    int (*enter)(struct hark_feed *feed,
                 const struct hark_member *member,
                 uint64_t serial,
                 struct hark_seat **ret);
    void (*leave)(struct hark_feed *feed, struct hark_seat *seat);

    // By name, also without a feed. A channel that is not there has nothing: status 0.
    int (*history)(struct hark_broker *broker,
                   unsigned worker,
                   struct hark_slice channel,
                   const struct hark_read *ask,
                   hark_broker_read_fn *fn,
                   void *ctx);
    int (*members)(struct hark_broker *broker,
                   unsigned worker,
                   struct hark_slice channel,
                   hark_broker_members_fn *fn,
                   void *ctx);
    int (*configure)(struct hark_broker *broker,
                     unsigned worker,
                     struct hark_slice channel,
                     const struct hark_channel_options *options);
    int (*clear)(struct hark_broker *broker, unsigned worker, struct hark_slice channel);
    int (*each)(struct hark_broker *broker, unsigned worker, hark_broker_each_fn *fn, void *ctx);
    void (*sweep)(struct hark_broker *broker, unsigned worker); // a bounded step of housekeeping
};

#endif
