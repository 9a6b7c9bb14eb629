// SPDX-License-Identifier: MIT
//
// The embedded broker's operations (hub/broker.h): take the stripe's lock, let the entry do it, let
// go, call back. A worker's side of a channel is closed by mail, so that whatever was on its way to
// the worker has come before.
#include "broker/memory.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "hark.h"

#include "base/hash.h"
#include "base/mem.h"
#include "broker/memory_feed.h"
#include "broker/memory_shard.h"
#include "hub/broker.h"
#include "io/mailbox.h"

#define SHARD_BITS 6
#define SHARDS     (1u << SHARD_BITS)
#define BATCH      256 // messages read without an allocation

struct memory {
    struct hark_broker base;
    struct hark_memory_options options;
    struct hark_mailbox **mailboxes; // by worker
    struct hark_memory_shard shards[SHARDS];
};

// A name, its hash, and the stripe it falls to.
struct place {
    struct hark_slice name;
    uint64_t hash;
    struct hark_memory_shard *shard;
};

static int on_publish(struct hark_broker *broker,
                      unsigned worker,
                      const struct hark_publication *publication,
                      hark_broker_published_fn *fn,
                      void *ctx);
static int on_open(struct hark_broker *broker,
                   unsigned worker,
                   struct hark_slice channel,
                   const struct hark_channel_options *options,
                   const struct hark_feed_events *events,
                   struct hark_feed **ret);
static int
on_read(struct hark_feed *base, const struct hark_read *ask, hark_broker_read_fn *fn, void *ctx);
static int on_enter(struct hark_feed *base,
                    const struct hark_member *member,
                    uint64_t serial,
                    struct hark_seat **ret);
static void on_leave(struct hark_feed *base, struct hark_seat *seat);
static void on_close(struct hark_feed *base);
static void on_mail(struct hark_mail *mail, void *worker);
static int on_history(struct hark_broker *broker,
                      unsigned worker,
                      struct hark_slice channel,
                      const struct hark_read *ask,
                      hark_broker_read_fn *fn,
                      void *ctx);
static int on_members(struct hark_broker *broker,
                      unsigned worker,
                      struct hark_slice channel,
                      hark_broker_members_fn *fn,
                      void *ctx);
static int on_configure(struct hark_broker *broker,
                        unsigned worker,
                        struct hark_slice channel,
                        const struct hark_channel_options *options);
static int on_clear(struct hark_broker *broker, unsigned worker, struct hark_slice channel);
static int on_each(struct hark_broker *broker, unsigned worker, hark_broker_each_fn *fn, void *ctx);
static void on_sweep(struct hark_broker *broker, unsigned worker);

static struct memory *memory_of(struct hark_broker *broker);
static struct hark_memory_feed *feed_of(struct hark_feed *base);
static uint64_t clock_ms(void *ctx);
static uint64_t now_ms(const struct memory *memory);
static struct place place_of(struct memory *memory, struct hark_slice name);
static void news(struct hark_memory_feed *feed);
static void answer(const struct hark_reading *reading, hark_broker_read_fn *fn, void *ctx);

static const struct hark_broker_ops ops = {
    .publish = on_publish,
    .open = on_open,
    .close = on_close,
    .read = on_read,
    .enter = on_enter,
    .leave = on_leave,
    .history = on_history,
    .members = on_members,
    .configure = on_configure,
    .clear = on_clear,
    .each = on_each,
    .sweep = on_sweep,
};

void hark_memory_options_init(struct hark_memory_options *options, unsigned workers)
{
    *options = (struct hark_memory_options){
        .workers = workers,
        .channels_max = 1u << 20,
        .idle_max = 1u << 18,
        .idle_ms = UINT64_C(24) * 3600 * 1000,
        .once_max = 1u << 18,
        .now_ms = clock_ms,
    };
}

int hark_memory_new(unsigned workers, struct hark_broker **ret)
{
    struct hark_memory_options options;
    hark_memory_options_init(&options, workers);
    return hark_memory_new_with(&options, ret);
}

