// SPDX-License-Identifier: MIT
//
// The subscriptions of one channel in one worker: an array in three stretches,
//
//   [0, visited)     live, and the pass that is under way has been there
//   [visited, live)  live, still to be visited
//   [live, count)    parked: joining, lagging, cut
//
// Each subscription knows its index, so it enters, leaves and moves between stretches by swaps that
// keep the borders, at any moment of a walk, without an allocation (add excepted).
#ifndef HARK_HUB_ROSTER_H
#define HARK_HUB_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "hub/sink.h"

struct hark_roster {
    struct hark_sub **subs;
    uint32_t visited;
    uint32_t live;
    uint32_t count;
    uint32_t cap;
};

void hark_roster_deinit(struct hark_roster *roster);

HARK_MUSTCHECK int hark_roster_add(struct hark_roster *roster, struct hark_sub *sub); // parked
void hark_roster_remove(struct hark_roster *roster, struct hark_sub *sub);
void hark_roster_wake(struct hark_roster *roster,
                      struct hark_sub *sub); // parked -> still to be visited
void hark_roster_park(struct hark_roster *roster, struct hark_sub *sub); // live -> parked

// Begins a walk: nobody has been visited.
static inline void hark_roster_rewind(struct hark_roster *roster)
{
    roster->visited = 0;
}

#endif
