// SPDX-License-Identifier: MIT
//
// HTTP/1.1 connections, the answering half: an exchange's response onto the stream, the stream
// handed over, the connection moved to another worker. Reading is in http1_conn.c.
#include "transport/http1_exchange.h"

#include <assert.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/mailbox.h"
#include "transport/exchange.h"
#include "transport/exchange_impl.h"

struct http1_exchange {
    struct hark_exchange exchange;
    struct hark_http1_conn *conn; // NULL: dead
    struct hark_http1 *reader;    // holds the request
    struct hark_defer defer;
};

// A connection between two workers.
struct moving {
    struct hark_mail mail;
    struct hark_server *to;
    struct hark_http1 *reader;
    struct hark_buf ahead;
    int fd;
    char made_id[HARK_EXCHANGE_ID_LEN];
};

static struct hark_peer peer_of(const struct hark_exchange *exchange);
static void park(struct hark_exchange *exchange);
static void respond(struct hark_exchange *exchange,
                    const struct hark_response *response,
                    const struct hark_exchange_body *body);
static int answer(struct http1_exchange *self,
                  const struct hark_response *response,
                  const struct hark_exchange_body *body);
static int answer_error(struct http1_exchange *self);
static int take(struct hark_exchange *exchange,
                const struct hark_response *head,
                const struct hark_stream_ops *ops,
                void *owner,
                struct hark_stream **ret_stream,
                struct hark_slice *ret_early);
static int move(struct hark_exchange *exchange, unsigned worker);
static void on_arrival(struct hark_mail *mail, void *worker);
static void detach(struct http1_exchange *self);
static void on_free(struct hark_defer *item);

static const struct hark_exchange_ops OPS = {
    .peer = peer_of,
    .park = park,
    .respond = respond,
    .take = take,
    .move = move,
};

static struct http1_exchange *self_of(struct hark_exchange *exchange)
{
    return HARK_CONTAINER_OF(exchange, struct http1_exchange, exchange);
}

int hark_http1_exchange_open(struct hark_http1_conn *conn, const char *made_id)
{
    struct http1_exchange *self = hark_mem_zalloc(sizeof(*self));
    if (self == NULL) {
        return HARK_ENOMEM;
    }
    hark_exchange_init(&self->exchange, &OPS, conn->server, hark_http1_request(conn->reader),
                       made_id);
    self->conn = conn;
    self->reader = conn->reader;
    hark_defer_init(&self->defer, on_free);
    conn->reader = NULL;
    conn->exchange = &self->exchange;
    return 0;
}

void hark_http1_exchange_go(struct hark_http1_conn *conn)
{
    struct hark_exchange *exchange = conn->exchange;
    detach(self_of(exchange));
    hark_exchange_go(exchange);
}

void hark_http1_exchange_pull(struct hark_http1_conn *conn)
{
    int status = hark_http1_out_pull(&conn->out, conn->stream);
    if (status == 0) {
        hark_http1_conn_next(conn);
    } else if (status == HARK_EAGAIN) {
        hark_http1_conn_wait(conn);
    } else {
        hark_http1_conn_close(conn, true); // the promised length cannot be kept: no clean end
    }
}

static struct hark_peer peer_of(const struct hark_exchange *exchange)
{
    const struct http1_exchange *self =
        (const struct http1_exchange *)exchange; // the first member; HARK_CONTAINER_OF drops const
    return hark_stream_peer(self->conn->stream);
}

static void park(struct hark_exchange *exchange)
{
    hark_http1_conn_park(self_of(exchange)->conn);
}

static void respond(struct hark_exchange *exchange,
                    const struct hark_response *response,
                    const struct hark_exchange_body *body)
{
    struct http1_exchange *self = self_of(exchange);
    struct hark_http1_conn *conn = self->conn;
    int status = answer(self, response, body);
    if (status == HARK_EINVAL) {
        status = answer_error(self);
        if (body != NULL) {
            body->source->done(body->ctx);
            body = NULL;
        }
    }
    bool is_head = hark_slice_is(exchange->request->method, HARK_LIT("HEAD"));
    exchange->ops = NULL;
    detach(self);
    if (body != NULL) {
        conn->out.body = *body;
    }
    if (status != 0) {
        hark_http1_conn_close(conn, false);
        return;
    }
    if (body == NULL || is_head || hark_http1_answer_is_bodiless(response->status)) {
        hark_http1_out_drop(&conn->out);
        hark_http1_conn_next(conn);
        return;
    }
    hark_http1_conn_set_state(conn, HARK_HTTP1_SENDING);
    hark_http1_exchange_pull(conn);
}

