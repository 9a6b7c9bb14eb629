// SPDX-License-Identifier: MIT
//
// From messages to a transport. The first function is the hot path of every broadcast: a shared
// block, one call into the stream. Everything else is for those who stand elsewhere, hear several
// channels, have a view of their own, or cannot keep up.
#include "session/output.h"

#include "base/stats.h"
#include "hark.h"
#include "hub/hub.h"
#include "session/backlog.h"
#include "session/form.h"
#include "session/state.h"

#define SHARED_BODY 1024 // from here on a body is worth a chunk of its own

static bool is_excepted(const struct hark_session *session, const struct hark_pass *pass);
static bool
pass_slowly(struct hark_session *session, const struct hark_sub *sub, const struct hark_pass *pass);
static bool hand_over(struct hark_session *session,
                      const struct hark_sub *sub,
                      const struct hark_form_list *list,
                      uint64_t pass);
static bool can_stream(struct hark_session *session);
static int stream(struct hark_session *session,
                  const struct hark_sub *sub,
                  struct hark_msg *const *msgs,
                  size_t count);
static int stream_parts(struct hark_session *session,
                        const struct hark_sub *sub,
                        struct hark_msg *msg,
                        uint64_t pass);
static void moved(struct hark_session *session, struct hark_msg *const *msgs, size_t count);
static int send_one(struct hark_session *session, struct hark_msg *msg, bool must_fit);

bool hark_output_pass(struct hark_session *session,
                      const struct hark_sub *sub,
                      const struct hark_pass *pass)
{
    if (HARK_LIKELY(session->is_fast && pass->id != 0) &&
        (HARK_LIKELY(!pass->has_except) || !is_excepted(session, pass))) {
        const struct hark_transport_ops *ops = session->ops;
        struct hark_view *view = session->view;
        struct hark_chunk *chunk = NULL;
        int status = hark_form_joined(session->env, ops, view, session, pass, &chunk);
        if (status == 0 && chunk == NULL) {
            return true;
        }
        // A script may have transformed the messages: look again before touching the stream.
        if (status == 0 && HARK_LIKELY(session->is_fast) &&
            ops->send(session->output, chunk) == 0) {
            hark_session_touch(session);
            hark_stats_add(&session->env->stats->deliveries, view->joined[ops->slot].count);
            return true;
        }
    }
    return pass_slowly(session, sub, pass);
}

// Some message of the pass is this session's own and must not come back to it.
static bool is_excepted(const struct hark_session *session, const struct hark_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++) {
        if (pass->msgs[i]->except == session->key.serial) {
            return true;
        }
    }
    return false;
}

static bool
pass_slowly(struct hark_session *session, const struct hark_sub *sub, const struct hark_pass *pass)
{
    if (!hark_session_is_alive(session)) {
        return true;
    }
    struct hark_form_list list;
    if (hark_form_list(session->view, session, pass, &list) != 0) {
        return hark_backlog_refuse(session);
    }
    // The script may have ended the session.
    bool is_taken = !hark_session_is_alive(session) || hand_over(session, sub, &list, pass->id);
    hark_form_list_release(&list);
    return is_taken;
}

static bool hand_over(struct hark_session *session,
                      const struct hark_sub *sub,
                      const struct hark_form_list *list,
                      uint64_t pass)
{
    int status = HARK_EAGAIN;
    bool is_streaming = session->ops != NULL && session->ops->is_streaming;
    if (is_streaming && hark_sub_is_lagging(sub) && !hark_backlog_has_space(session)) {
        return hark_backlog_refuse(session); // history keeps it better than the outbox
    }
    if (can_stream(session)) {
        const struct hark_msg *first = list->count == 1 ? list->msgs[0] : NULL;
        bool in_parts = first != NULL && pass != 0 && session->ops->prefix != NULL &&
                        first->payload.len >= SHARED_BODY && first->except != session->key.serial;
        status = in_parts ? stream_parts(session, sub, list->msgs[0], pass)
                          : stream(session, sub, list->msgs, list->count);
        if (status == HARK_ECLOSED) {
            return true; // the transport's end is on its way
        }
    }
    if (status == HARK_EAGAIN) {
        status = hark_backlog_push(session, sub, list->msgs, list->count, true);
    }
    return status == 0 || hark_backlog_refuse(session);
}

static bool can_stream(struct hark_session *session)
{
    const struct hark_transport_ops *ops = session->ops;
    return ops != NULL && ops->is_streaming &&
           (session->outbox == NULL || session->outbox->count == 0) &&
           hark_session_begin(session) && session->ops->has_room(session->output);
}

