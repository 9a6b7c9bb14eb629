// SPDX-License-Identifier: MIT
//
// From transports to handlers.
#include "session/input.h"

#include "base/stats.h"
#include "hark.h"
#include "session/state.h"

static struct hark_reply *first_post(const struct hark_session *session);
static struct hark_reply *take_post(struct hark_session *session, struct hark_reply **place);
static void hand_over(struct hark_session *session,
                      struct hark_slice data,
                      bool binary,
                      struct hark_reply *reply);

bool hark_input_is_ready(const struct hark_session *session)
{
    bool is_started = session->state == HARK_SESSION_OPENING || session->state == HARK_SESSION_OPEN;
    return is_started && !session->is_held;
}

void hark_input_message(struct hark_session *session, struct hark_slice data, bool binary)
{
    hand_over(session, data, binary, NULL);
}

int hark_input_post(struct hark_session *session, struct hark_reply *reply)
{
    if (!hark_session_is_alive(session)) {
        return HARK_ECLOSED;
    }
    if (first_post(session) == NULL && hark_input_is_ready(session)) {
        hand_over(session, reply->data, reply->binary, reply);
        return 0;
    }
    struct hark_session_aside *aside = hark_session_need_aside(session);
    if (aside == NULL) {
        return HARK_ENOMEM;
    }
    if (aside->post_count >= HARK_INPUT_POSTS) {
        return HARK_EFULL;
    }
    struct hark_reply **end = &aside->posts;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    reply->next = NULL;
    *end = reply;
    reply->is_waiting = true;
    aside->post_count++;
    return 0;
}

void hark_input_forget(struct hark_session *session, struct hark_reply *reply)
{
    struct hark_reply **place = &session->aside->posts;
    while (*place != reply) {
        place = &(*place)->next;
    }
    (void)take_post(session, place);
}

void hark_input_resume(struct hark_session *session)
{
    if (session->transport != NULL && hark_input_is_ready(session)) {
        session->ops->resume(session->transport);
    }
    while (first_post(session) != NULL && hark_input_is_ready(session)) {
        struct hark_reply *reply = take_post(session, &session->aside->posts);
        hand_over(session, reply->data, reply->binary, reply);
    }
}

void hark_input_drop(struct hark_session *session)
{
    while (first_post(session) != NULL) {
        struct hark_reply *reply = take_post(session, &session->aside->posts);
        reply->ops->drop(reply);
    }
}

static struct hark_reply *first_post(const struct hark_session *session)
{
    return session->aside == NULL ? NULL : session->aside->posts;
}

static struct hark_reply *take_post(struct hark_session *session, struct hark_reply **place)
{
    struct hark_reply *reply = *place;
    *place = reply->next;
    reply->is_waiting = false;
    session->aside->post_count--;
    return reply;
}

static void hand_over(struct hark_session *session,
                      struct hark_slice data,
                      bool binary,
                      struct hark_reply *reply)
{
    struct hark_session_env *env = session->env;
    hark_stats_add(&env->stats->messages_in, 1);
    hark_stats_add(&env->stats->bytes_in, data.len);
    env->handlers->message(env->handlers_ctx, session, data, binary, reply);
}
