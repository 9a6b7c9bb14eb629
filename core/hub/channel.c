// SPDX-License-Identifier: MIT
//
// Life of one worker's channels: found or made with an open feed, filled by the broker's events,
// closed with the last subscription, freed at the broker's goodbye. Passes are in fanout.c, reads
// in reader.c.
#include "hub/channel.h"

#include <assert.h>
#include <string.h>

#include "hark.h"

#include "base/mem.h"

static int make(struct hark_hub *hub, struct hark_slice name, struct hark_channel **ret);
static int open_feed(struct hark_channel *channel, const struct hark_channel_options *options);
static void on_receive(struct hark_feed *feed, struct hark_runs *runs);
static void on_configured(struct hark_feed *feed);
static void on_closed(struct hark_feed *feed);
static void destroy(struct hark_channel *channel);

// hub/sink.h says why; on a machine with narrower pointers it is less.
_Static_assert(sizeof(struct hark_sub) <= 64, "a subscription is one cache line");

static const struct hark_feed_events feed_events = {on_receive, on_configured, on_closed};

// From a state to the set of states that may follow.
#define TO(state) (1u << (state))
static const uint8_t legal[] = {
    [HARK_SUB_NONE] = TO(HARK_SUB_JOINING),
    [HARK_SUB_JOINING] = TO(HARK_SUB_LIVE) | TO(HARK_SUB_LAGGING) | TO(HARK_SUB_NONE),
    [HARK_SUB_LIVE] = TO(HARK_SUB_BEHIND) | TO(HARK_SUB_LAGGING) | TO(HARK_SUB_NONE),
    [HARK_SUB_BEHIND] = TO(HARK_SUB_LIVE) | TO(HARK_SUB_LAGGING) | TO(HARK_SUB_NONE),
    [HARK_SUB_LAGGING] = TO(HARK_SUB_LIVE) | TO(HARK_SUB_CUT) | TO(HARK_SUB_NONE),
    [HARK_SUB_CUT] = TO(HARK_SUB_LAGGING) | TO(HARK_SUB_NONE), // lagging: the sink seeks
};

struct hark_slice hark_channel_name(const struct hark_channel *channel)
{
    return hark_slice(channel->name, channel->name_len);
}

uint64_t hark_channel_id(const struct hark_channel *channel)
{
    return channel->id;
}

const struct hark_channel_options *hark_channel_options(const struct hark_channel *channel)
{
    return &channel->options;
}

struct hark_channel *hark_channel_find(struct hark_hub *hub, struct hark_slice name)
{
    struct hark_channel *channel = NULL;
    HASH_FIND(hh, hub->channels, name.ptr, name.len, channel);
    return channel;
}

int hark_channel_open(struct hark_hub *hub,
                      struct hark_slice name,
                      const struct hark_channel_options *options,
                      struct hark_channel **ret)
{
    struct hark_channel *channel = hark_channel_find(hub, name);
    if (channel == NULL) {
        int status = make(hub, name, &channel);
        if (status != 0) {
            return status;
        }
    }
    if (channel->feed == NULL) {
        int status = open_feed(channel, options);
        if (status != 0) {
            if (channel->closing == 0) {
                destroy(channel);
            }
            return status;
        }
    }
    *ret = channel;
    return 0;
}

void hark_channel_settle(struct hark_channel *channel)
{
    struct hark_feed *feed = channel->feed;
    if (feed == NULL || channel->roster.count > 0) {
        return;
    }
    hark_stats_sub(&channel->hub->stats->channels, 1);
    channel->feed = NULL;
    channel->closing++;
    hark_runs_clear(&channel->runs);
    if (channel->run == NULL) { // else the flush that holds the run ends it
        hark_list_remove(&channel->ready);
    }
    feed->broker->ops->close(feed);
}

void hark_channel_free_hub(struct hark_hub *hub)
{
    if (hub->is_freed && hub->channels == NULL) {
        hark_mem_free(hub);
    }
}

int hark_channel_add(struct hark_channel *channel, struct hark_sub *sub)
{
    int status = hark_roster_add(&channel->roster, sub);
    if (status != 0) {
        return status;
    }
    sub->channel = channel;
    hark_channel_move(channel, sub, HARK_SUB_JOINING);
    hark_stats_add(&channel->hub->stats->subscriptions, 1);
    (void)atomic_fetch_add_explicit(&channel->feed->subscribers, 1, memory_order_relaxed);
    return 0;
}

