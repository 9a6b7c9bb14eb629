// SPDX-License-Identifier: MIT
//
// Two workers on two threads and one memory broker: they publish, join, resume (also what the other
// one left), lag, catch up, leave, clear and configure, at random. Every sink checks each message:
// the next offset, or a gap told before it, and the order of each publisher. In the end everybody
// stands at the top. To be run under TSan. HARK_STRESS=N makes it N times as long, HARK_SEED=N
// another run.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "broker/memory.h"
#include "hark.h"
#include "hub/broker.h"
#include "hub/hub.h"
#include "io/loop.h"
#include "io/mailbox.h"

#define WORKERS  2
#define CHANNELS 7
#define SINKS    48
#define LEFT     16
#define ROUNDS   12000

// cmocka's assertions jump, which another thread must not.
#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                              \
        }                                                                         \
    } while (0)

struct load {
    uint64_t publisher;
    uint64_t number; // of this publisher on this channel
};

struct sink {
    struct hark_sub sub;
    struct worker *worker;
    unsigned channel;
    bool is_refusing;
    bool is_placed; // `last` is known
    struct hark_position last;
    uint64_t conflated_to;
    uint64_t numbers[WORKERS]; // last seen of each publisher
    uint64_t missing;          // told in gaps while joining
    bool has_joined;
};

// A client that was cut off: where it stood.
struct left {
    bool is_set;
    unsigned channel;
    struct hark_position position;
};

struct stage {
    struct hark_broker *broker;
    pthread_barrier_t barrier;
    pthread_mutex_t lock; // guards left
    struct left left[LEFT];
    _Atomic uint64_t published[CHANNELS]; // into the log
    unsigned rounds;
};

struct worker {
    struct stage *stage;
    unsigned index;
    unsigned seed;
    struct hark_stats stats;
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct hark_hub *hub;
    uint64_t numbers[CHANNELS];
    uint64_t deliveries;
    uint64_t gaps;
    struct sink sinks[SINKS];
};

static const struct hark_channel_options kinds[CHANNELS] = {
    {.history_count = 0, .slow = HARK_SLOW_CLOSE},
    {.history_count = 0, .slow = HARK_SLOW_OLDEST},
    {.history_count = 0, .slow = HARK_SLOW_LATEST, .presence = true},
    {.history_count = 20, .slow = HARK_SLOW_CLOSE, .presence = true},
    {.history_count = 20, .slow = HARK_SLOW_OLDEST},
    {.history_count = 300, .slow = HARK_SLOW_LATEST},
    {.history_count = 1000, .slow = HARK_SLOW_CLOSE, .presence = true},
};

static unsigned pick(struct worker *worker, unsigned below)
{
    worker->seed = worker->seed * 1664525u + 1013904223u;
    return (worker->seed >> 8) % below;
}

static struct hark_slice name_of(unsigned channel)
{
    static const char names[] = "abcdefg";
    return hark_slice(names + channel, 1);
}

static void maybe_leave(struct sink *sink);

static void on_message(struct sink *sink, const struct hark_msg *msg)
{
    CHECK(hark_slice_is(msg->channel, name_of(sink->channel)));
    if (msg->position.offset == 0) {
        return;
    }
    if (!sink->is_placed) { // rewind: any beginning will do
        sink->is_placed = true;
        sink->last = (struct hark_position){msg->position.epoch, msg->position.offset - 1};
    }
    CHECK(msg->position.epoch == sink->last.epoch);
    bool is_next = msg->position.offset == sink->last.offset + 1;
    bool is_latest =
        msg->position.offset > sink->last.offset && msg->position.offset <= sink->conflated_to;
    CHECK(is_next || is_latest);
    sink->last = msg->position;
    struct load load;
    CHECK(msg->payload.len == sizeof(load));
    memcpy(&load, msg->payload.ptr, sizeof(load));
    CHECK(load.publisher < WORKERS && load.number > sink->numbers[load.publisher]);
    sink->numbers[load.publisher] = load.number;
    sink->worker->deliveries++;
}

