// SPDX-License-Identifier: MIT
//
// A session's subscriptions: join, leave and find of session.h, and hub/sink.h for each of them.
// Gaps are told here, by the script's own handler or by a notice that looks like a message.
#include <inttypes.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/stats.h"
#include "hark.h"
#include "hub/hub.h"
#include "session/backlog.h"
#include "session/output.h"
#include "session/session.h"
#include "session/state.h"

#define GAP_TEXT_MAX    2048 // a name of 255 bytes, each of them escaped, and two positions
#define TRY_AGAIN_LATER 1013

static struct hark_session_sub *find(const struct hark_session *session, struct hark_slice channel);
static struct hark_start start_of(const struct hark_session *session,
                                  struct hark_slice channel,
                                  const struct hark_start *start);
static void on_joined(struct hark_sub *sub, int status, const struct hark_joined *joined);
static struct hark_session_join take_join(struct hark_session *session, const struct hark_sub *sub);
static void note_recovery(struct hark_session *session, const struct hark_joined *joined);
static void remove_sub(struct hark_session *session, struct hark_session_sub *item);
static bool on_deliver(struct hark_sub *sub, const struct hark_pass *pass);
static void on_gap(struct hark_sub *sub, const struct hark_gap *gap);
static bool ends_slow(const struct hark_session *session,
                      const struct hark_sub *sub,
                      const struct hark_gap *gap);
static void
tell_gap(struct hark_session *session, const struct hark_sub *sub, const struct hark_gap *gap);
static int put_position(struct hark_buf *buf, struct hark_position position);

static const struct hark_sink_ops sink_ops = {.deliver = on_deliver, .gap = on_gap};

int hark_session_join(struct hark_session *session,
                      struct hark_slice channel,
                      const struct hark_channel_options *options,
                      const struct hark_start *start,
                      const struct hark_member *member,
                      hark_session_joined_fn *fn,
                      void *ctx)
{
    if (!hark_session_is_alive(session)) {
        return HARK_ECLOSED;
    }
    struct hark_session_sub *item = find(session, channel);
    if (item != NULL) {
        if (item->sub.state == HARK_SUB_JOINING) {
            return HARK_EAGAIN;
        }
        const struct hark_joined what_is = {.position = item->sub.position, .recovered = true};
        fn(ctx, session, 0, &what_is);
        return 0;
    }
    if (session->sub_count >= session->policy->channels) {
        return HARK_EFULL;
    }
    struct hark_session_aside *aside = hark_session_need_aside(session);
    struct hark_session_join *join = hark_mem_zalloc(sizeof(*join));
    item = hark_mem_zalloc(sizeof(*item));
    if (aside == NULL || join == NULL || item == NULL) {
        hark_mem_free(join);
        hark_mem_free(item);
        return HARK_ENOMEM;
    }
    item->sub.ops = &sink_ops;
    item->sub.owner = session;
    item->sub.serial = session->key.serial;
    item->next = session->subs;
    session->subs = item;
    session->sub_count++;
    *join = (struct hark_session_join){.next = aside->joins, .item = item, .fn = fn, .ctx = ctx};
    aside->joins = join;
    hark_session_refresh(session);
    const struct hark_start from = start_of(session, channel, start);
    int status = hark_hub_subscribe(session->env->hub, &item->sub, channel, options, &from, member,
                                    on_joined);
    if (status != 0) {
        (void)take_join(session, &item->sub); // nobody is told: the caller is
        remove_sub(session, item);
    }
    return status;
}

bool hark_session_leave(struct hark_session *session, struct hark_slice channel)
{
    struct hark_session_sub *item = find(session, channel);
    if (item == NULL) {
        return false;
    }
    hark_hub_unsubscribe(session->env->hub, &item->sub);
    remove_sub(session, item);
    return true;
}

struct hark_sub *hark_session_find(struct hark_session *session, struct hark_slice channel)
{
    struct hark_session_sub *item = find(session, channel);
    return item == NULL ? NULL : &item->sub;
}

static struct hark_session_sub *find(const struct hark_session *session, struct hark_slice channel)
{
    for (struct hark_session_sub *item = session->subs; item != NULL; item = item->next) {
        const struct hark_channel *at = item->sub.channel;
        if (at != NULL && hark_slice_is(hark_channel_name(at), channel)) {
            return item;
        }
    }
    return NULL;
}

// Where the client's cursor says, if it says anything about this channel.
static struct hark_start start_of(const struct hark_session *session,
                                  struct hark_slice channel,
                                  const struct hark_start *start)
{
    const struct hark_session_aside *aside = session->aside;
    if (aside->resume.count > 0) {
        const struct hark_place *place =
            hark_places_find(&aside->resume, hark_hash_stable(channel));
        if (place != NULL) {
            return (struct hark_start){.has_position = true, .position = place->position};
        }
    }
    return start == NULL ? (struct hark_start){.rewind = 0} : *start;
}

