// SPDX-License-Identifier: MIT
//
// A channel's entry. Appending is in two halves: first everything that needs memory, then what
// cannot fail, so that a message either has its place with all its readers or none.
#include "broker/memory_entry.h"

#include <string.h>
#include <time.h>

#include "hark.h"

#include "base/digest.h"
#include "base/mem.h"
#include "broker/memory_feed.h"

#define TOLD_A_SECOND 64
#define TOLD_A_SWEEP  256

static struct hark_channel_options with_defaults(const struct hark_channel_options *options);
static int make_epoch(uint64_t *ret);
static int reserve(struct hark_memory_entry *entry, const struct hark_msg *msg);
static uint64_t unix_ms(void);
static int make_latest(const struct hark_memory_entry *entry,
                       const struct hark_channel_options *options,
                       struct hark_latest **ret);
static void free_latest(struct hark_latest *latest);
static uint32_t budget(struct hark_memory_entry *entry, uint64_t now_ms, bool is_sweep);
static int announce_one(struct hark_memory_entry *entry, uint64_t now_ms);
static struct hark_memory_feed *feed_of(struct hark_list *node);

int hark_memory_entry_new(struct hark_slice name,
                          const struct hark_channel_options *options,
                          struct hark_memory_entry **ret)
{
    struct hark_memory_entry *entry = hark_mem_zalloc(sizeof(*entry) + name.len);
    if (entry == NULL) {
        return HARK_ENOMEM;
    }
    int status = make_epoch(&entry->top.epoch);
    if (status != 0) {
        hark_mem_free(entry);
        return status;
    }
    entry->options = with_defaults(options);
    entry->id = hark_hash_stable(name);
    entry->name_len = (uint8_t)name.len;
    memcpy(entry->name, name.ptr, name.len);
    hark_list_init(&entry->node);
    hark_list_init(&entry->news);
    hark_list_init(&entry->feeds);
    hark_history_init(&entry->history, entry->options.history_count, entry->options.history_bytes,
                      entry->options.ttl_ms);
    hark_presence_init(&entry->presence, entry->options.presence);
    if (entry->options.slow == HARK_SLOW_LATEST) {
        status = make_latest(entry, &entry->options, &entry->latest);
    }
    if (status != 0) {
        hark_memory_entry_free(entry);
        return status;
    }
    *ret = entry;
    return 0;
}

void hark_memory_entry_free(struct hark_memory_entry *entry)
{
    if (entry == NULL) {
        return;
    }
    hark_list_remove(&entry->news);
    hark_list_remove(&entry->node);
    hark_presence_deinit(&entry->presence);
    free_latest(entry->latest);
    hark_history_deinit(&entry->history);
    hark_mem_free(entry);
}

struct hark_slice hark_memory_entry_name(const struct hark_memory_entry *entry)
{
    return hark_slice(entry->name, entry->name_len);
}

bool hark_memory_entry_is_empty(const struct hark_memory_entry *entry)
{
    return entry->feed_count == 0 && entry->history.count == 0 && entry->presence.seats == NULL &&
           (entry->latest == NULL || entry->latest->count == 0);
}

struct hark_position hark_memory_entry_next(const struct hark_memory_entry *entry,
                                            const struct hark_msg *msg)
{
    return (struct hark_position){entry->top.epoch,
                                  hark_msg_is_logged(msg) ? entry->top.offset + 1 : 0};
}

int hark_memory_entry_append(struct hark_memory_entry *entry, struct hark_msg *msg, uint64_t now_ms)
{
    // Nobody else has the message yet: its place may be written before it is sure.
    msg->position = hark_memory_entry_next(entry, msg);
    msg->channel_id = entry->id;
    msg->time_ms = unix_ms();
    bool is_logged = hark_msg_is_logged(msg);
    hark_history_expire(&entry->history, now_ms);
    int status = reserve(entry, msg);
    if (status == 0 && is_logged && entry->latest != NULL) {
        hark_latest_expire(entry->latest, now_ms);
        status = hark_latest_put(entry->latest, msg, now_ms);
    }
    if (status != 0) {
        return status;
    }
    if (is_logged) {
        entry->top.offset++;
        hark_history_push(&entry->history, msg, now_ms);
    }
    hark_list_for_each (node, &entry->feeds) {
        hark_memory_feed_push(feed_of(node), msg);
    }
    return 0;
}

size_t hark_memory_entry_read(struct hark_memory_entry *entry,
                              const struct hark_read *ask,
                              uint64_t now_ms,
                              struct hark_msg **ret_msgs)
{
    hark_memory_entry_expire(entry, now_ms);
    uint64_t since = entry->top.offset < ask->tail ? 0 : entry->top.offset - ask->tail;
    if (ask->has_since) {
        if (ask->since.epoch != entry->top.epoch) {
            return 0;
        }
        since = ask->since.offset;
    }
    if (since >= entry->top.offset) {
        return 0;
    }
    if (!ask->latest) {
        return hark_history_read(&entry->history, since, ask->max_count, ask->max_bytes, ret_msgs);
    }
    return entry->latest == NULL
               ? 0
               : hark_latest_read(entry->latest, since, ask->max_count, ask->max_bytes, ret_msgs);
}

