// SPDX-License-Identifier: MIT
//
// The reader of requests against three invariants: the result does not depend on how the bytes are
// cut; what the guard accepts, llhttp alone accepts too; and the fields are those that a naive
// split of the head at CRLF and colon finds. Links llhttp itself, as a second opinion.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#include "base/attr.h"
#include "hark.h"
#include "proto/http1.h"
#include "proto/http1_guard.h"

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

// Small, so that the limits are met often.
static const struct hark_http1_limits LIMITS = {.head_bytes = 1024, .body_bytes = 256};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Feeds pieces of one byte (step 1), of everything (step 0), or of sizes that `step` seeds. Each
// piece is an allocation of its own, so that the sanitizer sees any look beyond it.
static struct hark_http1 *
feed(struct hark_slice text, uint32_t step, int *ret, size_t *ret_consumed)
{
    struct hark_http1 *reader = hark_http1_new(&LIMITS);
    REQUIRE(reader != NULL);
    *ret = HARK_EAGAIN;
    *ret_consumed = 0;
    uint32_t seed = step;
    while (text.len > 0 && *ret == HARK_EAGAIN) {
        seed = seed * 1664525 + 1013904223;
        size_t n = step == 0 ? text.len : step == 1 ? 1 : 1 + (seed >> 16) % 40;
        n = n < text.len ? n : text.len;
        char *piece = malloc(n);
        REQUIRE(piece != NULL);
        memcpy(piece, text.ptr, n);
        size_t consumed = 0;
        *ret = hark_http1_feed(reader, hark_slice(piece, n), &consumed);
        free(piece);
        REQUIRE(consumed <= n && (*ret != HARK_EAGAIN || consumed == n));
        *ret_consumed += consumed;
        text = hark_slice_from(text, n);
    }
    return reader;
}

static void require_same_request(const struct hark_http1 *one, const struct hark_http1 *two)
{
    const struct hark_request *a = hark_http1_request(one);
    const struct hark_request *b = hark_http1_request(two);
    REQUIRE(hark_slice_is(a->method, b->method) && hark_slice_is(a->target, b->target));
    REQUIRE(hark_slice_is(a->path, b->path) && hark_slice_is(a->query, b->query));
    REQUIRE(hark_slice_is(a->host, b->host) && hark_slice_is(a->body, b->body));
    REQUIRE(a->minor == b->minor && a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++) {
        REQUIRE(hark_slice_is(a->headers[i].name, b->headers[i].name));
        REQUIRE(hark_slice_is(a->headers[i].value, b->headers[i].value));
    }
    REQUIRE(hark_http1_keep_alive(one) == hark_http1_keep_alive(two));
}

static void check_cuts(struct hark_slice text, uint32_t seed)
{
    int status = 0;
    size_t consumed = 0;
    struct hark_http1 *whole = feed(text, 0, &status, &consumed);
    const uint32_t steps[] = {1, seed | 2};
    for (size_t i = 0; i < HARK_ARRAY_LEN(steps); i++) {
        int status2 = 0;
        size_t consumed2 = 0;
        struct hark_http1 *cut = feed(text, steps[i], &status2, &consumed2);
        REQUIRE(status == status2);
        REQUIRE(hark_http1_stage(whole) == hark_http1_stage(cut));
        if (status == HARK_EPROTO) {
            struct hark_http1_refusal a = hark_http1_refusal(whole);
            struct hark_http1_refusal b = hark_http1_refusal(cut);
            REQUIRE(a.status == b.status && strcmp(a.why, b.why) == 0);
        } else {
            REQUIRE(consumed == consumed2);
        }
        if (status == 0) {
            require_same_request(whole, cut);
        }
        hark_http1_free(cut);
    }
    hark_http1_free(whole);
}

// What llhttp makes of a head: its fields, one "name:value\n" after the other.
struct opinion {
    char fields[4096];
    size_t len;
    size_t count;
    int keep_alive;
};

static int append(llhttp_t *parser, const char *at, size_t len)
{
    struct opinion *opinion = parser->data;
    REQUIRE(opinion->len + len < sizeof(opinion->fields));
    memcpy(opinion->fields + opinion->len, at, len);
    opinion->len += len;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct hark_slice value = hark_slice_trim(hark_slice(at, len));
    return append(parser, ":", 1) + append(parser, value.ptr, value.len) + append(parser, "\n", 1);
}

static int on_value_complete(llhttp_t *parser)
{
    struct opinion *opinion = parser->data;
    opinion->count++;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct opinion *opinion = parser->data;
    opinion->keep_alive = llhttp_should_keep_alive(parser);
    return HPE_PAUSED;
}

static void check_against_llhttp(struct hark_slice head, const struct hark_http1_head *facts)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    struct opinion opinion = {.len = 0};
    llhttp_settings_init(&settings);
    settings.on_header_field = append;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_value_complete;
    settings.on_headers_complete = on_headers_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &opinion;
    REQUIRE(llhttp_execute(&parser, head.ptr, head.len) == HPE_PAUSED);
    REQUIRE(opinion.count == facts->field_count);
    REQUIRE(llhttp_get_http_major(&parser) == 1);
    REQUIRE(llhttp_get_http_minor(&parser) == facts->minor);
    REQUIRE(((parser.flags & F_CHUNKED) != 0) == facts->chunked);
    // One way: in HTTP/1.0 llhttp lets keep-alive win over close, RFC 9112 section 9.3 does not.
    REQUIRE(opinion.keep_alive != 0 || !facts->keep_alive);
    REQUIRE(facts->chunked || parser.content_length == facts->length);

    struct hark_slice rest = head;
    (void)hark_slice_next(&rest, '\n'); // the request line
    size_t at = 0;
    for (size_t i = 0; i < facts->field_count; i++) {
        struct hark_slice line = hark_slice_next(&rest, '\n');
        REQUIRE(line.len > 0 && line.ptr[line.len - 1] == '\r');
        line.len--;
        struct hark_slice value = line;
        struct hark_slice name = hark_slice_next(&value, ':');
        value = hark_slice_trim(value);
        REQUIRE(at + name.len + value.len + 2 <= opinion.len);
        REQUIRE(memcmp(opinion.fields + at, name.ptr, name.len) == 0);
        REQUIRE(opinion.fields[at + name.len] == ':');
        REQUIRE(value.len == 0 ||
                memcmp(opinion.fields + at + name.len + 1, value.ptr, value.len) == 0);
        at += name.len + value.len + 2;
    }
    REQUIRE(at == opinion.len && hark_slice_is(rest, HARK_LIT("\r\n")));
}

static void check_guard(struct hark_slice text)
{
    size_t end = 0;
    struct hark_http1_refusal refusal = {0};
    struct hark_http1_head head;
    text.len = text.len < 2048 ? text.len : 2048;
    int status = hark_http1_guard_end(text, &end, &refusal);
    if (status == HARK_EPROTO) {
        REQUIRE(refusal.status == 400);
    }
    if (status != 0) {
        return;
    }
    if (hark_http1_guard_head(hark_slice(text.ptr, end), &head, &refusal) == 0) {
        check_against_llhttp(hark_slice(text.ptr, end), &head);
    } else {
        REQUIRE(refusal.status >= 400 && refusal.status <= 505 && refusal.why != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t seed = size > 4 ? (uint32_t)data[size - 1] << 8 | data[size - 2] : 2;
    struct hark_slice text = hark_slice(data, size);
    check_guard(text);
    check_cuts(text, seed);
    return 0;
}
