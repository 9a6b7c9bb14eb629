// SPDX-License-Identifier: MIT
//
// What a client could not be given at once. Messages wait in the outbox up to a limit; behind it
// the hub's history keeps them, and the subscription reads on from there when there is room again.
#include "session/backlog.h"

#include <assert.h>

#include "base/stats.h"
#include "hark.h"
#include "hub/hub.h"
#include "session/form.h"
#include "session/state.h"

#define BATCH_BYTES  ((size_t)64 << 10) // of one write out of the outbox
#define PUMP_BATCHES 4                  // then others have their turn
#define PUMP_READS   16                 // batches of history, likewise

static void see_to_a_turn(struct hark_session *session);
static struct hark_outbox *need_outbox(struct hark_session *session);
static int collect(const struct hark_session *session, struct hark_places *places);
static int
collect_some(const struct hark_session *session, struct hark_places *places, bool with_history);
static int send_batch(struct hark_session *session);
static void read_on(struct hark_session *session);
static struct hark_session_sub *first_to_read(const struct hark_session *session);
static bool is_subscribed(const struct hark_session *session, const struct hark_session_sub *item);
static void settle(struct hark_session *session);
static void on_turn(struct hark_timer *timer);
static bool has_got(const struct hark_places *cursor, const struct hark_msg *msg);

int hark_backlog_push(struct hark_session *session,
                      const struct hark_sub *sub,
                      struct hark_msg *const *msgs,
                      size_t count,
                      bool must_fit)
{
    struct hark_outbox *box = need_outbox(session);
    if (box == NULL) {
        return HARK_ENOMEM;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += hark_msg_size(msgs[i]);
    }
    size_t limit = session->policy->queue_bytes;
    if (must_fit && box->count > 0 && (box->bytes > limit || bytes > limit - box->bytes)) {
        return HARK_EFULL;
    }
    if (hark_outbox_reserve(box, count) != 0) {
        return HARK_ENOMEM;
    }
    if (sub != NULL && hark_backlog_joined(session, sub) == HARK_ENOMEM) {
        return HARK_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (msgs[i]->except != session->key.serial) {
            hark_outbox_push(box, msgs[i]);
        } else if (box->count == 0) {
            hark_outbox_pass(&box->places, msgs[i]);
        }
    }
    if (session->ops != NULL && !session->ops->is_streaming && box->count > 0) {
        hark_session_post(session, HARK_SESSION_WAKE);
    }
    see_to_a_turn(session);
    return 0;
}

// Something waits for the stream. Unless that will tell when it has room, look again soon.
static void see_to_a_turn(struct hark_session *session)
{
    const struct hark_transport_ops *ops = session->ops;
    if (ops != NULL && ops->is_streaming && session->output != NULL &&
        !ops->will_tell(session->output)) {
        hark_wheel_arm(session->env->wheel, &session->outbox->timer,
                       hark_session_now_ms(session) + 1);
    }
}

static struct hark_outbox *need_outbox(struct hark_session *session)
{
    if (session->outbox == NULL) {
        struct hark_outbox *box = hark_outbox_new(session, on_turn);
        if (box == NULL) {
            return NULL;
        }
        box->life = session->key.serial ^ hark_session_now_ms(session) << 32;
        if (collect(session, &box->places) == HARK_ENOMEM) {
            hark_outbox_free(box);
            return NULL;
        }
        session->outbox = box;
        hark_session_refresh(session);
    }
    return session->outbox;
}

int hark_backlog_joined(struct hark_session *session, const struct hark_sub *sub)
{
    struct hark_outbox *box = session->outbox;
    if (box == NULL || sub->channel == NULL) {
        return 0;
    }
    uint64_t channel = hark_channel_id(sub->channel);
    if (hark_places_find(&box->places, channel) != NULL) {
        return 0;
    }
    return hark_places_set(&box->places, channel, sub->position);
}

void hark_backlog_places(const struct hark_session *session, struct hark_places *ret_places)
{
    if (session->outbox != NULL) {
        (void)hark_places_copy(ret_places, &session->outbox->places); // there is room for all
    } else {
        (void)collect(session, ret_places); // full: as below
    }
}

