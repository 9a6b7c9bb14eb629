// SPDX-License-Identifier: MIT
//
// Queue and mail of one worker's interest in one channel. All under the stripe's lock but new and
// free; the posting too, so that a feed that is closed is posted to by nobody else.
#include "broker/memory_feed.h"

#include "base/mem.h"

struct hark_memory_feed *hark_memory_feed_new(struct hark_mailbox *mailbox, hark_mail_fn *on_mail)
{
    struct hark_memory_feed *feed = hark_mem_zalloc(sizeof(*feed));
    if (feed == NULL) {
        return NULL;
    }
    feed->mailbox = mailbox;
    feed->mail.fn = on_mail;
    hark_list_init(&feed->node);
    atomic_init(&feed->base.subscribers, 0);
    return feed;
}

void hark_memory_feed_free(struct hark_memory_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    hark_runs_clear(&feed->runs);
    hark_mem_free(feed);
}

int hark_memory_feed_reserve(struct hark_memory_feed *feed, const struct hark_msg *msg)
{
    if (feed->runs.count >= HARK_MEMORY_QUEUE_COUNT ||
        feed->runs.bytes >= HARK_MEMORY_QUEUE_BYTES) {
        hark_runs_clear(&feed->runs);
    }
    return hark_runs_reserve(&feed->runs, msg);
}

void hark_memory_feed_push(struct hark_memory_feed *feed, struct hark_msg *msg)
{
    hark_runs_push(&feed->runs, msg);
    hark_memory_feed_ring(feed);
}

void hark_memory_feed_ring(struct hark_memory_feed *feed)
{
    if (!feed->is_posted) {
        feed->is_posted = true;
        hark_mailbox_post(feed->mailbox, &feed->mail);
    }
}
