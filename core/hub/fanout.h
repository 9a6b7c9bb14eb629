// SPDX-License-Identifier: MIT
//
// Passes: each run of new messages goes over all live subscriptions of its channel, in slices of
// time. The hot loop of the whole program.
#ifndef HARK_HUB_FANOUT_H
#define HARK_HUB_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

struct hark_hub;

// As hark_hub_flush.
bool hark_fanout_flush(struct hark_hub *hub, uint64_t deadline_ns);

#endif
