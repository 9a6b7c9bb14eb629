// SPDX-License-Identifier: MIT
//
// The embedded broker: channels in this process's memory, shared by its workers. Entries lie in
// striped locks; everything that decides order happens under a channel's stripe, and no lock is
// held across a call up. All answers come inside the call.
//
// What is kept: a channel's epoch and top offset outlive its messages. A channel without
// subscribers, members and messages is idle; it is forgotten after idle_ms, or when there are more
// than idle_max of them, the longest idle first. Until then no one who resumes is told a false gap.
// One that is idle takes new options from whoever names it next.
#ifndef HARK_BROKER_MEMORY_H
#define HARK_BROKER_MEMORY_H

#include <stdint.h>

#include "base/attr.h"

struct hark_broker;
struct hark_mailbox;

struct hark_memory_options {
    unsigned workers;
    uint32_t channels_max; // idle ones included; one more is EFULL
    uint32_t idle_max;
    uint64_t idle_ms;
    uint32_t once_max; // idempotency keys; beyond, the oldest is forgotten before its 5 minutes
    uint64_t (*now_ms)(void *ctx); // a clock that never goes back, callable from any thread
    void *ctx;
};

// 1,048,576 channels, 262,144 idle ones, 24 hours, 262,144 keys, CLOCK_MONOTONIC.
void hark_memory_options_init(struct hark_memory_options *options, unsigned workers);

HARK_MUSTCHECK int hark_memory_new(unsigned workers, struct hark_broker **ret); // with the defaults
HARK_MUSTCHECK int hark_memory_new_with(const struct hark_memory_options *options,
                                        struct hark_broker **ret);

// The mailbox that wakes a worker: borrowed. Before any call by that worker, and before other
// workers run or under the same happens-before. The mailbox must be drained after the worker's last
// unsubscribe (hark_mailbox_free does) and before hark_memory_free.
void hark_memory_attach(struct hark_broker *broker, unsigned worker, struct hark_mailbox *mailbox);

// When no worker runs any more; accepts NULL.
void hark_memory_free(struct hark_broker *broker);

#endif
