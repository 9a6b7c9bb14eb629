// SPDX-License-Identifier: MIT
//
// Newest message per key: a hash by key whose items hang in one list by offset.
#include "hub/latest.h"

#include <string.h>

#include "hark.h"

#include "base/hash.h"
#include "base/mem.h"

struct hark_latest_item {
    UT_hash_handle hh;
    struct hark_list node;
    struct hark_msg *msg; // a reference
    uint64_t time_ms;
    char key[];
};

static struct hark_latest_item *item_of(struct hark_list *node);
static struct hark_latest_item *
add_item(struct hark_latest *latest, struct hark_slice key, unsigned hash);
static void drop(struct hark_latest *latest, struct hark_latest_item *item);
static void hold_bounds(struct hark_latest *latest);

void hark_latest_init(struct hark_latest *latest, size_t max_bytes, uint64_t ttl_ms)
{
    *latest = (struct hark_latest){.max_bytes = max_bytes, .ttl_ms = ttl_ms};
    hark_list_init(&latest->order);
}

void hark_latest_deinit(struct hark_latest *latest)
{
    hark_latest_clear(latest);
}

void hark_latest_limit(struct hark_latest *latest, size_t max_bytes, uint64_t ttl_ms)
{
    latest->max_bytes = max_bytes;
    latest->ttl_ms = ttl_ms;
    hold_bounds(latest);
}

int hark_latest_put(struct hark_latest *latest, struct hark_msg *msg, uint64_t now_ms)
{
    struct hark_latest_item *item = NULL;
    unsigned hash = (unsigned)hark_hash_keyed(msg->key.ptr, msg->key.len);
    HASH_FIND_BYHASHVALUE(hh, latest->items, msg->key.ptr, msg->key.len, hash, item);
    if (item == NULL) {
        item = add_item(latest, msg->key, hash);
        if (item == NULL) {
            return HARK_ENOMEM;
        }
    } else {
        latest->bytes -= hark_msg_size(item->msg);
        hark_msg_unref(item->msg);
        hark_list_remove(&item->node);
    }
    item->msg = hark_msg_ref(msg);
    item->time_ms = now_ms;
    latest->bytes += hark_msg_size(msg);
    hark_list_push(&latest->order, &item->node);
    hold_bounds(latest);
    return 0;
}

void hark_latest_expire(struct hark_latest *latest, uint64_t now_ms)
{
    while (!hark_list_is_empty(&latest->order)) {
        struct hark_latest_item *item = item_of(latest->order.next);
        if (now_ms < item->time_ms || now_ms - item->time_ms < latest->ttl_ms) {
            return;
        }
        drop(latest, item);
    }
}

void hark_latest_clear(struct hark_latest *latest)
{
    while (!hark_list_is_empty(&latest->order)) {
        drop(latest, item_of(latest->order.next));
    }
}

size_t hark_latest_read(const struct hark_latest *latest,
                        uint64_t since,
                        size_t max_count,
                        size_t max_bytes,
                        struct hark_msg **ret_msgs)
{
    // From the newest back to the first that counts: a reader is rarely far behind.
    struct hark_list *node = latest->order.prev;
    while (node != &latest->order && item_of(node)->msg->position.offset > since) {
        node = node->prev;
    }
    size_t bytes = 0;
    size_t taken = 0;
    for (node = node->next; node != &latest->order && taken < max_count; node = node->next) {
        struct hark_msg *msg = item_of(node)->msg;
        bytes += hark_msg_size(msg);
        if (taken > 0 && bytes > max_bytes) {
            break;
        }
        ret_msgs[taken++] = hark_msg_ref(msg);
    }
    return taken;
}

static struct hark_latest_item *item_of(struct hark_list *node)
{
    return HARK_CONTAINER_OF(node, struct hark_latest_item, node);
}

static struct hark_latest_item *
add_item(struct hark_latest *latest, struct hark_slice key, unsigned hash)
{
    struct hark_latest_item *item = hark_mem_alloc(sizeof(*item) + key.len);
    if (item == NULL) {
        return NULL;
    }
    memcpy(item->key, key.ptr, key.len);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, latest->items, item->key, key.len, hash, item);
    if (item->hh.tbl == NULL) {
        hark_mem_free(item);
        return NULL;
    }
    latest->count++;
    return item;
}

static void drop(struct hark_latest *latest, struct hark_latest_item *item)
{
    HASH_DEL(latest->items, item);
    hark_list_remove(&item->node);
    latest->bytes -= hark_msg_size(item->msg);
    latest->count--;
    hark_msg_unref(item->msg);
    hark_mem_free(item);
}

static void hold_bounds(struct hark_latest *latest)
{
    while (latest->count > HARK_LATEST_KEYS || latest->bytes > latest->max_bytes) {
        drop(latest, item_of(latest->order.next));
    }
}
