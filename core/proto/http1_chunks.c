// SPDX-License-Identifier: MIT
//
// The strict walker over chunked framing; see http1_chunks.h. One small function per state, a byte
// at a time but for chunk data, which is stepped over whole.
#include "proto/http1_chunks.h"

#include "hark.h"
#include "proto/http.h"

// A 64-bit size in hex; leading zeros count, so that they cannot go on for ever.
#define SIZE_DIGITS 16

enum state {
    SIZE,         // digits of a chunk size
    EXTENSION,    // behind ';'
    QUOTED,       // in a quoted extension value
    ESCAPED,      // behind '\' in it
    SIZE_LF,      // LF of the size line
    DATA,         // chunk data
    DATA_CR,      // CR behind it
    DATA_LF,      // LF behind it
    TRAILER,      // first byte of a trailer field or of the last line
    TRAILER_NAME, //
    TRAILER_VALUE,
    TRAILER_LF, // LF of a trailer field
    FINAL_LF,   // LF of the last line
    DONE,
};

static int step(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret);
static int
step_size(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret);
static int
step_extension(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret);
static int
step_break(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret);
static int
step_trailer(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret);
static int refuse(struct hark_http1_refusal *ret, int status, const char *why);

void hark_http1_chunks_init(struct hark_http1_chunks *chunks, size_t body_max, size_t extra_max)
{
    *chunks = (struct hark_http1_chunks){.state = SIZE, .room = body_max, .extra_room = extra_max};
}

int hark_http1_chunks_feed(struct hark_http1_chunks *chunks,
                           struct hark_slice data,
                           size_t *ret_len,
                           struct hark_http1_refusal *ret_refusal)
{
    size_t at = 0;
    int status = chunks->state == DONE ? 0 : HARK_EAGAIN;
    while (at < data.len && status == HARK_EAGAIN) {
        if (chunks->state == DATA) {
            size_t n = data.len - at < chunks->left ? data.len - at : (size_t)chunks->left;
            chunks->left -= n;
            at += n;
            chunks->state = chunks->left == 0 ? DATA_CR : DATA;
            continue;
        }
        status = step(chunks, (unsigned char)data.ptr[at], ret_refusal);
        at += status == HARK_EPROTO ? 0 : 1;
    }
    *ret_len = at;
    return status;
}

static int step(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret)
{
    switch ((enum state)chunks->state) {
    case SIZE: return step_size(chunks, c, ret);
    case EXTENSION:
    case QUOTED:
    case ESCAPED: return step_extension(chunks, c, ret);
    case SIZE_LF:
    case DATA_CR:
    case DATA_LF:
    case TRAILER_LF:
    case FINAL_LF: return step_break(chunks, c, ret);
    case TRAILER:
    case TRAILER_NAME:
    case TRAILER_VALUE: return step_trailer(chunks, c, ret);
    case DATA:
    case DONE: break;
    }
    return HARK_EAGAIN;
}

static int
step_size(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char lower = c >= 'A' && c <= 'F' ? (unsigned char)(c | 0x20) : c;
    const char *digit = c == '\0' ? NULL : strchr(hex, lower);
    if (digit != NULL) {
        if (++chunks->digits > SIZE_DIGITS) {
            return refuse(ret, 400, "a chunk size of more than 16 digits");
        }
        chunks->left = chunks->left << 4 | (uint64_t)(digit - hex);
        return HARK_EAGAIN;
    }
    if (chunks->digits == 0 || (c != '\r' && c != ';')) {
        return refuse(ret, 400, "malformed chunk size");
    }
    if (chunks->left > chunks->room) {
        return refuse(ret, 413, "the request body is larger than the limit");
    }
    chunks->room -= chunks->left;
    chunks->state = c == ';' ? EXTENSION : SIZE_LF;
    return HARK_EAGAIN;
}

// Extensions mean nothing to us; only their end matters, and that a quoted CR or LF cannot fake it.
static int
step_extension(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret)
{
    if (chunks->state == EXTENSION && c == '\r') {
        chunks->state = SIZE_LF;
        return HARK_EAGAIN;
    }
    if (!(hark_http_class[c] & HARK_HTTP_VALUE)) {
        return refuse(ret, 400, "a control byte in a chunk extension");
    }
    if (chunks->extra_room-- == 0) {
        chunks->extra_room = 0;
        return refuse(ret, 400, "the chunk extensions are larger than the limit");
    }
    if (chunks->state == ESCAPED) {
        chunks->state = QUOTED;
    } else if (chunks->state == QUOTED && c == '\\') {
        chunks->state = ESCAPED;
    } else if (c == '"') {
        chunks->state = chunks->state == QUOTED ? EXTENSION : QUOTED;
    }
    return HARK_EAGAIN;
}

// The states that allow one byte only.
static int
step_break(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret)
{
    if (c != (chunks->state == DATA_CR ? '\r' : '\n')) {
        return refuse(ret, 400, "a chunk or its size does not end in CRLF");
    }
    if (chunks->state == DATA_CR) {
        chunks->state = DATA_LF;
    } else if (chunks->state == SIZE_LF) {
        chunks->state = chunks->left > 0 ? DATA : TRAILER;
    } else if (chunks->state == TRAILER_LF) {
        chunks->state = TRAILER;
    } else if (chunks->state == DATA_LF) {
        chunks->state = SIZE;
        chunks->digits = 0;
    } else {
        chunks->state = DONE;
        return 0;
    }
    return HARK_EAGAIN;
}

// Trailer fields are checked and dropped (RFC 9110 section 6.5.1): none is allowed to change a
// request that has been judged by its head.
static int
step_trailer(struct hark_http1_chunks *chunks, unsigned char c, struct hark_http1_refusal *ret)
{
    if (c == '\r' && chunks->state != TRAILER_NAME) {
        chunks->state = chunks->state == TRAILER ? FINAL_LF : TRAILER_LF;
        return HARK_EAGAIN;
    }
    if (chunks->extra_room-- == 0) {
        chunks->extra_room = 0;
        return refuse(ret, 431, "the trailer fields are larger than the limit");
    }
    if (chunks->state == TRAILER_NAME && c == ':') {
        chunks->state = TRAILER_VALUE;
        return HARK_EAGAIN;
    }
    uint8_t allowed = chunks->state == TRAILER_VALUE ? HARK_HTTP_VALUE : HARK_HTTP_TOKEN;
    if (!(hark_http_class[c] & allowed)) {
        return refuse(ret, 400, "malformed trailer field");
    }
    if (chunks->state == TRAILER) {
        chunks->state = TRAILER_NAME;
    }
    return HARK_EAGAIN;
}

static int refuse(struct hark_http1_refusal *ret, int status, const char *why)
{
    *ret = (struct hark_http1_refusal){.status = status, .why = why};
    return HARK_EPROTO;
}