static void on_joined(struct hark_sub *sub, int status, const struct hark_joined *joined)
{
    struct hark_session *session = sub->owner;
    const struct hark_session_join join = take_join(session, sub);
    if (status == 0) {
        note_recovery(session, joined);
        (void)hark_backlog_joined(session, sub); // its first message tries again
    } else if (status != HARK_ECLOSED) {
        remove_sub(session, join.item); // else whoever unsubscribes sees to it
    }
    if (join.fn != NULL) {
        join.fn(join.ctx, session, status, joined);
    }
}

static struct hark_session_join take_join(struct hark_session *session, const struct hark_sub *sub)
{
    struct hark_session_join **place = &session->aside->joins;
    while (&(*place)->item->sub != sub) {
        place = &(*place)->next;
    }
    struct hark_session_join *join = *place;
    const struct hark_session_join found = *join;
    *place = join->next;
    hark_mem_free(join);
    return found;
}

static void note_recovery(struct hark_session *session, const struct hark_joined *joined)
{
    if (joined->resumed) {
        session->aside->has_recovered = session->aside->has_recovered || joined->recovered;
        session->aside->has_missed = session->aside->has_missed || !joined->recovered;
    }
}

static void remove_sub(struct hark_session *session, struct hark_session_sub *item)
{
    struct hark_session_sub **place = &session->subs;
    while (*place != item) {
        place = &(*place)->next;
    }
    *place = item->next;
    session->sub_count--;
    hark_mem_free(item);
    hark_session_refresh(session);
}

static bool on_deliver(struct hark_sub *sub, const struct hark_pass *pass)
{
    return hark_output_pass(sub->owner, sub, pass);
}

static void on_gap(struct hark_sub *sub, const struct hark_gap *gap)
{
    struct hark_session *session = sub->owner;
    if (!hark_session_is_alive(session)) {
        return;
    }
    if (ends_slow(session, sub, gap)) {
        hark_stats_add(&session->env->stats->slow_closed, 1);
        const struct hark_ending ending = {.code = TRY_AGAIN_LATER, .why = HARK_LIT("too slow")};
        hark_session_end(session, &ending, true);
        return;
    }
    const struct hark_handlers *handlers = session->env->handlers;
    struct hark_slice channel = hark_channel_name(sub->channel);
    void *ctx = session->env->handlers_ctx;
    if (handlers->gap == NULL || !handlers->gap(ctx, session, channel, gap)) {
        tell_gap(session, sub, gap);
    }
}

// A polling client asks when it likes: it is never closed for that, but told what it lost.
static bool ends_slow(const struct hark_session *session,
                      const struct hark_sub *sub,
                      const struct hark_gap *gap)
{
    return gap->reason == HARK_GAP_SLOW &&
           hark_channel_options(sub->channel)->slow == HARK_SLOW_CLOSE &&
           session->kind != HARK_TRANSPORT_LONGPOLL;
}

static void
tell_gap(struct hark_session *session, const struct hark_sub *sub, const struct hark_gap *gap)
{
    struct hark_slice channel = hark_channel_name(sub->channel);
    struct hark_buf data;
    hark_buf_init(&data, GAP_TEXT_MAX);
    int status = hark_buf_append_text(&data, "{\"channel\":");
    status = status == 0 ? hark_codec_quote(&data, channel) : status;
    status = status == 0 ? hark_buf_append_text(&data, ",\"from\":") : status;
    status = status == 0 ? put_position(&data, gap->from) : status;
    status = status == 0 ? hark_buf_append_text(&data, ",\"to\":") : status;
    status = status == 0 ? put_position(&data, gap->to) : status;
    status = status == 0 ? hark_buf_append_char(&data, '}') : status;
    if (status == 0) {
        const struct hark_msg_draft draft = {
            .channel = channel,
            .event = HARK_LIT("hark.gap"),
            .payload = hark_buf_slice(&data),
        };
        // The newest messages out of a conflated gap are still to come: the client stays before it.
        struct hark_position behind = gap->conflated ? gap->from : gap->to;
        status = hark_output_notice(session, &draft, hark_channel_id(sub->channel), behind);
    }
    hark_buf_deinit(&data);
    if (status == HARK_ENOMEM || status == HARK_ETOOBIG) {
        // A gap is never silent: without memory for the notice the connection must go.
        const struct hark_ending ending = {.code = TRY_AGAIN_LATER,
                                           .why = HARK_LIT("out of memory")};
        hark_session_end(session, &ending, true);
    }
}

static int put_position(struct hark_buf *buf, struct hark_position position)
{
    if (position.epoch == 0) {
        return hark_buf_append_text(buf, "null");
    }
    char text[HARK_PLACE_TEXT_MAX];
    size_t len = hark_place_text(position, text);
    int status = hark_buf_append_char(buf, '"');
    status = status == 0 ? hark_buf_append(buf, text, len) : status;
    return status == 0 ? hark_buf_append_char(buf, '"') : status;
}