// Writes the head, and the body if the response has its own. Decides whether the connection stays.
static int answer(struct http1_exchange *self,
                  const struct hark_response *response,
                  const struct hark_exchange_body *body)
{
    struct hark_exchange *exchange = &self->exchange;
    struct hark_http1_conn *conn = self->conn;
    if (response->status < 200) {
        return HARK_EINVAL; // an interim response is no answer
    }
    conn->keep = !response->close && !conn->server->draining && hark_http1_keep_alive(self->reader);
    struct hark_http1_answer answer = {
        .response = response,
        .request_id = exchange->id,
        .fields = hark_buf_slice(&exchange->fields),
        .framing = HARK_HTTP1_SIZED,
        .length = body == NULL ? response->body.len : body->length,
        .is_head = hark_slice_is(exchange->request->method, HARK_LIT("HEAD")),
        .with_body = body == NULL,
        .keep_alive = conn->keep,
        .minor = exchange->request->minor,
    };
    return hark_http1_out_answer(conn->server, conn->stream, &answer);
}

// In place of a response that is none: who made it is told in the log.
static int answer_error(struct http1_exchange *self)
{
    static const struct hark_response response = {.status = 500};
    HARK_LOG(HARK_LOG_ERROR, "response_invalid", HARK_F_SLICE("request", self->exchange.id),
             HARK_F_SLICE("target", self->exchange.request->target),
             HARK_F_TEXT("why", "a status outside 200 to 599, or a field with a byte that none may "
                                "hold: 500 was sent"));
    return answer(self, &response, NULL);
}

static int take(struct hark_exchange *exchange,
                const struct hark_response *head,
                const struct hark_stream_ops *ops,
                void *owner,
                struct hark_stream **ret_stream,
                struct hark_slice *ret_early)
{
    struct http1_exchange *self = self_of(exchange);
    struct hark_http1_conn *conn = self->conn;
    struct hark_http1_answer answer = {
        .response = head,
        .request_id = exchange->id,
        .fields = hark_buf_slice(&exchange->fields),
        .framing = HARK_HTTP1_OPEN,
        .is_head = hark_slice_is(exchange->request->method, HARK_LIT("HEAD")),
        .with_body = true,
        .minor = exchange->request->minor,
    };
    int status = hark_http1_out_answer(conn->server, conn->stream, &answer);
    if (status == HARK_EINVAL) {
        respond(exchange, &(struct hark_response){.status = 0}, NULL); // logs, sends 500
        return status;
    }
    exchange->ops = NULL;
    detach(self);
    if (status != 0) {
        hark_http1_conn_close(conn, false);
        return status;
    }
    *ret_stream = conn->stream;
    *ret_early = hark_buf_slice(&conn->ahead);
    hark_stream_own(conn->stream, ops, owner);
    hark_stream_read_start(conn->stream);
    hark_http1_conn_release(conn);
    return 0;
}

static int move(struct hark_exchange *exchange, unsigned worker)
{
    struct http1_exchange *self = self_of(exchange);
    struct hark_http1_conn *conn = self->conn;
    struct hark_server *from = conn->server;
    struct moving *moving = hark_mem_zalloc(sizeof(*moving));
    if (moving == NULL) {
        return HARK_ENOMEM;
    }
    int status = hark_stream_detach(conn->stream, &moving->fd);
    if (status != 0) {
        hark_mem_free(moving);
        return status;
    }
    // What goes along changes hands whole; nothing of it is used here any more.
    moving->mail.fn = on_arrival;
    moving->to = from->workers[worker];
    moving->reader = self->reader;
    moving->ahead = conn->ahead;
    memcpy(moving->made_id, exchange->made_id, HARK_EXCHANGE_ID_LEN);
    self->reader = NULL;
    hark_buf_init(&conn->ahead, conn->ahead.max);
    exchange->ops = NULL;
    exchange->request = NULL;
    exchange->id = HARK_SLICE_NONE;
    detach(self);
    hark_http1_conn_release(conn);
    hark_stats_add(&from->stats->connections_moved, 1);
    hark_mailbox_post(moving->to->mailbox, &moving->mail);
    return 0;
}

// In the new worker's thread.
static void on_arrival(struct hark_mail *mail, void *worker)
{
    (void)worker;
    struct moving *moving = HARK_CONTAINER_OF(mail, struct moving, mail);
    struct hark_http1_conn *conn = hark_http1_conn_new(moving->to, moving->fd);
    if (conn == NULL) {
        hark_http1_free(moving->reader);
        hark_buf_deinit(&moving->ahead);
    } else {
        conn->reader = moving->reader;
        conn->ahead = moving->ahead;
        hark_stream_read_start(conn->stream);
        hark_http1_conn_serve(conn, moving->made_id);
    }
    hark_mem_free(moving);
}

// Parts exchange and connection; the exchange's memory goes at the end of the tick.
static void detach(struct http1_exchange *self)
{
    struct hark_http1_conn *conn = self->conn;
    assert(conn->exchange == &self->exchange);
    conn->exchange = NULL;
    self->conn = NULL;
    hark_defer_post(hark_loop_defer(conn->server->loop), &self->defer);
}

static void on_free(struct hark_defer *item)
{
    struct http1_exchange *self = HARK_CONTAINER_OF(item, struct http1_exchange, defer);
    hark_exchange_deinit(&self->exchange);
    hark_http1_free(self->reader);
    hark_mem_free(self);
}
