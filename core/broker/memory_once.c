// SPDX-License-Identifier: MIT
//
// Idempotency keys: a hash by channel and key, whose items hang in one list by age.
#include "broker/memory_once.h"

#include <string.h>

#include "hark.h"

#include "base/hash.h"
#include "base/mem.h"

// Channel, NUL (which no channel's name holds), key.
struct key {
    size_t len;
    char text[HARK_MSG_CHANNEL_MAX + 1 + HARK_MSG_ONCE_MAX];
};

struct hark_memory_once_item {
    UT_hash_handle hh;
    struct hark_list node;
    uint64_t time_ms;
    struct hark_position position;
    char key[];
};

static void join(struct key *key, struct hark_slice channel, struct hark_slice once);
static struct hark_memory_once_item *item_of(struct hark_list *node);
static bool is_over(const struct hark_memory_once_item *item, uint64_t now_ms);
static void drop(struct hark_memory_once *once, struct hark_memory_once_item *item);

void hark_memory_once_init(struct hark_memory_once *once, uint32_t max)
{
    *once = (struct hark_memory_once){.max = max};
    hark_list_init(&once->order);
}

void hark_memory_once_deinit(struct hark_memory_once *once)
{
    while (!hark_list_is_empty(&once->order)) {
        drop(once, item_of(once->order.next));
    }
}

bool hark_memory_once_find(struct hark_memory_once *once,
                           struct hark_slice channel,
                           struct hark_slice key,
                           uint64_t now_ms,
                           struct hark_position *ret)
{
    struct key joined;
    join(&joined, channel, key);
    struct hark_memory_once_item *item = NULL;
    HASH_FIND(hh, once->items, joined.text, joined.len, item);
    if (item == NULL) {
        return false;
    }
    if (is_over(item, now_ms)) {
        drop(once, item);
        return false;
    }
    *ret = item->position;
    return true;
}

int hark_memory_once_add(struct hark_memory_once *once,
                         struct hark_slice channel,
                         struct hark_slice key,
                         uint64_t now_ms,
                         struct hark_position position)
{
    struct key joined;
    join(&joined, channel, key);
    struct hark_memory_once_item *item = hark_mem_alloc(sizeof(*item) + joined.len);
    if (item == NULL) {
        return HARK_ENOMEM;
    }
    item->time_ms = now_ms;
    item->position = position;
    memcpy(item->key, joined.text, joined.len);
    HASH_ADD_KEYPTR(hh, once->items, item->key, joined.len, item);
    if (item->hh.tbl == NULL) {
        hark_mem_free(item);
        return HARK_ENOMEM;
    }
    hark_list_push(&once->order, &item->node);
    once->count++;
    if (once->count > once->max) {
        drop(once, item_of(once->order.next));
    }
    return 0;
}

void hark_memory_once_undo(struct hark_memory_once *once)
{
    drop(once, item_of(once->order.prev));
}

void hark_memory_once_expire(struct hark_memory_once *once, uint64_t now_ms, unsigned max_steps)
{
    for (unsigned i = 0; i < max_steps && !hark_list_is_empty(&once->order); i++) {
        struct hark_memory_once_item *item = item_of(once->order.next);
        if (!is_over(item, now_ms)) {
            return;
        }
        drop(once, item);
    }
}

static void join(struct key *key, struct hark_slice channel, struct hark_slice once)
{
    memcpy(key->text, channel.ptr, channel.len);
    key->text[channel.len] = '\0';
    memcpy(key->text + channel.len + 1, once.ptr, once.len);
    key->len = channel.len + 1 + once.len;
}

static struct hark_memory_once_item *item_of(struct hark_list *node)
{
    return HARK_CONTAINER_OF(node, struct hark_memory_once_item, node);
}

static bool is_over(const struct hark_memory_once_item *item, uint64_t now_ms)
{
    return now_ms >= item->time_ms && now_ms - item->time_ms >= HARK_MEMORY_ONCE_MS;
}

static void drop(struct hark_memory_once *once, struct hark_memory_once_item *item)
{
    HASH_DEL(once->items, item);
    hark_list_remove(&item->node);
    once->count--;
    hark_mem_free(item);
}
