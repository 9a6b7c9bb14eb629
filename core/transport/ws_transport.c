// SPDX-License-Identifier: MIT
//
// Life of a WebSocket connection, its output and its heartbeat. What comes in is ws_input's, how it
// says goodbye is ws_conn's.
#include "transport/ws_transport.h"

#include <stdio.h>

#include "base/mem.h"
#include "hark.h"
#include "io/stream.h"
#include "proto/ws_reader.h"
#include "session/backlog.h"
#include "session/link.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/carriers.h"
#include "transport/outlet.h"
#include "transport/wire.h"
#include "transport/ws_conn.h"
#include "transport/ws_inbox.h"
#include "transport/ws_input.h"
#include "transport/ws_upgrade.h"

#define OPEN_FRAME_MAX 4096

static struct hark_ws_conn *conn_of(struct hark_transport *transport);
static struct hark_ws_conn *take(struct hark_exchange *exchange,
                                 const struct hark_ws_upgrade *upgrade,
                                 const struct hark_transport_ops *ops,
                                 struct hark_slice *ret_early);
static void on_read(void *owner, struct hark_slice data);
static void on_end(void *owner);
static void on_drained(void *owner);
static void on_closed(void *owner, int status);
static void resume(struct hark_transport *transport);
static uint64_t beat(struct hark_transport *transport);
static void opened(struct hark_transport *transport, struct hark_slice id);
static void say_open(struct hark_transport *transport, struct hark_slice id);
static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending);
static void abort_it(struct hark_transport *transport);

static const struct hark_stream_ops stream_ops = {on_read, on_end, on_drained, on_closed};

static const struct hark_transport_ops raw_ops = {
    .kind = HARK_TRANSPORT_WEBSOCKET,
    .is_streaming = true,
    .slot = HARK_WIRE_WS,
    .body_slot = HARK_WIRE_WS,
    .body = hark_wire_frame,
    .send = hark_outlet_send,
    .has_room = hark_outlet_has_room,
    .will_tell = hark_outlet_will_tell,
    .push = hark_outlet_push,
    .write = hark_outlet_write,
    .queued = hark_outlet_queued,
    .opened = opened,
    .resume = resume,
    .beat = beat,
    .abort = abort_it,
    .end = end,
};

static const struct hark_transport_ops envelope_ops = {
    .kind = HARK_TRANSPORT_WEBSOCKET,
    .is_streaming = true,
    .has_ids = true,
    .slot = HARK_WIRE_ENVELOPE,
    .body_slot = HARK_WIRE_ENVELOPE_BODY,
    .body = hark_wire_envelope_body,
    .prefix = hark_wire_envelope_prefix,
    .cursor = hark_wire_cursor,
    .send = hark_outlet_send,
    .has_room = hark_outlet_has_room,
    .will_tell = hark_outlet_will_tell,
    .push = hark_outlet_push,
    .write = hark_outlet_write,
    .queued = hark_outlet_queued,
    .opened = say_open,
    .resume = resume,
    .beat = beat,
    .abort = abort_it,
    .end = end,
};

static struct hark_ws_conn *conn_of(struct hark_transport *transport)
{
    return HARK_CONTAINER_OF(transport, struct hark_ws_conn, base);
}

int hark_ws_transport_open(struct hark_exchange *exchange,
                           const struct hark_ws_upgrade *upgrade,
                           struct hark_session *session,
                           bool envelope)
{
    struct hark_slice early = HARK_SLICE_NONE;
    struct hark_ws_conn *ws = take(exchange, upgrade, envelope ? &envelope_ops : &raw_ops, &early);
    if (ws == NULL) {
        return HARK_ECLOSED;
    }
    const struct hark_session_policy *policy = hark_session_policy(session);
    uint64_t phase_ms = policy->ping_ms == 0 ? 0 : hark_link_phase(session, policy->ping_ms);
    hark_link_attach(session, &ws->base, ws->stream, phase_ms);
    if (early.len > 0 && ws->base.session != NULL) {
        hark_ws_input_read(ws, early);
    }
    return 0;
}

void hark_ws_transport_reject(struct hark_exchange *exchange,
                              const struct hark_ws_upgrade *upgrade,
                              uint16_t code,
                              struct hark_slice why)
{
    struct hark_slice early = HARK_SLICE_NONE;
    struct hark_ws_conn *ws = take(exchange, upgrade, &raw_ops, &early);
    if (ws != NULL) {
        hark_ws_conn_leave(ws, code, why);
        hark_ws_input_read(ws, early);
    }
}

