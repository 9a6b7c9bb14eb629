// SPDX-License-Identifier: MIT
//
// The hub's face: checks what callers give, finds the channel, and sends the call on, to the broker
// (publish, history, members, options), to reader.c (joins, catch-up) or to fanout.c (passes).
#include "hub/hub.h"

#include <assert.h>

#include "hark.h"

#include "base/mem.h"
#include "hub/broker.h"
#include "hub/channel.h"
#include "hub/fanout.h"
#include "hub/reader.h"

struct history_call {
    struct hark_position since;
    bool has_since;
    hark_hub_history_fn *fn;
    void *ctx;
};

static bool is_member(const struct hark_member *member);
static int
enter(struct hark_channel *channel, struct hark_sub *sub, const struct hark_member *member);
static void leave(struct hark_channel *channel, struct hark_sub *sub);
static void retry(struct hark_hub *hub, struct hark_channel *channel);
static void on_history(void *ctx, const struct hark_reading *reading);

int hark_hub_new(const struct hark_hub_options *options, struct hark_hub **ret)
{
    struct hark_hub *hub = hark_mem_zalloc(sizeof(*hub));
    if (hub == NULL) {
        return HARK_ENOMEM;
    }
    hub->broker = options->broker;
    hub->stats = options->stats;
    hub->worker = options->worker;
    hub->next_pass = 1;
    hark_list_init(&hub->ready);
    *ret = hub;
    return 0;
}

void hark_hub_free(struct hark_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    assert(!hub->is_walking);
    hub->is_freed = true;
    hark_channel_free_hub(hub);
}

int hark_hub_publish(struct hark_hub *hub,
                     const struct hark_msg_draft *draft,
                     const struct hark_channel_options *options,
                     hark_hub_published_fn *fn,
                     void *ctx)
{
    if ((draft->flags & HARK_MSG_DIRECT) != 0) {
        return HARK_EINVAL;
    }
    struct hark_msg *msg = NULL;
    int status = hark_msg_new(draft, &msg);
    if (status != 0) {
        return status;
    }
    const struct hark_publication publication = {msg, draft->once, options};
    status = hub->broker->ops->publish(hub->broker, hub->worker, &publication, fn, ctx);
    if (status == 0) {
        hark_stats_add(&hub->stats->messages_published, 1);
    }
    hark_msg_unref(msg);
    return status;
}

int hark_hub_subscribe(struct hark_hub *hub,
                       struct hark_sub *sub,
                       struct hark_slice channel,
                       const struct hark_channel_options *options,
                       const struct hark_start *start,
                       const struct hark_member *member,
                       hark_hub_joined_fn *fn)
{
    if (sub->channel != NULL) {
        return HARK_EEXIST;
    }
    if (!hark_msg_is_channel(channel) || (member != NULL && !is_member(member))) {
        return HARK_EINVAL;
    }
    struct hark_channel *found = NULL;
    int status = hark_channel_open(hub, channel, options, &found);
    if (status != 0) {
        return status;
    }
    status = enter(found, sub, member);
    if (status != 0) {
        return status;
    }
    status = hark_reader_join(found, sub, start, fn);
    if (status != 0) {
        leave(found, sub);
    }
    return status;
}

void hark_hub_unsubscribe(struct hark_hub *hub, struct hark_sub *sub)
{
    struct hark_channel *channel = sub->channel;
    if (channel == NULL || channel->hub != hub) {
        return;
    }
    hark_hub_joined_fn *fn = hark_reader_abandon(channel, sub);
    leave(channel, sub);
    if (fn != NULL) {
        fn(sub, HARK_ECLOSED, NULL);
    }
}

void hark_hub_catch_up(struct hark_hub *hub, struct hark_sub *sub)
{
    if (hark_sub_is_lagging(sub) && sub->channel->hub == hub) {
        hark_reader_catch_up(sub->channel, sub);
    }
}

void hark_hub_seek(struct hark_hub *hub, struct hark_sub *sub, struct hark_position position)
{
    struct hark_channel *channel = sub->channel;
    if (channel == NULL || channel->hub != hub || sub->state == HARK_SUB_JOINING) {
        return;
    }
    hark_hub_joined_fn *fn = hark_reader_abandon(channel, sub);
    assert(fn == NULL); // only a join has one
    (void)fn;           // without assertions
    if (hub->current == sub) {
        hub->current = NULL; // the walk that calls it must not move it on
    }
    sub->position = position;
    sub->is_sought = true;
    if (sub->state != HARK_SUB_LAGGING) {
        hark_channel_move(channel, sub, HARK_SUB_LAGGING);
    }
}

