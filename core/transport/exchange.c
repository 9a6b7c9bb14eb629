// SPDX-License-Identifier: MIT
//
// What an exchange is on every HTTP version: the request, its id and serial, added fields, and the
// one who wants to know that the client has gone. Ending it is the connection's affair
// (exchange_impl.h).
#include "transport/exchange.h"

#include <assert.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "hark.h"
#include "transport/exchange_impl.h"

#define FIELDS_MAX    4096
#define ERROR_MAX     4096
#define CLIENT_ID_MAX 128
#define SERIAL_BITS   48 // below them the count, above them the worker

static const struct hark_header ERROR_FIELDS[] = {
    {HARK_LIT("Content-Type"), HARK_LIT("application/json")},
    {HARK_LIT("Retry-After"), HARK_LIT("1")}, // with 503 only
};

static uint64_t next_serial(struct hark_server *server);
static bool is_sane_id(struct hark_slice id);
static void make_id(struct hark_exchange *exchange);
static void put_hex(char *out, uint64_t number, size_t digits);

void hark_exchange_init(struct hark_exchange *exchange,
                        const struct hark_exchange_ops *ops,
                        struct hark_server *server,
                        const struct hark_request *request,
                        const char *made_id)
{
    *exchange = (struct hark_exchange){
        .ops = ops, .server = server, .request = request, .moved = made_id != NULL};
    exchange->serial = next_serial(server);
    hark_buf_init(&exchange->fields, FIELDS_MAX);
    struct hark_slice id = hark_request_value(request, HARK_LIT("X-Request-Id"));
    if (is_sane_id(id)) {
        exchange->id = id;
        return;
    }
    if (made_id == NULL) {
        make_id(exchange);
    } else {
        memcpy(exchange->made_id, made_id, HARK_EXCHANGE_ID_LEN);
    }
    exchange->id = hark_slice(exchange->made_id, HARK_EXCHANGE_ID_LEN);
}

void hark_exchange_deinit(struct hark_exchange *exchange)
{
    hark_buf_deinit(&exchange->fields);
}

void hark_exchange_go(struct hark_exchange *exchange)
{
    if (exchange->ops == NULL) {
        return;
    }
    exchange->ops = NULL;
    if (exchange->gone != NULL) {
        exchange->gone(exchange->gone_ctx, exchange);
    }
}

const struct hark_request *hark_exchange_request(const struct hark_exchange *exchange)
{
    return exchange->request;
}

struct hark_server *hark_exchange_server(const struct hark_exchange *exchange)
{
    return exchange->server;
}

struct hark_peer hark_exchange_peer(const struct hark_exchange *exchange)
{
    if (exchange->ops == NULL) {
        return (struct hark_peer){0};
    }
    return exchange->ops->peer(exchange);
}

uint64_t hark_exchange_serial(const struct hark_exchange *exchange)
{
    return exchange->serial;
}

struct hark_slice hark_exchange_id(const struct hark_exchange *exchange)
{
    return exchange->id;
}

void hark_exchange_park(struct hark_exchange *exchange)
{
    exchange->parked = true;
    if (exchange->ops != NULL) {
        exchange->ops->park(exchange);
    }
}

void hark_exchange_on_gone(struct hark_exchange *exchange, hark_exchange_gone_fn *fn, void *ctx)
{
    exchange->gone = fn;
    exchange->gone_ctx = ctx;
}

int hark_exchange_add_header(struct hark_exchange *exchange,
                             struct hark_slice name,
                             struct hark_slice value)
{
    if (!hark_http_is_token(name) || !hark_http_is_value(value)) {
        return HARK_EINVAL;
    }
    const struct hark_slice parts[] = {name, HARK_LIT(": "), value, HARK_LIT("\r\n")};
    struct hark_buf *fields = &exchange->fields;
    size_t before = hark_buf_len(fields);
    for (size_t i = 0; i < HARK_ARRAY_LEN(parts); i++) {
        int status = hark_buf_append_slice(fields, parts[i]);
        if (status != 0) {
            hark_buf_truncate(fields, before);
            return status;
        }
    }
    return 0;
}

