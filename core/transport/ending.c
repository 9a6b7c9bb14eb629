// SPDX-License-Identifier: MIT
//
// Ends and errors as HTTP answers.
#include "transport/ending.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "hark.h"

#define NORMAL         1000
#define INTERNAL_ERROR 1011
#define RETRY_MS       1000

static bool refuse_for_all(struct hark_exchange *exchange, const struct hark_ending *ending);
static struct hark_slice last_word(struct hark_slice text);
static void respond(struct hark_exchange *exchange,
                    int status,
                    const struct hark_header *extra,
                    struct hark_slice body);

int hark_ending_text(struct hark_buf *buf, uint16_t code, struct hark_slice why)
{
    int status = hark_buf_printf(buf, "{\"code\":%u,\"reason\":", (unsigned)code);
    if (status == 0) {
        status = hark_codec_quote(buf, why);
    }
    return status == 0 ? hark_buf_append_char(buf, '}') : status;
}

void hark_ending_refuse(struct hark_exchange *exchange, const struct hark_ending *ending)
{
    if (refuse_for_all(exchange, ending)) {
        return;
    }
    if (ending->code == NORMAL) {
        const struct hark_response nothing = {.status = 204};
        hark_exchange_respond(exchange, &nothing);
    } else {
        hark_exchange_refuse(exchange, 403,
                             ending->why.len > 0 ? ending->why : HARK_LIT("refused"));
    }
}

void hark_ending_answer_poll(struct hark_exchange *exchange, const struct hark_ending *ending)
{
    if (refuse_for_all(exchange, ending)) {
        return;
    }
    struct hark_buf body;
    hark_buf_init(&body, HARK_ENDING_TEXT_MAX);
    int status = hark_buf_printf(
        &body, "{\"error\":\"session_closed\",\"code\":%u,\"reason\":", (unsigned)ending->code);
    status = status == 0 ? hark_codec_quote(&body, ending->why) : status;
    status = status == 0 ? hark_buf_append_char(&body, '}') : status;
    if (status == 0) {
        respond(exchange, 410, NULL, hark_buf_slice(&body));
    } else {
        hark_exchange_refuse(exchange, 410, HARK_LIT("session_closed"));
    }
    hark_buf_deinit(&body);
}

// What means the same wherever it is told. false: not one of these.
static bool refuse_for_all(struct hark_exchange *exchange, const struct hark_ending *ending)
{
    if (ending->is_retiring) {
        hark_ending_later(exchange, 503, HARK_LIT("draining"), ending->retry_ms);
    } else if (ending->code == HARK_ENDING_TRY_LATER) {
        hark_ending_later(exchange, 503, HARK_LIT("busy"), RETRY_MS);
    } else if (ending->code == INTERNAL_ERROR) {
        hark_ending_failed(exchange, last_word(ending->why));
    } else {
        return false;
    }
    return true;
}

static struct hark_slice last_word(struct hark_slice text)
{
    for (size_t i = text.len; i > 0; i--) {
        if (text.ptr[i - 1] == ' ') {
            return hark_slice_from(text, i);
        }
    }
    return text;
}

void hark_ending_error(struct hark_exchange *exchange,
                       int status,
                       struct hark_slice word,
                       const char *key,
                       struct hark_slice value)
{
    struct hark_buf body;
    hark_buf_init(&body, HARK_ENDING_TEXT_MAX);
    int made = hark_buf_append_text(&body, "{\"error\":");
    made = made == 0 ? hark_codec_quote(&body, word) : made;
    made = made == 0 ? hark_buf_printf(&body, ",\"%s\":", key) : made;
    made = made == 0 ? hark_buf_append_slice(&body, value) : made;
    made = made == 0 ? hark_buf_append_char(&body, '}') : made;
    if (made == 0) {
        respond(exchange, status, NULL, hark_buf_slice(&body));
    } else {
        hark_exchange_refuse(exchange, status, word);
    }
    hark_buf_deinit(&body);
}

void hark_ending_later(struct hark_exchange *exchange,
                       int status,
                       struct hark_slice word,
                       uint64_t retry_ms)
{
    uint64_t seconds = retry_ms / 1000 + (retry_ms % 1000 > 0 ? 1 : 0);
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRIu64, seconds > 0 ? seconds : 1);
    const struct hark_header retry = {HARK_LIT("Retry-After"),
                                      hark_slice(text, len > 0 ? (size_t)len : 0)};
    struct hark_buf body;
    hark_buf_init(&body, HARK_ENDING_TEXT_MAX);
    int made = hark_buf_append_text(&body, "{\"error\":");
    made = made == 0 ? hark_codec_quote(&body, word) : made;
    made = made == 0 ? hark_buf_append_char(&body, '}') : made;
    respond(exchange, status, &retry, made == 0 ? hark_buf_slice(&body) : HARK_LIT("{}"));
    hark_buf_deinit(&body);
}

void hark_ending_failed(struct hark_exchange *exchange, struct hark_slice reference)
{
    struct hark_buf value;
    hark_buf_init(&value, HARK_ENDING_TEXT_MAX / 2);
    if (hark_codec_quote(&value, reference) == 0) {
        hark_ending_error(exchange, 500, HARK_LIT("internal"), "reference", hark_buf_slice(&value));
    } else {
        hark_exchange_refuse(exchange, 500, HARK_LIT("internal"));
    }
    hark_buf_deinit(&value);
}

static void respond(struct hark_exchange *exchange,
                    int status,
                    const struct hark_header *extra,
                    struct hark_slice body)
{
    // A field without a value is left out by whoever writes the head.
    const struct hark_header headers[] = {
        {HARK_LIT("Content-Type"), HARK_LIT("application/json")},
        {HARK_LIT("Cache-Control"), HARK_LIT("no-store")},
        extra != NULL ? *extra : (struct hark_header){HARK_LIT("Retry-After"), HARK_SLICE_NONE},
    };
    const struct hark_response response = {
        .status = status,
        .headers = headers,
        .header_count = HARK_ARRAY_LEN(headers),
        .body = body,
    };
    hark_exchange_respond(exchange, &response);
}