void hark_channel_remove(struct hark_channel *channel, struct hark_sub *sub)
{
    struct hark_feed *feed = channel->feed;
    if (sub->seat != NULL) {
        feed->broker->ops->leave(feed, sub->seat);
        sub->seat = NULL;
    }
    hark_channel_move(channel, sub, HARK_SUB_NONE);
    hark_roster_remove(&channel->roster, sub);
    sub->channel = NULL;
    sub->is_retrying = false;
    if (channel->hub->current == sub) {
        channel->hub->current = NULL;
    }
    hark_stats_sub(&channel->hub->stats->subscriptions, 1);
    (void)atomic_fetch_sub_explicit(&feed->subscribers, 1, memory_order_relaxed);
}

void hark_channel_move(struct hark_channel *channel,
                       struct hark_sub *sub,
                       enum hark_sub_state state)
{
    enum hark_sub_state from = (enum hark_sub_state)sub->state;
    const bool is_legal = (legal[from] & TO(state)) != 0;
    assert(is_legal);
    (void)is_legal; // without assertions
    sub->state = (uint8_t)state;
    sub->is_sought = sub->is_sought && state == HARK_SUB_LAGGING;
    if (from == HARK_SUB_LIVE) {
        hark_roster_park(&channel->roster, sub);
    }
    if (state == HARK_SUB_LIVE) {
        hark_roster_wake(&channel->roster, sub);
    }
    if (state == HARK_SUB_LAGGING) {
        hark_stats_add(&channel->hub->stats->lagging, 1);
    }
    if (from == HARK_SUB_LAGGING) {
        hark_stats_sub(&channel->hub->stats->lagging, 1);
    }
}

void hark_channel_tell(struct hark_channel *channel,
                       struct hark_sub *sub,
                       const struct hark_gap *gap,
                       uint64_t dropped)
{
    struct hark_stats *stats = channel->hub->stats;
    hark_stats_add(&stats->gaps, 1);
    if (dropped > 0) {
        hark_stats_add(&stats->deliveries_dropped, dropped);
    }
    if (!gap->conflated) {
        sub->position = gap->to;
    }
    sub->ops->gap(sub, gap);
}

bool hark_channel_has_reached(const struct hark_channel *channel, struct hark_position position)
{
    // Of two epochs the passes' is the older one: the walk tells the change when it comes to it.
    return position.epoch != channel->passed.epoch || position.offset >= channel->passed.offset;
}

static int make(struct hark_hub *hub, struct hark_slice name, struct hark_channel **ret)
{
    struct hark_channel *channel = hark_mem_zalloc(sizeof(*channel) + name.len);
    if (channel == NULL) {
        return HARK_ENOMEM;
    }
    channel->hub = hub;
    channel->id = hark_hash_stable(name);
    channel->name_len = (uint8_t)name.len;
    memcpy(channel->name, name.ptr, name.len);
    hark_list_init(&channel->ready);
    hark_list_init(&channel->requests);
    HASH_ADD_KEYPTR(hh, hub->channels, channel->name, name.len, channel);
    if (channel->hh.tbl == NULL) {
        hark_mem_free(channel);
        return HARK_ENOMEM;
    }
    *ret = channel;
    return 0;
}

static int open_feed(struct hark_channel *channel, const struct hark_channel_options *options)
{
    struct hark_broker *broker = channel->hub->broker;
    struct hark_feed *feed = NULL;
    int status = broker->ops->open(broker, channel->hub->worker, hark_channel_name(channel),
                                   options, &feed_events, &feed);
    if (status != 0) {
        return status;
    }
    feed->owner = channel;
    channel->feed = feed;
    channel->options = feed->options;
    if (feed->top.epoch != 0) {
        channel->passed = feed->top;
    }
    hark_stats_add(&channel->hub->stats->channels, 1);
    return 0;
}

static void on_receive(struct hark_feed *feed, struct hark_runs *runs)
{
    struct hark_channel *channel = feed->owner;
    assert(feed == channel->feed && !channel->hub->is_walking);
    hark_runs_splice(&channel->runs, runs);
    if (channel->runs.head != NULL && hark_list_is_empty(&channel->ready)) {
        hark_list_push(&channel->hub->ready, &channel->ready);
    }
}

static void on_configured(struct hark_feed *feed)
{
    struct hark_channel *channel = feed->owner;
    channel->options = feed->options;
}

static void on_closed(struct hark_feed *feed)
{
    struct hark_channel *channel = feed->owner;
    struct hark_hub *hub = channel->hub;
    assert(!hub->is_walking);
    channel->closing--;
    if (channel->closing == 0 && channel->feed == NULL) {
        destroy(channel);
        hark_channel_free_hub(hub);
    }
}

static void destroy(struct hark_channel *channel)
{
    HASH_DEL(channel->hub->channels, channel);
    hark_list_remove(&channel->ready);
    hark_run_free(channel->run);
    hark_runs_clear(&channel->runs);
    hark_roster_deinit(&channel->roster);
    hark_mem_free(channel);
}
