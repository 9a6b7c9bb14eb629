// SPDX-License-Identifier: MIT
//
// Text codings. Each function reserves the most it can write, works in place and commits at the
// end, so a failure leaves the buffer as it was. Decoders accept exactly one spelling of each
// value: base64 with bits left over that are not zero is refused (RFC 4648 section 3.5).
#include "base/codec.h"

#include <limits.h>
#include <stdint.h>

#include "base/utf8.h"
#include "hark.h"

#define NO_VALUE 0xFF

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char hex_digits[] = "0123456789abcdef";

static int encode64(struct hark_buf *buf, struct hark_slice data, const char *alphabet, bool pad);
static int decode64(struct hark_buf *buf, struct hark_slice text, bool is_url);
static uint8_t value64(char c, bool is_url);
static uint8_t value16(char c);
static int quote_special(struct hark_buf *buf, struct hark_slice text, size_t *ret_len);
static size_t plain_run(struct hark_slice text);

int hark_codec_base64(struct hark_buf *buf, struct hark_slice data)
{
    return encode64(buf, data, base64_alphabet, true);
}

int hark_codec_base64url(struct hark_buf *buf, struct hark_slice data)
{
    return encode64(buf, data, base64url_alphabet, false);
}

int hark_codec_hex(struct hark_buf *buf, struct hark_slice data)
{
    if (data.len > SIZE_MAX / 2) {
        return HARK_ETOOBIG;
    }
    char *at = NULL;
    int status = hark_buf_reserve(buf, data.len * 2, &at);
    if (status != 0) {
        return status;
    }
    for (size_t i = 0; i < data.len; i++) {
        uint8_t byte = (uint8_t)data.ptr[i];
        at[2 * i] = hex_digits[byte >> 4];
        at[2 * i + 1] = hex_digits[byte & 15];
    }
    hark_buf_commit(buf, data.len * 2);
    return 0;
}

int hark_codec_unbase64(struct hark_buf *buf, struct hark_slice text)
{
    if (text.len % 4 != 0) {
        return HARK_EINVAL;
    }
    size_t pads = 0;
    while (pads < 2 && pads < text.len && text.ptr[text.len - 1 - pads] == '=') {
        pads++;
    }
    text.len -= pads;
    return decode64(buf, text, false);
}

int hark_codec_unbase64url(struct hark_buf *buf, struct hark_slice text)
{
    return decode64(buf, text, true);
}

int hark_codec_unhex(struct hark_buf *buf, struct hark_slice text)
{
    if (text.len % 2 != 0) {
        return HARK_EINVAL;
    }
    char *at = NULL;
    int status = hark_buf_reserve(buf, text.len / 2, &at);
    if (status != 0) {
        return status;
    }
    for (size_t i = 0; i < text.len; i += 2) {
        uint8_t high = value16(text.ptr[i]);
        uint8_t low = value16(text.ptr[i + 1]);
        if (high == NO_VALUE || low == NO_VALUE) {
            return HARK_EINVAL;
        }
        at[i / 2] = (char)(high << 4 | low);
    }
    hark_buf_commit(buf, text.len / 2);
    return 0;
}

int hark_codec_unpercent(struct hark_buf *buf, struct hark_slice text, bool plus_is_space)
{
    char *at = NULL;
    int status = hark_buf_reserve(buf, text.len, &at); // it only gets shorter
    if (status != 0) {
        return status;
    }
    size_t len = 0;
    size_t i = 0;
    while (i < text.len) {
        char c = text.ptr[i];
        if (c != '%') {
            at[len++] = c == '+' && plus_is_space ? ' ' : c;
            i++;
            continue;
        }
        uint8_t high = text.len - i > 2 ? value16(text.ptr[i + 1]) : NO_VALUE;
        uint8_t low = text.len - i > 2 ? value16(text.ptr[i + 2]) : NO_VALUE;
        if (high == NO_VALUE || low == NO_VALUE) {
            return HARK_EINVAL;
        }
        at[len++] = (char)(high << 4 | low);
        i += 3;
    }
    hark_buf_commit(buf, len);
    return 0;
}

