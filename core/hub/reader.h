// SPDX-License-Identifier: MIT
//
// Reading a channel's log for one subscription: from where it starts until it may go live (join),
// and again whenever it could not follow (catch-up). The only place that decides what is a gap.
#ifndef HARK_HUB_READER_H
#define HARK_HUB_READER_H

#include "base/attr.h"
#include "hub/sink.h"

// sub is JOINING. ENOMEM: nothing began. Else the end is told through fn (may be NULL), maybe
// inside.
HARK_MUSTCHECK int hark_reader_join(struct hark_channel *channel,
                                    struct hark_sub *sub,
                                    const struct hark_start *start,
                                    hark_hub_joined_fn *fn);

// sub is LAGGING or BEHIND (else nothing happens). It may be gone afterwards.
void hark_reader_catch_up(struct hark_channel *channel, struct hark_sub *sub);

// The subscription leaves: an answer that is under way will not touch it. Returns what is to be
// called with ECLOSED, or NULL.
HARK_MUSTCHECK hark_hub_joined_fn *hark_reader_abandon(struct hark_channel *channel,
                                                       struct hark_sub *sub);

#endif