// One line an answered request, on demand.
static void log_access(const struct hark_exchange *exchange, int status)
{
    if (!exchange->server->access_log) {
        return;
    }
    char address[HARK_PEER_TEXT_MAX];
    struct hark_peer peer = hark_exchange_peer(exchange);
    size_t len = hark_peer_text(&peer, address);
    HARK_LOG(HARK_LOG_INFO, "access", HARK_F_SLICE("method", exchange->request->method),
             HARK_F_SLICE("path", exchange->request->path), HARK_F_INT("status", status),
             HARK_F_SLICE("ip", hark_slice(address, len)), HARK_F_SLICE("id", exchange->id));
}

void hark_exchange_respond(struct hark_exchange *exchange, const struct hark_response *response)
{
    assert(exchange->ops != NULL);
    log_access(exchange, response->status);
    exchange->ops->respond(exchange, response, NULL);
}

void hark_exchange_respond_from(struct hark_exchange *exchange,
                                const struct hark_response *head,
                                uint64_t length,
                                const struct hark_body_source *source,
                                void *ctx)
{
    assert(exchange->ops != NULL);
    log_access(exchange, head->status);
    const struct hark_exchange_body body = {.length = length, .source = source, .ctx = ctx};
    exchange->ops->respond(exchange, head, &body);
}

void hark_exchange_fail(struct hark_exchange *exchange, const char *reference)
{
    char text[128];
    int len =
        snprintf(text, sizeof(text), "{\"error\":\"internal\",\"reference\":\"%.32s\"}", reference);
    const struct hark_response response = {
        .status = 500,
        .headers = ERROR_FIELDS,
        .header_count = 1,
        .body = hark_slice(text, len > 0 ? (size_t)len : 0),
    };
    hark_exchange_respond(exchange, &response);
}

void hark_exchange_refuse(struct hark_exchange *exchange, int status, struct hark_slice text)
{
    struct hark_buf body;
    hark_buf_init(&body, ERROR_MAX);
    struct hark_response response = {.status = status};
    if (text.len > 0 && hark_exchange_error_text(&body, text) == 0) { // else the status alone
        response.headers = ERROR_FIELDS;
        response.header_count = status == 503 ? 2 : 1;
        response.body = hark_buf_slice(&body);
    }
    hark_exchange_respond(exchange, &response);
    hark_buf_deinit(&body);
}

int hark_exchange_take(struct hark_exchange *exchange,
                       const struct hark_response *head,
                       const struct hark_stream_ops *ops,
                       void *owner,
                       struct hark_stream **ret_stream,
                       struct hark_slice *ret_early)
{
    assert(exchange->ops != NULL);
    log_access(exchange, head->status);
    return exchange->ops->take(exchange, head, ops, owner, ret_stream, ret_early);
}

int hark_exchange_move(struct hark_exchange *exchange, unsigned worker)
{
    assert(exchange->ops != NULL);
    const struct hark_server *server = exchange->server;
    if (worker == server->worker || worker >= server->worker_count) {
        return HARK_EINVAL;
    }
    return exchange->ops->move(exchange, worker);
}

bool hark_exchange_was_moved(const struct hark_exchange *exchange)
{
    return exchange->moved;
}

int hark_exchange_error_text(struct hark_buf *buf, struct hark_slice text)
{
    int status = hark_buf_append_text(buf, "{\"error\":");
    if (status == 0) {
        status = hark_codec_quote(buf, text);
    }
    if (status == 0) {
        status = hark_buf_append_text(buf, "}");
    }
    return status;
}

// Worker and count: unique in the process without a counter that threads share.
static uint64_t next_serial(struct hark_server *server)
{
    server->exchange_serial++;
    return ((uint64_t)server->worker + 1) << SERIAL_BITS | server->exchange_serial;
}

// Ids go to logs and into the response: short, and no byte that means something there.
static bool is_sane_id(struct hark_slice id)
{
    if (id.len == 0 || id.len > CLIENT_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        char lower = (char)(c | 0x20);
        bool plain = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') ||
                     (c != '\0' && strchr("-._~+/=:@", c) != NULL);
        if (!plain) {
            return false;
        }
    }
    return true;
}

// 64 bits that no other process is likely to make from its serials, and the serial's own low bits,
// which keep two requests of this process apart for certain.
static void make_id(struct hark_exchange *exchange)
{
    uint64_t mixed = hark_hash_keyed(&exchange->serial, sizeof(exchange->serial));
    put_hex(exchange->made_id, mixed, 16);
    put_hex(exchange->made_id + 16, exchange->serial, HARK_EXCHANGE_ID_LEN - 16);
}

static void put_hex(char *out, uint64_t number, size_t digits)
{
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
}