int hark_codec_quote(struct hark_buf *buf, struct hark_slice text)
{
    size_t before = hark_buf_len(buf);
    int status = hark_buf_append_char(buf, '"');
    while (status == 0 && text.len > 0) {
        size_t len = plain_run(text);
        if (len > 0) {
            status = hark_buf_append(buf, text.ptr, len);
        } else {
            status = quote_special(buf, text, &len);
        }
        text = hark_slice_from(text, len);
    }
    if (status == 0) {
        status = hark_buf_append_char(buf, '"');
    }
    if (status != 0) {
        hark_buf_truncate(buf, before);
    }
    return status;
}

static int encode64(struct hark_buf *buf, struct hark_slice data, const char *alphabet, bool pad)
{
    if (data.len > SIZE_MAX / 2) {
        return HARK_ETOOBIG;
    }
    size_t whole = data.len / 3;
    size_t rest = data.len % 3;
    size_t total = whole * 4;
    if (rest > 0) {
        total += pad ? 4 : rest + 1;
    }
    char *at = NULL;
    int status = hark_buf_reserve(buf, total, &at);
    if (status != 0) {
        return status;
    }
    const uint8_t *in = (const uint8_t *)data.ptr;
    for (size_t i = 0; i < whole; i++, in += 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = alphabet[bits >> 6 & 63];
        *at++ = alphabet[bits & 63];
    }
    if (rest > 0) {
        uint32_t bits = (uint32_t)in[0] << 16 | (rest == 2 ? (uint32_t)in[1] << 8 : 0);
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        if (rest == 2) {
            *at++ = alphabet[bits >> 6 & 63];
        } else if (pad) {
            *at++ = '=';
        }
        if (pad) {
            *at++ = '=';
        }
    }
    hark_buf_commit(buf, total);
    return 0;
}

// `text` is without padding.
static int decode64(struct hark_buf *buf, struct hark_slice text, bool is_url)
{
    size_t rest = text.len % 4;
    if (rest == 1) {
        return HARK_EINVAL;
    }
    size_t total = text.len / 4 * 3 + (rest == 0 ? 0 : rest - 1);
    char *at = NULL;
    int status = hark_buf_reserve(buf, total, &at);
    if (status != 0) {
        return status;
    }
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t value = value64(text.ptr[i], is_url);
        if (value == NO_VALUE) {
            return HARK_EINVAL;
        }
        bits = bits << 6 | value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *at++ = (char)(uint8_t)(bits >> held);
            bits &= (1U << held) - 1;
        }
    }
    if (bits != 0) {
        return HARK_EINVAL;
    }
    hark_buf_commit(buf, total);
    return 0;
}

static uint8_t value64(char c, bool is_url)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint8_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint8_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint8_t)(c - '0' + 52);
    }
    if (c == (is_url ? '-' : '+')) {
        return 62;
    }
    if (c == (is_url ? '_' : '/')) {
        return 63;
    }
    return NO_VALUE;
}

static uint8_t value16(char c)
{
    if (c >= '0' && c <= '9') {
        return (uint8_t)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (uint8_t)(c - 'a' + 10);
    }
    if (c >= 'A' && c <= 'F') {
        return (uint8_t)(c - 'A' + 10);
    }
    return NO_VALUE;
}

// One character that cannot stand as it is, or one beyond ASCII, which must be checked first.
static int quote_special(struct hark_buf *buf, struct hark_slice text, size_t *ret_len)
{
    uint8_t c = (uint8_t)text.ptr[0];
    if (c >= 0x80) {
        bool is_valid = false;
        *ret_len = hark_utf8_next(text, &is_valid);
        return is_valid ? hark_buf_append(buf, text.ptr, *ret_len)
                        : hark_buf_append_text(buf, "\xEF\xBF\xBD");
    }
    *ret_len = 1;
    switch (c) {
    case '"': return hark_buf_append_text(buf, "\\\"");
    case '\\': return hark_buf_append_text(buf, "\\\\");
    case '\b': return hark_buf_append_text(buf, "\\b");
    case '\f': return hark_buf_append_text(buf, "\\f");
    case '\n': return hark_buf_append_text(buf, "\\n");
    case '\r': return hark_buf_append_text(buf, "\\r");
    case '\t': return hark_buf_append_text(buf, "\\t");
    default: return hark_buf_printf(buf, "\\u%04x", (unsigned)c);
    }
}

static size_t plain_run(struct hark_slice text)
{
    size_t i = 0;
    while (i < text.len) {
        uint8_t c = (uint8_t)text.ptr[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') {
            break;
        }
        i++;
    }
    return i;
}