static bool on_deliver(struct hark_sub *sub, const struct hark_pass *pass)
{
    struct sink *sink = sub->owner;
    if (sink->is_refusing || pick(sink->worker, 100) == 0) {
        sink->is_refusing = true;
        return false;
    }
    CHECK(pass->count > 0);
    for (size_t i = 0; i < pass->count; i++) {
        on_message(sink, pass->msgs[i]);
    }
    maybe_leave(sink);
    return true;
}

static void on_gap(struct hark_sub *sub, const struct hark_gap *gap)
{
    struct sink *sink = sub->owner;
    CHECK(gap->reason != HARK_GAP_EPOCH);
    CHECK(sink->is_placed);
    CHECK(gap->from.epoch == sink->last.epoch && gap->from.offset == sink->last.offset);
    CHECK(gap->to.epoch == sink->last.epoch && gap->to.offset > sink->last.offset);
    CHECK(!gap->conflated || gap->reason == HARK_GAP_SLOW);
    sink->worker->gaps++;
    if (!sink->has_joined) {
        sink->missing += gap->to.offset - gap->from.offset;
    }
    if (gap->conflated) {
        sink->conflated_to = gap->to.offset;
    } else {
        sink->last = gap->to;
    }
    maybe_leave(sink);
}

static const struct hark_sink_ops sink_ops = {on_deliver, on_gap};

static void on_joined(struct hark_sub *sub, int status, const struct hark_joined *joined)
{
    struct sink *sink = sub->owner;
    if (status != 0) {
        CHECK(status == HARK_ECLOSED);
        return;
    }
    sink->has_joined = true;
    if (!sink->is_placed) {
        sink->is_placed = true;
        sink->last = sub->position; // behind joined->position if it refused the replay at once
    }
    CHECK(joined->missed == sink->missing);
    CHECK(!joined->resumed || joined->recovered == (sink->missing == 0));
}

static void leave(struct sink *sink)
{
    struct stage *stage = sink->worker->stage;
    if (sink->is_placed && sink->conflated_to <= sink->last.offset) {
        CHECK(pthread_mutex_lock(&stage->lock) == 0);
        stage->left[pick(sink->worker, LEFT)] = (struct left){true, sink->channel, sink->last};
        CHECK(pthread_mutex_unlock(&stage->lock) == 0);
    }
    hark_hub_unsubscribe(sink->worker->hub, &sink->sub);
    memset(&sink->sub, 0x5A, sizeof(sink->sub)); // its memory is not the hub's any more
    sink->sub.channel = NULL;
}

// From inside a call: this one, or another one.
static void maybe_leave(struct sink *sink)
{
    struct worker *worker = sink->worker;
    if (pick(worker, 200) != 0) {
        return;
    }
    struct sink *other = pick(worker, 2) == 0 ? sink : &worker->sinks[pick(worker, SINKS)];
    if (other->sub.channel != NULL) {
        leave(other);
    }
}

static void join(struct worker *worker, struct sink *sink)
{
    struct stage *stage = worker->stage;
    struct hark_start start = {.rewind = pick(worker, 3) == 0 ? pick(worker, 400) : 0};
    unsigned channel = pick(worker, CHANNELS);
    CHECK(pthread_mutex_lock(&stage->lock) == 0);
    struct left *left = &stage->left[pick(worker, LEFT)];
    if (left->is_set && pick(worker, 2) == 0) {
        channel = left->channel;
        start = (struct hark_start){.has_position = true, .position = left->position};
        left->is_set = false;
    }
    CHECK(pthread_mutex_unlock(&stage->lock) == 0);
    memset(sink, 0, sizeof(*sink));
    sink->worker = worker;
    sink->channel = channel;
    sink->sub.ops = &sink_ops;
    sink->sub.owner = sink;
    sink->is_placed = start.has_position;
    sink->last = start.position;
    char id[16];
    (void)snprintf(id, sizeof(id), "%u", pick(worker, 30)); // fits
    const struct hark_member member = {.id = hark_slice_text(id)};
    CHECK(hark_hub_subscribe(worker->hub, &sink->sub, name_of(channel), &kinds[channel], &start,
                             pick(worker, 2) == 0 ? &member : NULL, on_joined) == 0);
}