int hark_memory_new_with(const struct hark_memory_options *options, struct hark_broker **ret)
{
    if (options->workers == 0) {
        return HARK_EINVAL;
    }
    struct memory *memory = hark_mem_zalloc(sizeof(*memory));
    if (memory == NULL) {
        return HARK_ENOMEM;
    }
    memory->base.ops = &ops;
    memory->options = *options;
    memory->mailboxes = hark_mem_array(options->workers, sizeof(struct hark_mailbox *));
    const struct hark_memory_limits limits = {
        .channels = (options->channels_max + SHARDS - 1) / SHARDS,
        .idle = (options->idle_max + SHARDS - 1) / SHARDS,
        .idle_ms = options->idle_ms,
        .once = (options->once_max + SHARDS - 1) / SHARDS,
    };
    int status = memory->mailboxes == NULL ? HARK_ENOMEM : 0;
    unsigned made = 0;
    while (status == 0 && made < SHARDS) {
        status = hark_memory_shard_init(&memory->shards[made], &limits);
        made += status == 0 ? 1 : 0;
    }
    if (status != 0) {
        while (made > 0) {
            hark_memory_shard_deinit(&memory->shards[--made]);
        }
        hark_mem_free(memory->mailboxes);
        hark_mem_free(memory);
        return status;
    }
    *ret = &memory->base;
    return 0;
}

void hark_memory_attach(struct hark_broker *broker, unsigned worker, struct hark_mailbox *mailbox)
{
    struct memory *memory = memory_of(broker);
    assert(worker < memory->options.workers);
    memory->mailboxes[worker] = mailbox;
}

void hark_memory_free(struct hark_broker *broker)
{
    if (broker == NULL) {
        return;
    }
    struct memory *memory = memory_of(broker);
    for (unsigned i = 0; i < SHARDS; i++) {
        hark_memory_shard_deinit(&memory->shards[i]);
    }
    hark_mem_free(memory->mailboxes);
    hark_mem_free(memory);
}

static int on_publish(struct hark_broker *broker,
                      unsigned worker,
                      const struct hark_publication *publication,
                      hark_broker_published_fn *fn,
                      void *ctx)
{
    (void)worker; // all workers are one to the log
    const struct place place = place_of(memory_of(broker), publication->msg->channel);
    struct hark_position position = {0, 0};
    uint64_t now = now_ms(memory_of(broker));
    hark_memory_shard_lock(place.shard);
    int status = hark_memory_shard_append(place.shard, place.hash, publication, now, &position);
    hark_memory_shard_unlock(place.shard);
    if (status == 0 && fn != NULL) {
        fn(ctx, 0, position);
    }
    return status;
}

static int on_open(struct hark_broker *broker,
                   unsigned worker,
                   struct hark_slice channel,
                   const struct hark_channel_options *options,
                   const struct hark_feed_events *events,
                   struct hark_feed **ret)
{
    struct memory *memory = memory_of(broker);
    struct hark_memory_feed *feed = hark_memory_feed_new(memory->mailboxes[worker], on_mail);
    if (feed == NULL) {
        return HARK_ENOMEM;
    }
    const struct place place = place_of(memory, channel);
    struct hark_memory_entry *entry = NULL;
    uint64_t now = now_ms(memory);
    hark_memory_shard_lock(place.shard);
    int status = hark_memory_shard_make(place.shard, channel, place.hash, options, now, &entry);
    if (status == 0) {
        feed->shard = place.shard;
        feed->entry = entry;
        feed->base.broker = broker;
        feed->base.events = events;
        feed->base.options = entry->options;
        feed->base.top = entry->top;
        hark_list_push(&entry->feeds, &feed->node);
        entry->feed_count++;
        hark_memory_shard_settle(place.shard, entry, now);
    }
    hark_memory_shard_unlock(place.shard);
    if (status != 0) {
        hark_memory_feed_free(feed);
        return status;
    }
    *ret = &feed->base;
    return 0;
}

static int
on_read(struct hark_feed *base, const struct hark_read *ask, hark_broker_read_fn *fn, void *ctx)
{
    struct hark_memory_feed *feed = feed_of(base);
    struct hark_msg *msgs[BATCH];
    struct hark_read bounded = *ask;
    bounded.max_count = ask->max_count < BATCH ? ask->max_count : BATCH;
    uint64_t now = now_ms(memory_of(base->broker));
    hark_memory_shard_lock(feed->shard);
    const struct hark_reading reading = {
        .msgs = msgs,
        .count = hark_memory_entry_read(feed->entry, &bounded, now, msgs),
        .top = feed->entry->top,
    };
    hark_memory_shard_unlock(feed->shard);
    answer(&reading, fn, ctx); // the feed may be closed inside
    return 0;
}

