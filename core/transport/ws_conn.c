// SPDX-License-Identifier: MIT
//
// States of a WebSocket connection and its ways to say goodbye.
#include "transport/ws_conn.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/stream.h"
#include "proto/ws_frame.h"
#include "transport/carriers.h"
#include "transport/ws_inbox.h"

#define CLOSE_WAIT_MS 10000 // for the peer's close frame, behind what is queued
#define LINGER_MS     5000  // for the peer's FIN
#define NORMAL        1000

static void set_state(struct hark_ws_conn *ws, enum hark_ws_state state);

struct hark_carriers *hark_ws_conn_carriers(const struct hark_ws_conn *ws)
{
    if (ws->state < HARK_WS_LEAVING) {
        return ws->at.carriers;
    }
    return ws->at.leaving == NULL ? NULL : ws->at.leaving->carriers;
}

void hark_ws_conn_set_ended(struct hark_ws_conn *ws)
{
    set_state(ws, HARK_WS_ENDED);
}

void hark_ws_conn_send_close(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why)
{
    char frame[HARK_WS_CLOSE_MAX];
    size_t len = hark_ws_frame_close(frame, code, why);
    if (ws->stream != NULL) {
        int status = hark_stream_write(ws->stream, hark_slice(frame, len));
        (void)status; // without it the end is unclean
    }
}

void hark_ws_conn_leave(struct hark_ws_conn *ws, uint16_t code, struct hark_slice why)
{
    hark_ws_conn_send_close(ws, hark_ws_frame_code_is_valid(code) ? code : NORMAL, why);
    if (ws->state == HARK_WS_ENDED) { // it has said all it had to say
        hark_ws_conn_finish(ws);
        return;
    }
    struct hark_leaving *leaving = hark_carriers_leave(ws->at.carriers, ws->stream, CLOSE_WAIT_MS);
    set_state(ws, HARK_WS_LEAVING);
    ws->at.leaving = leaving;
    hark_stream_read_start(ws->stream);
}

void hark_ws_conn_finish(struct hark_ws_conn *ws)
{
    if (ws->state == HARK_WS_FINISHING) {
        return;
    }
    struct hark_leaving *leaving = ws->state == HARK_WS_LEAVING ? ws->at.leaving : NULL;
    if (ws->stream != NULL) {
        hark_stream_finish(ws->stream, LINGER_MS);
    }
    if (ws->stream != NULL && ws->state != HARK_WS_LEAVING) {
        leaving = hark_carriers_leave(ws->at.carriers, ws->stream, LINGER_MS);
    }
    set_state(ws, HARK_WS_FINISHING);
    ws->at.leaving = leaving;
}

void hark_ws_conn_release(struct hark_ws_conn *ws)
{
    if (ws->stream == NULL && ws->base.session == NULL && !ws->is_busy) {
        hark_ws_inbox_free(ws->inbox);
        hark_mem_free(ws);
    }
}

static void set_state(struct hark_ws_conn *ws, enum hark_ws_state state)
{
    static const uint8_t next[] = {
        [HARK_WS_OPEN] = 1 << HARK_WS_ENDED | 1 << HARK_WS_LEAVING | 1 << HARK_WS_FINISHING,
        [HARK_WS_ENDED] = 1 << HARK_WS_LEAVING | 1 << HARK_WS_FINISHING,
        [HARK_WS_LEAVING] = 1 << HARK_WS_FINISHING,
        [HARK_WS_FINISHING] = 0,
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
