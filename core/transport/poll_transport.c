// SPDX-License-Identifier: MIT
//
// Parked answers. The session's timer is the poll's wait while one is parked, the grace between
// two.
#include "transport/poll_transport.h"

#include "base/mem.h"
#include "hark.h"
#include "proto/cursor.h"
#include "session/backlog.h"
#include "session/epitaph.h"
#include "session/link.h"
#include "session/outbox.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/ending.h"
#include "transport/etag.h"
#include "transport/poll_answer.h"
#include "transport/wire.h"

#define LOST 1006

struct poll {
    struct hark_transport base;
    struct hark_exchange *parked; // NULL: none
    struct hark_session_env *env;
};

static struct poll *poll_of(struct hark_transport *transport);
static void park(struct poll *poll, struct hark_exchange *exchange);
static struct hark_exchange *unpark(struct poll *poll);
static void on_gone(void *ctx, struct hark_exchange *exchange);
static void wake(struct hark_transport *transport);
static uint64_t beat(struct hark_transport *transport);
static void resume(struct hark_transport *transport);
static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending);
static void
bury(const struct poll *poll, const struct hark_session *session, const struct hark_ending *ending);
static void abort_it(struct hark_transport *transport);

static const struct hark_transport_ops poll_ops = {
    .kind = HARK_TRANSPORT_LONGPOLL,
    .has_ids = true,
    .slot = HARK_WIRE_ENVELOPE,
    .body_slot = HARK_WIRE_ENVELOPE_BODY,
    .body = hark_wire_envelope_body,
    .prefix = hark_wire_item_prefix,
    .cursor = hark_wire_cursor,
    .wake = wake,
    .resume = resume,
    .beat = beat,
    .abort = abort_it,
    .end = end,
};

static struct poll *poll_of(struct hark_transport *transport)
{
    return HARK_CONTAINER_OF(transport, struct poll, base);
}

int hark_poll_transport_open(struct hark_exchange *exchange, struct hark_session *session)
{
    struct poll *poll = hark_mem_zalloc(sizeof(*poll));
    if (poll == NULL) {
        return HARK_ENOMEM;
    }
    poll->base.ops = &poll_ops;
    poll->env = hark_exchange_server(exchange)->sessions;
    poll->parked = exchange;
    hark_exchange_park(exchange);
    hark_exchange_on_gone(exchange, on_gone, poll);
    hark_link_attach(session, &poll->base, NULL, hark_session_policy(session)->poll_wait_ms);
    return 0;
}

void hark_poll_transport_poll(struct hark_exchange *exchange,
                              struct hark_session *session,
                              const struct hark_places *cursor,
                              const struct hark_place *sequence)
{
    struct poll *poll = poll_of(hark_link_transport(session));
    struct hark_exchange *older = unpark(poll);
    if (older != NULL) {
        hark_poll_answer_empty(older, session);
    }
    park(poll, exchange);
    hark_backlog_acknowledge(session, cursor, sequence);
    hark_backlog_pump(session); // a gap's handler may end the session, and answer the poll with it
    if (hark_link_transport(session) != NULL) {
        wake(hark_link_transport(session));
    }
}

static void park(struct poll *poll, struct hark_exchange *exchange)
{
    poll->parked = exchange;
    hark_exchange_park(exchange);
    hark_exchange_on_gone(exchange, on_gone, poll);
    hark_link_arm(poll->base.session, hark_session_policy(poll->base.session)->poll_wait_ms);
}

// Takes the poll that waits, to be answered; NULL: none.
static struct hark_exchange *unpark(struct poll *poll)
{
    struct hark_exchange *exchange = poll->parked;
    if (exchange != NULL) {
        hark_exchange_on_gone(exchange, NULL, NULL);
        poll->parked = NULL;
    }
    return exchange;
}

// The client gave the poll up, and has the grace time to come back.
static void on_gone(void *ctx, struct hark_exchange *exchange)
{
    (void)exchange;
    struct poll *poll = ctx;
    poll->parked = NULL;
    hark_link_arm(poll->base.session, hark_session_policy(poll->base.session)->poll_grace_ms);
}

static void wake(struct hark_transport *transport)
{
    struct poll *poll = poll_of(transport);
    struct hark_session *session = transport->session;
    if (poll->parked == NULL || hark_backlog_count(session) == 0) {
        return;
    }
    hark_link_arm(session, hark_session_policy(session)->poll_grace_ms);
    hark_poll_answer(unpark(poll), session);
}

// The wait is over: an empty answer. Or the grace is: the end.
static uint64_t beat(struct hark_transport *transport)
{
    struct poll *poll = poll_of(transport);
    struct hark_session *session = transport->session;
    uint64_t grace_ms = hark_session_policy(session)->poll_grace_ms;
    struct hark_exchange *exchange = unpark(poll);
    if (exchange != NULL) {
        hark_poll_answer_empty(exchange, session);
        return grace_ms;
    }
    const struct hark_ending ending = {
        .code = LOST, .why = HARK_LIT("stopped polling"), .is_by_client = true};
    hark_session_end(session, &ending, true);
    return 0;
}

// Messages come by POST, which session queues itself.
static void resume(struct hark_transport *transport)
{
    (void)transport;
}

static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending)
{
    struct poll *poll = poll_of(transport);
    struct hark_exchange *exchange = unpark(poll);
    if (exchange != NULL && ending->is_replaced) {
        hark_poll_answer_empty(exchange, session);
    } else if (exchange != NULL) {
        hark_ending_answer_poll(exchange, ending);
    } else {
        bury(poll, session, ending);
    }
    hark_mem_free(poll);
}

// Nobody asks just now: the next poll is told, if it is news that must not be lost.
static void
bury(const struct poll *poll, const struct hark_session *session, const struct hark_ending *ending)
{
    if (ending->is_by_client || ending->is_retiring || ending->is_replaced ||
        ending->code == HARK_ENDING_TRY_LATER) {
        return;
    }
    uint64_t due_ms = *poll->env->now_ms + hark_session_policy(session)->poll_grace_ms;
    hark_epitaphs_put(poll->env->epitaphs, hark_session_id(session), ending->code, ending->why,
                      due_ms);
}

// The worker stops; the connection is closed by whoever has it.
static void abort_it(struct hark_transport *transport)
{
    struct poll *poll = poll_of(transport);
    (void)unpark(poll);
    hark_mem_free(poll);
}
