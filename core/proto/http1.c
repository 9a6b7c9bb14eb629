// SPDX-License-Identifier: MIT
//
// Reader of one request; see http1.h. The only user of llhttp, which sees nothing that the guards
// (http1_guard, http1_chunks) have not passed. Where llhttp and a guard disagree all the same, the
// request is refused.
#include "proto/http1.h"

#include <llhttp.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hark.h"
#include "proto/http1_chunks.h"
#include "proto/uri.h"

enum crlf { CRLF_NONE, CRLF_CR, CRLF_DONE }; // the empty line before a request

struct hark_http1 {
    struct hark_http1_limits limits;
    enum hark_http1_stage stage;
    enum crlf crlf;
    struct hark_http1_refusal refusal;
    struct hark_buf gathered; // an unfinished head
    size_t looked;            // how far the end has been looked for in it
    void *block;              // header table, head, decoded path: one allocation
    struct hark_header *headers;
    char *bytes;                 // the head
    struct hark_http1_head head; // its slices are dead once the head has been copied
    struct hark_request request;
    llhttp_t parser;
    struct hark_http1_chunks chunks;
    uint64_t left; // of a body with a length
    struct hark_buf body;
    bool whole;         // llhttp has seen the end
    bool out_of_memory; // in a callback of llhttp
};

static size_t skip_crlf(struct hark_http1 *reader, struct hark_slice data);
static int feed_head(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed);
static int accept_head(struct hark_http1 *reader, struct hark_slice head);
static bool has_body(const struct hark_http1 *reader);
static int copy_head(struct hark_http1 *reader, struct hark_slice head);
static int tokenize(struct hark_http1 *reader, size_t len);
static int feed_body(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed);
static int feed_sized(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed);
static int feed_chunked(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed);
static int decode(struct hark_http1 *reader, struct hark_slice data, bool ends);
static int finish(struct hark_http1 *reader);
static int refuse(struct hark_http1 *reader, int status, const char *why);
static int out_of_memory(struct hark_http1 *reader);
static int on_field(llhttp_t *parser, const char *at, size_t len);
static int on_value(llhttp_t *parser, const char *at, size_t len);
static int on_value_complete(llhttp_t *parser);
static int on_body(llhttp_t *parser, const char *at, size_t len);
static int on_complete(llhttp_t *parser);

static const llhttp_settings_t SETTINGS = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

struct hark_http1 *hark_http1_new(const struct hark_http1_limits *limits)
{
    struct hark_http1 *reader = hark_mem_zalloc(sizeof(*reader));
    if (reader == NULL) {
        return NULL;
    }
    reader->limits = *limits;
    hark_buf_init(&reader->gathered, limits->head_bytes);
    hark_buf_init(&reader->body, limits->body_bytes);
    return reader;
}

void hark_http1_free(struct hark_http1 *reader)
{
    if (reader == NULL) {
        return;
    }
    hark_buf_deinit(&reader->body);
    hark_mem_free(reader->block);
    hark_buf_deinit(&reader->gathered);
    hark_mem_free(reader);
}

int hark_http1_feed(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed)
{
    size_t skipped = 0;
    size_t consumed = 0;
    int status = HARK_EAGAIN;
    if (reader->stage == HARK_HTTP1_START) {
        skipped = skip_crlf(reader, data);
        data = hark_slice_from(data, skipped);
    }
    if (data.len > 0 && reader->stage <= HARK_HTTP1_HEAD) {
        reader->stage = HARK_HTTP1_HEAD;
        status = feed_head(reader, data, &consumed);
        skipped += consumed;
        data = hark_slice_from(data, consumed);
        consumed = 0;
    }
    if (data.len > 0 && status == HARK_EAGAIN && reader->stage == HARK_HTTP1_BODY) {
        status = feed_body(reader, data, &consumed);
    }
    if (reader->stage == HARK_HTTP1_REFUSED) {
        return reader->out_of_memory ? HARK_ENOMEM : HARK_EPROTO;
    }
    *ret_consumed = skipped + consumed;
    return reader->stage == HARK_HTTP1_DONE ? 0 : status;
}

enum hark_http1_stage hark_http1_stage(const struct hark_http1 *reader)
{
    return reader->stage;
}

bool hark_http1_wants_continue(const struct hark_http1 *reader)
{
    return reader->stage == HARK_HTTP1_BODY && reader->head.expects_continue;
}

const struct hark_request *hark_http1_request(const struct hark_http1 *reader)
{
    return &reader->request;
}

bool hark_http1_keep_alive(const struct hark_http1 *reader)
{
    return reader->head.keep_alive;
}

