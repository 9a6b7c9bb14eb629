// SPDX-License-Identifier: MIT
//
// The end-of-tick flush: everything that streams of a loop have queued leaves in one operation over
// all of them, by io_uring batches where allowed, else by one send or sendmsg a stream. Knows
// queues and descriptors, not streams: io/stream embeds an item and is told afterwards what came of
// it.
#ifndef HARK_IO_FLUSH_H
#define HARK_IO_FLUSH_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/stats.h"
#include "io/outq.h"

struct hark_flush;

struct hark_flush_item {
    struct hark_list node; // private: queued for the next run, or for the report of this one
    struct hark_outq out;
    int fd;
    int16_t error;   // errno of the last send: 0 all taken, EAGAIN refused in part, else it failed
    bool tell_empty; // report also when all was taken
};

// Reports an item that was refused or has failed, and one that wished to be told. Comes when all
// sends of the run are done; may add and remove items, also others'. Since the send others may have
// put more into the queue without being able to add the item: look at out.bytes.
typedef void hark_flush_fn(struct hark_flush_item *item);

// `stats` is borrowed. NULL: no memory.
HARK_MUSTCHECK struct hark_flush *hark_flush_new(struct hark_stats *stats);
void hark_flush_free(struct hark_flush *flush); // no item may be in it; accepts NULL

// All items are of one kind: whoever embeds them names the one function that is told.
void hark_flush_report_to(struct hark_flush *flush, hark_flush_fn *fn);

void hark_flush_item_init(struct hark_flush_item *item, int fd);

// Queues an item for the next run; idempotent.
void hark_flush_add(struct hark_flush *flush, struct hark_flush_item *item);
void hark_flush_remove(struct hark_flush_item *item); // idempotent

bool hark_flush_is_empty(const struct hark_flush *flush);
void hark_flush_run(struct hark_flush *flush);

#endif
