// SPDX-License-Identifier: MIT
//
// A stripe of the memory broker: a lock, the channels whose names fall to it, and their
// housekeeping. All functions but init, deinit, lock and sweep are called under the lock.
#ifndef HARK_BROKER_MEMORY_SHARD_H
#define HARK_BROKER_MEMORY_SHARD_H

#include <pthread.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "broker/memory_entry.h"
#include "broker/memory_once.h"

struct hark_memory_shard {
    pthread_mutex_t lock;
    struct hark_memory_entry *entries; // by name
    struct hark_list active;           // the one longest not looked at first
    struct hark_list idle;             // the one longest idle first
    struct hark_list news;             // entries whose presence events are held back
    uint32_t count;
    uint32_t idle_count;
    uint32_t max;
    uint32_t idle_max;
    uint64_t idle_ms;
    struct hark_memory_once once;
};

struct hark_memory_limits {
    uint32_t channels;
    uint32_t idle;
    uint64_t idle_ms;
    uint32_t once;
};

HARK_MUSTCHECK int hark_memory_shard_init(struct hark_memory_shard *shard,
                                          const struct hark_memory_limits *limits);
void hark_memory_shard_deinit(struct hark_memory_shard *shard);

void hark_memory_shard_lock(struct hark_memory_shard *shard);
void hark_memory_shard_unlock(struct hark_memory_shard *shard);

// hash: hark_hash_keyed of the name.
struct hark_memory_entry *
hark_memory_shard_find(struct hark_memory_shard *shard, struct hark_slice name, uint64_t hash);
// Finds or makes it; an idle one takes the options. EFULL, ENOMEM, EIO. hark_memory_shard_settle is
// to follow when it has been put to use.
HARK_MUSTCHECK int hark_memory_shard_make(struct hark_memory_shard *shard,
                                          struct hark_slice name,
                                          uint64_t hash,
                                          const struct hark_channel_options *options,
                                          uint64_t now_ms,
                                          struct hark_memory_entry **ret);
// Puts an entry that has changed where it belongs: among the idle ones or not. It may be forgotten.
void hark_memory_shard_settle(struct hark_memory_shard *shard,
                              struct hark_memory_entry *entry,
                              uint64_t now_ms);

// Publishes to the entry of that name, made if need be. EFULL, ENOMEM, EIO: nothing has changed.
HARK_MUSTCHECK int hark_memory_shard_append(struct hark_memory_shard *shard,
                                            uint64_t hash,
                                            const struct hark_publication *publication,
                                            uint64_t now_ms,
                                            struct hark_position *ret);

// Tells the entry's presence events; those held back wait for a sweep.
void hark_memory_shard_announce(struct hark_memory_shard *shard,
                                struct hark_memory_entry *entry,
                                uint64_t now_ms);

// A copy of what may be told of the channels that are not idle, in one block owned by the caller;
// takes the lock. ENOMEM.
struct hark_memory_row {
    struct hark_position top;
    uint64_t subscribers; // on all workers
    uint32_t held;
    uint8_t name_len;
    char name[HARK_MSG_CHANNEL_MAX];
};

HARK_MUSTCHECK int hark_memory_shard_list(struct hark_memory_shard *shard,
                                          struct hark_memory_row **ret,
                                          size_t *ret_count);

// One bounded step of housekeeping; takes the lock.
void hark_memory_shard_sweep(struct hark_memory_shard *shard, uint64_t now_ms);

#endif