bool hark_hub_flush(struct hark_hub *hub, uint64_t deadline_ns)
{
    return hark_fanout_flush(hub, deadline_ns);
}

void hark_hub_sweep(struct hark_hub *hub)
{
    hub->broker->ops->sweep(hub->broker, hub->worker);
    if (!hub->is_retrying) {
        return;
    }
    hub->is_retrying = false;
    struct hark_channel *channel = NULL;
    struct hark_channel *after = NULL;
    HASH_ITER(hh, hub->channels, channel, after)
    {
        retry(hub, channel);
    }
}

int hark_hub_history(struct hark_hub *hub,
                     struct hark_slice channel,
                     const struct hark_position *since,
                     uint32_t limit,
                     hark_hub_history_fn *fn,
                     void *ctx)
{
    if (!hark_msg_is_channel(channel)) {
        return HARK_EINVAL;
    }
    struct history_call *call = hark_mem_zalloc(sizeof(*call));
    if (call == NULL) {
        return HARK_ENOMEM;
    }
    *call = (struct history_call){.has_since = since != NULL, .fn = fn, .ctx = ctx};
    struct hark_read ask = {.tail = limit, .max_count = limit, .max_bytes = SIZE_MAX};
    if (since != NULL) {
        call->since = *since;
        ask.has_since = true;
        ask.since = *since;
    }
    int status =
        hub->broker->ops->history(hub->broker, hub->worker, channel, &ask, on_history, call);
    if (status != 0) {
        hark_mem_free(call);
    }
    return status;
}

int hark_hub_members(struct hark_hub *hub,
                     struct hark_slice channel,
                     hark_hub_members_fn *fn,
                     void *ctx)
{
    if (!hark_msg_is_channel(channel)) {
        return HARK_EINVAL;
    }
    return hub->broker->ops->members(hub->broker, hub->worker, channel, fn, ctx);
}

int hark_hub_configure(struct hark_hub *hub,
                       struct hark_slice channel,
                       const struct hark_channel_options *options)
{
    if (!hark_msg_is_channel(channel)) {
        return HARK_EINVAL;
    }
    return hub->broker->ops->configure(hub->broker, hub->worker, channel, options);
}

int hark_hub_clear(struct hark_hub *hub, struct hark_slice channel)
{
    if (!hark_msg_is_channel(channel)) {
        return HARK_EINVAL;
    }
    return hub->broker->ops->clear(hub->broker, hub->worker, channel);
}

int hark_hub_each_channel(struct hark_hub *hub, hark_hub_channel_fn *fn, void *ctx)
{
    return hub->broker->ops->each(hub->broker, hub->worker, fn, ctx);
}

static bool is_member(const struct hark_member *member)
{
    return member->id.len > 0 && member->id.len <= HARK_MEMBER_ID_MAX &&
           member->info.len <= HARK_MEMBER_INFO_MAX;
}

// On failure nothing is left of it.
static int
enter(struct hark_channel *channel, struct hark_sub *sub, const struct hark_member *member)
{
    int status = hark_channel_add(channel, sub);
    if (status != 0) {
        hark_channel_settle(channel);
        return status;
    }
    if (member == NULL) {
        return 0;
    }
    struct hark_feed *feed = channel->feed;
    status = feed->broker->ops->enter(feed, member, sub->serial, &sub->seat);
    if (status != 0) {
        leave(channel, sub);
    }
    return status;
}

static void leave(struct hark_channel *channel, struct hark_sub *sub)
{
    hark_channel_remove(channel, sub);
    hark_channel_settle(channel);
}

// One that is passed over because others move meanwhile has its turn at the next sweep.
static void retry(struct hark_hub *hub, struct hark_channel *channel)
{
    const struct hark_roster *roster = &channel->roster;
    for (uint32_t i = roster->live; i < roster->count; i++) {
        if (roster->subs[i]->is_retrying) {
            hark_reader_catch_up(channel, roster->subs[i]);
        }
    }
    for (uint32_t i = roster->live; i < roster->count; i++) {
        hub->is_retrying = hub->is_retrying || roster->subs[i]->is_retrying;
    }
}

static void on_history(void *ctx, const struct hark_reading *reading)
{
    const struct history_call call = *(struct history_call *)ctx;
    hark_mem_free(ctx);
    int status = reading->status;
    if (status == 0 && call.has_since) {
        uint64_t next =
            reading->count > 0 ? reading->msgs[0]->position.offset : reading->top.offset + 1;
        bool is_known =
            call.since.epoch == reading->top.epoch && call.since.offset <= reading->top.offset;
        status = is_known && next == call.since.offset + 1 ? 0 : HARK_EGAP;
    }
    call.fn(call.ctx, status, reading->msgs, reading->count, reading->top);
}
