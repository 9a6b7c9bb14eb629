// SPDX-License-Identifier: MIT
//
// Passes. A channel's next run is taken when its pass begins and stays as it is until the pass has
// visited everybody; what comes meanwhile waits for the next pass. A subscription that stands where
// the pass begins gets all of it; one that stands elsewhere gets its part, or none, or is sent to
// read.
//
// A sink may do anything to any subscription while it is called: the roster keeps its borders, and
// hub->current tells whether the one that was called is still there.
#include "hub/fanout.h"

#include <assert.h>
#include <time.h>

#include "hub/channel.h"
#include "hub/reader.h"

#define SLICE 64 // subscriptions between two looks at the clock

// How far ahead the walk fetches: the subscription itself, then what its sink will touch first.
// Most of ten thousand subscriptions are in no cache; without this a pass takes four times as long.
#define AHEAD_SUB   12
#define AHEAD_OWNER 6

struct slice {
    uint64_t deadline_ns;
    uint32_t left;
};

static void begin(struct hark_channel *channel);
static bool walk(struct hark_channel *channel, struct slice *slice);
static void end(struct hark_channel *channel);
static bool has_time(struct slice *slice);
static inline void fetch_sub(const struct hark_roster *roster, uint32_t at);
static inline void fetch_owner(const struct hark_roster *roster, uint32_t at);
static void
hand_over(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass);
static void
on_refused(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass);
static bool has_logged(const struct hark_channel *channel, const struct hark_sub *sub);
static void
on_elsewhere(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass);
static void
hand_over_outside(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass);
static void
hand_over_part(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass);
static struct hark_pass pass_of(const struct hark_channel *channel);

bool hark_fanout_flush(struct hark_hub *hub, uint64_t deadline_ns)
{
    assert(!hub->is_walking);
    struct slice slice = {deadline_ns, SLICE};
    bool is_left = false;
    hub->is_walking = true;
    while (!is_left && !hark_list_is_empty(&hub->ready)) {
        struct hark_channel *channel =
            HARK_CONTAINER_OF(hub->ready.next, struct hark_channel, ready);
        if (channel->run == NULL) {
            begin(channel);
        }
        is_left = !walk(channel, &slice);
        if (!is_left) {
            end(channel);
        }
    }
    hub->is_walking = false;
    hub->current = NULL;
    return is_left;
}

static void begin(struct hark_channel *channel)
{
    struct hark_hub *hub = channel->hub;
    struct hark_run *run = hark_runs_shift(&channel->runs);
    hark_roster_rewind(&channel->roster);
    channel->run = run;
    if (run == NULL) { // an empty queue: the pass is over as it begins
        return;
    }
    channel->pass_id = hub->next_pass;
    hub->next_pass += run->count;
    if (run->first == 0) {
        channel->before = channel->passed;
        channel->after = channel->passed;
        return;
    }
    channel->before = (struct hark_position){run->epoch, run->first - 1};
    channel->after = (struct hark_position){run->epoch, run->last};
    channel->passed = channel->after;
}

// false: out of time.
static bool walk(struct hark_channel *channel, struct slice *slice)
{
    if (channel->run == NULL) {
        return true;
    }
    struct hark_hub *hub = channel->hub;
    struct hark_roster *roster = &channel->roster;
    const struct hark_pass pass = pass_of(channel);
    for (uint32_t i = 0; i < AHEAD_SUB; i++) {
        fetch_sub(roster, roster->visited + i);
    }
    for (uint32_t i = 0; i < AHEAD_OWNER; i++) {
        fetch_owner(roster, roster->visited + i);
    }
    while (roster->visited < roster->live) {
        if (HARK_UNLIKELY(slice->left == 0) && !has_time(slice)) {
            return false;
        }
        slice->left--;
        const uint32_t at = roster->visited++;
        fetch_sub(roster, at + AHEAD_SUB);
        fetch_owner(roster, at + AHEAD_OWNER);
        struct hark_sub *sub = roster->subs[at];
        hub->current = sub;
        if (HARK_LIKELY(sub->position.offset == channel->before.offset &&
                        sub->position.epoch == channel->before.epoch)) {
            hand_over(channel, sub, &pass);
        } else {
            on_elsewhere(channel, sub, &pass);
        }
    }
    return true;
}

static void end(struct hark_channel *channel)
{
    hark_run_free(channel->run);
    channel->run = NULL;
    hark_list_remove(&channel->ready);
    if (channel->runs.head != NULL) { // behind the others
        hark_list_push(&channel->hub->ready, &channel->ready);
    }
}

