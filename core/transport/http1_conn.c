// SPDX-License-Identifier: MIT
//
// HTTP/1.1 connections, the reading half: bytes into requests, one at a time and in order,
// deadlines, refusals, and the life of a connection. Answers are in http1_exchange.c. A connection
// that waits for its next request holds this struct and nothing else.
#include "transport/http1_conn.h"

#include <assert.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "transport/http1_conn_impl.h"
#include "transport/http1_exchange.h"

#define LINGER_MS  2000        // for the client to read the last response (RFC 9112 section 9.6)
#define READ_MAX   (64 * 1024) // the largest read event
#define FINISH_MAX (64 * 1024) // what may be queued when FIN is asked for
#define NEXT_TICK  1           // a due time in the past: behind this tick's flush

static void on_read(void *owner, struct hark_slice data);
static bool read_some(struct hark_http1_conn *conn, struct hark_slice data, size_t *ret_len);
static void set_deadline(struct hark_http1_conn *conn, enum hark_http1_stage before);
static void keep_ahead(struct hark_http1_conn *conn, struct hark_slice data);
static void run(struct hark_http1_conn *conn);
static void settle(struct hark_http1_conn *conn);
static void refuse(struct hark_http1_conn *conn, int status, const char *why);
static bool is_idle(const struct hark_http1_conn *conn);
static void resume(struct hark_http1_conn *conn);
static void finish(struct hark_http1_conn *conn);
static void on_timer(struct hark_timer *timer);
static void on_idle(struct hark_http1_conn *conn);
static void on_drained(void *owner);
static void on_end(void *owner);
static void on_closed(void *owner, int status);
static void on_defer(struct hark_defer *item);
static void arm(struct hark_http1_conn *conn, uint64_t delay_ms);
static void hang_up(struct hark_http1_conn *conn);
static void leave(struct hark_http1_conn *conn);
static struct hark_http1_conn *conn_of(struct hark_list *node);

static const struct hark_stream_ops STREAM_OPS = {
    .read = on_read,
    .end = on_end,
    .drained = on_drained,
    .closed = on_closed,
};

void hark_http1_conn_accept(struct hark_server *server, int fd)
{
    struct hark_http1_conn *conn = hark_http1_conn_new(server, fd);
    if (conn == NULL) {
        return;
    }
    arm(conn, server->limits->head_timeout_ms);
    hark_stream_read_start(conn->stream);
}

struct hark_http1_conn *hark_http1_conn_new(struct hark_server *server, int fd)
{
    struct hark_http1_conn *conn = hark_mem_zalloc(sizeof(*conn));
    int status = conn == NULL || server->stopped ? HARK_ENOMEM : 0;
    if (status == 0) {
        status = hark_stream_open(server->loop, fd, &STREAM_OPS, conn, &conn->stream);
    }
    if (status != 0) {
        (void)close(fd); // gone whatever this says
        hark_stats_add(&server->stats->connections_refused, 1);
        hark_mem_free(conn);
        return NULL;
    }
    conn->server = server;
    hark_timer_init(&conn->timer, on_timer);
    hark_defer_init(&conn->defer, on_defer);
    hark_buf_init(&conn->ahead, server->limits->pipeline_bytes + READ_MAX);
    hark_list_push(&server->conns, &conn->node);
    return conn;
}

void hark_http1_conn_drain_all(struct hark_server *server)
{
    struct hark_list rest;
    struct hark_list *node = NULL;
    server->draining = true;
    hark_list_init(&rest);
    hark_list_splice(&rest, &server->conns);
    while ((node = hark_list_pop(&rest)) != NULL) {
        struct hark_http1_conn *conn = conn_of(node);
        hark_list_push(&server->conns, node);
        if (conn->state == HARK_HTTP1_READING && is_idle(conn)) {
            leave(conn);
        }
    }
}