int hark_memory_entry_configure(struct hark_memory_entry *entry,
                                const struct hark_channel_options *options,
                                uint64_t now_ms)
{
    const struct hark_channel_options next = with_defaults(options);
    hark_memory_entry_expire(entry, now_ms);
    if (next.slow != HARK_SLOW_LATEST) {
        free_latest(entry->latest);
        entry->latest = NULL;
    } else if (entry->latest != NULL) {
        hark_latest_limit(entry->latest, next.history_bytes, next.ttl_ms);
    } else {
        int status = make_latest(entry, &next, &entry->latest);
        if (status != 0) {
            return status;
        }
    }
    hark_history_limit(&entry->history, next.history_count, next.history_bytes, next.ttl_ms);
    hark_history_expire(&entry->history, now_ms);
    if (next.presence != entry->options.presence) {
        hark_presence_switch(&entry->presence, next.presence);
    }
    entry->options = next;
    return 0;
}

void hark_memory_entry_clear(struct hark_memory_entry *entry)
{
    hark_history_clear(&entry->history);
    if (entry->latest != NULL) {
        hark_latest_clear(entry->latest);
    }
}

void hark_memory_entry_expire(struct hark_memory_entry *entry, uint64_t now_ms)
{
    hark_history_expire(&entry->history, now_ms);
    if (entry->latest != NULL) {
        hark_latest_expire(entry->latest, now_ms);
    }
}

bool hark_memory_entry_announce(struct hark_memory_entry *entry, uint64_t now_ms, bool is_sweep)
{
    if (hark_list_is_empty(&entry->feeds)) { // nobody to be told
        while (hark_presence_has_news(&entry->presence)) {
            hark_presence_told(&entry->presence);
        }
        return false;
    }
    uint32_t left = budget(entry, now_ms, is_sweep);
    while (left > 0 && hark_presence_has_news(&entry->presence)) {
        if (announce_one(entry, now_ms) != 0) {
            break; // no memory: it stays news
        }
        left--;
    }
    return hark_presence_has_news(&entry->presence);
}

static struct hark_channel_options with_defaults(const struct hark_channel_options *options)
{
    struct hark_channel_options made = *options;
    made.history_bytes = made.history_bytes == 0 ? HARK_HISTORY_BYTES : made.history_bytes;
    made.ttl_ms = made.ttl_ms == 0 ? HARK_HISTORY_TTL_MS : made.ttl_ms;
    return made;
}

static int make_epoch(uint64_t *ret)
{
    uint64_t epoch = 0;
    int status = hark_digest_random(&epoch, sizeof(epoch));
    if (status != 0) {
        return status;
    }
    *ret = epoch == 0 ? 1 : epoch; // 0 means: not known
    return 0;
}

static int reserve(struct hark_memory_entry *entry, const struct hark_msg *msg)
{
    int status = hark_msg_is_logged(msg) ? hark_history_reserve(&entry->history) : 0;
    if (status != 0) {
        return status;
    }
    hark_list_for_each (node, &entry->feeds) {
        status = hark_memory_feed_reserve(feed_of(node), msg);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static uint64_t unix_ms(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now); // this clock exists
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// The newest per key out of what history holds.
static int make_latest(const struct hark_memory_entry *entry,
                       const struct hark_channel_options *options,
                       struct hark_latest **ret)
{
    struct hark_latest *latest = hark_mem_alloc(sizeof(*latest));
    if (latest == NULL) {
        return HARK_ENOMEM;
    }
    hark_latest_init(latest, options->history_bytes, options->ttl_ms);
    for (uint32_t i = 0; i < entry->history.count; i++) {
        const struct hark_history_slot *slot = hark_history_at(&entry->history, i);
        int status = hark_latest_put(latest, slot->msg, slot->time_ms);
        if (status != 0) {
            free_latest(latest);
            return status;
        }
    }
    *ret = latest;
    return 0;
}

static void free_latest(struct hark_latest *latest)
{
    if (latest != NULL) {
        hark_latest_deinit(latest);
        hark_mem_free(latest);
    }
}

static uint32_t budget(struct hark_memory_entry *entry, uint64_t now_ms, bool is_sweep)
{
    if (now_ms - entry->told_ms >= 1000) {
        entry->told_ms = now_ms;
        entry->told_count = 0;
    }
    if (is_sweep) {
        return TOLD_A_SWEEP;
    }
    return entry->told_count < TOLD_A_SECOND ? TOLD_A_SECOND - entry->told_count : 0;
}

static int announce_one(struct hark_memory_entry *entry, uint64_t now_ms)
{
    struct hark_msg *msg = NULL;
    int status = hark_presence_news(&entry->presence, hark_memory_entry_name(entry), &msg);
    if (status != 0) {
        return status;
    }
    status = hark_memory_entry_append(entry, msg, now_ms);
    hark_msg_unref(msg);
    if (status == 0) {
        hark_presence_told(&entry->presence);
        entry->told_count++;
    }
    return status;
}

static struct hark_memory_feed *feed_of(struct hark_list *node)
{
    return HARK_CONTAINER_OF(node, struct hark_memory_feed, node);
}
