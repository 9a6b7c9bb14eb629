// SPDX-License-Identifier: MIT
//
// The sending side of an HTTP/1.1 connection; see http1_out.h.
#include "transport/http1_out.h"

#include <time.h>

#include "base/buf.h"
#include "base/codec.h"
#include "hark.h"
#include "proto/http_date.h"
#include "transport/exchange.h"

#define PIECE_MAX   (64 * 1024)
#define REFUSAL_MAX 256 // the text of a refusal
#define RETRY_TEXT  "2" // seconds: when to come back to a server that drains or has no memory

// What programs read; anything else is a bad request.
static const struct {
    int status;
    const char *word;
} WORDS[] = {
    {408, "timeout"},     {413, "body_too_large"},        {414, "head_too_large"},
    {417, "expectation"}, {431, "head_too_large"},        {501, "not_implemented"},
    {503, "busy"},        {505, "version_not_supported"},
};

static int write_why(const struct hark_server *server,
                     const struct hark_http1_refusal *refusal,
                     struct hark_buf *body);
static const char *word_of(const struct hark_server *server, int status);
static struct hark_slice date_now(struct hark_server *server);

int hark_http1_out_answer(struct hark_server *server,
                          struct hark_stream *stream,
                          struct hark_http1_answer *answer)
{
    struct hark_bytes *bytes = NULL;
    answer->date = date_now(server);
    int status = hark_http1_answer(answer, &bytes);
    if (status != 0) {
        return status;
    }
    struct hark_chunk *chunk = hark_chunk_new(bytes); // owns bytes in any case
    if (chunk == NULL) {
        return HARK_ENOMEM;
    }
    status = hark_stream_send(stream, chunk);
    hark_chunk_unref(chunk);
    return status;
}

int hark_http1_out_refuse(struct hark_server *server,
                          struct hark_stream *stream,
                          const struct hark_http1_refusal *refusal,
                          bool is_head)
{
    static const struct hark_header fields[] = {
        {HARK_LIT("Content-Type"), HARK_LIT("application/json")},
        {HARK_LIT("Retry-After"), HARK_LIT(RETRY_TEXT)}, // with 503 only
    };
    struct hark_buf body;
    hark_buf_init(&body, REFUSAL_MAX);
    struct hark_response response = {.status = refusal->status, .headers = fields};
    if (write_why(server, refusal, &body) == 0) { // else no text
        response.header_count = refusal->status == 503 ? 2 : 1;
        response.body = hark_buf_slice(&body);
    }
    struct hark_http1_answer answer = {
        .response = &response,
        .framing = HARK_HTTP1_SIZED,
        .length = response.body.len,
        .is_head = is_head,
        .with_body = true,
        .minor = 1,
    };
    int status = hark_http1_out_answer(server, stream, &answer);
    hark_buf_deinit(&body);
    return status;
}

static int write_why(const struct hark_server *server,
                     const struct hark_http1_refusal *refusal,
                     struct hark_buf *body)
{
    int status =
        hark_buf_printf(body, "{\"error\":\"%s\",\"message\":", word_of(server, refusal->status));
    if (status == 0) {
        status = hark_codec_quote(body, hark_slice_text(refusal->why));
    }
    if (status == 0 && refusal->status == 413) {
        status = hark_buf_printf(body, ",\"limit\":%zu", server->limits->body_bytes);
    }
    return status == 0 ? hark_buf_append_char(body, '}') : status;
}

static const char *word_of(const struct hark_server *server, int status)
{
    if (status == 503 && server->draining) {
        return "draining";
    }
    for (size_t i = 0; i < HARK_ARRAY_LEN(WORDS); i++) {
        if (WORDS[i].status == status) {
            return WORDS[i].word;
        }
    }
    return "bad_request";
}

int hark_http1_out_pull(struct hark_http1_out *out, struct hark_stream *stream)
{
    struct hark_exchange_body *body = &out->body;
    while (body->length > 0) {
        if (hark_stream_queued(stream) >= PIECE_MAX) {
            return HARK_EAGAIN;
        }
        size_t max = body->length < PIECE_MAX ? (size_t)body->length : PIECE_MAX;
        struct hark_chunk *chunk = NULL;
        int status = body->source->next(body->ctx, max, &chunk);
        if (status != 0) {
            return status;
        }
        uint32_t len = chunk->len;
        status = len == 0 || len > max ? HARK_EIO : hark_stream_send(stream, chunk);
        hark_chunk_unref(chunk);
        if (status != 0) {
            return status;
        }
        body->length -= len;
    }
    hark_http1_out_drop(out);
    return 0;
}

void hark_http1_out_drop(struct hark_http1_out *out)
{
    struct hark_exchange_body body = out->body;
    out->body = (struct hark_exchange_body){0};
    if (body.source != NULL) {
        body.source->done(body.ctx);
    }
}

// The coarse clock costs no system call; the text is made anew when its second has passed.
static struct hark_slice date_now(struct hark_server *server)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now); // the clock exists
    if (now.tv_sec != server->date_second) {
        server->date_second = now.tv_sec;
        hark_http_date_format(now.tv_sec, server->date_text);
    }
    return hark_slice(server->date_text, HARK_HTTP_DATE_LEN);
}