static void publish(struct worker *worker)
{
    unsigned channel = pick(worker, CHANNELS);
    bool is_outside = pick(worker, 10) == 0;
    struct load load = {worker->index, worker->numbers[channel] + 1};
    char key[16];
    (void)snprintf(key, sizeof(key), "%u", pick(worker, 20)); // fits
    const struct hark_msg_draft draft = {
        .channel = name_of(channel),
        .key = hark_slice_text(key),
        .payload = hark_slice(&load, sizeof(load)),
        .flags = HARK_MSG_BINARY | (is_outside ? HARK_MSG_OUTSIDE : 0),
        .except = pick(worker, 5),
    };
    if (!is_outside) {
        worker->numbers[channel]++;
        (void)atomic_fetch_add(&worker->stage->published[channel], 1);
    }
    CHECK(hark_hub_publish(worker->hub, &draft, &kinds[channel], NULL, NULL) == 0);
}

// The client has lost what was written last.
static void go_back(struct worker *worker, struct sink *sink)
{
    uint64_t lost = pick(worker, 30);
    sink->last.offset -= lost < sink->last.offset ? lost : sink->last.offset;
    memset(sink->numbers, 0, sizeof(sink->numbers));
    hark_hub_seek(worker->hub, &sink->sub, sink->last);
}

static void meet(struct worker *worker)
{
    struct sink *sink = &worker->sinks[pick(worker, SINKS)];
    if (sink->sub.channel == NULL) {
        join(worker, sink);
    } else if (pick(worker, 3) == 0) {
        leave(sink);
    } else if (pick(worker, 20) == 0 && sink->has_joined &&
               sink->conflated_to <= sink->last.offset) {
        go_back(worker, sink);
    } else {
        sink->is_refusing = false;
        hark_hub_catch_up(worker->hub, &sink->sub);
    }
}

static void on_members(void *ctx, int status, const struct hark_member *members, size_t count)
{
    (void)ctx;
    CHECK(status == 0 && count <= 30 && (count == 0 || members[0].id.len > 0));
}

static void administer(struct worker *worker)
{
    unsigned channel = pick(worker, CHANNELS);
    struct hark_channel_options options = kinds[channel];
    int status = 0;
    switch (pick(worker, 4)) {
    case 0: status = hark_hub_clear(worker->hub, name_of(channel)); break;
    case 1:
        options.history_count = pick(worker, 100);
        options.presence = pick(worker, 2) == 0;
        options.slow = (enum hark_slow)pick(worker, 3);
        status = hark_hub_configure(worker->hub, name_of(channel), &options);
        break;
    case 2: status = hark_hub_configure(worker->hub, name_of(channel), &options); break;
    default: status = hark_hub_members(worker->hub, name_of(channel), on_members, NULL); break;
    }
    CHECK(status == 0 || status == HARK_ENOENT);
    hark_hub_sweep(worker->hub);
}

static bool on_tick(void *ctx)
{
    struct worker *worker = ctx;
    bool is_left = hark_mailbox_drain(worker->mailbox, SIZE_MAX);
    // Now and then a deadline that is over: passes in slices, with all that happens between them.
    bool is_waiting = hark_hub_flush(worker->hub, pick(worker, 3) == 0 ? 0 : UINT64_MAX);
    return is_left || is_waiting;
}

static void step(struct worker *worker)
{
    CHECK(hark_loop_step(worker->loop, 0) == 0);
}

static void on_history(
    void *ctx, int status, struct hark_msg *const *msgs, size_t count, struct hark_position top)
{
    (void)msgs;
    (void)count;
    CHECK(status == 0);
    *(struct hark_position *)ctx = top;
}

