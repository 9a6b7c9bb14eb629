// SPDX-License-Identifier: MIT
//
// Stripes: which channels there are, which of them are idle, and what is thrown away when.
#include "broker/memory_shard.h"

#include <string.h>

#include "hark.h"

#include "base/mem.h"
#include "broker/memory_feed.h"

#define SWEEP_ENTRIES 64
#define SWEEP_NEWS    16
#define SWEEP_IDLE    64
#define SWEEP_ONCE    256
#define SWEEP_MSGS    4096 // dropped under one lock, about

static int append(struct hark_memory_shard *shard,
                  struct hark_memory_entry *entry,
                  const struct hark_publication *publication,
                  uint64_t now_ms);
static void fill(struct hark_memory_row *row, const struct hark_memory_entry *entry);
static void forget(struct hark_memory_shard *shard, struct hark_memory_entry *entry);
static void sweep_active(struct hark_memory_shard *shard, uint64_t now_ms);
static void sweep_news(struct hark_memory_shard *shard, uint64_t now_ms);
static void sweep_idle(struct hark_memory_shard *shard, uint64_t now_ms);

int hark_memory_shard_init(struct hark_memory_shard *shard, const struct hark_memory_limits *limits)
{
    if (pthread_mutex_init(&shard->lock, NULL) != 0) {
        return HARK_ENOMEM;
    }
    shard->entries = NULL;
    hark_list_init(&shard->active);
    hark_list_init(&shard->idle);
    hark_list_init(&shard->news);
    shard->count = 0;
    shard->idle_count = 0;
    shard->max = limits->channels;
    shard->idle_max = limits->idle;
    shard->idle_ms = limits->idle_ms;
    hark_memory_once_init(&shard->once, limits->once);
    return 0;
}

void hark_memory_shard_deinit(struct hark_memory_shard *shard)
{
    struct hark_memory_entry *entry = NULL;
    struct hark_memory_entry *after = NULL;
    HASH_ITER(hh, shard->entries, entry, after)
    {
        HASH_DEL(shard->entries, entry);
        hark_memory_entry_free(entry);
    }
    hark_memory_once_deinit(&shard->once);
    (void)pthread_mutex_destroy(&shard->lock); // nobody holds it
}

void hark_memory_shard_lock(struct hark_memory_shard *shard)
{
    (void)pthread_mutex_lock(&shard->lock); // cannot fail: a normal mutex, not held by this thread
}

void hark_memory_shard_unlock(struct hark_memory_shard *shard)
{
    (void)pthread_mutex_unlock(&shard->lock); // held by this thread
}

struct hark_memory_entry *
hark_memory_shard_find(struct hark_memory_shard *shard, struct hark_slice name, uint64_t hash)
{
    struct hark_memory_entry *entry = NULL;
    HASH_FIND_BYHASHVALUE(hh, shard->entries, name.ptr, name.len, (unsigned)hash, entry);
    return entry;
}

int hark_memory_shard_make(struct hark_memory_shard *shard,
                           struct hark_slice name,
                           uint64_t hash,
                           const struct hark_channel_options *options,
                           uint64_t now_ms,
                           struct hark_memory_entry **ret)
{
    struct hark_memory_entry *entry = hark_memory_shard_find(shard, name, hash);
    if (entry != NULL) {
        int status = entry->is_idle ? hark_memory_entry_configure(entry, options, now_ms) : 0;
        if (status == 0) {
            *ret = entry;
        }
        return status;
    }
    if (shard->count >= shard->max && !hark_list_is_empty(&shard->idle)) {
        forget(shard, HARK_CONTAINER_OF(shard->idle.next, struct hark_memory_entry, node));
    }
    if (shard->count >= shard->max) {
        return HARK_EFULL;
    }
    int status = hark_memory_entry_new(name, options, &entry);
    if (status != 0) {
        return status;
    }
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, shard->entries, entry->name, name.len, (unsigned)hash, entry);
    if (entry->hh.tbl == NULL) {
        hark_memory_entry_free(entry);
        return HARK_ENOMEM;
    }
    hark_list_push(&shard->active, &entry->node);
    shard->count++;
    *ret = entry;
    return 0;
}

void hark_memory_shard_settle(struct hark_memory_shard *shard,
                              struct hark_memory_entry *entry,
                              uint64_t now_ms)
{
    bool is_empty = hark_memory_entry_is_empty(entry);
    if (is_empty == entry->is_idle) {
        return;
    }
    hark_list_remove(&entry->node);
    entry->is_idle = is_empty;
    if (!is_empty) {
        shard->idle_count--;
        hark_list_push(&shard->active, &entry->node);
        return;
    }
    entry->idle_since_ms = now_ms;
    hark_list_push(&shard->idle, &entry->node);
    shard->idle_count++;
    if (shard->idle_count > shard->idle_max) {
        forget(shard, HARK_CONTAINER_OF(shard->idle.next, struct hark_memory_entry, node));
    }
}

