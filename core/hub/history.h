// SPDX-License-Identifier: MIT
//
// The retained tail of a channel's log: a ring of messages with consecutive offsets, bounded by
// count, bytes and age. Plain data without a lock: a broker keeps one a channel and guards it.
#ifndef HARK_HUB_HISTORY_H
#define HARK_HUB_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "hub/msg.h"

struct hark_history_slot {
    struct hark_msg *msg; // a reference
    uint64_t time_ms;     // of the clock that ages are measured with
};

struct hark_history {
    struct hark_history_slot *slots; // cap of them, a power of two; NULL while nothing is held
    uint32_t cap;
    uint32_t head; // oldest
    uint32_t count;
    uint32_t max_count; // 0: holds nothing
    size_t bytes;
    size_t max_bytes;
    uint64_t ttl_ms;
};

void hark_history_init(struct hark_history *history,
                       uint32_t max_count,
                       size_t max_bytes,
                       uint64_t ttl_ms);
void hark_history_deinit(struct hark_history *history);

// New bounds, kept at once.
void hark_history_limit(struct hark_history *history,
                        uint32_t max_count,
                        size_t max_bytes,
                        uint64_t ttl_ms);

// Makes room so that the next push cannot fail.
HARK_MUSTCHECK int hark_history_reserve(struct hark_history *history);
// Appends after reserve; takes a reference. msg's offset follows the last one's. A message larger
// than max_bytes empties the ring and is not held.
void hark_history_push(struct hark_history *history, struct hark_msg *msg, uint64_t now_ms);

void hark_history_expire(struct hark_history *history, uint64_t now_ms);
void hark_history_clear(struct hark_history *history);

// References to messages behind `since` (the oldest held that is newer), oldest first: at most
// max_count, at most max_bytes but at least one. Returns how many.
size_t hark_history_read(const struct hark_history *history,
                         uint64_t since,
                         size_t max_count,
                         size_t max_bytes,
                         struct hark_msg **ret_msgs);

// The message that is `at` places behind the oldest; at < count. Borrowed.
const struct hark_history_slot *hark_history_at(const struct hark_history *history, uint32_t at);

#endif
