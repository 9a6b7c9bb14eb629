// SPDX-License-Identifier: MIT
//
// Event streams. Until the first output the exchange is kept, behind it the stream; what the client
// sends on a stream means nothing and is dropped.
#include "transport/sse_transport.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/stream.h"
#include "proto/sse.h"
#include "session/backlog.h"
#include "session/link.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/carriers.h"
#include "transport/ending.h"
#include "transport/outlet.h"
#include "transport/wire.h"

#define LINGER_MS 10000 // to take what is queued, and to send FIN
#define LOST      1006

enum sse_state {
    SSE_WAITING, // for the first output: the exchange is ours
    SSE_STREAMING,
    SSE_FINISHING, // the last block is out
};

struct sse {
    struct hark_transport base;
    struct hark_exchange *exchange; // SSE_WAITING; NULL: its client has gone
    struct hark_stream *stream;     // behind it; NULL: closed
    struct hark_carriers *carriers;
    struct hark_leaving *leaving; // SSE_FINISHING
    uint8_t state;                // enum sse_state
};

static struct sse *sse_of(struct hark_transport *transport);
static void set_state(struct sse *sse, enum sse_state state);
static void on_gone(void *ctx, struct hark_exchange *exchange);
static void *begin(struct hark_transport *transport);
static int take(struct sse *sse);
static void say_retry(struct sse *sse, uint64_t retry_ms);
static void opened(struct hark_transport *transport, struct hark_slice id);
static uint64_t beat(struct hark_transport *transport);
static void resume(struct hark_transport *transport);
static void on_read(void *owner, struct hark_slice data);
static void on_end(void *owner);
static void on_drained(void *owner);
static void on_closed(void *owner, int status);
static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending);
static void say_close(struct sse *sse, const struct hark_ending *ending);
static void finish(struct sse *sse);
static void abort_it(struct hark_transport *transport);
static void release(struct sse *sse);

static const struct hark_stream_ops stream_ops = {on_read, on_end, on_drained, on_closed};