int hark_memory_shard_append(struct hark_memory_shard *shard,
                             uint64_t hash,
                             const struct hark_publication *publication,
                             uint64_t now_ms,
                             struct hark_position *ret)
{
    struct hark_msg *msg = publication->msg;
    const struct hark_slice name = msg->channel;
    const struct hark_slice once = publication->once;
    if (once.len > 0 && hark_memory_once_find(&shard->once, name, once, now_ms, ret)) {
        return 0;
    }
    struct hark_memory_entry *entry = NULL;
    int status = 0;
    if (hark_msg_is_logged(msg)) {
        status = hark_memory_shard_make(shard, name, hash, publication->options, now_ms, &entry);
    } else { // it reaches those who listen now; for nobody no channel is made
        entry = hark_memory_shard_find(shard, name, hash);
    }
    struct hark_position position = {0, 0};
    if (status == 0 && entry != NULL) {
        position = hark_memory_entry_next(entry, msg);
    }
    if (status == 0 && once.len > 0) {
        status = hark_memory_once_add(&shard->once, name, once, now_ms, position);
    }
    if (status == 0 && entry != NULL) {
        status = append(shard, entry, publication, now_ms);
    }
    if (status == 0) {
        *ret = position;
    }
    return status;
}

void hark_memory_shard_announce(struct hark_memory_shard *shard,
                                struct hark_memory_entry *entry,
                                uint64_t now_ms)
{
    bool is_left = hark_memory_entry_announce(entry, now_ms, false);
    if (is_left && hark_list_is_empty(&entry->news)) {
        hark_list_push(&shard->news, &entry->news);
    }
}

int hark_memory_shard_list(struct hark_memory_shard *shard,
                           struct hark_memory_row **ret,
                           size_t *ret_count)
{
    hark_memory_shard_lock(shard);
    size_t count = shard->count - shard->idle_count;
    struct hark_memory_row *rows = hark_mem_array(count, sizeof(*rows));
    if (rows != NULL) {
        struct hark_memory_row *row = rows;
        hark_list_for_each (node, &shard->active) {
            fill(row++, HARK_CONTAINER_OF(node, struct hark_memory_entry, node));
        }
    }
    hark_memory_shard_unlock(shard);
    if (rows == NULL) {
        return HARK_ENOMEM;
    }
    *ret = rows;
    *ret_count = count;
    return 0;
}

void hark_memory_shard_sweep(struct hark_memory_shard *shard, uint64_t now_ms)
{
    hark_memory_shard_lock(shard);
    sweep_news(shard, now_ms);
    sweep_active(shard, now_ms);
    sweep_idle(shard, now_ms);
    hark_memory_once_expire(&shard->once, now_ms, SWEEP_ONCE);
    hark_memory_shard_unlock(shard);
}

// Its idempotency key has been noted already.
static int append(struct hark_memory_shard *shard,
                  struct hark_memory_entry *entry,
                  const struct hark_publication *publication,
                  uint64_t now_ms)
{
    int status = hark_memory_entry_append(entry, publication->msg, now_ms);
    if (status != 0 && publication->once.len > 0) {
        hark_memory_once_undo(&shard->once);
    }
    hark_memory_shard_settle(shard, entry, now_ms);
    return status;
}

static void fill(struct hark_memory_row *row, const struct hark_memory_entry *entry)
{
    row->top = entry->top;
    row->held = entry->history.count;
    row->name_len = entry->name_len;
    memcpy(row->name, entry->name, entry->name_len);
    hark_list_for_each (node, &entry->feeds) {
        const struct hark_memory_feed *feed =
            HARK_CONTAINER_OF(node, struct hark_memory_feed, node);
        row->subscribers += atomic_load_explicit(&feed->base.subscribers, memory_order_relaxed);
    }
}

static void forget(struct hark_memory_shard *shard, struct hark_memory_entry *entry)
{
    HASH_DEL(shard->entries, entry);
    shard->count--;
    shard->idle_count--;
    hark_memory_entry_free(entry);
}

static void sweep_active(struct hark_memory_shard *shard, uint64_t now_ms)
{
    uint32_t active = shard->count - shard->idle_count;
    uint32_t steps = active < SWEEP_ENTRIES ? active : SWEEP_ENTRIES;
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < steps && dropped < SWEEP_MSGS; i++) {
        struct hark_list *node = shard->active.next;
        hark_list_remove(node);
        hark_list_push(&shard->active, node);
        struct hark_memory_entry *entry = HARK_CONTAINER_OF(node, struct hark_memory_entry, node);
        uint32_t held = entry->history.count;
        hark_memory_entry_expire(entry, now_ms);
        dropped += held - entry->history.count;
        hark_memory_shard_settle(shard, entry, now_ms);
    }
}

static void sweep_news(struct hark_memory_shard *shard, uint64_t now_ms)
{
    struct hark_list turn;
    hark_list_init(&turn);
    hark_list_splice(&turn, &shard->news);
    for (unsigned i = 0; i < SWEEP_NEWS && !hark_list_is_empty(&turn); i++) {
        struct hark_list *node = hark_list_pop(&turn);
        struct hark_memory_entry *entry = HARK_CONTAINER_OF(node, struct hark_memory_entry, news);
        if (hark_memory_entry_announce(entry, now_ms, true)) {
            hark_list_push(&shard->news, node);
        }
    }
    hark_list_splice(&turn, &shard->news); // those that have had a turn go behind
    hark_list_splice(&shard->news, &turn);
}

static void sweep_idle(struct hark_memory_shard *shard, uint64_t now_ms)
{
    for (unsigned i = 0; i < SWEEP_IDLE && !hark_list_is_empty(&shard->idle); i++) {
        struct hark_memory_entry *entry =
            HARK_CONTAINER_OF(shard->idle.next, struct hark_memory_entry, node);
        if (now_ms < entry->idle_since_ms || now_ms - entry->idle_since_ms < shard->idle_ms) {
            return;
        }
        forget(shard, entry);
    }
}