void hark_http1_conn_close_all(struct hark_server *server)
{
    struct hark_list rest;
    struct hark_list *node = NULL;
    server->stopped = true;
    hark_list_init(&rest);
    hark_list_splice(&rest, &server->conns);
    // Whoever is told that its client is gone may do what it likes to other connections: a node is
    // always in one of the two lists.
    while ((node = hark_list_pop(&rest)) != NULL) {
        struct hark_http1_conn *conn = conn_of(node);
        hark_list_push(&server->conns, node);
        hark_http1_conn_close(conn, false);
    }
}

void hark_http1_conn_set_state(struct hark_http1_conn *conn, enum hark_http1_conn_state state)
{
    static const uint8_t next[] = {
        [HARK_HTTP1_READING] = 1 << HARK_HTTP1_SERVING | 1 << HARK_HTTP1_ENDING |
                               1 << HARK_HTTP1_CLOSING | 1 << HARK_HTTP1_GONE,
        [HARK_HTTP1_SERVING] = 1 << HARK_HTTP1_SENDING | 1 << HARK_HTTP1_READING |
                               1 << HARK_HTTP1_ENDING | 1 << HARK_HTTP1_CLOSING |
                               1 << HARK_HTTP1_GONE,
        [HARK_HTTP1_SENDING] = 1 << HARK_HTTP1_READING | 1 << HARK_HTTP1_ENDING |
                               1 << HARK_HTTP1_CLOSING | 1 << HARK_HTTP1_GONE,
        [HARK_HTTP1_ENDING] = 1 << HARK_HTTP1_CLOSING | 1 << HARK_HTTP1_GONE,
        [HARK_HTTP1_CLOSING] = 1 << HARK_HTTP1_GONE,
        [HARK_HTTP1_GONE] = 0,
    };
    static const char *const names[] = {"reading", "serving", "sending",
                                        "ending",  "closing", "gone"};
    assert((next[conn->state] >> state & 1) != 0);
    (void)next; // without assertions
    if (HARK_UNLIKELY(hark_log_is_on(HARK_LOG_DEBUG))) {
        HARK_LOG(HARK_LOG_DEBUG, "http1", HARK_F_TEXT("from", names[conn->state]),
                 HARK_F_TEXT("to", names[state]));
    }
    conn->state = (uint8_t)state;
}

static void on_read(void *owner, struct hark_slice data)
{
    struct hark_http1_conn *conn = owner;
    // The usual case: nothing is read ahead, and the request is read where the bytes lie.
    if (conn->state == HARK_HTTP1_READING && !conn->waiting && hark_buf_len(&conn->ahead) == 0) {
        size_t len = 0;
        if (!read_some(conn, data, &len)) {
            return;
        }
        data = hark_slice_from(data, len);
    }
    keep_ahead(conn, data);
    run(conn);
}

// Gives bytes to the reader, up to the end of a request. false: the connection is ending.
static bool read_some(struct hark_http1_conn *conn, struct hark_slice data, size_t *ret_len)
{
    const struct hark_http_limits *limits = conn->server->limits;
    if (conn->reader == NULL) {
        conn->reader =
            hark_http1_new(&(struct hark_http1_limits){limits->head_bytes, limits->body_bytes});
    }
    if (conn->reader == NULL) {
        refuse(conn, 503, "out of memory");
        return false;
    }
    enum hark_http1_stage before = hark_http1_stage(conn->reader);
    int status = hark_http1_feed(conn->reader, data, ret_len);
    if (status == HARK_EPROTO || status == HARK_ENOMEM) {
        struct hark_http1_refusal refusal = hark_http1_refusal(conn->reader);
        refuse(conn, refusal.status, refusal.why);
        return false;
    }
    if (status == 0) {
        return true;
    }
    if (hark_http1_stage(conn->reader) == HARK_HTTP1_BODY && conn->server->draining) {
        refuse(conn, 503, "the server is going down");
        return false;
    }
    // RFC 9110 section 10.1.1: once, and only to who still waits for it.
    if (before != HARK_HTTP1_BODY && hark_http1_wants_continue(conn->reader) &&
        hark_stream_write(conn->stream, HARK_LIT("HTTP/1.1 100 Continue\r\n\r\n")) != 0) {
        hark_http1_conn_close(conn, false);
        return false;
    }
    set_deadline(conn, before);
    return true;
}

