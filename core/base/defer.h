// SPDX-License-Identifier: MIT
//
// Intrusive end-of-tick work queue: things to free, to flush, to start "not inside this callback".
// One queue per worker; items run in posting order; posting while running runs in the same sweep.
#ifndef HARK_BASE_DEFER_H
#define HARK_BASE_DEFER_H

#include "base/list.h"

struct hark_defer;
typedef void hark_defer_fn(struct hark_defer *item);

struct hark_defer {
    struct hark_list node;
    hark_defer_fn *fn;
};

struct hark_defer_queue {
    struct hark_list items;
};

static inline void hark_defer_queue_init(struct hark_defer_queue *queue)
{
    hark_list_init(&queue->items);
}

static inline void hark_defer_init(struct hark_defer *item, hark_defer_fn *fn)
{
    hark_list_init(&item->node);
    item->fn = fn;
}

// Posting an item that is queued already leaves it where it is.
static inline void hark_defer_post(struct hark_defer_queue *queue, struct hark_defer *item)
{
    if (hark_list_is_empty(&item->node)) {
        hark_list_push(&queue->items, &item->node);
    }
}

static inline void hark_defer_cancel(struct hark_defer *item)
{
    hark_list_remove(&item->node);
}

static inline void hark_defer_run(struct hark_defer_queue *queue)
{
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&queue->items)) != NULL) {
        struct hark_defer *item = HARK_CONTAINER_OF(node, struct hark_defer, node);
        item->fn(item);
    }
}

#endif
