// SPDX-License-Identifier: MIT
//
// WebSocket connections. Input is parsed as it comes, so that control frames are seen at once also
// while a handler is busy; messages then wait in an inbox, and with more than a little in it the
// socket is not read any further. Both closing handshakes are here: ours waits for the peer's
// frame, the peer's is answered behind the messages that came before it.
#include "transport/ws_transport.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/stream.h"
#include "proto/ws_frame.h"
#include "proto/ws_reader.h"
#include "session/backlog.h"
#include "session/input.h"
#include "session/link.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/carriers.h"
#include "transport/outlet.h"
#include "transport/wire.h"
#include "transport/ws_inbox.h"
#include "transport/ws_upgrade.h"

#define INBOX_PAUSE    4096                // held bytes with which reading pauses
#define INBOX_SLACK    ((size_t)128 << 10) // what one read may bring on top, besides a message
#define STRANGER_MAX   ((size_t)1 << 20)   // message size of a connection without a session
#define CLOSE_WAIT_MS  10000               // for the peer's close frame, behind what is queued
#define LINGER_MS      5000                // for the peer's FIN
#define OPEN_FRAME_MAX 4096

#define NORMAL         1000
#define LOST           1006
#define INTERNAL_ERROR 1011

enum ws_state {
    WS_OPEN,
    WS_ENDED,     // the peer has ended; messages that came before it still wait for handlers
    WS_LEAVING,   // our close frame is out, its answer is awaited
    WS_FINISHING, // both have said goodbye: FIN, and the end of the stream
};

struct ws {
    struct hark_transport base;
    struct hark_stream *stream; // NULL: closed
    struct hark_carriers *carriers;
    struct hark_ws_reader *reader; // NULL: between two messages
    struct hark_ws_inbox *inbox;   // NULL: empty
    struct hark_leaving *leaving;  // NULL: WS_OPEN, WS_ENDED
    uint8_t state;                 // enum ws_state
    bool has_pinged;               // a ping is out, its answer is due
    bool has_heard;                // something came since
    bool is_paused;                // reading
    bool is_busy;                  // inside resume: must not be freed
};

struct pong {
    bool is_due;
    size_t len;
    char data[HARK_WS_CONTROL_MAX];
};

static struct ws *ws_of(struct hark_transport *transport);
static struct ws *take(struct hark_exchange *exchange,
                       const struct hark_ws_upgrade *upgrade,
                       const struct hark_transport_ops *ops,
                       struct hark_slice *ret_early);
static void set_state(struct ws *ws, enum ws_state state);
static void on_read(void *owner, struct hark_slice data);
static bool read_one(struct ws *ws, struct hark_slice *data, struct pong *pong);
static bool handle(struct ws *ws, const struct hark_ws_event *event, struct pong *pong);
static void on_message(struct ws *ws, const struct hark_ws_event *event);
static void on_close_frame(struct ws *ws, uint16_t code, struct hark_slice why);
static void keep(struct ws *ws, const struct hark_ws_inbox_item *item);
static void send_pong(struct ws *ws, const struct pong *pong);
static void on_end(void *owner);
static void on_drained(void *owner);
static void on_closed(void *owner, int status);
static void resume(struct hark_transport *transport);
static void deliver(struct ws *ws, const struct hark_ws_inbox_item *item);
static void answer_close(struct ws *ws, uint16_t code, struct hark_slice why);
static void lose(struct ws *ws, uint16_t code, struct hark_slice why);
static void fail(struct ws *ws, uint16_t code);
static uint64_t beat(struct hark_transport *transport);
static void opened(struct hark_transport *transport, struct hark_slice id);
static void say_open(struct hark_transport *transport, struct hark_slice id);
static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending);
static void leave(struct ws *ws, uint16_t code, struct hark_slice why);
static void finish(struct ws *ws);
static void abort_it(struct hark_transport *transport);
static void send_close(struct ws *ws, uint16_t code, struct hark_slice why);
static void release(struct ws *ws);

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

static struct ws *ws_of(struct hark_transport *transport)
{
    return HARK_CONTAINER_OF(transport, struct ws, base);
}

int hark_ws_transport_open(struct hark_exchange *exchange,
                           const struct hark_ws_upgrade *upgrade,
                           struct hark_session *session,
                           bool envelope)
{
    struct hark_slice early = HARK_SLICE_NONE;
    struct ws *ws = take(exchange, upgrade, envelope ? &envelope_ops : &raw_ops, &early);
    if (ws == NULL) {
        return HARK_ECLOSED;
    }
    const struct hark_session_policy *policy = hark_session_policy(session);
    uint64_t phase_ms = policy->ping_ms == 0 ? 0 : hark_link_phase(session, policy->ping_ms);
    hark_link_attach(session, &ws->base, ws->stream, phase_ms);
    if (early.len > 0 && ws->base.session != NULL) {
        on_read(ws, early);
    }
    return 0;
}

