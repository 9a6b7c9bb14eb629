// SPDX-License-Identifier: MIT
//
// What a channel is made with, who sits in it, and what may be asked of it. Plain data that the
// hub's users, the hub and the brokers share.
#ifndef HARK_HUB_OPTIONS_H
#define HARK_HUB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define HARK_HISTORY_BYTES  ((size_t)1 << 20) // default
#define HARK_HISTORY_TTL_MS 300000u           // default

#define HARK_MEMBER_ID_MAX   256
#define HARK_MEMBER_INFO_MAX 4096

struct hark_channel; // one worker's side of a channel

// What happens to a subscriber that cannot follow, when it asks to go on (hark_hub_catch_up):
// close   what it missed follows from history; if that no longer holds all of it, gap(SLOW), and
//         the session closes. A channel without history holds nothing: the gap comes at once.
// oldest  what history still holds follows, after a gap for what it dropped (without history: all).
// latest  whatever history holds, the newest message per key follows (messages without a key share
//         one), after a gap for what was skipped. The channel keeps these for all its subscribers,
//         also without history: the newest of at most 1024 keys, within history_bytes and ttl_ms.
enum hark_slow { HARK_SLOW_CLOSE, HARK_SLOW_OLDEST, HARK_SLOW_LATEST };

// Options of a channel, resolved from the scripts' patterns by the caller of publish or subscribe.
// The first that names a channel makes it with them; hark_hub_configure changes them later.
struct hark_channel_options {
    uint32_t history_count; // 0: none
    size_t history_bytes;   // 0: the default, 1 MiB
    uint64_t ttl_ms;        // 0: the default, 5 minutes; older messages leave history
    bool presence;          // members are listed, and their joins and leaves are events
    enum hark_slow slow;
};

struct hark_member {
    struct hark_slice id;   // 1 to 256 bytes; borrowed
    struct hark_slice info; // JSON text or empty, at most 4 KiB; borrowed
};

// Implemented by hub/channel.c.
struct hark_slice hark_channel_name(const struct hark_channel *channel);
uint64_t hark_channel_id(const struct hark_channel *channel); // hark_hash_stable of the name
const struct hark_channel_options *hark_channel_options(const struct hark_channel *channel);

#endif
