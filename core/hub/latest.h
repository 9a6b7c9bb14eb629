// SPDX-License-Identifier: MIT
//
// The newest message of each key of one channel: what a slow subscriber goes on with under policy
// `latest`. Bounded by keys, bytes and age; the keys that were silent longest go first. Plain data
// without a lock, as hub/history.h.
#ifndef HARK_HUB_LATEST_H
#define HARK_HUB_LATEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "hub/msg.h"

#define HARK_LATEST_KEYS 1024

struct hark_latest_item;

struct hark_latest {
    struct hark_latest_item *items; // by key
    struct hark_list order;         // by offset, oldest first
    uint32_t count;
    size_t bytes;
    size_t max_bytes;
    uint64_t ttl_ms;
};

void hark_latest_init(struct hark_latest *latest, size_t max_bytes, uint64_t ttl_ms);
void hark_latest_deinit(struct hark_latest *latest);
void hark_latest_limit(struct hark_latest *latest, size_t max_bytes, uint64_t ttl_ms);

// msg is newer than all held; takes a reference. ENOMEM: nothing has changed.
HARK_MUSTCHECK int
hark_latest_put(struct hark_latest *latest, struct hark_msg *msg, uint64_t now_ms);
void hark_latest_expire(struct hark_latest *latest, uint64_t now_ms);
void hark_latest_clear(struct hark_latest *latest);

// As hark_history_read: references to messages newer than offset `since`, oldest first.
size_t hark_latest_read(const struct hark_latest *latest,
                        uint64_t since,
                        size_t max_count,
                        size_t max_bytes,
                        struct hark_msg **ret_msgs);

#endif