// A head must be whole some time after its first byte, whatever trickles in; a body must make
// progress.
static void set_deadline(struct hark_http1_conn *conn, enum hark_http1_stage before)
{
    enum hark_http1_stage stage = hark_http1_stage(conn->reader);
    if (stage == HARK_HTTP1_HEAD && before == HARK_HTTP1_START) {
        arm(conn, conn->server->limits->head_timeout_ms);
    } else if (stage == HARK_HTTP1_BODY) {
        arm(conn, conn->server->limits->body_timeout_ms);
    }
}

static void keep_ahead(struct hark_http1_conn *conn, struct hark_slice data)
{
    if (data.len == 0) {
        return;
    }
    if (hark_buf_append_slice(&conn->ahead, data) != 0) {
        hark_http1_conn_close(conn, false);
        return;
    }
    if (hark_buf_len(&conn->ahead) >= conn->server->limits->pipeline_bytes) {
        hark_stream_read_stop(conn->stream);
    }
}

// Reads and serves requests until the bytes are used up or one is not answered at once. A loop, so
// that a thousand pipelined requests do not stand on each other's shoulders.
static void run(struct hark_http1_conn *conn)
{
    if (conn->running) {
        return;
    }
    conn->running = true;
    while (conn->state == HARK_HTTP1_READING && !conn->waiting) {
        bool is_ready = conn->reader != NULL && hark_http1_stage(conn->reader) == HARK_HTTP1_DONE;
        if (!is_ready && hark_buf_len(&conn->ahead) == 0) {
            break;
        }
        if (hark_stream_queued(conn->stream) >= HARK_HTTP1_OUT_HIGH) {
            hark_http1_conn_wait(conn);
            break;
        }
        if (is_ready) {
            hark_http1_conn_serve(conn, NULL);
            continue;
        }
        size_t len = 0;
        if (read_some(conn, hark_buf_slice(&conn->ahead), &len)) {
            hark_buf_consume(&conn->ahead, len);
        }
    }
    conn->running = false;
    settle(conn);
}

// The run is over: what does the connection wait for?
static void settle(struct hark_http1_conn *conn)
{
    if (conn->state > HARK_HTTP1_SENDING) {
        return;
    }
    if (conn->ended && conn->state == HARK_HTTP1_SERVING && conn->exchange->parked) {
        hang_up(conn);
        return;
    }
    if (hark_buf_len(&conn->ahead) < conn->server->limits->pipeline_bytes) {
        hark_stream_read_start(conn->stream);
    }
    if (conn->state != HARK_HTTP1_READING || hark_buf_len(&conn->ahead) > 0) {
        return;
    }
    hark_buf_deinit(&conn->ahead);
    if (conn->ended) {
        leave(conn);
    } else if (conn->keep && is_idle(conn)) {
        conn->keep = false;
        conn->stalled = 0;
        arm(conn, conn->server->limits->idle_timeout_ms);
    }
}

void hark_http1_conn_serve(struct hark_http1_conn *conn, const char *made_id)
{
    struct hark_server *server = conn->server;
    hark_stats_add(&server->stats->requests, made_id == NULL ? 1 : 0);
    if (server->draining) {
        refuse(conn, 503, "the server is going down");
        return;
    }
    if (hark_http1_exchange_open(conn, made_id) != 0) {
        refuse(conn, 503, "out of memory");
        return;
    }
    hark_wheel_cancel(hark_loop_wheel(server->loop), &conn->timer);
    hark_http1_conn_set_state(conn, HARK_HTTP1_SERVING);
    server->request(server->request_ctx, conn->exchange);
}

void hark_http1_conn_park(struct hark_http1_conn *conn)
{
    if (conn->ended) {
        hark_defer_post(hark_loop_defer(conn->server->loop), &conn->defer);
    }
}