// NULL: the exchange has been refused, or its client is gone.
static struct hark_ws_conn *take(struct hark_exchange *exchange,
                                 const struct hark_ws_upgrade *upgrade,
                                 const struct hark_transport_ops *ops,
                                 struct hark_slice *ret_early)
{
    struct hark_carriers *carriers = hark_carriers_of(hark_exchange_server(exchange));
    struct hark_ws_conn *ws = hark_mem_zalloc(sizeof(*ws));
    if (carriers == NULL || ws == NULL) {
        hark_mem_free(ws);
        hark_exchange_refuse(exchange, 503, HARK_LIT("busy"));
        return NULL;
    }
    ws->base.ops = ops;
    ws->at.carriers = carriers;
    if (hark_ws_upgrade_take(exchange, upgrade, &stream_ops, ws, &ws->stream, ret_early) != 0) {
        hark_mem_free(ws);
        return NULL;
    }
    return ws;
}

static void on_read(void *owner, struct hark_slice data)
{
    hark_ws_input_read(owner, data);
}

static void on_end(void *owner)
{
    struct hark_ws_conn *ws = owner;
    switch ((enum hark_ws_state)ws->state) {
    case HARK_WS_OPEN: hark_ws_input_lose(ws, HARK_LIT("connection lost")); break;
    case HARK_WS_LEAVING: hark_ws_conn_finish(ws); break;
    case HARK_WS_ENDED:
    case HARK_WS_FINISHING: break;
    }
}

static void on_drained(void *owner)
{
    struct hark_ws_conn *ws = owner;
    ws->has_heard = true; // the peer reads: it lives
    if (ws->base.session != NULL) {
        hark_backlog_pump(ws->base.session);
    }
}

static void on_closed(void *owner, int status)
{
    (void)status; // closed or reset: the peer is gone
    struct hark_ws_conn *ws = owner;
    ws->stream = NULL;
    if (ws->state >= HARK_WS_LEAVING) {
        hark_carriers_left(ws->at.leaving);
        ws->at.leaving = NULL;
    }
    hark_ws_reader_free(ws->reader);
    ws->reader = NULL;
    if (ws->state == HARK_WS_OPEN) {
        hark_ws_input_lose(ws, HARK_LIT("connection lost"));
    }
    hark_ws_conn_release(ws);
}

static void resume(struct hark_transport *transport)
{
    hark_ws_input_resume(conn_of(transport));
}

// A ping each period; one that is not answered in time ends it. Whatever comes in is an answer.
static uint64_t beat(struct hark_transport *transport)
{
    struct hark_ws_conn *ws = conn_of(transport);
    const struct hark_session_policy *policy = hark_session_policy(transport->session);
    if (ws->stream == NULL || policy->ping_ms == 0) {
        return 0;
    }
    bool is_deaf = ws->is_paused; // by our own choice
    if (ws->has_pinged && !ws->has_heard && !is_deaf) {
        hark_stream_close(ws->stream, true);
        hark_ws_input_lose(ws, HARK_LIT("no answer to pings"));
        return 0;
    }
    if (ws->has_pinged) {
        ws->has_pinged = false;
        return policy->ping_ms > policy->pong_ms ? policy->ping_ms - policy->pong_ms : 1;
    }
    ws->has_pinged = true;
    ws->has_heard = false;
    if (hark_stream_is_congested(ws->stream)) {
        return policy->ping_ms; // it would not get out: any progress counts instead
    }
    return hark_stream_send(ws->stream, ws->at.carriers->ping) == 0 ? policy->pong_ms
                                                                    : policy->ping_ms;
}

// Raw frames tell no position.
static void opened(struct hark_transport *transport, struct hark_slice id)
{
    (void)transport;
    (void)id;
}

static void say_open(struct hark_transport *transport, struct hark_slice id)
{
    struct hark_ws_conn *ws = conn_of(transport);
    if (id.ptr == NULL || ws->stream == NULL) {
        return;
    }
    struct hark_buf frame;
    hark_buf_init(&frame, OPEN_FRAME_MAX);
    int status = hark_wire_open(&frame, id, hark_session_id(transport->session));
    if (status == 0) {
        status = hark_stream_write(ws->stream, hark_buf_slice(&frame));
    }
    (void)status; // without it the first message tells the position
    hark_buf_deinit(&frame);
}

static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending)
{
    (void)session;
    struct hark_ws_conn *ws = conn_of(transport);
    hark_ws_inbox_free(ws->inbox);
    ws->inbox = NULL;
    char retry[32];
    struct hark_slice why = ending->why;
    if (ending->is_retiring) {
        int len =
            snprintf(retry, sizeof(retry), "retry=%llu", (unsigned long long)ending->retry_ms);
        why = hark_slice(retry, len > 0 ? (size_t)len : 0);
    }
    if (ws->stream != NULL) {
        hark_ws_conn_leave(ws, ending->code, why);
    }
    hark_ws_conn_release(ws);
}

static void abort_it(struct hark_transport *transport)
{
    struct hark_ws_conn *ws = conn_of(transport);
    hark_ws_inbox_free(ws->inbox);
    ws->inbox = NULL;
    if (ws->stream != NULL) {
        hark_stream_close(ws->stream, true); // the rest in on_closed
    } else {
        hark_ws_conn_release(ws);
    }
}
