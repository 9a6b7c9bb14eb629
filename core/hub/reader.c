// SPDX-License-Identifier: MIT
//
// Reads go in batches: ask the broker, tell a gap if what comes does not follow, hand the batch
// over, and ask again until the sink refuses or the passes have been reached. Each read under way
// has a request, which the broker's answer finds although the subscription may be gone by then.
//
// Why going live is exact: an answer tells the top of the log, and all behind the top is still to
// come in runs. So a subscription that has had everything up to where the last pass began misses
// nothing and, since the walk looks at its position, gets nothing twice.
#include "hub/reader.h"

#include "hark.h"

#include "base/mem.h"
#include "hub/channel.h"

#define BATCH_COUNT 256
#define BATCH_BYTES ((size_t)64 << 10)

struct hark_request {
    struct hark_list node; // in channel->requests
    struct hark_channel *channel;
    struct hark_sub *sub;   // NULL: it has left, or has got what it wanted
    hark_hub_joined_fn *fn; // of a join, until it is called
    struct hark_start start;
    struct hark_joined joined;
    bool is_join;
    bool is_first;    // the answer to come is the join's first
    bool is_latest;   // the answer to come holds the newest per key only
    bool was_idle;    // the answer before brought nothing and the top was not reached
    bool is_pumping;  // inside pump()
    bool is_answered; // inside pump(): the answer has come
    bool is_again;    // ... and more is to be read
};

static struct hark_request *request_new(struct hark_channel *channel, struct hark_sub *sub);
static void request_free(struct hark_request *request);
static struct hark_sub *detach(struct hark_request *request);
static void pump(struct hark_request *request);
static bool is_slow(const struct hark_sub *sub);
static struct hark_read ask_for(struct hark_request *request);
static void on_answer(void *ctx, const struct hark_reading *reading);
static bool process(struct hark_request *request, const struct hark_reading *reading);
static bool place(struct hark_request *request, const struct hark_reading *reading);
static bool bridge(struct hark_request *request, const struct hark_reading *reading);
static bool bridge_epoch(struct hark_request *request, struct hark_position top);
static bool bridge_latest(struct hark_request *request, const struct hark_reading *reading);
static bool bridge_hole(struct hark_request *request, uint64_t to);
static bool hand_over(struct hark_request *request, const struct hark_reading *reading);
static bool go_on(struct hark_request *request, const struct hark_reading *reading);
static void finish(struct hark_request *request, enum hark_sub_state state);
static void fail(struct hark_request *request, int status);
static void retry_later(struct hark_channel *channel, struct hark_sub *sub);

int hark_reader_join(struct hark_channel *channel,
                     struct hark_sub *sub,
                     const struct hark_start *start,
                     hark_hub_joined_fn *fn)
{
    struct hark_request *request = request_new(channel, sub);
    if (request == NULL) {
        return HARK_ENOMEM;
    }
    request->fn = fn;
    request->start = *start;
    request->is_join = true;
    request->is_first = true;
    pump(request);
    return 0;
}

void hark_reader_catch_up(struct hark_channel *channel, struct hark_sub *sub)
{
    if (sub->is_reading || (sub->state != HARK_SUB_LAGGING && sub->state != HARK_SUB_BEHIND)) {
        return;
    }
    struct hark_request *request = request_new(channel, sub);
    if (request == NULL) {
        retry_later(channel, sub);
        return;
    }
    pump(request);
}

hark_hub_joined_fn *hark_reader_abandon(struct hark_channel *channel, struct hark_sub *sub)
{
    if (!sub->is_reading) {
        return NULL;
    }
    hark_list_for_each (node, &channel->requests) {
        struct hark_request *request = HARK_CONTAINER_OF(node, struct hark_request, node);
        if (request->sub == sub) {
            (void)detach(request); // sub is known
            return request->fn;
        }
    }
    return NULL;
}

static struct hark_request *request_new(struct hark_channel *channel, struct hark_sub *sub)
{
    struct hark_request *request = hark_mem_zalloc(sizeof(*request));
    if (request == NULL) {
        return NULL;
    }
    request->channel = channel;
    request->sub = sub;
    sub->is_reading = true;
    sub->is_retrying = false;
    hark_list_push(&channel->requests, &request->node);
    return request;
}

