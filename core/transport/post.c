// SPDX-License-Identifier: MIT
//
// POSTs beside SSE and long poll.
#include "transport/post.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "hark.h"
#include "session/input.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/ending.h"

#define RETRY_MS 1000

struct post {
    struct hark_reply reply;
    struct hark_exchange *exchange; // NULL: its client has gone
    struct hark_session *session;   // valid while the reply waits
};

static bool check(struct hark_exchange *exchange, const struct hark_session *session, bool binary);
static bool is_binary(const struct hark_request *request);
static void on_gone(void *ctx, struct hark_exchange *exchange);
static void answer(struct hark_reply *reply, enum hark_outcome outcome, struct hark_slice text);
static void drop(struct hark_reply *reply);
static struct hark_exchange *finish(struct hark_reply *reply);

static const struct hark_reply_ops reply_ops = {.answer = answer, .drop = drop};

void hark_post_take(struct hark_exchange *exchange, struct hark_session *session)
{
    const struct hark_request *request = hark_exchange_request(exchange);
    bool binary = is_binary(request);
    if (!check(exchange, session, binary)) {
        return;
    }
    struct post *post = hark_mem_zalloc(sizeof(*post));
    if (post == NULL) {
        hark_ending_later(exchange, 503, HARK_LIT("busy"), RETRY_MS);
        return;
    }
    post->reply.ops = &reply_ops;
    post->reply.data = request->body;
    post->reply.binary = binary;
    post->exchange = exchange;
    post->session = session;
    hark_exchange_on_gone(exchange, on_gone, post);
    int status = hark_input_post(session, &post->reply); // on 0 it may be gone already
    switch (status) {
    case 0: break;
    case HARK_ECLOSED: drop(&post->reply); break;
    case HARK_EFULL:
        hark_ending_later(finish(&post->reply), 429, HARK_LIT("too_fast"), RETRY_MS);
        break;
    default: hark_ending_later(finish(&post->reply), 503, HARK_LIT("busy"), RETRY_MS); break;
    }
}

// false: refused.
static bool check(struct hark_exchange *exchange, const struct hark_session *session, bool binary)
{
    struct hark_slice body = hark_exchange_request(exchange)->body;
    size_t limit = hark_session_policy(session)->message_bytes;
    if (body.len > limit) {
        char text[24];
        int len = snprintf(text, sizeof(text), "%zu", limit);
        hark_ending_error(exchange, 413, HARK_LIT("body_too_large"), "limit",
                          hark_slice(text, len > 0 ? (size_t)len : 0));
        return false;
    }
    if (!binary && !hark_utf8_is_valid(body)) {
        hark_exchange_refuse(exchange, 400, HARK_LIT("invalid_message"));
        return false;
    }
    return true;
}

static bool is_binary(const struct hark_request *request)
{
    struct hark_slice type = hark_request_value(request, HARK_LIT("content-type"));
    struct hark_slice name = hark_slice_trim(hark_slice_next(&type, ';'));
    return hark_slice_is_nocase(name, HARK_LIT("application/octet-stream"));
}

static void on_gone(void *ctx, struct hark_exchange *exchange)
{
    (void)exchange;
    struct post *post = ctx;
    post->exchange = NULL;
    if (post->reply.is_waiting) { // its bytes go with the exchange
        hark_input_forget(post->session, &post->reply);
        hark_mem_free(post);
    }
}

static void answer(struct hark_reply *reply, enum hark_outcome outcome, struct hark_slice text)
{
    static const struct hark_response accepted = {.status = 204};
    struct hark_exchange *exchange = finish(reply);
    if (exchange == NULL) {
        return;
    }
    switch (outcome) {
    case HARK_OUTCOME_OK: hark_exchange_respond(exchange, &accepted); break;
    case HARK_OUTCOME_REFUSED:
        hark_exchange_refuse(exchange, 422, text.len > 0 ? text : HARK_LIT("refused"));
        break;
    case HARK_OUTCOME_FAILED: hark_ending_failed(exchange, text); break;
    case HARK_OUTCOME_LATER: hark_ending_later(exchange, 503, HARK_LIT("busy"), RETRY_MS); break;
    case HARK_OUTCOME_INVALID:
        hark_exchange_refuse(exchange, 400, HARK_LIT("invalid_message"));
        break;
    }
}

static void drop(struct hark_reply *reply)
{
    struct hark_exchange *exchange = finish(reply);
    if (exchange != NULL) {
        hark_exchange_refuse(exchange, 404, HARK_LIT("session_unknown"));
    }
}

// The reply is over; what is left is to answer the exchange, if it is still there.
static struct hark_exchange *finish(struct hark_reply *reply)
{
    struct post *post = HARK_CONTAINER_OF(reply, struct post, reply);
    struct hark_exchange *exchange = post->exchange;
    if (exchange != NULL) {
        hark_exchange_on_gone(exchange, NULL, NULL);
    }
    hark_mem_free(post);
    return exchange;
}