struct hark_http1_refusal hark_http1_refusal(const struct hark_http1 *reader)
{
    return reader->refusal;
}

// RFC 9112 section 2.2: an empty line before the request line is passed over, one.
static size_t skip_crlf(struct hark_http1 *reader, struct hark_slice data)
{
    size_t at = 0;
    if (reader->crlf == CRLF_NONE && at < data.len && data.ptr[at] == '\r') {
        reader->crlf = CRLF_CR;
        at++;
    }
    if (reader->crlf == CRLF_CR && at < data.len) {
        if (data.ptr[at] != '\n') {
            (void)refuse(reader, 400, "this is not an HTTP request"); // the stage tells
            return at;
        }
        reader->crlf = CRLF_DONE;
        at++;
    }
    return at;
}

static int feed_head(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed)
{
    size_t before = hark_buf_len(&reader->gathered);
    size_t room = reader->limits.head_bytes - before;
    struct hark_slice held = hark_slice(data.ptr, data.len < room ? data.len : room);
    if (before > 0) {
        if (hark_buf_append_slice(&reader->gathered, held) != 0) {
            return out_of_memory(reader);
        }
        held = hark_buf_slice(&reader->gathered);
    }
    int status = hark_http1_guard_end(held, &reader->looked, &reader->refusal);
    if (status == HARK_EPROTO) {
        return refuse(reader, reader->refusal.status, reader->refusal.why);
    }
    if (status == 0) {
        *ret_consumed = reader->looked - before;
        return accept_head(reader, hark_slice(held.ptr, reader->looked));
    }
    if (held.len == reader->limits.head_bytes) {
        bool is_line = memchr(held.ptr, '\n', held.len) == NULL;
        return is_line ? refuse(reader, 414, "the request line is longer than the limit")
                       : refuse(reader, 431, "the request head is larger than the limit");
    }
    if (before == 0 && hark_buf_append_slice(&reader->gathered, held) != 0) {
        return out_of_memory(reader);
    }
    *ret_consumed = data.len;
    return HARK_EAGAIN;
}

// The head is whole: judge, copy, tokenize, and see what the body will be.
static int accept_head(struct hark_http1 *reader, struct hark_slice head)
{
    struct hark_http1_refusal refusal;
    if (hark_http1_guard_head(head, &reader->head, &refusal) != 0) {
        return refuse(reader, refusal.status, refusal.why);
    }
    if (reader->head.length > reader->limits.body_bytes) {
        return refuse(reader, 413, "the request body is larger than the limit");
    }
    int status = copy_head(reader, head);
    if (status == 0) {
        status = tokenize(reader, head.len);
    }
    if (status != 0) {
        return status;
    }
    hark_buf_deinit(&reader->gathered);
    if (!has_body(reader)) {
        return finish(reader);
    }
    reader->stage = HARK_HTTP1_BODY;
    reader->left = reader->head.length;
    hark_http1_chunks_init(&reader->chunks, reader->limits.body_bytes, reader->limits.head_bytes);
    return HARK_EAGAIN;
}

static bool has_body(const struct hark_http1 *reader)
{
    return reader->head.chunked || reader->head.length > 0;
}

static struct hark_slice moved(struct hark_slice part, const char *from, const char *to)
{
    return part.ptr == NULL ? part : hark_slice(to + (part.ptr - from), part.len);
}

// Makes the block of header table, head and decoded path, and the request that points into it.
static int copy_head(struct hark_http1 *reader, struct hark_slice head)
{
    const struct hark_http1_head *facts = &reader->head;
    size_t table = facts->field_count * sizeof(struct hark_header);
    reader->block = hark_mem_zalloc(table + head.len + facts->path.len + 1);
    if (reader->block == NULL) {
        return out_of_memory(reader);
    }
    reader->headers = reader->block;
    reader->bytes = (char *)reader->block + table;
    memcpy(reader->bytes, head.ptr, head.len);
    reader->request = (struct hark_request){
        .method = moved(facts->method, head.ptr, reader->bytes),
        .target = moved(facts->target, head.ptr, reader->bytes),
        .path = moved(facts->path, head.ptr, reader->bytes),
        .query = moved(facts->query, head.ptr, reader->bytes),
        .host = moved(facts->host, head.ptr, reader->bytes),
        .minor = facts->minor,
        .headers = reader->headers,
    };
    if (hark_slice_is(facts->path, HARK_LIT("*"))) {
        return 0;
    }
    char *path = reader->bytes + head.len;
    size_t len = 0;
    if (hark_uri_normalise(facts->path, path, &len) != 0) {
        return refuse(reader, 400, "a malformed or ambiguous escape in the path");
    }
    reader->request.path = hark_slice(path, len);
    return 0;
}