void hark_http1_conn_next(struct hark_http1_conn *conn)
{
    if (!conn->keep || conn->server->draining) {
        hark_http1_conn_end(conn);
        return;
    }
    hark_http1_conn_set_state(conn, HARK_HTTP1_READING);
    if (!conn->running) {
        hark_defer_post(hark_loop_defer(conn->server->loop), &conn->defer);
    }
}

// Answers what is no request that we serve, and ends the connection: what follows cannot be
// trusted.
static void refuse(struct hark_http1_conn *conn, int status, const char *why)
{
    bool is_head = conn->reader != NULL && hark_http1_stage(conn->reader) == HARK_HTTP1_DONE &&
                   hark_slice_is(hark_http1_request(conn->reader)->method, HARK_LIT("HEAD"));
    const struct hark_http1_refusal refusal = {.status = status, .why = why};
    hark_stats_add(&conn->server->stats->requests_refused, 1);
    if (hark_http1_out_refuse(conn->server, conn->stream, &refusal, is_head) == 0) {
        hark_http1_conn_end(conn);
    } else {
        hark_http1_conn_close(conn, false);
    }
}

// No byte of a request has come.
static bool is_idle(const struct hark_http1_conn *conn)
{
    return hark_buf_len(&conn->ahead) == 0 &&
           (conn->reader == NULL || hark_http1_stage(conn->reader) == HARK_HTTP1_START);
}

void hark_http1_conn_wait(struct hark_http1_conn *conn)
{
    conn->waiting = true;
    if (hark_stream_is_congested(conn->stream)) {
        conn->stalled = hark_stream_queued(conn->stream);
        arm(conn, conn->server->limits->body_timeout_ms); // then it must have taken some
    } else {
        conn->stalled = 0;
        hark_wheel_arm(hark_loop_wheel(conn->server->loop), &conn->timer, NEXT_TICK);
    }
}

static void resume(struct hark_http1_conn *conn)
{
    conn->waiting = false;
    hark_wheel_cancel(hark_loop_wheel(conn->server->loop), &conn->timer);
    if (conn->state == HARK_HTTP1_SENDING) {
        hark_http1_exchange_pull(conn);
    } else if (conn->state == HARK_HTTP1_ENDING) {
        finish(conn);
    } else {
        run(conn);
    }
}

// The stream's deadline for its last bytes knows no progress: it must not be asked to send much.
static void finish(struct hark_http1_conn *conn)
{
    if (hark_stream_queued(conn->stream) > FINISH_MAX) {
        hark_http1_conn_wait(conn);
    } else {
        hark_stream_finish(conn->stream, LINGER_MS);
    }
}

static void on_timer(struct hark_timer *timer)
{
    struct hark_http1_conn *conn = HARK_CONTAINER_OF(timer, struct hark_http1_conn, timer);
    bool congested = hark_stream_is_congested(conn->stream);
    if (conn->waiting && congested && conn->stalled == hark_stream_queued(conn->stream)) {
        hark_http1_conn_close(conn, true); // a client that does not read
    } else if (conn->waiting && congested) {
        hark_http1_conn_wait(conn);
    } else if (conn->waiting) {
        resume(conn);
    } else if (conn->state == HARK_HTTP1_READING && is_idle(conn)) {
        on_idle(conn);
    } else if (conn->state == HARK_HTTP1_READING) {
        refuse(conn, 408, "the request did not come in time");
    }
}

// A large answer may still be on its way to a slow client; a client that takes nothing of it is
// gone.
static void on_idle(struct hark_http1_conn *conn)
{
    size_t queued = hark_stream_queued(conn->stream);
    if (queued > 0 && queued != conn->stalled) {
        conn->stalled = queued;
        arm(conn, conn->server->limits->body_timeout_ms);
    } else {
        hark_http1_conn_close(conn, queued > 0);
    }
}

static void on_drained(void *owner)
{
    struct hark_http1_conn *conn = owner;
    if (conn->waiting) {
        resume(conn);
    }
}