static bool has_time(struct slice *slice)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); // this clock exists
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (now_ns >= slice->deadline_ns) {
        return false;
    }
    slice->left = SLICE;
    return true;
}

static inline void fetch_sub(const struct hark_roster *roster, uint32_t at)
{
    if (at < roster->live) {
        __builtin_prefetch(roster->subs[at], 1);
        __asm__ volatile(""); // else gcc 12 takes the function for one without effect and drops it
    }
}

static inline void fetch_owner(const struct hark_roster *roster, uint32_t at)
{
    if (at < roster->live) {
        __builtin_prefetch(roster->subs[at]->owner, 1);
        __asm__ volatile("");
    }
}

static void
hand_over(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass)
{
    bool is_taken = sub->ops->deliver(sub, pass);
    if (HARK_UNLIKELY(channel->hub->current != sub)) {
        return; // it left, or its memory is gone
    }
    if (HARK_LIKELY(is_taken)) {
        sub->position = channel->after;
    } else {
        on_refused(channel, sub, pass);
    }
}

static void
on_refused(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass)
{
    if (!has_logged(channel, sub)) {
        hark_stats_add(&channel->hub->stats->deliveries_dropped, pass->count);
        return;
    }
    hark_channel_move(channel, sub, HARK_SUB_LAGGING);
    if (channel->options.slow != HARK_SLOW_CLOSE || channel->options.history_count > 0) {
        return;
    }
    // Nothing holds what it refused: no use to wait until it asks.
    const struct hark_gap gap = {sub->position, channel->after, HARK_GAP_SLOW, false};
    hark_channel_move(channel, sub, HARK_SUB_CUT);
    hark_channel_tell(channel, sub, &gap, gap.to.offset - gap.from.offset);
}

// Whether the pass under way has, for this one, anything that the log holds too.
static bool has_logged(const struct hark_channel *channel, const struct hark_sub *sub)
{
    return channel->run->first != 0 && (sub->position.epoch != channel->after.epoch ||
                                        sub->position.offset < channel->after.offset);
}

static void
on_elsewhere(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass)
{
    if (channel->run->first == 0) {
        hand_over_outside(channel, sub, pass);
        return;
    }
    if (sub->position.epoch != channel->before.epoch) {
        const struct hark_gap gap = {sub->position, channel->before, HARK_GAP_EPOCH, false};
        hark_channel_tell(channel, sub, &gap, 0);
        if (channel->hub->current == sub) {
            hand_over(channel, sub, pass);
        }
        return;
    }
    if (sub->position.offset < channel->before.offset) { // messages were lost on the way here
        hark_channel_move(channel, sub, HARK_SUB_BEHIND);
        hark_reader_catch_up(channel, sub);
        return;
    }
    if (sub->position.offset <= channel->after.offset) {
        hand_over_part(channel, sub, pass);
    }
}

// A pass without offsets; where `before` is, the channel's log stood when it was published.
static void
hand_over_outside(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass)
{
    bool is_older = sub->position.epoch == channel->before.epoch &&
                    sub->position.offset > channel->before.offset;
    if (is_older) { // than the subscription
        return;
    }
    bool is_taken = sub->ops->deliver(sub, pass);
    if (!is_taken && channel->hub->current == sub) {
        on_refused(channel, sub, pass);
    }
}

// The messages behind its position. All subscriptions there get the same, under the same id.
static void
hand_over_part(struct hark_channel *channel, struct hark_sub *sub, const struct hark_pass *pass)
{
    size_t skip = 0;
    for (size_t i = 0; i < pass->count; i++) {
        const struct hark_msg *msg = pass->msgs[i];
        if (hark_msg_is_logged(msg) && msg->position.offset <= sub->position.offset) {
            skip = i + 1;
        }
    }
    if (skip == pass->count) {
        return;
    }
    const struct hark_pass part = {
        .id = pass->id + skip,
        .msgs = pass->msgs + skip,
        .count = pass->count - skip,
        .has_except = pass->has_except,
    };
    hand_over(channel, sub, &part);
}

static struct hark_pass pass_of(const struct hark_channel *channel)
{
    return (struct hark_pass){
        .id = channel->pass_id,
        .msgs = channel->run->msgs,
        .count = channel->run->count,
        .has_except = channel->run->has_except,
    };
}