// Channels that can be resumed come first: a cursor has no room for more than 64, and a channel
// beyond them starts live when the client comes back, as the client's page says. 0, HARK_EFULL or
// HARK_ENOMEM.
static int collect(const struct hark_session *session, struct hark_places *places)
{
    int status = collect_some(session, places, true);
    return status == 0 ? collect_some(session, places, false) : status;
}

static int
collect_some(const struct hark_session *session, struct hark_places *places, bool with_history)
{
    int status = 0;
    const struct hark_session_sub *item = session->subs;
    for (; item != NULL && status == 0; item = item->next) {
        const struct hark_channel *channel = item->sub.channel;
        if (channel == NULL || item->sub.position.epoch == 0) {
            continue; // not joined yet
        }
        if ((hark_channel_options(channel)->history_count > 0) == with_history) {
            status = hark_places_set(places, hark_channel_id(channel), item->sub.position);
        }
    }
    return status;
}

bool hark_backlog_refuse(struct hark_session *session)
{
    if (need_outbox(session) != NULL) {
        see_to_a_turn(session);
    }
    return false;
}

void hark_backlog_finish(struct hark_session *session, bool is_lost)
{
    struct hark_outbox *box = session->outbox;
    if (box == NULL) {
        return;
    }
    bool is_streaming = session->ops != NULL && session->ops->is_streaming;
    while (!is_lost && is_streaming && box->count > 0 && hark_session_begin(session)) {
        if (send_batch(session) != 0) {
            break;
        }
    }
    hark_wheel_cancel(session->env->wheel, &box->timer);
    hark_outbox_free(box);
    session->outbox = NULL;
    hark_session_refresh(session);
}

void hark_backlog_pump(struct hark_session *session)
{
    if (!hark_session_is_alive(session) || session->ops == NULL) {
        return;
    }
    struct hark_outbox *box = session->outbox;
    if (session->ops->is_streaming && box != NULL && box->count > 0 &&
        hark_session_begin(session)) {
        unsigned batches = PUMP_BATCHES;
        while (box->count > 0 && batches > 0 && session->ops->has_room(session->output)) {
            batches = send_batch(session) == 0 ? batches - 1 : 0;
        }
    }
    read_on(session);
    if (hark_session_is_alive(session)) {
        settle(session);
    }
}

// Writes the first messages, about 64 KiB of them, and lets them go.
static int send_batch(struct hark_session *session)
{
    struct hark_outbox *box = session->outbox;
    struct hark_session_env *env = session->env;
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places places;
    hark_places_init_fixed(&places, room, HARK_PLACES_MAX);
    (void)hark_places_copy(&places, &box->places); // there is room
    uint32_t count = 0;
    int status = 0;
    while (status == 0 && count < box->count && hark_buf_len(&env->block) < BATCH_BYTES) {
        struct hark_msg *msg = hark_outbox_at(box, count);
        hark_outbox_pass(&places, msg);
        status = hark_form_append(env, session->ops, msg, &places, &env->block);
        count += status == 0 ? 1 : 0;
    }
    if (count > 0) {
        status = session->ops->write(session->output, hark_buf_slice(&env->block));
    }
    hark_form_reuse(&env->block);
    if (status == 0) {
        for (uint32_t i = 0; i < count; i++) {
            hark_outbox_pop(box);
        }
        hark_session_touch(session);
        session->has_carried = true;
        hark_stats_add(&env->stats->deliveries, count);
    }
    return status;
}

bool hark_backlog_has_space(const struct hark_session *session)
{
    const struct hark_outbox *box = session->outbox;
    const struct hark_transport_ops *ops = session->ops;
    if (ops == NULL || (box != NULL && box->count > 0 && ops->is_streaming)) {
        return false;
    }
    if (ops->is_streaming) {
        return session->output != NULL && ops->has_room(session->output);
    }
    return box == NULL || box->count == 0 || box->bytes < session->policy->queue_bytes / 2;
}

