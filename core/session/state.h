// SPDX-License-Identifier: MIT
//
// Inside of a session: known to the files of this folder only. What a delivery touches comes first
// and fills one cache line, because a walk over ten thousand sessions is as fast as their lines
// come.
#ifndef HARK_SESSION_STATE_H
#define HARK_SESSION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/defer.h"
#include "base/mem.h"
#include "base/wheel.h"
#include "hub/hub.h"
#include "hub/sink.h"
#include "session/env.h"
#include "session/outbox.h"
#include "session/place.h"
#include "session/table.h"
#include "session/timers.h"
#include "session/transport.h"
#include "session/view.h"

enum hark_session_state {
    HARK_SESSION_NEW,      // not started
    HARK_SESSION_OPENING,  // the open handler runs
    HARK_SESSION_OPEN,     //
    HARK_SESSION_ENDING,   // no transport, no subscription; the close handler runs
    HARK_SESSION_RELEASED, // to be freed
};

// Work for the defer queue.
enum hark_session_work {
    HARK_SESSION_WAKE = 1,    // a polling transport looks at the outbox
    HARK_SESSION_RESUME = 2,  // handlers take messages again
    HARK_SESSION_GOODBYE = 4, // the close handler is to be called
    HARK_SESSION_LOST = 8,    // the transport went before the session was started
    HARK_SESSION_FREE = 16,
};

// A subscription of a session.
struct hark_session_sub {
    struct hark_sub sub;
    struct hark_session_sub *next;
};

// A join under way.
struct hark_session_join {
    struct hark_session_join *next;
    struct hark_session_sub *item;
    void (*fn)(void *ctx,
               struct hark_session *session,
               int status,
               const struct hark_joined *joined);
    void *ctx;
};

// What only some sessions need, or only for some time: while they open, join, wait or end.
struct hark_session_aside {
    struct hark_places resume; // the cursor that the client brought, until open has ended
    struct hark_session_join *joins;
    struct hark_reply *posts; // waiting for their turn
    uint32_t post_count;
    struct hark_timers timers;
    char *why; // of the end, for the close handler
    size_t why_len;
    bool has_recovered; // a join went on where the cursor said
    bool has_missed;    // another one did not
};

struct hark_session {
    const struct hark_transport_ops *ops; // of the transport; NULL: there is none
    void *output;                         // what ops->send takes; NULL: not streaming, or not begun
    struct hark_view *view;
    struct hark_outbox *outbox; // NULL: nothing waits
    struct hark_session_env *env;
    struct hark_tabled key; // serial and id
    uint8_t state;          // enum hark_session_state, moved by session.c alone
    bool is_fast;           // shared forms may go straight to the output
    bool is_held;           // handlers take no message now
    bool has_carried;       // something has told the client where it stands
    uint32_t output_ms;     // low bits of the time of the last output

    struct hark_transport *transport;
    const struct hark_session_policy *policy;
    void *endpoint;
    void *data;
    struct hark_session_sub *subs;
    struct hark_session_aside *aside;

    struct hark_timer
        timer; // heartbeat, poll's wait, grace: whatever the transport's state asks for
    struct hark_defer defer;
    uint32_t sub_count;
    uint16_t code;   // with which it ended
    uint8_t kind;    // of the transport, or the last one
    uint8_t work;    // set of enum hark_session_work
    bool is_drained; // the drain handler has been called
    uint8_t peer_family;
    char id[]; // and behind it the client's address: 4 or 16 bytes
};

_Static_assert(offsetof(struct hark_session, transport) == 64, "a delivery touches one cache line");

static inline void hark_session_post(struct hark_session *session, enum hark_session_work work)
{
    session->work = (uint8_t)(session->work | work);
    hark_defer_post(session->env->defer, &session->defer);
}

static inline bool hark_session_is_alive(const struct hark_session *session)
{
    return session->state < HARK_SESSION_ENDING;
}

// NULL: no memory.
static inline struct hark_session_aside *hark_session_need_aside(struct hark_session *session)
{
    if (session->aside == NULL) {
        session->aside = hark_mem_zalloc(sizeof(*session->aside));
    }
    return session->aside;
}

static inline uint64_t hark_session_now_ms(const struct hark_session *session)
{
    return *session->env->now_ms;
}

static inline void hark_session_arm(struct hark_session *session, uint64_t delay_ms)
{
    if (delay_ms == 0) {
        hark_wheel_cancel(session->env->wheel, &session->timer);
        return;
    }
    uint64_t now_ms = hark_session_now_ms(session);
    uint64_t due_ms = delay_ms < UINT64_MAX - now_ms ? now_ms + delay_ms : UINT64_MAX;
    hark_wheel_arm(session->env->wheel, &session->timer, due_ms);
}

// A share of a period that differs from session to session; never 0.
static inline uint64_t hark_session_phase(const struct hark_session *session, uint64_t period_ms)
{
    // Fibonacci hashing: neighbouring serials land far apart.
    uint64_t spread = (session->key.serial * UINT64_C(0x9E3779B97F4A7C15)) >> 54;
    return period_ms / 1024 * spread + period_ms % 1024 * spread / 1024 + 1;
}

static inline void hark_session_touch(struct hark_session *session)
{
    session->output_ms = (uint32_t)hark_session_now_ms(session);
}

// After any change of transport, view, subscriptions or state.
static inline void hark_session_refresh(struct hark_session *session)
{
    const struct hark_transport_ops *ops = session->ops;
    session->is_fast = session->state == HARK_SESSION_OPEN && ops != NULL && ops->is_streaming &&
                       session->output != NULL && session->outbox == NULL &&
                       session->view->mode != HARK_VIEW_PRIVATE &&
                       (!ops->has_ids || session->sub_count == 1);
}

// Whether a streaming transport can be written to; its first output begins it.
static inline bool hark_session_begin(struct hark_session *session)
{
    if (session->output == NULL) {
        session->output = session->ops->begin(session->transport);
        hark_session_refresh(session);
    }
    return session->output != NULL;
}

#endif