// Lets llhttp fill the header table, and sees that it reads the head as the guard did.
static int tokenize(struct hark_http1 *reader, size_t len)
{
    llhttp_init(&reader->parser, HTTP_REQUEST, &SETTINGS);
    reader->parser.data = reader;
    llhttp_errno_t err = llhttp_execute(&reader->parser, reader->bytes, len);
    bool ends = !has_body(reader);
    bool agrees = err == (ends ? HPE_PAUSED : HPE_OK) && reader->whole == ends &&
                  reader->request.header_count == reader->head.field_count &&
                  llhttp_get_http_minor(&reader->parser) == reader->head.minor;
    const char *method = llhttp_method_name((llhttp_method_t)llhttp_get_method(&reader->parser));
    if (!agrees || !hark_slice_is(reader->request.method, hark_slice_text(method))) {
        return refuse(reader, 400, "malformed request head");
    }
    return 0;
}

static int feed_body(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed)
{
    reader->head.expects_continue = false;
    return reader->head.chunked ? feed_chunked(reader, data, ret_consumed)
                                : feed_sized(reader, data, ret_consumed);
}

static int feed_sized(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed)
{
    size_t n = data.len < reader->left ? data.len : (size_t)reader->left;
    reader->left -= n;
    *ret_consumed = n;
    int status = decode(reader, hark_slice(data.ptr, n), reader->left == 0);
    if (status != 0) {
        return status;
    }
    return reader->left == 0 ? finish(reader) : HARK_EAGAIN;
}

static int feed_chunked(struct hark_http1 *reader, struct hark_slice data, size_t *ret_consumed)
{
    struct hark_http1_refusal refusal;
    size_t sound = 0;
    int walked = hark_http1_chunks_feed(&reader->chunks, data, &sound, &refusal);
    // What is sound goes to llhttp even before a refusal: which of the two refuses first must not
    // depend on how the bytes are cut.
    int status = decode(reader, hark_slice(data.ptr, sound), walked == 0);
    if (status != 0) {
        return status;
    }
    if (walked == HARK_EPROTO) {
        return refuse(reader, refusal.status, refusal.why);
    }
    *ret_consumed = sound;
    return walked == 0 ? finish(reader) : HARK_EAGAIN;
}

// Body bytes to llhttp; `ends`: the guards say that the message ends with them.
static int decode(struct hark_http1 *reader, struct hark_slice data, bool ends)
{
    llhttp_errno_t err = llhttp_execute(&reader->parser, data.ptr, data.len);
    if (reader->out_of_memory) {
        return out_of_memory(reader);
    }
    if (err != (ends ? HPE_PAUSED : HPE_OK) || reader->whole != ends) {
        return refuse(reader, 400, "malformed request body");
    }
    return 0;
}

static int finish(struct hark_http1 *reader)
{
    reader->request.body = hark_buf_slice(&reader->body);
    reader->stage = HARK_HTTP1_DONE;
    return 0;
}

static int refuse(struct hark_http1 *reader, int status, const char *why)
{
    reader->refusal = (struct hark_http1_refusal){.status = status, .why = why};
    reader->stage = HARK_HTTP1_REFUSED;
    return HARK_EPROTO;
}

static int out_of_memory(struct hark_http1 *reader)
{
    reader->out_of_memory = true;
    (void)refuse(reader, 503, "out of memory");
    return HARK_ENOMEM;
}

// Trailers come through the same callbacks, in stage BODY, and are dropped.
static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct hark_http1 *reader = parser->data;
    if (reader->stage != HARK_HTTP1_HEAD) {
        return 0;
    }
    if (reader->request.header_count >= reader->head.field_count) {
        return -1;
    }
    reader->headers[reader->request.header_count].name = hark_slice(at, len);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct hark_http1 *reader = parser->data;
    if (reader->stage != HARK_HTTP1_HEAD) {
        return 0;
    }
    if (reader->request.header_count >= reader->head.field_count) {
        return -1;
    }
    struct hark_slice value = hark_slice_trim(hark_slice(at, len));
    reader->headers[reader->request.header_count].value = value;
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct hark_http1 *reader = parser->data;
    reader->request.header_count += reader->stage == HARK_HTTP1_HEAD ? 1 : 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct hark_http1 *reader = parser->data;
    if (hark_buf_append(&reader->body, at, len) != 0) {
        reader->out_of_memory = true;
        return -1;
    }
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct hark_http1 *reader = parser->data;
    reader->whole = true;
    return HPE_PAUSED;
}