static void request_free(struct hark_request *request)
{
    if (request->sub != NULL) {
        (void)detach(request); // the subscription stays as it is
    }
    hark_list_remove(&request->node);
    hark_mem_free(request);
}

static struct hark_sub *detach(struct hark_request *request)
{
    struct hark_sub *sub = request->sub;
    sub->is_reading = false;
    request->sub = NULL;
    return sub;
}

// A loop and not a recursion: a backend that answers at once would nest as deep as history is long.
static void pump(struct hark_request *request)
{
    struct hark_feed *feed = request->channel->feed;
    request->is_pumping = true;
    do {
        const struct hark_read ask = ask_for(request);
        request->is_answered = false;
        int status = feed->broker->ops->read(feed, &ask, on_answer, request);
        if (status != 0) {
            fail(request, status);
            request->is_answered = true;
            request->is_again = false;
        }
    } while (request->is_answered && request->is_again);
    request->is_pumping = false;
    if (request->is_answered) {
        request_free(request);
    }
}

static bool is_slow(const struct hark_sub *sub)
{
    return sub->state == HARK_SUB_LAGGING && !sub->is_sought;
}

static struct hark_read ask_for(struct hark_request *request)
{
    const struct hark_sub *sub = request->sub;
    request->is_latest = is_slow(sub) && request->channel->options.slow == HARK_SLOW_LATEST;
    struct hark_read ask = {
        .has_since = true,
        .since = sub->position,
        .latest = request->is_latest,
        .max_count = BATCH_COUNT,
        .max_bytes = BATCH_BYTES,
    };
    if (request->is_first) {
        ask.has_since = request->start.has_position;
        ask.since = request->start.position;
        ask.tail = request->start.rewind;
    }
    return ask;
}

static void on_answer(void *ctx, const struct hark_reading *reading)
{
    struct hark_request *request = ctx;
    request->is_answered = true;
    request->is_again = process(request, reading);
    if (request->is_pumping) {
        return;
    }
    if (request->is_again) {
        pump(request);
    } else {
        request_free(request);
    }
}

// true: read on.
static bool process(struct hark_request *request, const struct hark_reading *reading)
{
    if (request->sub == NULL) {
        return false;
    }
    if (reading->status != 0) {
        fail(request, reading->status);
        return false;
    }
    bool is_placed = request->is_first ? place(request, reading) : bridge(request, reading);
    return is_placed && hand_over(request, reading) && go_on(request, reading);
}

// The first answer of a join says where it starts. false: the subscription is gone.
static bool place(struct hark_request *request, const struct hark_reading *reading)
{
    struct hark_sub *sub = request->sub;
    const struct hark_position passed = request->channel->passed;
    const struct hark_start *start = &request->start;
    request->is_first = false;
    request->joined.position = reading->top;
    if (start->has_position) {
        sub->position = start->position;
        request->joined.resumed = true;
        request->joined.recovered = true; // until a gap is told
        return bridge(request, reading);
    }
    sub->position = reading->top;
    if (reading->count > 0) {
        sub->position.offset = reading->msgs[0]->position.offset - 1;
    } else if (passed.epoch == reading->top.epoch && passed.offset > reading->top.offset) {
        // A late answer: live only begins where the passes are by now.
        sub->position = passed;
        request->joined.position = passed;
    }
    return true;
}

// Tells a gap if what was read does not follow what the subscription has. false: it gets nothing
// more.
static bool bridge(struct hark_request *request, const struct hark_reading *reading)
{
    const struct hark_position at = request->sub->position;
    if (at.epoch != reading->top.epoch || at.offset > reading->top.offset) {
        return bridge_epoch(request, reading->top);
    }
    if (request->is_latest) {
        return bridge_latest(request, reading);
    }
    uint64_t next =
        reading->count > 0 ? reading->msgs[0]->position.offset : reading->top.offset + 1;
    return next == at.offset + 1 || bridge_hole(request, next - 1);
}

static bool bridge_epoch(struct hark_request *request, struct hark_position top)
{
    const struct hark_gap gap = {request->sub->position, top, HARK_GAP_EPOCH, false};
    request->joined.recovered = false;
    hark_channel_tell(request->channel, request->sub, &gap, 0);
    return request->sub != NULL;
}

