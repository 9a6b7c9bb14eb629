// SPDX-License-Identifier: MIT
//
// Inside of the hub: one worker's side of a channel, and the set of them. Known to hub.c, fanout.c
// and reader.c only; others ask through hub/options.h. A channel lives from its first subscription
// until the broker has said goodbye to its feed.
#ifndef HARK_HUB_CHANNEL_H
#define HARK_HUB_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/stats.h"
#include "hub/broker.h"
#include "hub/options.h"
#include "hub/roster.h"
#include "hub/run.h"
#include "hub/sink.h"

struct hark_hub {
    struct hark_broker *broker;
    struct hark_stats *stats;
    unsigned worker;
    bool is_freed;                 // goes with its last channel
    bool is_walking;               // inside a walk over a roster
    bool is_retrying;              // some subscription waits for the next sweep to read again
    uint64_t next_pass;            // id
    struct hark_sub *current;      // whom the walk is calling; NULL when it has left meanwhile
    struct hark_channel *channels; // by name
    struct hark_list ready;        // channels with runs that wait
};

struct hark_channel {
    UT_hash_handle hh;
    struct hark_hub *hub;
    struct hark_feed *feed; // NULL: nobody is subscribed
    uint32_t closing;       // feeds whose end is still to come
    struct hark_channel_options options;
    struct hark_roster roster;
    struct hark_list ready;      // in hub->ready while runs wait or a pass is under way
    struct hark_list requests;   // reads under way
    struct hark_runs runs;       // waiting, behind the pass under way
    struct hark_run *run;        // the pass under way; NULL: none
    uint64_t pass_id;            // of it; each position inside it has an id of its own
    struct hark_position before; // where a subscription stands that gets all of the pass
    struct hark_position after;  // ... and where it stands then
    struct hark_position passed; // last offset that a pass has begun with; epoch 0: none yet
    uint64_t id;
    uint8_t name_len;
    char name[];
};

struct hark_channel *hark_channel_find(struct hark_hub *hub, struct hark_slice name);
// Finds or makes the channel, with an open feed. ENOMEM, EFULL, EIO.
HARK_MUSTCHECK int hark_channel_open(struct hark_hub *hub,
                                     struct hark_slice name,
                                     const struct hark_channel_options *options,
                                     struct hark_channel **ret);
// Closes the feed when nobody is subscribed any more. The channel itself stays until the broker's
// goodbye, which never comes inside a call.
void hark_channel_settle(struct hark_channel *channel);
void hark_channel_free_hub(struct hark_hub *hub); // when it is freed and its last channel is gone

HARK_MUSTCHECK int hark_channel_add(struct hark_channel *channel, struct hark_sub *sub); // JOINING
// NONE; leaves presence. hark_channel_settle is to follow.
void hark_channel_remove(struct hark_channel *channel, struct hark_sub *sub);
// The only place where a subscription's state changes.
void hark_channel_move(struct hark_channel *channel,
                       struct hark_sub *sub,
                       enum hark_sub_state state);

// Counts and tells a gap; the position is at gap->to before the sink is called, unless messages out
// of the gap follow. `dropped` of the messages were dropped for slowness. sub may be gone
// afterwards.
void hark_channel_tell(struct hark_channel *channel,
                       struct hark_sub *sub,
                       const struct hark_gap *gap,
                       uint64_t dropped);

// Where the channel's passes have got to, seen from a position: nothing between the two is left to
// be passed, so a subscription there may go live.
bool hark_channel_has_reached(const struct hark_channel *channel, struct hark_position position);

#endif