void hark_ws_transport_reject(struct hark_exchange *exchange,
                              const struct hark_ws_upgrade *upgrade,
                              uint16_t code,
                              struct hark_slice why)
{
    struct hark_slice early = HARK_SLICE_NONE;
    struct ws *ws = take(exchange, upgrade, &raw_ops, &early);
    if (ws != NULL) {
        leave(ws, code, why);
        on_read(ws, early);
    }
}

// NULL: the exchange has been refused, or its client is gone.
static struct ws *take(struct hark_exchange *exchange,
                       const struct hark_ws_upgrade *upgrade,
                       const struct hark_transport_ops *ops,
                       struct hark_slice *ret_early)
{
    struct hark_carriers *carriers = hark_carriers_of(hark_exchange_server(exchange));
    struct ws *ws = hark_mem_zalloc(sizeof(*ws));
    if (carriers == NULL || ws == NULL) {
        hark_mem_free(ws);
        hark_exchange_refuse(exchange, 503, HARK_LIT("busy"));
        return NULL;
    }
    ws->base.ops = ops;
    ws->carriers = carriers;
    if (hark_ws_upgrade_take(exchange, upgrade, &stream_ops, ws, &ws->stream, ret_early) != 0) {
        hark_mem_free(ws);
        return NULL;
    }
    return ws;
}

static void set_state(struct ws *ws, enum ws_state state)
{
    static const uint8_t next[] = {
        [WS_OPEN] = 1 << WS_ENDED | 1 << WS_LEAVING | 1 << WS_FINISHING,
        [WS_ENDED] = 1 << WS_LEAVING | 1 << WS_FINISHING,
        [WS_LEAVING] = 1 << WS_FINISHING,
        [WS_FINISHING] = 0,
    };
    static const char *const names[] = {"open", "ended", "leaving", "finishing"};
    assert((next[ws->state] >> state & 1) != 0);
    (void)next; // without assertions
    if (HARK_UNLIKELY(hark_log_is_on(HARK_LOG_DEBUG))) {
        HARK_LOG(HARK_LOG_DEBUG, "websocket", HARK_F_TEXT("from", names[ws->state]),
                 HARK_F_TEXT("to", names[state]));
    }
    ws->state = (uint8_t)state;
}

static void on_read(void *owner, struct hark_slice data)
{
    struct ws *ws = owner;
    ws->has_heard = true;
    if (ws->state != WS_OPEN && ws->state != WS_LEAVING) {
        return; // nothing counts behind the peer's goodbye
    }
    if (ws->reader == NULL) {
        const struct hark_session *session = ws->base.session;
        size_t max = session == NULL ? STRANGER_MAX : hark_session_policy(session)->message_bytes;
        ws->reader = hark_ws_reader_take(ws->carriers->readers, max);
    }
    if (ws->reader == NULL) {
        fail(ws, INTERNAL_ERROR);
        return;
    }
    struct pong pong = {.is_due = false};
    while (read_one(ws, &data, &pong)) {
    }
    send_pong(ws, &pong);
    if (ws->reader != NULL && hark_ws_reader_is_idle(ws->reader)) {
        hark_ws_reader_give(ws->carriers->readers, ws->reader);
        ws->reader = NULL;
    }
}

// false: no more to be read.
static bool read_one(struct ws *ws, struct hark_slice *data, struct pong *pong)
{
    struct hark_ws_event event;
    uint16_t code = 0;
    if (hark_ws_reader_next(ws->reader, data, &event, &code) != 0) {
        fail(ws, code);
        return false;
    }
    if (event.kind == HARK_WS_EVENT_NONE) {
        return false;
    }
    if (ws->state == WS_LEAVING) {
        if (event.kind == HARK_WS_EVENT_CLOSE) {
            finish(ws);
        }
        return event.kind != HARK_WS_EVENT_CLOSE; // the rest was sent too late
    }
    return handle(ws, &event, pong);
}

