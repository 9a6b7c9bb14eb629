// SPDX-License-Identifier: MIT
//
// What script asks of a session that lives: names and numbers, a message for it alone, named
// timers, and the end of its message handler. Declared in session.h.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "hark.h"
#include "session/output.h"
#include "session/session.h"
#include "session/state.h"

#define INTERNAL_ERROR  1011
#define TRY_AGAIN_LATER 1013
#define REFERENCE_MAX   64

static void on_named_timer(void *owner, struct hark_slice name);
static void tell_error(struct hark_session *session, struct hark_slice why);
static void fail(struct hark_session *session, struct hark_slice reference);

uint64_t hark_session_serial(const struct hark_session *session)
{
    return session->key.serial;
}

struct hark_slice hark_session_id(const struct hark_session *session)
{
    return hark_tabled_id(&session->key);
}

enum hark_transport_kind hark_session_kind(const struct hark_session *session)
{
    return (enum hark_transport_kind)session->kind;
}

void *hark_session_endpoint(const struct hark_session *session)
{
    return session->endpoint;
}

void *hark_session_data(const struct hark_session *session)
{
    return session->data;
}

void hark_session_set_data(struct hark_session *session, void *data)
{
    session->data = data;
}

struct hark_view *hark_session_view(const struct hark_session *session)
{
    return session->view;
}

void hark_session_set_view(struct hark_session *session, struct hark_view *view)
{
    session->view = view;
    hark_session_refresh(session);
}

const struct hark_session_policy *hark_session_policy(const struct hark_session *session)
{
    return session->policy;
}

void hark_session_set_policy(struct hark_session *session, const struct hark_session_policy *policy)
{
    session->policy = policy;
}

size_t hark_session_backlog(const struct hark_session *session)
{
    size_t bytes = session->outbox == NULL ? 0 : session->outbox->bytes;
    return session->output == NULL ? bytes : bytes + session->ops->queued(session->output);
}

size_t hark_session_peer_text(const struct hark_session *session, char *out)
{
    int family = session->peer_family == 4 ? AF_INET : AF_INET6;
    const char *peer = session->id + session->key.id_len;
    if (session->peer_family == 0 || inet_ntop(family, peer, out, INET6_ADDRSTRLEN) == NULL) {
        memcpy(out, "unix", sizeof("unix"));
    }
    return strlen(out);
}

bool hark_session_is_open(const struct hark_session *session)
{
    return hark_session_is_alive(session);
}

int hark_session_send(struct hark_session *session, const struct hark_msg_draft *draft)
{
    return hark_output_direct(session, draft);
}

int hark_session_after(struct hark_session *session, uint64_t delay_ms, struct hark_slice name)
{
    if (!hark_session_is_alive(session)) {
        return HARK_ECLOSED;
    }
    uint64_t now_ms = hark_session_now_ms(session);
    uint64_t due_ms = delay_ms < UINT64_MAX - now_ms ? now_ms + delay_ms : UINT64_MAX;
    struct hark_session_aside *aside = hark_session_need_aside(session);
    if (aside == NULL) {
        return HARK_ENOMEM;
    }
    return hark_timers_set(&aside->timers, session->env->wheel, name, due_ms, on_named_timer,
                           session);
}

static void on_named_timer(void *owner, struct hark_slice name)
{
    struct hark_session *session = owner;
    const struct hark_session_env *env = session->env;
    env->handlers->timer(env->handlers_ctx, session, name);
}

bool hark_session_cancel(struct hark_session *session, struct hark_slice name)
{
    struct hark_session_aside *aside = session->aside;
    return aside != NULL && hark_timers_cancel(&aside->timers, session->env->wheel, name);
}

void hark_session_answer(struct hark_session *session,
                         struct hark_reply *reply,
                         enum hark_outcome outcome,
                         struct hark_slice text)
{
    if (reply != NULL) {
        reply->ops->answer(reply, outcome, text);
        return;
    }
    switch (outcome) {
    case HARK_OUTCOME_OK: break;
    case HARK_OUTCOME_REFUSED: tell_error(session, text); break;
    case HARK_OUTCOME_INVALID: tell_error(session, HARK_LIT("invalid_message")); break;
    case HARK_OUTCOME_FAILED: fail(session, text); break;
    case HARK_OUTCOME_LATER:
        hark_session_close(session, TRY_AGAIN_LATER, HARK_LIT("try again later"));
        break;
    }
}

static void tell_error(struct hark_session *session, struct hark_slice why)
{
    struct hark_buf data;
    hark_buf_init(&data, HARK_MSG_PAYLOAD_MAX);
    int status = hark_buf_append_text(&data, "{\"error\":");
    status = status == 0 ? hark_codec_quote(&data, why) : status;
    status = status == 0 ? hark_buf_append_char(&data, '}') : status;
    if (status == 0) {
        const struct hark_msg_draft draft = {
            .event = HARK_LIT("hark.error"),
            .payload = hark_buf_slice(&data),
        };
        // At most once, like all that is sent to one client: full or closed is its own answer.
        const struct hark_position nowhere = {0, 0};
        status = hark_output_notice(session, &draft, 0, nowhere);
    }
    (void)status;
    hark_buf_deinit(&data);
}

// The reference is the last word, which is how people and transports find it.
static void fail(struct hark_session *session, struct hark_slice reference)
{
    char why[REFERENCE_MAX + 24];
    int len = snprintf(why, sizeof(why), "internal error %.*s",
                       (int)(reference.len < REFERENCE_MAX ? reference.len : REFERENCE_MAX),
                       reference.ptr == NULL ? "" : reference.ptr);
    hark_session_close(session, INTERNAL_ERROR, hark_slice(why, len > 0 ? (size_t)len : 0));
}

void hark_session_hold(struct hark_session *session, bool hold)
{
    bool was_held = session->is_held;
    session->is_held = hold;
    if (was_held && !hold && hark_session_is_alive(session)) {
        hark_session_post(session, HARK_SESSION_RESUME);
    }
}