static int on_enter(struct hark_feed *base,
                    const struct hark_member *member,
                    uint64_t serial,
                    struct hark_seat **ret)
{
    struct hark_memory_feed *feed = feed_of(base);
    hark_memory_shard_lock(feed->shard);
    int status = hark_presence_enter(&feed->entry->presence, member, serial, ret);
    news(feed);
    hark_memory_shard_unlock(feed->shard);
    return status;
}

static void on_leave(struct hark_feed *base, struct hark_seat *seat)
{
    struct hark_memory_feed *feed = feed_of(base);
    hark_memory_shard_lock(feed->shard);
    hark_presence_leave(&feed->entry->presence, seat);
    news(feed);
    hark_memory_shard_unlock(feed->shard);
}

// Presence has changed: told at the end of this worker's tick, so that what cancels out until then
// is never told.
static void news(struct hark_memory_feed *feed)
{
    if (hark_presence_has_news(&feed->entry->presence)) {
        feed->is_announcing = true;
        hark_memory_feed_ring(feed);
    }
}

static void on_close(struct hark_feed *base)
{
    struct hark_memory_feed *feed = feed_of(base);
    hark_memory_shard_lock(feed->shard);
    hark_list_remove(&feed->node);
    hark_runs_clear(&feed->runs);
    feed->is_closing = true;
    hark_memory_feed_ring(feed);
    hark_memory_shard_unlock(feed->shard);
}

static void on_mail(struct hark_mail *mail, void *worker)
{
    (void)worker; // the feed knows its hub
    struct hark_memory_feed *feed = HARK_CONTAINER_OF(mail, struct hark_memory_feed, mail);
    struct hark_memory_shard *shard = feed->shard;
    struct hark_runs runs = {NULL, NULL, 0, 0};
    uint64_t now = now_ms(memory_of(feed->base.broker));
    hark_memory_shard_lock(shard);
    if (feed->is_announcing) { // fills this feed too, whose mail counts as posted until below
        feed->is_announcing = false;
        hark_memory_shard_announce(shard, feed->entry, now);
    }
    bool is_closing = feed->is_closing;
    bool is_configured = feed->is_configured && !is_closing;
    feed->is_posted = false;
    feed->is_configured = false;
    hark_runs_splice(&runs, &feed->runs);
    if (is_configured) {
        feed->base.options = feed->entry->options;
    }
    if (is_closing) {
        feed->entry->feed_count--;
        hark_memory_shard_settle(shard, feed->entry, now);
    }
    hark_memory_shard_unlock(shard);
    if (is_closing) {
        feed->base.events->closed(&feed->base);
        hark_memory_feed_free(feed);
        return;
    }
    if (is_configured) {
        feed->base.events->configured(&feed->base);
    }
    if (runs.head != NULL) {
        feed->base.events->receive(&feed->base, &runs);
    }
}

static int on_history(struct hark_broker *broker,
                      unsigned worker,
                      struct hark_slice channel,
                      const struct hark_read *ask,
                      hark_broker_read_fn *fn,
                      void *ctx)
{
    (void)worker;
    struct memory *memory = memory_of(broker);
    const struct place place = place_of(memory, channel);
    struct hark_reading reading = {.status = 0};
    struct hark_msg **msgs = NULL;
    uint64_t now = now_ms(memory);
    hark_memory_shard_lock(place.shard);
    struct hark_memory_entry *entry = hark_memory_shard_find(place.shard, channel, place.hash);
    if (entry != NULL) {
        struct hark_read bounded = *ask;
        uint32_t held = entry->history.count;
        bounded.max_count = ask->max_count < held ? ask->max_count : held;
        msgs = hark_mem_array(bounded.max_count, sizeof(struct hark_msg *));
        if (msgs != NULL) {
            reading.count = hark_memory_entry_read(entry, &bounded, now, msgs);
        }
        reading.msgs = msgs;
        reading.top = entry->top;
        hark_memory_shard_settle(place.shard, entry, now);
    }
    hark_memory_shard_unlock(place.shard);
    if (entry != NULL && msgs == NULL) {
        return HARK_ENOMEM;
    }
    answer(&reading, fn, ctx);
    hark_mem_free(msgs);
    return 0;
}