// Nobody publishes any more: all come to rest at the top.
static void check_end(struct worker *worker)
{
    for (int i = 0; i < 200; i++) {
        step(worker);
        for (int at = 0; at < SINKS; at++) {
            worker->sinks[at].is_refusing = false;
            if (worker->sinks[at].sub.channel != NULL) {
                hark_hub_catch_up(worker->hub, &worker->sinks[at].sub);
            }
        }
    }
    for (int at = 0; at < SINKS; at++) {
        const struct sink *sink = &worker->sinks[at];
        if (sink->sub.channel == NULL || sink->sub.state == HARK_SUB_CUT) {
            continue;
        }
        struct hark_position top = {0, 0};
        CHECK(hark_hub_history(worker->hub, name_of(sink->channel), NULL, 0, on_history, &top) ==
              0);
        CHECK(sink->sub.state == HARK_SUB_LIVE);
        CHECK(sink->last.epoch == top.epoch && sink->last.offset == top.offset);
        CHECK(top.offset == atomic_load(&worker->stage->published[sink->channel]));
    }
}

static void *run(void *ctx)
{
    struct worker *worker = ctx;
    for (unsigned round = 0; round < worker->stage->rounds; round++) {
        unsigned what = pick(worker, 100);
        if (what < 60) {
            publish(worker);
        } else if (what < 85) {
            meet(worker);
        } else if (what == 99 && pick(worker, 10) == 0) {
            administer(worker);
        } else {
            step(worker);
        }
    }
    (void)pthread_barrier_wait(&worker->stage->barrier);
    check_end(worker);
    (void)pthread_barrier_wait(&worker->stage->barrier);
    for (int at = 0; at < SINKS; at++) {
        if (worker->sinks[at].sub.channel != NULL) {
            hark_hub_unsubscribe(worker->hub, &worker->sinks[at].sub);
        }
    }
    for (int i = 0; i < 3; i++) {
        step(worker);
    }
    return NULL;
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

static void up(struct worker *worker, struct stage *stage, unsigned index)
{
    worker->stage = stage;
    worker->index = index;
    worker->seed = 7 + index + setting("HARK_SEED", 0) * WORKERS;
    assert_int_equal(hark_loop_new(&worker->stats, &worker->loop), 0);
    assert_int_equal(hark_mailbox_new(worker->loop, worker, &worker->mailbox), 0);
    const struct hark_hub_options options = {stage->broker, &worker->stats, index};
    assert_int_equal(hark_hub_new(&options, &worker->hub), 0);
    hark_memory_attach(stage->broker, index, worker->mailbox);
    hark_loop_on_tick(worker->loop, on_tick, worker);
}

static void down(struct worker *worker)
{
    hark_mailbox_free(worker->mailbox);
    hark_hub_free(worker->hub);
    assert_int_equal(hark_stats_get(&worker->stats.subscriptions), 0);
    assert_int_equal(hark_stats_get(&worker->stats.channels), 0);
    assert_int_equal(hark_stats_get(&worker->stats.lagging), 0);
    assert_int_equal(hark_stats_get(&worker->stats.gaps), worker->gaps);
    hark_loop_free(worker->loop);
}

static void no_hole_no_double_or_a_told_gap(void **state)
{
    (void)state;
    static struct stage stage;
    static struct worker workers[WORKERS];
    stage.rounds = ROUNDS * setting("HARK_STRESS", 1);
    assert_int_equal(hark_memory_new(WORKERS, &stage.broker), 0);
    assert_int_equal(pthread_barrier_init(&stage.barrier, NULL, WORKERS), 0);
    assert_int_equal(pthread_mutex_init(&stage.lock, NULL), 0);
    pthread_t threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        up(&workers[i], &stage, i);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        print_message("worker %u: %llu deliveries, %llu gaps\n", i,
                      (unsigned long long)workers[i].deliveries,
                      (unsigned long long)workers[i].gaps);
        assert_true(workers[i].deliveries > 10000 && workers[i].gaps > 10); // it was no idle run
        down(&workers[i]);
    }
    hark_memory_free(stage.broker);
    assert_int_equal(pthread_barrier_destroy(&stage.barrier), 0);
    assert_int_equal(pthread_mutex_destroy(&stage.lock), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_hole_no_double_or_a_told_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
