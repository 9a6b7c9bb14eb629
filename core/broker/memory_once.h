// SPDX-License-Identifier: MIT
//
// Idempotency keys of one stripe: what was published with `once` in the last 5 minutes, and where
// it stands. Bounded: beyond the maximum the oldest key is forgotten.
#ifndef HARK_BROKER_MEMORY_ONCE_H
#define HARK_BROKER_MEMORY_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "hub/msg.h"

#define HARK_MEMORY_ONCE_MS 300000u

struct hark_memory_once_item;

struct hark_memory_once {
    struct hark_memory_once_item *items;
    struct hark_list order; // oldest first
    uint32_t count;
    uint32_t max;
};

void hark_memory_once_init(struct hark_memory_once *once, uint32_t max);
void hark_memory_once_deinit(struct hark_memory_once *once);

bool hark_memory_once_find(struct hark_memory_once *once,
                           struct hark_slice channel,
                           struct hark_slice key,
                           uint64_t now_ms,
                           struct hark_position *ret);
// The pair is not there. ENOMEM.
HARK_MUSTCHECK int hark_memory_once_add(struct hark_memory_once *once,
                                        struct hark_slice channel,
                                        struct hark_slice key,
                                        uint64_t now_ms,
                                        struct hark_position position);
void hark_memory_once_undo(struct hark_memory_once *once); // the last add
void hark_memory_once_expire(struct hark_memory_once *once, uint64_t now_ms, unsigned max_steps);

#endif
