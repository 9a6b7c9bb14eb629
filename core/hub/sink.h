// SPDX-License-Identifier: MIT
//
// Interface: what a subscriber of a channel must implement (session does). Called in the worker's
// thread only, from hark_hub_flush or from a completed join or catch-up, never from inside
// hark_hub_publish. Inside a call the sink may publish, subscribe, and unsubscribe any
// subscription, also this one; it must not call hark_hub_flush.
#ifndef HARK_HUB_SINK_H
#define HARK_HUB_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/msg.h"

struct hark_channel;
struct hark_seat;
struct hark_sub;

// A run of messages of one channel, in order and without a hole among those that have offsets.
// During one flush every subscription at the same position gets the same pass (same id), so a sink
// can make the joined wire form once per pass and share it. Borrowed until return; take references.
struct hark_pass {
    uint64_t id; // unique in this hub; 0: private to this subscription (replay of history)
    struct hark_msg *const *msgs;
    size_t count;
    bool has_except; // some msg->except is not 0
};

enum hark_gap_reason {
    HARK_GAP_HISTORY, // resumed, or overrun by a flood, behind what history holds
    HARK_GAP_EPOCH,   // the position belongs to another life of the channel; `from` says nothing
    HARK_GAP_SLOW,    // this subscriber was too slow
};

struct hark_gap {
    struct hark_position from; // last position the client has
    struct hark_position to;   // deliveries go on behind this one
    enum hark_gap_reason reason;
    // Policy `latest`: the newest messages per key out of (from, to] follow at once, the last of
    // them stands at `to`. The client's own position stays `from` until they are on their way.
    bool conflated;
};

struct hark_sink_ops {
    // Takes the pass: true. false: not now (slow); the hub stops passing to this subscription,
    // which is lagging until hark_hub_catch_up. Nothing of a refused pass counts as delivered. A
    // pass whose messages are all outside the log is dropped when refused, and the subscription
    // stays live. A sink with nothing queued must take any pass, or it can never catch up.
    bool (*deliver)(struct hark_sub *sub, const struct hark_pass *pass);
    // Messages are missing between two deliveries. Must be told to the client. For HARK_GAP_SLOW
    // under policy `close` the sink closes its session instead: nothing is delivered any more.
    void (*gap)(struct hark_sub *sub, const struct hark_gap *gap);
};

enum hark_sub_state {
    HARK_SUB_NONE,    // not subscribed
    HARK_SUB_JOINING, // reading from where it starts up to the top
    HARK_SUB_LIVE,    // takes part in passes
    HARK_SUB_BEHIND,  // live messages were lost on the way: the hub reads on from history by itself
    HARK_SUB_LAGGING, // refused a pass: reads on from history when the sink asks
    HARK_SUB_CUT,     // was too slow under `close`: gets nothing more
};

// One subscription, embedded in or owned by the sink's object: 64 bytes, because a walk over ten
// thousand of them is as fast as their cache lines come. The maker zeroes it and sets ops, owner
// and serial; the other fields are the hub's. It may be freed as soon as it is unsubscribed.
struct hark_sub {
    const struct hark_sink_ops *ops;
    void *owner;                   // the sink's object, for its use
    struct hark_position position; // last message handed over (or passed by)
    struct hark_channel *channel;  // NULL: not subscribed
    uint64_t serial;               // session serial, compared with msg->except
    /* private */
    struct hark_seat *seat; // presence
    uint32_t index;         // place in the channel's roster
    uint8_t state;          // enum hark_sub_state
    bool is_reading;        // a read of history is under way
    bool is_retrying;       // a read failed: the next sweep tries again
    bool is_sought;         // lagging because the sink has put it back, not because it is slow
};

// Where a subscription starts.
struct hark_start {
    bool has_position; // resume after `position`
    struct hark_position position;
    uint32_t rewind; // without a position: the last n of history
};

struct hark_joined {
    struct hark_position position; // where live begins: the top at the moment of joining
    bool resumed;                  // a position was given
    bool recovered;  // ... and history (or nothing) lay between: no message is missing
    uint64_t missed; // messages that are gone for good (0 when recovered or unknown epoch)
    size_t replayed; // messages of history handed over before live
};

// On success history since the start has been delivered through the sink before this is called (or,
// if the sink refused a part, the subscription is lagging and catch-up goes on with it); a gap has
// been told through the sink before that. status: 0, ENOMEM, EIO (then it is not subscribed), or
// ECLOSED (unsubscribed meanwhile, called from inside hark_hub_unsubscribe). joined is NULL unless
// 0.
typedef void hark_hub_joined_fn(struct hark_sub *sub, int status, const struct hark_joined *joined);

#endif