static const struct hark_transport_ops sse_ops = {
    .kind = HARK_TRANSPORT_SSE,
    .is_streaming = true,
    .has_ids = true,
    .slot = HARK_WIRE_SSE,
    .body_slot = HARK_WIRE_SSE_BODY,
    .body = hark_wire_sse_body,
    .prefix = hark_wire_sse_prefix,
    .cursor = hark_wire_cursor,
    .begin = begin,
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

static struct sse *sse_of(struct hark_transport *transport)
{
    return HARK_CONTAINER_OF(transport, struct sse, base);
}

int hark_sse_transport_open(struct hark_exchange *exchange, struct hark_session *session)
{
    struct hark_carriers *carriers = hark_carriers_of(hark_exchange_server(exchange));
    struct sse *sse = hark_mem_zalloc(sizeof(*sse));
    if (carriers == NULL || sse == NULL) {
        hark_mem_free(sse);
        return HARK_ENOMEM;
    }
    sse->base.ops = &sse_ops;
    sse->carriers = carriers;
    sse->exchange = exchange;
    hark_exchange_on_gone(exchange, on_gone, sse);
    hark_link_attach(session, &sse->base, NULL, hark_session_policy(session)->comment_ms);
    return 0;
}

static void set_state(struct sse *sse, enum sse_state state)
{
    static const char *const names[] = {"waiting", "streaming", "finishing"};
    assert(state > sse->state); // only forward
    if (HARK_UNLIKELY(hark_log_is_on(HARK_LOG_DEBUG))) {
        HARK_LOG(HARK_LOG_DEBUG, "sse", HARK_F_TEXT("from", names[sse->state]),
                 HARK_F_TEXT("to", names[state]));
    }
    sse->state = (uint8_t)state;
}

// The client went before the response began.
static void on_gone(void *ctx, struct hark_exchange *exchange)
{
    (void)exchange;
    struct sse *sse = ctx;
    sse->exchange = NULL;
    hark_link_gone(&sse->base, LOST, HARK_LIT("connection lost"), false);
    release(sse);
}

// The first output: the head goes out, the stream takes the exchange's place.
static void *begin(struct hark_transport *transport)
{
    struct sse *sse = sse_of(transport);
    if (sse->state != SSE_WAITING || sse->exchange == NULL) {
        return NULL;
    }
    if (take(sse) != 0) {
        hark_link_lost(transport);
        return NULL;
    }
    uint64_t retry_ms = hark_session_policy(transport->session)->retry_ms;
    if (retry_ms > 0) {
        say_retry(sse, retry_ms);
    }
    return sse->stream;
}

static int take(struct sse *sse)
{
    const struct hark_header headers[] = {
        {HARK_LIT("Content-Type"), HARK_LIT("text/event-stream")},
        {HARK_LIT("Cache-Control"), HARK_LIT("no-store, no-transform")},
        {HARK_LIT("X-Accel-Buffering"), HARK_LIT("no")},
        {HARK_LIT("Hark-Session"), hark_session_id(sse->base.session)},
    };
    const struct hark_response head = {
        .status = 200,
        .headers = headers,
        .header_count = HARK_ARRAY_LEN(headers),
        .close = true,
    };
    struct hark_exchange *exchange = sse->exchange;
    struct hark_slice early = HARK_SLICE_NONE; // a pipelined request cannot be answered any more
    hark_exchange_on_gone(exchange, NULL, NULL);
    sse->exchange = NULL;
    set_state(sse, SSE_STREAMING);
    return hark_exchange_take(exchange, &head, &stream_ops, sse, &sse->stream, &early);
}

static void say_retry(struct sse *sse, uint64_t retry_ms)
{
    struct hark_buf block;
    hark_buf_init(&block, 64);
    int status = hark_sse_retry(&block, retry_ms);
    if (status == 0) {
        status = hark_stream_write(sse->stream, hark_buf_slice(&block));
    }
    (void)status; // advice only
    hark_buf_deinit(&block);
}

static void opened(struct hark_transport *transport, struct hark_slice id)
{
    struct sse *sse = sse_of(transport);
    if (id.len == 0 || sse->stream == NULL) {
        return;
    }
    struct hark_buf block;
    hark_buf_init(&block, HARK_TRANSPORT_ID_MAX + 16);
    int status = hark_sse_id(&block, id);
    status = status == 0 ? hark_sse_end(&block) : status;
    if (status == 0) {
        status = hark_stream_write(sse->stream, hark_buf_slice(&block));
    }
    (void)status; // without it the first message tells the position
    hark_buf_deinit(&block);
}

// A comment, if nothing else has shown that the stream lives.
static uint64_t beat(struct hark_transport *transport)
{
    struct sse *sse = sse_of(transport);
    uint64_t comment_ms = hark_session_policy(transport->session)->comment_ms;
    uint64_t silence_ms = hark_link_silence(transport->session);
    if (comment_ms == 0 || silence_ms < comment_ms) {
        return comment_ms == 0 ? 0 : comment_ms - silence_ms;
    }
    if (sse->stream != NULL && !hark_stream_is_congested(sse->stream)) {
        int status = hark_stream_send(sse->stream, sse->carriers->comment);
        (void)status; // the next period tries again
    }
    return comment_ms;
}

// Messages come by POST, which session queues itself.
static void resume(struct hark_transport *transport)
{
    (void)transport;
}

static void on_read(void *owner, struct hark_slice data)
{
    (void)owner;
    (void)data;
}

static void on_end(void *owner)
{
    struct sse *sse = owner;
    if (sse->state == SSE_STREAMING) {
        finish(sse);
        hark_link_gone(&sse->base, LOST, HARK_LIT("connection lost"), false);
    }
}

static void on_drained(void *owner)
{
    struct sse *sse = owner;
    if (sse->base.session != NULL) {
        hark_backlog_pump(sse->base.session);
    }
}

static void on_closed(void *owner, int status)
{
    (void)status; // closed or reset: the client is gone
    struct sse *sse = owner;
    sse->stream = NULL;
    hark_carriers_left(sse->leaving);
    sse->leaving = NULL;
    hark_link_gone(&sse->base, LOST, HARK_LIT("connection lost"), false);
    release(sse);
}

static void end(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending)
{
    (void)session;
    struct sse *sse = sse_of(transport);
    if (sse->exchange != NULL) {
        struct hark_exchange *exchange = sse->exchange;
        hark_exchange_on_gone(exchange, NULL, NULL);
        sse->exchange = NULL;
        hark_ending_refuse(exchange, ending);
    }
    if (sse->stream != NULL && sse->state == SSE_STREAMING) {
        // Who was too slow shall come back, and for one that was replaced nothing has ended.
        if (ending->is_retiring) {
            say_retry(sse, ending->retry_ms);
        } else if (ending->code != HARK_ENDING_TRY_LATER && !ending->is_replaced) {
            say_close(sse, ending);
        }
        finish(sse);
    }
    release(sse);
}

static void say_close(struct sse *sse, const struct hark_ending *ending)
{
    struct hark_buf data;
    struct hark_buf block;
    hark_buf_init(&data, HARK_ENDING_TEXT_MAX);
    hark_buf_init(&block, HARK_ENDING_TEXT_MAX + 64);
    int status = hark_ending_text(&data, ending->code, ending->why);
    if (status == 0) {
        status = hark_sse_body(&block, HARK_LIT("hark.close"), hark_buf_slice(&data));
    }
    if (status == 0) {
        status = hark_stream_write(sse->stream, hark_buf_slice(&block));
    }
    (void)status; // then the stream just ends
    hark_buf_deinit(&data);
    hark_buf_deinit(&block);
}

// FIN behind what is queued is the end of the body (RFC 9112 section 6.3).
static void finish(struct sse *sse)
{
    set_state(sse, SSE_FINISHING);
    hark_stream_finish(sse->stream, LINGER_MS);
    sse->leaving = hark_carriers_leave(sse->carriers, sse->stream, LINGER_MS);
}

static void abort_it(struct hark_transport *transport)
{
    struct sse *sse = sse_of(transport);
    if (sse->exchange != NULL) { // the connection belongs to the exchange, and is closed with it
        hark_exchange_on_gone(sse->exchange, NULL, NULL);
        sse->exchange = NULL;
    }
    if (sse->stream != NULL) {
        hark_stream_close(sse->stream, true); // the rest in on_closed
    } else {
        release(sse);
    }
}

// Freed when neither session, exchange nor stream will call any more.
static void release(struct sse *sse)
{
    if (sse->stream == NULL && sse->exchange == NULL && sse->base.session == NULL) {
        hark_mem_free(sse);
    }
}
