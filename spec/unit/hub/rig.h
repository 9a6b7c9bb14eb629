// SPDX-License-Identifier: MIT
//
// What the tests of hub and broker share: a worker (loop, mailbox, hub) on the memory broker with a
// clock that the test turns, and a sink that writes down what it is told, in words:
//   "1 2 [x] gap(3-7 slow) 8"   offsets; [event] of messages outside the log; gaps with their
//   reason
#ifndef HARK_SPEC_HUB_RIG_H
#define HARK_SPEC_HUB_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hark.h"

#include "base/attr.h"
#include "base/mem.h"
#include "broker/memory.h"
#include "hub/broker.h"
#include "hub/hub.h"
#include "io/loop.h"
#include "io/mailbox.h"

#define RIG_WORKERS 2
#define RIG_LOG     (64 * 1024)

struct rig_worker {
    struct hark_stats stats;
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct hark_hub *hub;
};

struct rig {
    uint64_t now_ms;
    struct hark_broker *broker;
    struct rig_worker workers[RIG_WORKERS];
};

struct rig_sink {
    struct hark_sub sub;
    bool is_refusing;
    unsigned takes; // how many passes are taken before it refuses; 0: no limit
    unsigned passes;
    uint64_t pass_id; // of the last pass
    int joined;       // calls of on_joined
    int status;       // its status
    struct hark_joined how;
    void (*on_deliver)(struct rig_sink *sink); // during a pass, after it was written down
    void (*on_gap)(struct rig_sink *sink);
    void *ctx;
    size_t len;
    char log[RIG_LOG];
};

static inline uint64_t rig_clock(void *ctx)
{
    return ((struct rig *)ctx)->now_ms;
}

static inline void
rig_worker_up(struct rig_worker *worker, struct hark_broker *broker, unsigned index)
{
    memset(worker, 0, sizeof(*worker));
    assert_int_equal(hark_loop_new(&worker->stats, &worker->loop), 0);
    assert_int_equal(hark_mailbox_new(worker->loop, worker, &worker->mailbox), 0);
    const struct hark_hub_options options = {broker, &worker->stats, index};
    assert_int_equal(hark_hub_new(&options, &worker->hub), 0);
    hark_memory_attach(broker, index, worker->mailbox);
}

static inline void rig_worker_down(struct rig_worker *worker)
{
    hark_mailbox_free(worker->mailbox);
    assert_int_equal(hark_stats_get(&worker->stats.channels), 0);
    assert_int_equal(hark_stats_get(&worker->stats.subscriptions), 0);
    assert_int_equal(hark_stats_get(&worker->stats.lagging), 0);
    hark_hub_free(worker->hub);
    hark_loop_free(worker->loop);
}

static inline void rig_up_with(struct rig *rig, struct hark_memory_options options)
{
    memset(rig, 0, sizeof(*rig));
    rig->now_ms = 1000000;
    options.now_ms = rig_clock;
    options.ctx = rig;
    assert_int_equal(hark_memory_new_with(&options, &rig->broker), 0);
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        rig_worker_up(&rig->workers[i], rig->broker, i);
    }
}

static inline void rig_up(struct rig *rig)
{
    struct hark_memory_options options;
    hark_memory_options_init(&options, RIG_WORKERS);
    rig_up_with(rig, options);
}

static inline void rig_down(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        rig_worker_down(&rig->workers[i]);
    }
    hark_memory_free(rig->broker);
}

static inline struct hark_hub *rig_hub(struct rig *rig, unsigned worker)
{
    return rig->workers[worker].hub;
}

static inline void rig_tick_one(struct rig *rig, unsigned worker)
{
    (void)hark_mailbox_drain(rig->workers[worker].mailbox, SIZE_MAX);
    assert_false(hark_hub_flush(rig->workers[worker].hub, UINT64_MAX));
}

static inline void rig_tick(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        rig_tick_one(rig, i);
    }
}

static inline void rig_sweep(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_WORKERS; i++) {
        hark_hub_sweep(rig_hub(rig, i));
    }
    rig_tick(rig);
}

static inline void rig_write(struct rig_sink *sink, const char *format, ...) HARK_PRINTF(2, 3);

static inline void rig_write(struct rig_sink *sink, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof(sink->log) - sink->len;
    int len = vsnprintf(sink->log + sink->len, room, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < room);
    sink->len += (size_t)len;
}

static inline void rig_gap(struct hark_sub *sub, const struct hark_gap *gap)
{
    static const char *const reasons[] = {"history", "epoch", "slow"};
    struct rig_sink *sink = sub->owner;
    const char *space = sink->len > 0 ? " " : "";
    if (gap->reason == HARK_GAP_EPOCH) {
        rig_write(sink, "%sgap(epoch %llu)", space, (unsigned long long)gap->to.offset);
    } else {
        rig_write(sink, "%sgap(%llu-%llu %s%s)", space, (unsigned long long)gap->from.offset,
                  (unsigned long long)gap->to.offset, reasons[gap->reason],
                  gap->conflated ? " latest" : "");
    }
    if (sink->on_gap != NULL) {
        sink->on_gap(sink);
    }
}

