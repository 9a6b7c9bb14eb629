// SPDX-License-Identifier: MIT
//
// The memory broker's feed: a queue of runs that publishers fill under the stripe's lock, and the
// mail that tells the worker of it. Many messages, one mail: it is posted when there is none on its
// way.
#ifndef HARK_BROKER_MEMORY_FEED_H
#define HARK_BROKER_MEMORY_FEED_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/list.h"
#include "hub/broker.h"
#include "hub/run.h"
#include "io/mailbox.h"

struct hark_memory_entry;
struct hark_memory_shard;

// Beyond these the queue is dropped: its worker has stalled, and finds the hole when it is back.
#define HARK_MEMORY_QUEUE_COUNT 65536u
#define HARK_MEMORY_QUEUE_BYTES ((size_t)64 << 20)

struct hark_memory_feed {
    struct hark_feed base;
    struct hark_mail mail;
    struct hark_mailbox *mailbox;
    struct hark_memory_shard *shard;
    struct hark_memory_entry *entry;
    /* under the shard's lock */
    struct hark_list node; // in entry->feeds until it is closed
    struct hark_runs runs;
    bool is_posted; // the mail is on its way
    bool is_closing;
    bool is_configured; // options have changed
    bool is_announcing; // presence has news
};

HARK_MUSTCHECK struct hark_memory_feed *hark_memory_feed_new(struct hark_mailbox *mailbox,
                                                             hark_mail_fn *on_mail);
void hark_memory_feed_free(struct hark_memory_feed *feed);

// Room for one more message, so that push cannot fail.
HARK_MUSTCHECK int hark_memory_feed_reserve(struct hark_memory_feed *feed,
                                            const struct hark_msg *msg);
void hark_memory_feed_push(struct hark_memory_feed *feed, struct hark_msg *msg); // and ring
void hark_memory_feed_ring(struct hark_memory_feed *feed);

#endif