static bool handle(struct ws *ws, const struct hark_ws_event *event, struct pong *pong)
{
    switch (event->kind) {
    case HARK_WS_EVENT_MESSAGE: on_message(ws, event); break;
    case HARK_WS_EVENT_PING:
        // Only the newest needs an answer (section 5.5.3), so that pings cannot pile up.
        pong->is_due = true;
        pong->len = event->data.len;
        memcpy(pong->data, event->data.ptr, event->data.len);
        break;
    case HARK_WS_EVENT_CLOSE: on_close_frame(ws, event->code, event->data); break;
    case HARK_WS_EVENT_PONG:
    case HARK_WS_EVENT_NONE: break;
    }
    return ws->state == WS_OPEN || ws->state == WS_LEAVING;
}

static void on_message(struct ws *ws, const struct hark_ws_event *event)
{
    if (ws->inbox == NULL && hark_input_is_ready(ws->base.session)) {
        hark_input_message(ws->base.session, event->data, event->binary);
        return;
    }
    const struct hark_ws_inbox_item item = {
        .kind = event->binary ? HARK_WS_INBOX_BINARY : HARK_WS_INBOX_TEXT,
        .data = event->data,
    };
    keep(ws, &item);
    if (ws->state == WS_OPEN && hark_ws_inbox_bytes(ws->inbox) >= INBOX_PAUSE) {
        hark_stream_read_stop(ws->stream);
        ws->is_paused = true;
    }
}

static void on_close_frame(struct ws *ws, uint16_t code, struct hark_slice why)
{
    if (ws->inbox == NULL) {
        answer_close(ws, code, why);
        return;
    }
    set_state(ws, WS_ENDED);
    const struct hark_ws_inbox_item item = {HARK_WS_INBOX_CLOSE, code, why};
    keep(ws, &item);
}

static void keep(struct ws *ws, const struct hark_ws_inbox_item *item)
{
    size_t max = hark_session_policy(ws->base.session)->message_bytes + INBOX_SLACK;
    if (hark_ws_inbox_push(&ws->inbox, item, max) != 0) {
        fail(ws, INTERNAL_ERROR);
    }
}

static void send_pong(struct ws *ws, const struct pong *pong)
{
    if (!pong->is_due || ws->stream == NULL || ws->state != WS_OPEN ||
        !hark_outlet_has_room(ws->stream)) {
        return;
    }
    char frame[HARK_WS_CLOSE_MAX];
    size_t len = hark_ws_frame_control(frame, HARK_WS_PONG, hark_slice(pong->data, pong->len));
    int status = hark_stream_write(ws->stream, hark_slice(frame, len));
    (void)status; // the next ping will ask again
}

static void on_end(void *owner)
{
    struct ws *ws = owner;
    switch ((enum ws_state)ws->state) {
    case WS_OPEN: lose(ws, LOST, HARK_LIT("connection lost")); break;
    case WS_LEAVING: finish(ws); break;
    case WS_ENDED:
    case WS_FINISHING: break;
    }
}

static void on_drained(void *owner)
{
    struct ws *ws = owner;
    ws->has_heard = true; // the peer reads: it lives
    if (ws->base.session != NULL) {
        hark_backlog_pump(ws->base.session);
    }
}

static void on_closed(void *owner, int status)
{
    (void)status; // closed or reset: the peer is gone
    struct ws *ws = owner;
    ws->stream = NULL;
    hark_carriers_left(ws->leaving);
    ws->leaving = NULL;
    hark_ws_reader_free(ws->reader);
    ws->reader = NULL;
    if (ws->state == WS_OPEN) {
        lose(ws, LOST, HARK_LIT("connection lost"));
    }
    release(ws);
}

// Handlers take messages again. What happens inside may end the session, and this transport.
static void resume(struct hark_transport *transport)
{
    struct ws *ws = ws_of(transport);
    struct hark_ws_inbox *inbox = ws->inbox;
    if (inbox == NULL) {
        return;
    }
    ws->inbox = NULL;
    ws->is_busy = true;
    struct hark_ws_inbox_item item;
    bool is_left = true;
    while (ws->base.session != NULL && hark_input_is_ready(ws->base.session) &&
           (is_left = hark_ws_inbox_pop(inbox, &item))) {
        deliver(ws, &item);
    }
    ws->is_busy = false;
    is_left = is_left && ws->base.session != NULL && hark_ws_inbox_bytes(inbox) > 0;
    if (is_left) {
        ws->inbox = inbox;
    } else {
        hark_ws_inbox_free(inbox);
    }
    if (!is_left && ws->is_paused && ws->state == WS_OPEN && ws->stream != NULL) {
        ws->is_paused = false;
        hark_stream_read_start(ws->stream);
    }
    release(ws);
}

