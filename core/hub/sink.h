// SPDX-License-Identifier: MIT
//
// Interface: what a subscriber of a channel must implement (session does). Called in the worker's
// thread only, from hark_hub_flush or from a completed join or catch-up, never from inside
// hark_hub_publish. Inside a call the sink may unsubscribe any subscription, also this one.
#ifndef HARK_HUB_SINK_H
#define HARK_HUB_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "hub/msg.h"

struct hark_sub;

// A run of messages of one channel, in order and without a hole among those that have offsets.
// During one flush every subscription at the same position gets the same pass (same id), so a sink
// can make the joined wire form once per pass and share it. Borrowed until return; take references.
struct hark_pass {
    uint64_t id;              // unique in this hub; 0: private to this subscription (replay of history)
    struct hark_msg *const *msgs;
    size_t count;
    bool has_except;          // some msg->except is not 0
};

enum hark_gap_reason { HARK_GAP_HISTORY, HARK_GAP_EPOCH, HARK_GAP_SLOW };

struct hark_gap {
    struct hark_position from; // last position the client has
    struct hark_position to;   // deliveries go on behind this one
    enum hark_gap_reason reason;
};

struct hark_sink_ops {
    // Takes the pass: true. false: not now (slow); the hub stops passing to this subscription, which
    // is lagging until hark_hub_catch_up. Nothing of a refused pass counts as delivered. A pass
    // whose messages are all outside the log is dropped when refused.
    bool (*deliver)(struct hark_sub *sub, const struct hark_pass *pass);
    // Messages are missing between two deliveries. Must be told to the client. For HARK_GAP_SLOW
    // under policy `close` the sink closes its session instead.
    void (*gap)(struct hark_sub *sub, const struct hark_gap *gap);
};

#endif