// One block, one write: all of the messages or none.
static int stream(struct hark_session *session,
                  const struct hark_sub *sub,
                  struct hark_msg *const *msgs,
                  size_t count)
{
    const struct hark_transport_ops *ops = session->ops;
    struct hark_session_env *env = session->env;
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places places;
    bool is_own = sub != NULL && session->sub_count == 1; // the forms of one channel will do
    hark_places_init_fixed(&places, room, HARK_PLACES_MAX);
    if (ops->has_ids && !is_own) {
        hark_backlog_places(session, &places);
    }
    int status = 0;
    uint64_t sent = 0;
    bool has_carried = session->has_carried;
    for (size_t i = 0; i < count && status == 0; i++) {
        if (msgs[i]->except == session->key.serial) {
            continue;
        }
        hark_outbox_pass(&places, msgs[i]);
        status = hark_form_append(env, ops, msgs[i], is_own ? NULL : &places, &env->block);
        bool stands = (msgs[i]->flags & HARK_MSG_OUTSIDE) == 0 && (is_own || places.count > 0);
        has_carried = has_carried || stands;
        sent++;
    }
    if (status == 0 && sent > 0) {
        status = ops->write(session->output, hark_buf_slice(&env->block));
    }
    hark_form_reuse(&env->block);
    if (status == 0) {
        moved(session, msgs, count);
        hark_session_touch(session);
        session->has_carried = has_carried;
        hark_stats_add(&env->stats->deliveries, sent);
    }
    return status;
}

// A large message for a session with several channels: its own id line, everybody's body.
static int stream_parts(struct hark_session *session,
                        const struct hark_sub *sub,
                        struct hark_msg *msg,
                        uint64_t pass)
{
    const struct hark_transport_ops *ops = session->ops;
    struct hark_session_env *env = session->env;
    struct hark_chunk *body = NULL;
    int status = hark_form_body(env, ops, session->view, pass, msg, &body);
    if (status != 0) {
        return stream(session, sub, &msg, 1);
    }
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places places;
    hark_places_init_fixed(&places, room, HARK_PLACES_MAX);
    hark_backlog_places(session, &places);
    hark_outbox_pass(&places, msg);
    status = hark_form_prefix(ops, msg, &places, body->len, &env->block);
    if (status == 0) {
        status = ops->write(session->output, hark_buf_slice(&env->block));
        if (status == 0 && ops->push(session->output, body) != 0) {
            ops->abort(session->transport); // half a message is out
            status = HARK_ECLOSED;
        }
    }
    hark_form_reuse(&env->block);
    if (status == 0) {
        moved(session, &msg, 1);
        hark_session_touch(session);
        session->has_carried = true;
        hark_stats_add(&env->stats->deliveries, 1);
    }
    return status;
}

// While an outbox exists it says where the client stands, also behind what has passed it by.
static void moved(struct hark_session *session, struct hark_msg *const *msgs, size_t count)
{
    if (session->outbox != NULL) {
        for (size_t i = 0; i < count; i++) {
            hark_outbox_pass(&session->outbox->places, msgs[i]);
        }
    }
}

int hark_output_direct(struct hark_session *session, const struct hark_msg_draft *draft)
{
    if (!hark_session_is_alive(session)) {
        return HARK_ECLOSED;
    }
    if (draft->payload.len > HARK_MSG_PAYLOAD_MAX) {
        return HARK_ETOOBIG;
    }
    if (draft->event.len == 0 && can_stream(session)) {
        // Nobody keeps the message, so it need not be made.
        struct hark_msg msg = {.flags = draft->flags | HARK_MSG_DIRECT, .payload = draft->payload};
        struct hark_msg *one = &msg;
        return stream(session, NULL, &one, 1);
    }
    struct hark_msg_draft copy = *draft;
    copy.flags |= HARK_MSG_DIRECT;
    struct hark_msg *msg = NULL;
    int status = hark_msg_new(&copy, &msg);
    if (status == 0) {
        status = send_one(session, msg, true);
        hark_msg_unref(msg);
    }
    return status;
}

int hark_output_notice(struct hark_session *session,
                       const struct hark_msg_draft *draft,
                       uint64_t channel,
                       struct hark_position position)
{
    if (!hark_session_is_alive(session)) {
        return HARK_ECLOSED;
    }
    struct hark_msg_draft copy = *draft;
    copy.flags |= HARK_MSG_DIRECT | HARK_MSG_NOTICE | HARK_MSG_JSON;
    struct hark_msg *msg = NULL;
    int status = hark_msg_new(&copy, &msg);
    if (status == 0) {
        msg->channel_id = channel;
        msg->position = position;
        status = send_one(session, msg, false);
        hark_msg_unref(msg);
    }
    return status;
}

static int send_one(struct hark_session *session, struct hark_msg *msg, bool must_fit)
{
    int status = can_stream(session) ? stream(session, NULL, &msg, 1) : HARK_EAGAIN;
    return status == HARK_EAGAIN ? hark_backlog_push(session, NULL, &msg, 1, must_fit) : status;
}

void hark_output_greet(struct hark_session *session)
{
    const struct hark_transport_ops *ops = session->ops;
    if (ops == NULL || !ops->is_streaming) {
        return;
    }
    char id[HARK_TRANSPORT_ID_MAX];
    size_t id_len = 0;
    if (ops->has_ids && !session->has_carried) {
        struct hark_place room[HARK_PLACES_MAX];
        struct hark_places places;
        hark_places_init_fixed(&places, room, HARK_PLACES_MAX);
        hark_backlog_places(session, &places);
        id_len = places.count > 0 ? ops->cursor(&places, id) : 0;
    }
    if (hark_session_begin(session)) {
        ops->opened(session->transport, hark_slice(session->has_carried ? NULL : id, id_len));
    }
}