static inline bool rig_deliver(struct hark_sub *sub, const struct hark_pass *pass)
{
    struct rig_sink *sink = sub->owner;
    if (sink->is_refusing) {
        return false;
    }
    if (sink->takes > 0 && --sink->takes == 0) {
        sink->is_refusing = true;
    }
    bool has_except = false;
    for (size_t i = 0; i < pass->count; i++) {
        const struct hark_msg *msg = pass->msgs[i];
        has_except = has_except || msg->except != 0;
        if (msg->except != 0 && msg->except == sub->serial) {
            continue;
        }
        const char *space = sink->len > 0 ? " " : "";
        if (msg->position.offset > 0) {
            rig_write(sink, "%s%llu", space, (unsigned long long)msg->position.offset);
        } else {
            rig_write(sink, "%s[%.*s]", space, (int)msg->event.len, msg->event.ptr);
        }
    }
    assert_true(pass->has_except || !has_except);
    sink->passes++;
    sink->pass_id = pass->id;
    if (sink->on_deliver != NULL) {
        sink->on_deliver(sink);
    }
    return true;
}

static inline const struct hark_sink_ops *rig_ops(void)
{
    static const struct hark_sink_ops ops = {rig_deliver, rig_gap};
    return &ops;
}

static inline struct rig_sink *rig_sink_new(void)
{
    static uint64_t serial = 0;
    struct rig_sink *sink = calloc(1, sizeof(*sink));
    assert_non_null(sink);
    sink->sub.ops = rig_ops();
    sink->sub.owner = sink;
    sink->sub.serial = ++serial;
    return sink;
}

// What was written since the last look.
static inline void rig_expect(struct rig_sink *sink, const char *text)
{
    assert_string_equal(sink->log, text);
    sink->len = 0;
    sink->log[0] = '\0';
}

static inline void rig_on_joined(struct hark_sub *sub, int status, const struct hark_joined *joined)
{
    struct rig_sink *sink = sub->owner;
    sink->joined++;
    sink->status = status;
    assert_true((joined != NULL) == (status == 0));
    if (joined != NULL) {
        sink->how = *joined;
    }
}

static inline struct hark_slice rig_slice(const char *text)
{
    return hark_slice_text(text);
}

static inline void rig_join_with(struct rig *rig,
                                 unsigned worker,
                                 struct rig_sink *sink,
                                 const struct hark_channel_options *options,
                                 const struct hark_start *start)
{
    sink->joined = 0;
    assert_int_equal(hark_hub_subscribe(rig_hub(rig, worker), &sink->sub, rig_slice("room"),
                                        options, start, NULL, rig_on_joined),
                     0);
    assert_int_equal(sink->joined, 1);
    assert_int_equal(sink->status, 0);
}

static inline struct rig_sink *
rig_join(struct rig *rig, unsigned worker, const struct hark_channel_options *options)
{
    const struct hark_start start = {.rewind = 0};
    struct rig_sink *sink = rig_sink_new();
    rig_join_with(rig, worker, sink, options, &start);
    return sink;
}

static inline void rig_leave(struct rig *rig, unsigned worker, struct rig_sink *sink)
{
    hark_hub_unsubscribe(rig_hub(rig, worker), &sink->sub);
    free(sink);
}

static inline void rig_on_published(void *ctx, int status, struct hark_position position)
{
    assert_int_equal(status, 0);
    *(struct hark_position *)ctx = position;
}

static inline struct hark_position rig_publish_draft(struct rig *rig,
                                                     unsigned worker,
                                                     const struct hark_channel_options *options,
                                                     const struct hark_msg_draft *draft)
{
    struct hark_position position = {0, 0};
    assert_int_equal(
        hark_hub_publish(rig_hub(rig, worker), draft, options, rig_on_published, &position), 0);
    assert_int_not_equal(position.epoch, 0);
    return position;
}

// One message to "room"; key may be NULL.
static inline struct hark_position rig_publish_key(struct rig *rig,
                                                   unsigned worker,
                                                   const struct hark_channel_options *options,
                                                   const char *key)
{
    const struct hark_msg_draft draft = {
        .channel = HARK_LIT("room"),
        .key = hark_slice_text(key),
        .payload = HARK_LIT("hello"),
    };
    return rig_publish_draft(rig, worker, options, &draft);
}

static inline struct hark_position rig_publish(struct rig *rig,
                                               unsigned worker,
                                               const struct hark_channel_options *options,
                                               unsigned count)
{
    struct hark_position position = {0, 0};
    for (unsigned i = 0; i < count; i++) {
        position = rig_publish_key(rig, worker, options, NULL);
    }
    return position;
}

static inline void rig_publish_outside(struct rig *rig,
                                       unsigned worker,
                                       const struct hark_channel_options *options,
                                       const char *event)
{
    const struct hark_msg_draft draft = {
        .channel = HARK_LIT("room"),
        .event = hark_slice_text(event),
        .flags = HARK_MSG_OUTSIDE,
    };
    (void)rig_publish_draft(rig, worker, options, &draft); // it has no place in the log
}

#endif
