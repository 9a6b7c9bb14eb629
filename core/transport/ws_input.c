// SPDX-License-Identifier: MIT
//
// Frames from clients. Input is parsed as it comes, so that control frames are seen at once also
// while a handler is busy. A close frame is answered behind the messages that came before it.
#include "transport/ws_input.h"

#include <string.h>

#include "hark.h"
#include "io/stream.h"
#include "proto/ws_frame.h"
#include "proto/ws_reader.h"
#include "session/input.h"
#include "session/link.h"
#include "session/session.h"
#include "transport/carriers.h"
#include "transport/outlet.h"
#include "transport/ws_conn.h"
#include "transport/ws_inbox.h"

#define INBOX_PAUSE    4096                // held bytes with which reading pauses
#define INBOX_SLACK    ((size_t)128 << 10) // what one read may bring on top, besides a message
#define STRANGER_MAX   ((size_t)1 << 20)   // message size of a connection without a session
#define LOST           1006
#define INTERNAL_ERROR 1011

struct pong {
    bool is_due;
    size_t len;
    char data[HARK_WS_CONTROL_MAX];
};

static bool read_one(struct hark_ws_conn *ws, struct hark_slice *data, struct pong *pong);
static bool handle(struct hark_ws_conn *ws, const struct hark_ws_event *event, struct pong *pong);
static void on_message(struct hark_ws_conn *ws, const struct hark_ws_event *event);
static void on_close_frame(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why);
static void keep(struct hark_ws_conn *ws, const struct hark_ws_inbox_item *item);
static void send_pong(struct hark_ws_conn *ws, const struct pong *pong);
static void deliver(struct hark_ws_conn *ws, const struct hark_ws_inbox_item *item);
static void answer_close(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why);
static void fail(struct hark_ws_conn *ws, uint16_t code);

void hark_ws_input_read(struct hark_ws_conn *ws, struct hark_slice data)
{
    ws->has_heard = true;
    if (ws->state != HARK_WS_OPEN && ws->state != HARK_WS_LEAVING) {
        return; // nothing counts behind the peer's goodbye
    }
    if (ws->reader == NULL) {
        const struct hark_session *session = ws->base.session;
        size_t max = session == NULL ? STRANGER_MAX : hark_session_policy(session)->message_bytes;
        const struct hark_carriers *carriers = hark_ws_conn_carriers(ws);
        ws->reader = carriers == NULL ? NULL : hark_ws_reader_take(carriers->readers, max);
    }
    if (ws->reader == NULL) {
        fail(ws, INTERNAL_ERROR);
        return;
    }
    struct pong pong = {.is_due = false};
    while (read_one(ws, &data, &pong)) {
    }
    send_pong(ws, &pong);
    const struct hark_carriers *carriers = hark_ws_conn_carriers(ws);
    if (carriers != NULL && hark_ws_reader_is_idle(ws->reader)) {
        hark_ws_reader_give(carriers->readers, ws->reader);
        ws->reader = NULL;
    }
}

// false: no more to be read.
static bool read_one(struct hark_ws_conn *ws, struct hark_slice *data, struct pong *pong)
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
    if (ws->state == HARK_WS_LEAVING) {
        if (event.kind == HARK_WS_EVENT_CLOSE) {
            hark_ws_conn_finish(ws);
        }
        return event.kind != HARK_WS_EVENT_CLOSE; // the rest was sent too late
    }
    return handle(ws, &event, pong);
}

static bool handle(struct hark_ws_conn *ws, const struct hark_ws_event *event, struct pong *pong)
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
    return ws->state == HARK_WS_OPEN || ws->state == HARK_WS_LEAVING;
}

static void on_message(struct hark_ws_conn *ws, const struct hark_ws_event *event)
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
    if (ws->state == HARK_WS_OPEN && hark_ws_inbox_bytes(ws->inbox) >= INBOX_PAUSE) {
        hark_stream_read_stop(ws->stream);
        ws->is_paused = true;
    }
}

static void on_close_frame(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why)
{
    if (ws->inbox == NULL) {
        answer_close(ws, code, why);
        return;
    }
    hark_ws_conn_set_ended(ws);
    const struct hark_ws_inbox_item item = {HARK_WS_INBOX_CLOSE, code, why};
    keep(ws, &item);
}

static void keep(struct hark_ws_conn *ws, const struct hark_ws_inbox_item *item)
{
    size_t max = hark_session_policy(ws->base.session)->message_bytes + INBOX_SLACK;
    if (hark_ws_inbox_push(&ws->inbox, item, max) != 0) {
        fail(ws, INTERNAL_ERROR);
    }
}

static void send_pong(struct hark_ws_conn *ws, const struct pong *pong)
{
    if (!pong->is_due || ws->stream == NULL || ws->state != HARK_WS_OPEN ||
        !hark_outlet_has_room(ws->stream)) {
        return;
    }
    char frame[HARK_WS_CLOSE_MAX];
    size_t len = hark_ws_frame_control(frame, HARK_WS_PONG, hark_slice(pong->data, pong->len));
    int status = hark_stream_write(ws->stream, hark_slice(frame, len));
    (void)status; // the next ping will ask again
}

// Handlers take messages again. What happens inside may end the session, and this transport.
void hark_ws_input_resume(struct hark_ws_conn *ws)
{
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
    if (!is_left && ws->is_paused && ws->state == HARK_WS_OPEN && ws->stream != NULL) {
        ws->is_paused = false;
        hark_stream_read_start(ws->stream);
    }
    hark_ws_conn_release(ws);
}

static void deliver(struct hark_ws_conn *ws, const struct hark_ws_inbox_item *item)
{
    switch (item->kind) {
    case HARK_WS_INBOX_TEXT: hark_input_message(ws->base.session, item->data, false); break;
    case HARK_WS_INBOX_BINARY: hark_input_message(ws->base.session, item->data, true); break;
    case HARK_WS_INBOX_CLOSE: answer_close(ws, item->code, item->data); break;
    case HARK_WS_INBOX_LOST: hark_ws_input_lose(ws, item->data); break;
    }
}

// Section 5.5.1: the same code goes back, then the server closes.
static void answer_close(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why)
{
    hark_ws_conn_send_close(ws, code, HARK_SLICE_NONE);
    hark_ws_conn_finish(ws);
    why = why.len > 0 ? why : HARK_LIT("closed by the client");
    hark_link_gone(&ws->base, code, why, true);
}

// The peer has gone without a close frame; behind the messages that came before.
void hark_ws_input_lose(struct hark_ws_conn *ws, struct hark_slice why)
{
    if (ws->inbox != NULL && ws->state == HARK_WS_OPEN) {
        hark_ws_conn_set_ended(ws);
        const struct hark_ws_inbox_item item = {HARK_WS_INBOX_LOST, LOST, why};
        keep(ws, &item);
        return;
    }
    hark_ws_conn_finish(ws);
    hark_link_gone(&ws->base, LOST, why, false);
}

// Fails the connection (section 7.1.7): what waits is dropped.
static void fail(struct hark_ws_conn *ws, uint16_t code)
{
    hark_ws_inbox_free(ws->inbox);
    ws->inbox = NULL;
    if (ws->state == HARK_WS_OPEN) {
        hark_ws_conn_send_close(ws, code, HARK_SLICE_NONE);
    }
    hark_ws_conn_finish(ws);
    bool is_ours = code == INTERNAL_ERROR;
    struct hark_slice why = is_ours ? HARK_LIT("out of memory") : HARK_LIT("protocol error");
    hark_link_gone(&ws->base, code, why, false);
}
