// SPDX-License-Identifier: MIT
//
// Transports come and go while a session lives on.
#include "session/link.h"

#include "base/stats.h"
#include "hark.h"
#include "hub/hub.h"
#include "session/backlog.h"
#include "session/output.h"
#include "session/session.h"
#include "session/state.h"

#define NORMAL           1000
#define LOST             1006
#define POLICY_VIOLATION 1008

static void go_back(struct hark_session *session,
                    struct hark_session_sub *item,
                    const struct hark_place *place);

void hark_link_attach(struct hark_session *session,
                      struct hark_transport *transport,
                      void *output,
                      uint64_t delay_ms)
{
    bool is_later = session->kind != 0;
    if (session->transport != NULL) {
        const struct hark_ending ending = {
            .code = POLICY_VIOLATION, .why = HARK_LIT("replaced"), .is_replaced = true};
        hark_session_part(session, &ending);
    }
    session->transport = transport;
    session->ops = transport->ops;
    session->output = output;
    session->kind = (uint8_t)transport->ops->kind;
    session->has_carried = false;
    transport->session = session;
    hark_session_touch(session);
    hark_session_count_kind(session, true);
    hark_session_refresh(session);
    hark_session_arm(session, delay_ms);
    if (!is_later) {
        return;
    }
    const struct hark_handlers *handlers = session->env->handlers;
    if (handlers->attach != NULL && session->state == HARK_SESSION_OPEN) {
        handlers->attach(session->env->handlers_ctx, session);
    }
    if (session->transport != transport) {
        return; // the handler has ended it
    }
    if (session->state == HARK_SESSION_OPEN) {
        hark_output_greet(session);
    }
    hark_backlog_pump(session);
    if (hark_backlog_count(session) > 0) {
        hark_session_post(session, HARK_SESSION_WAKE);
    }
    hark_session_post(session, HARK_SESSION_RESUME);
}

void hark_link_resume(struct hark_session *session,
                      const struct hark_places *cursor,
                      const struct hark_place *sequence)
{
    hark_backlog_acknowledge(session, cursor, sequence);
    bool is_polling = session->kind == HARK_TRANSPORT_LONGPOLL;
    for (struct hark_session_sub *item = session->subs; item != NULL && !is_polling;
         item = item->next) {
        const struct hark_channel *channel = item->sub.channel;
        const struct hark_place *place =
            channel == NULL ? NULL : hark_places_find(cursor, hark_channel_id(channel));
        if (place != NULL) {
            go_back(session, item, place);
        }
    }
}

// Nothing to do if the client has all that has left for it; else the channel is read from there
// again.
static void
go_back(struct hark_session *session, struct hark_session_sub *item, const struct hark_place *place)
{
    struct hark_outbox *box = session->outbox;
    const struct hark_place *left =
        box == NULL ? NULL : hark_places_find(&box->places, place->channel);
    struct hark_position at = left == NULL ? item->sub.position : left->position;
    if (at.epoch == place->position.epoch && at.offset == place->position.offset) {
        return;
    }
    if (box != NULL) {
        hark_outbox_drop(box, place->channel);
        (void)hark_places_set(&box->places, place->channel, place->position); // moving never fails
    }
    hark_hub_seek(session->env->hub, &item->sub, place->position);
}

void hark_link_gone(struct hark_transport *transport,
                    uint16_t code,
                    struct hark_slice why,
                    bool is_clean)
{
    struct hark_session *session = transport->session;
    if (session == NULL || session->transport != transport) {
        return;
    }
    hark_session_count_kind(session, false);
    session->transport = NULL;
    session->ops = NULL;
    session->output = NULL;
    transport->session = NULL;
    hark_session_refresh(session);
    hark_session_arm(session, 0);
    const struct hark_ending ending = {.code = code, .why = why, .is_by_client = true};
    if (session->state == HARK_SESSION_NEW) {
        session->code = code;
        session->work |= HARK_SESSION_LOST; // seen to when the open handler has begun
        return;
    }
    uint64_t grace_ms = session->policy->grace_ms;
    if (grace_ms == 0 || (is_clean && code == NORMAL)) {
        hark_session_end(session, &ending, true);
        return;
    }
    hark_session_arm(session, grace_ms);
    const struct hark_handlers *handlers = session->env->handlers;
    if (handlers->detach != NULL) {
        handlers->detach(session->env->handlers_ctx, session, why, is_clean);
    }
}

void hark_link_lost(struct hark_transport *transport)
{
    struct hark_session *session = transport->session;
    if (session != NULL) {
        session->code = LOST;
        hark_session_post(session, HARK_SESSION_LOST);
    }
}

void hark_link_arm(struct hark_session *session, uint64_t delay_ms)
{
    hark_session_arm(session, delay_ms);
}

struct hark_transport *hark_link_transport(const struct hark_session *session)
{
    return session->transport;
}

uint64_t hark_link_phase(const struct hark_session *session, uint64_t period_ms)
{
    return hark_session_phase(session, period_ms);
}

uint64_t hark_link_silence(const struct hark_session *session)
{
    return (uint32_t)hark_session_now_ms(session) - session->output_ms;
}