// FIN. Who waits in a parked poll has hung up, as far as anyone can tell. An answer that is being
// made, or a body on its way, is finished for those who only closed their half.
static void on_end(void *owner)
{
    struct hark_http1_conn *conn = owner;
    conn->ended = true;
    if (conn->state == HARK_HTTP1_SERVING && conn->exchange->parked) {
        hang_up(conn);
    } else if (conn->state == HARK_HTTP1_SENDING) {
        conn->keep = false;
    } else if (conn->state == HARK_HTTP1_READING && !conn->waiting &&
               hark_buf_len(&conn->ahead) == 0) {
        leave(conn); // else when what came before has been read
    }
}

static void hang_up(struct hark_http1_conn *conn)
{
    hark_http1_exchange_go(conn);
    leave(conn);
}

// Closes when nothing is left to send, else ends. Exchange and body are already gone.
static void leave(struct hark_http1_conn *conn)
{
    if (conn->state >= HARK_HTTP1_ENDING) {
        return;
    }
    if (hark_stream_queued(conn->stream) > 0) {
        hark_http1_conn_end(conn);
    } else {
        hark_http1_conn_close(conn, false);
    }
}

void hark_http1_conn_end(struct hark_http1_conn *conn)
{
    hark_http1_conn_set_state(conn, HARK_HTTP1_ENDING);
    conn->waiting = false;
    hark_wheel_cancel(hark_loop_wheel(conn->server->loop), &conn->timer);
    hark_http1_free(conn->reader);
    conn->reader = NULL;
    hark_buf_deinit(&conn->ahead);
    hark_stream_read_stop(conn->stream); // the stream drops what comes
    finish(conn);
}

void hark_http1_conn_close(struct hark_http1_conn *conn, bool reset)
{
    if (conn->state >= HARK_HTTP1_CLOSING) {
        return;
    }
    if (conn->exchange != NULL) {
        hark_http1_exchange_go(conn);
    }
    if (conn->state >= HARK_HTTP1_CLOSING) {
        return; // by who was told
    }
    hark_http1_conn_set_state(conn, HARK_HTTP1_CLOSING);
    conn->waiting = false;
    hark_wheel_cancel(hark_loop_wheel(conn->server->loop), &conn->timer);
    hark_http1_out_drop(&conn->out);
    hark_stream_close(conn->stream, reset);
}

static void on_closed(void *owner, int status)
{
    struct hark_http1_conn *conn = owner;
    (void)status; // a client that goes is an ordinary event
    if (conn->exchange != NULL) {
        hark_http1_exchange_go(conn);
    }
    hark_http1_conn_release(conn);
}

void hark_http1_conn_release(struct hark_http1_conn *conn)
{
    hark_http1_conn_set_state(conn, HARK_HTTP1_GONE);
    conn->stream = NULL;
    conn->waiting = false;
    hark_wheel_cancel(hark_loop_wheel(conn->server->loop), &conn->timer);
    hark_list_remove(&conn->node);
    hark_http1_out_drop(&conn->out);
    hark_http1_free(conn->reader);
    conn->reader = NULL;
    hark_defer_post(hark_loop_defer(conn->server->loop), &conn->defer);
}

static void on_defer(struct hark_defer *item)
{
    struct hark_http1_conn *conn = HARK_CONTAINER_OF(item, struct hark_http1_conn, defer);
    if (conn->state == HARK_HTTP1_GONE) {
        hark_buf_deinit(&conn->ahead);
        hark_mem_free(conn);
    } else {
        run(conn);
    }
}

static void arm(struct hark_http1_conn *conn, uint64_t delay_ms)
{
    struct hark_loop *loop = conn->server->loop;
    hark_wheel_arm(hark_loop_wheel(loop), &conn->timer, hark_loop_now_ms(loop) + delay_ms);
}

static struct hark_http1_conn *conn_of(struct hark_list *node)
{
    return HARK_CONTAINER_OF(node, struct hark_http1_conn, node);
}