static int on_members(struct hark_broker *broker,
                      unsigned worker,
                      struct hark_slice channel,
                      hark_broker_members_fn *fn,
                      void *ctx)
{
    (void)worker;
    const struct place place = place_of(memory_of(broker), channel);
    struct hark_member *members = NULL;
    size_t count = 0;
    int status = 0;
    hark_memory_shard_lock(place.shard);
    const struct hark_memory_entry *entry =
        hark_memory_shard_find(place.shard, channel, place.hash);
    if (entry != NULL) {
        status = hark_presence_copy(&entry->presence, &members, &count);
    }
    hark_memory_shard_unlock(place.shard);
    if (status != 0) {
        return status;
    }
    fn(ctx, 0, members, count);
    hark_mem_free(members);
    return 0;
}

static int on_configure(struct hark_broker *broker,
                        unsigned worker,
                        struct hark_slice channel,
                        const struct hark_channel_options *options)
{
    (void)worker;
    const struct place place = place_of(memory_of(broker), channel);
    uint64_t now = now_ms(memory_of(broker));
    hark_memory_shard_lock(place.shard);
    struct hark_memory_entry *entry = hark_memory_shard_find(place.shard, channel, place.hash);
    int status = entry == NULL ? HARK_ENOENT : hark_memory_entry_configure(entry, options, now);
    if (status == 0) {
        hark_list_for_each (node, &entry->feeds) {
            struct hark_memory_feed *feed = HARK_CONTAINER_OF(node, struct hark_memory_feed, node);
            feed->is_configured = true;
            feed->is_announcing = true; // presence may have been switched
            hark_memory_feed_ring(feed);
        }
        hark_memory_shard_settle(place.shard, entry, now);
    }
    hark_memory_shard_unlock(place.shard);
    return status;
}

static int on_clear(struct hark_broker *broker, unsigned worker, struct hark_slice channel)
{
    (void)worker;
    const struct place place = place_of(memory_of(broker), channel);
    uint64_t now = now_ms(memory_of(broker));
    hark_memory_shard_lock(place.shard);
    struct hark_memory_entry *entry = hark_memory_shard_find(place.shard, channel, place.hash);
    if (entry != NULL) {
        hark_memory_entry_clear(entry);
        hark_memory_shard_settle(place.shard, entry, now);
    }
    hark_memory_shard_unlock(place.shard);
    return entry == NULL ? HARK_ENOENT : 0;
}

static int on_each(struct hark_broker *broker, unsigned worker, hark_broker_each_fn *fn, void *ctx)
{
    (void)worker;
    struct memory *memory = memory_of(broker);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct hark_memory_row *rows = NULL;
        size_t count = 0;
        int status = hark_memory_shard_list(&memory->shards[i], &rows, &count);
        if (status != 0) {
            return status;
        }
        for (size_t at = 0; at < count; at++) {
            fn(ctx, hark_slice(rows[at].name, rows[at].name_len), rows[at].subscribers,
               rows[at].top, rows[at].held);
        }
        hark_mem_free(rows);
    }
    return 0;
}

// The workers share the stripes out among themselves.
static void on_sweep(struct hark_broker *broker, unsigned worker)
{
    struct memory *memory = memory_of(broker);
    uint64_t now = now_ms(memory);
    for (unsigned i = worker; i < SHARDS; i += memory->options.workers) {
        hark_memory_shard_sweep(&memory->shards[i], now);
    }
}

static struct memory *memory_of(struct hark_broker *broker)
{
    return HARK_CONTAINER_OF(broker, struct memory, base);
}

static struct hark_memory_feed *feed_of(struct hark_feed *base)
{
    return HARK_CONTAINER_OF(base, struct hark_memory_feed, base);
}

static uint64_t clock_ms(void *ctx)
{
    (void)ctx;
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); // this clock exists; ages need no more
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t now_ms(const struct memory *memory)
{
    return memory->options.now_ms(memory->options.ctx);
}

// Stripes by the high bits, buckets inside them by the low ones.
static struct place place_of(struct memory *memory, struct hark_slice name)
{
    uint64_t hash = hark_hash_keyed(name.ptr, name.len);
    return (struct place){name, hash, &memory->shards[hash >> (64 - SHARD_BITS)]};
}

// Without a lock; drops the references that the answer holds.
static void answer(const struct hark_reading *reading, hark_broker_read_fn *fn, void *ctx)
{
    fn(ctx, reading);
    for (size_t i = 0; i < reading->count; i++) {
        hark_msg_unref(reading->msgs[i]);
    }
}