// Subscriptions that were refused read on from history. Each call may lead to anything.
static void read_on(struct hark_session *session)
{
    unsigned reads = PUMP_READS;
    while (reads > 0 && hark_session_is_alive(session) && hark_backlog_has_space(session)) {
        struct hark_session_sub *item = first_to_read(session);
        if (item == NULL) {
            return;
        }
        struct hark_hub *hub = session->env->hub;
        if (item->sub.state == HARK_SUB_CUT) {
            hark_hub_seek(hub, &item->sub, item->sub.position);
        }
        struct hark_position before = item->sub.position;
        hark_hub_catch_up(hub, &item->sub);
        reads--;
        if (is_subscribed(session, item) && hark_sub_is_lagging(&item->sub) &&
            item->sub.position.offset == before.offset &&
            item->sub.position.epoch == before.epoch) {
            return; // the answer comes later
        }
    }
}

// A polling client is not closed for being slow: it was told what it lost and goes on behind it.
static struct hark_session_sub *first_to_read(const struct hark_session *session)
{
    bool is_polling = session->ops != NULL && !session->ops->is_streaming;
    for (struct hark_session_sub *item = session->subs; item != NULL; item = item->next) {
        if (hark_sub_is_lagging(&item->sub) || (is_polling && item->sub.state == HARK_SUB_CUT)) {
            return item;
        }
    }
    return NULL;
}

static bool is_subscribed(const struct hark_session *session, const struct hark_session_sub *item)
{
    const struct hark_session_sub *at = session->subs;
    while (at != NULL && at != item) {
        at = at->next;
    }
    return at != NULL;
}

// An outbox that is not needed goes; one that is gets its next turn.
static void settle(struct hark_session *session)
{
    struct hark_outbox *box = session->outbox;
    const struct hark_transport_ops *ops = session->ops;
    bool is_reading = first_to_read(session) != NULL;
    if (box == NULL && is_reading) {
        box = need_outbox(session);
    }
    if (box == NULL || ops == NULL) {
        return;
    }
    if (box->count == 0 && !is_reading && ops->is_streaming) {
        hark_backlog_finish(session, true);
        return;
    }
    if (ops->is_streaming) {
        see_to_a_turn(session);
    } else if (is_reading && hark_backlog_has_space(session)) {
        hark_wheel_arm(session->env->wheel, &box->timer, hark_session_now_ms(session) + 1);
    }
}

static void on_turn(struct hark_timer *timer)
{
    struct hark_outbox *box = HARK_CONTAINER_OF(timer, struct hark_outbox, timer);
    hark_backlog_pump(box->owner);
}

size_t hark_backlog_count(const struct hark_session *session)
{
    return session->outbox == NULL ? 0 : session->outbox->count;
}

struct hark_msg *hark_backlog_at(const struct hark_session *session, size_t i)
{
    assert(i < hark_backlog_count(session));
    return hark_outbox_at(session->outbox, (uint32_t)i);
}

struct hark_place hark_backlog_sequence(const struct hark_session *session)
{
    const struct hark_outbox *box = session->outbox;
    struct hark_place place = {.channel = 0};
    if (box != NULL) {
        place.position = (struct hark_position){box->life, box->passed};
    }
    return place;
}

void hark_backlog_acknowledge(struct hark_session *session,
                              const struct hark_places *cursor,
                              const struct hark_place *sequence)
{
    struct hark_outbox *box = session->outbox;
    if (box == NULL) {
        return;
    }
    uint64_t passed = box->passed;
    if (sequence != NULL && sequence->position.epoch == box->life) {
        while (box->count > 0 && box->passed < sequence->position.offset) {
            hark_outbox_pop(box);
        }
    } else {
        while (box->count > 0 && has_got(cursor, hark_outbox_at(box, 0))) {
            hark_outbox_pop(box);
        }
    }
    hark_stats_add(&session->env->stats->deliveries, box->passed - passed);
}

static bool has_got(const struct hark_places *cursor, const struct hark_msg *msg)
{
    const struct hark_place *place = hark_places_find(cursor, msg->channel_id);
    return hark_msg_is_logged(msg) && place != NULL && hark_place_covers(place, msg->position);
}