static bool bridge_latest(struct hark_request *request, const struct hark_reading *reading)
{
    const struct hark_position at = request->sub->position;
    struct hark_position to = reading->top;
    if (reading->count > 0) {
        to = reading->msgs[reading->count - 1]->position;
    }
    uint64_t skipped = to.offset - at.offset - reading->count;
    if (skipped == 0) {
        return true;
    }
    const struct hark_gap gap = {at, to, HARK_GAP_SLOW, reading->count > 0};
    hark_channel_tell(request->channel, request->sub, &gap, skipped);
    return request->sub != NULL;
}

static bool bridge_hole(struct hark_request *request, uint64_t to)
{
    struct hark_sub *sub = request->sub;
    const struct hark_channel *channel = request->channel;
    bool by_slowness = is_slow(sub);
    const struct hark_gap gap = {
        .from = sub->position,
        .to = {sub->position.epoch, to},
        .reason = by_slowness ? HARK_GAP_SLOW : HARK_GAP_HISTORY,
    };
    uint64_t missing = to - sub->position.offset;
    request->joined.recovered = false;
    request->joined.missed += missing;
    if (by_slowness && channel->options.slow == HARK_SLOW_CLOSE) {
        hark_channel_move(request->channel, sub, HARK_SUB_CUT);
        hark_channel_tell(request->channel, sub, &gap, missing);
        return false;
    }
    hark_channel_tell(request->channel, sub, &gap, by_slowness ? missing : 0);
    return request->sub != NULL;
}

// false: refused, or the subscription is gone.
static bool hand_over(struct hark_request *request, const struct hark_reading *reading)
{
    struct hark_sub *sub = request->sub;
    if (reading->count == 0) {
        return true;
    }
    struct hark_pass pass = {.msgs = reading->msgs, .count = reading->count};
    for (size_t i = 0; i < reading->count; i++) {
        pass.has_except = pass.has_except || reading->msgs[i]->except != 0;
    }
    bool is_taken = sub->ops->deliver(sub, &pass);
    if (request->sub == NULL) {
        return false;
    }
    if (!is_taken) {
        finish(request, HARK_SUB_LAGGING);
        return false;
    }
    sub->position = reading->msgs[reading->count - 1]->position;
    request->joined.replayed += reading->count;
    return true;
}

// true: the passes are not reached yet.
static bool go_on(struct hark_request *request, const struct hark_reading *reading)
{
    struct hark_channel *channel = request->channel;
    bool is_idle = reading->count == 0;
    if (!hark_channel_has_reached(channel, request->sub->position)) {
        // An answer from before the last pass is no reason to worry; a second one means that the
        // log does not hold what was passed.
        if (!is_idle || !request->was_idle) {
            request->was_idle = is_idle;
            return true;
        }
        if (!bridge_hole(request, channel->passed.offset)) {
            return false;
        }
    }
    finish(request, HARK_SUB_LIVE);
    return false;
}

static void finish(struct hark_request *request, enum hark_sub_state state)
{
    const struct hark_joined joined = request->joined;
    hark_hub_joined_fn *fn = request->fn;
    request->fn = NULL;
    struct hark_sub *sub = detach(request);
    sub->is_sought = false; // live, or slow from now on
    if ((enum hark_sub_state)sub->state != state) {
        hark_channel_move(request->channel, sub, state);
    }
    if (fn != NULL) {
        fn(sub, 0, &joined);
    }
}

static void fail(struct hark_request *request, int status)
{
    struct hark_channel *channel = request->channel;
    if (!request->is_first) {
        if (request->is_join) { // it has begun; the rest comes later
            retry_later(channel, request->sub);
            finish(request, HARK_SUB_LAGGING);
            return;
        }
        retry_later(channel, detach(request));
        return;
    }
    hark_hub_joined_fn *fn = request->fn;
    request->fn = NULL;
    struct hark_sub *sub = detach(request);
    hark_channel_remove(channel, sub);
    hark_channel_settle(channel);
    if (fn != NULL) {
        fn(sub, status, NULL);
    }
}

static void retry_later(struct hark_channel *channel, struct hark_sub *sub)
{
    sub->is_retrying = true;
    channel->hub->is_retrying = true;
}