static void deliver(struct ws *ws, const struct hark_ws_inbox_item *item)
{
    switch (item->kind) {
    case HARK_WS_INBOX_TEXT: hark_input_message(ws->base.session, item->data, false); break;
    case HARK_WS_INBOX_BINARY: hark_input_message(ws->base.session, item->data, true); break;
    case HARK_WS_INBOX_CLOSE: answer_close(ws, item->code, item->data); break;
    case HARK_WS_INBOX_LOST: lose(ws, item->code, item->data); break;
    }
}

// Section 5.5.1: the same code goes back, then the server closes.
static void answer_close(struct ws *ws, uint16_t code, struct hark_slice why)
{
    send_close(ws, code, HARK_SLICE_NONE);
    finish(ws);
    why = why.len > 0 ? why : HARK_LIT("closed by the client");
    hark_link_gone(&ws->base, code, why, true);
}

// The peer has gone without a close frame; behind the messages that came before.
static void lose(struct ws *ws, uint16_t code, struct hark_slice why)
{
    if (ws->inbox != NULL && ws->state == WS_OPEN) {
        set_state(ws, WS_ENDED);
        const struct hark_ws_inbox_item item = {HARK_WS_INBOX_LOST, code, why};
        keep(ws, &item);
        return;
    }
    finish(ws);
    hark_link_gone(&ws->base, code, why, false);
}

// Fails the connection (section 7.1.7): what waits is dropped.
static void fail(struct ws *ws, uint16_t code)
{
    hark_ws_inbox_free(ws->inbox);
    ws->inbox = NULL;
    if (ws->state == WS_OPEN) {
        send_close(ws, code, HARK_SLICE_NONE);
    }
    finish(ws);
    bool is_ours = code == INTERNAL_ERROR;
    struct hark_slice why = is_ours ? HARK_LIT("out of memory") : HARK_LIT("protocol error");
    hark_link_gone(&ws->base, code, why, false);
}

// A ping each period; one that is not answered in time ends it. Whatever comes in is an answer.
static uint64_t beat(struct hark_transport *transport)
{
    struct ws *ws = ws_of(transport);
    const struct hark_session_policy *policy = hark_session_policy(transport->session);
    if (ws->stream == NULL || policy->ping_ms == 0) {
        return 0;
    }
    bool is_deaf = ws->is_paused; // by our own choice
    if (ws->has_pinged && !ws->has_heard && !is_deaf) {
        hark_stream_close(ws->stream, true);
        lose(ws, LOST, HARK_LIT("no answer to pings"));
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
    return hark_stream_send(ws->stream, ws->carriers->ping) == 0 ? policy->pong_ms
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
    struct ws *ws = ws_of(transport);
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
    struct ws *ws = ws_of(transport);
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
        leave(ws, ending->code, why);
    }
    release(ws);
}

// Our close frame, then wait for the peer's (section 7.1.1), bounded.
static void leave(struct ws *ws, uint16_t code, struct hark_slice why)
{
    send_close(ws, hark_ws_frame_code_is_valid(code) ? code : NORMAL, why);
    if (ws->state == WS_ENDED) { // it has said all it had to say
        finish(ws);
        return;
    }
    set_state(ws, WS_LEAVING);
    ws->leaving = hark_carriers_leave(ws->carriers, ws->stream, CLOSE_WAIT_MS);
    hark_stream_read_start(ws->stream);
}

// FIN behind what is queued, then the peer's.
static void finish(struct ws *ws)
{
    if (ws->state == WS_FINISHING) {
        return;
    }
    set_state(ws, WS_FINISHING);
    if (ws->stream == NULL) {
        return;
    }
    hark_stream_finish(ws->stream, LINGER_MS);
    if (ws->leaving == NULL) {
        ws->leaving = hark_carriers_leave(ws->carriers, ws->stream, LINGER_MS);
    }
}

static void abort_it(struct hark_transport *transport)
{
    struct ws *ws = ws_of(transport);
    hark_ws_inbox_free(ws->inbox);
    ws->inbox = NULL;
    if (ws->stream != NULL) {
        hark_stream_close(ws->stream, true); // the rest in on_closed
    } else {
        release(ws);
    }
}

static void send_close(struct ws *ws, uint16_t code, struct hark_slice why)
{
    char frame[HARK_WS_CLOSE_MAX];
    size_t len = hark_ws_frame_close(frame, code, why);
    if (ws->stream != NULL) {
        int status = hark_stream_write(ws->stream, hark_slice(frame, len));
        (void)status; // without it the end is unclean
    }
}

// Freed when neither the session nor the stream will call any more.
static void release(struct ws *ws)
{
    if (ws->stream == NULL && ws->base.session == NULL && !ws->is_busy) {
        hark_ws_inbox_free(ws->inbox);
        hark_mem_free(ws);
    }
}
