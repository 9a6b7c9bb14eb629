// SPDX-License-Identifier: MIT
//
// One channel of the memory broker: its log, history, newest messages per key, presence, and the
// feeds of the workers that listen. Everything here is called under the stripe's lock.
#ifndef HARK_BROKER_MEMORY_ENTRY_H
#define HARK_BROKER_MEMORY_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/hash.h"
#include "base/list.h"
#include "hub/broker.h"
#include "hub/history.h"
#include "hub/latest.h"
#include "hub/presence.h"

struct hark_memory_entry {
    UT_hash_handle hh;
    struct hark_list node;  // in the shard's active or idle list
    struct hark_list news;  // in the shard's news list while presence events are held back
    struct hark_list feeds; // open ones
    uint32_t feed_count;    // ... and those whose goodbye is on its way
    bool is_idle;
    uint64_t idle_since_ms;
    uint64_t id; // hark_hash_stable of the name
    struct hark_position top;
    struct hark_channel_options options;
    struct hark_history history;
    struct hark_latest *latest; // policy `latest` only
    struct hark_presence presence;
    uint64_t told_ms;    // begin of the second in which presence events are counted
    uint32_t told_count; // ... and how many it has had
    uint8_t name_len;
    char name[];
};

// ENOMEM, EIO (no entropy for the epoch).
HARK_MUSTCHECK int hark_memory_entry_new(struct hark_slice name,
                                         const struct hark_channel_options *options,
                                         struct hark_memory_entry **ret);
void hark_memory_entry_free(struct hark_memory_entry *entry);

struct hark_slice hark_memory_entry_name(const struct hark_memory_entry *entry);

// No feed, no message, nobody present: only epoch and top are of use.
bool hark_memory_entry_is_empty(const struct hark_memory_entry *entry);

// Where the message will stand.
struct hark_position hark_memory_entry_next(const struct hark_memory_entry *entry,
                                            const struct hark_msg *msg);
// Gives the message its place, keeps it and hands it to all feeds. ENOMEM: nothing has changed.
HARK_MUSTCHECK int
hark_memory_entry_append(struct hark_memory_entry *entry, struct hark_msg *msg, uint64_t now_ms);

// References to what `ask` asks for; ret_msgs has room for ask->max_count. Returns how many.
size_t hark_memory_entry_read(struct hark_memory_entry *entry,
                              const struct hark_read *ask,
                              uint64_t now_ms,
                              struct hark_msg **ret_msgs);

// ENOMEM: nothing has changed. Presence events that follow wait for hark_memory_entry_announce.
HARK_MUSTCHECK int hark_memory_entry_configure(struct hark_memory_entry *entry,
                                               const struct hark_channel_options *options,
                                               uint64_t now_ms);
void hark_memory_entry_clear(struct hark_memory_entry *entry);
void hark_memory_entry_expire(struct hark_memory_entry *entry, uint64_t now_ms);

// Hands presence events that wait to the feeds, at most 64 in a second: many come at once when a
// crowd reconnects, and most of these cancel out while they wait. `is_sweep`: the next 256 of those
// held back. true: some are left.
bool hark_memory_entry_announce(struct hark_memory_entry *entry, uint64_t now_ms, bool is_sweep);

#endif
