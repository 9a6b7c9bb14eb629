// SPDX-License-Identifier: MIT
//
// Paths, authorities and queries; see uri.h. A path is decoded before its dot segments are removed:
// the router, the static files and a script must all see what a client could hide behind escapes.
#include "proto/uri.h"

#include "hark.h"

// Longest port in text.
#define PORT_DIGITS 5

static bool is_unreserved_or_delim(char c);
static int decode_at(struct hark_slice raw, size_t *at, char *ret);
static int hex_value(char c);
static size_t keep_escape(char *out, size_t segment, size_t len);
static size_t end_segment(char *out, size_t segment, size_t len, bool more);
static bool is_literal_address(struct hark_slice text);
static bool is_reg_name(struct hark_slice text);
static bool is_port(struct hark_slice text);

int hark_uri_normalise(struct hark_slice raw, char *out, size_t *ret_len)
{
    if (raw.len > 0 && raw.ptr[0] != '/') {
        return HARK_EINVAL;
    }
    size_t len = 0;
    out[len++] = '/';
    size_t segment = len;
    size_t at = 1;
    while (at < raw.len) {
        if (raw.ptr[at] == '/') {
            len = end_segment(out, segment, len, true);
            segment = len;
            at++;
            continue;
        }
        if (decode_at(raw, &at, &out[len]) != 0 || out[len] == '\0') {
            return HARK_EINVAL;
        }
        len = keep_escape(out, segment, len + 1);
    }
    *ret_len = end_segment(out, segment, len, false);
    return 0;
}

// Behind each decoded byte: a slash becomes "%2F", and text that reads like one, "%2F" or "%252F"
// and so on, gets a "25" more. That many bytes were there: a percent sign comes from three.
static size_t keep_escape(char *out, size_t segment, size_t len)
{
    if (out[len - 1] == '/') {
        memcpy(out + len - 1, "%2F", 3);
        return len + 2;
    }
    if ((out[len - 1] | 0x20) != 'f' || len - segment < 3 || out[len - 2] != '2') {
        return len;
    }
    size_t at = len - 2;
    while (at - segment > 2 && out[at - 2] == '2' && out[at - 1] == '5') {
        at -= 2;
    }
    if (at == segment || out[at - 1] != '%') {
        return len;
    }
    memmove(out + at + 2, out + at, len - at);
    memcpy(out + at, "25", 2);
    out[len + 1] = 'F';
    return len + 2;
}

int hark_uri_escape(struct hark_buf *buf, struct hark_slice path)
{
    int status = 0;
    for (size_t i = 0; i < path.len && status == 0; i++) {
        char c = path.ptr[i];
        bool keep = is_unreserved_or_delim(c) || c == '/' || c == ':' || c == '@';
        status = keep ? hark_buf_append_char(buf, c)
                      : hark_buf_printf(buf, "%%%02X", (unsigned)(unsigned char)c);
    }
    return status;
}

bool hark_uri_authority_is_valid(struct hark_slice authority)
{
    if (authority.len == 0) {
        return false;
    }
    struct hark_slice host = authority;
    struct hark_slice rest = HARK_SLICE_NONE;
    if (authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        if (end == NULL) {
            return false;
        }
        host.len = (size_t)(end - authority.ptr) + 1;
        rest = hark_slice_from(authority, host.len);
    } else {
        const char *colon = memchr(authority.ptr, ':', authority.len);
        if (colon != NULL) {
            host.len = (size_t)(colon - authority.ptr);
            rest = hark_slice_from(authority, host.len);
        }
    }
    if (rest.len > 0 && (rest.ptr[0] != ':' || !is_port(hark_slice_from(rest, 1)))) {
        return false;
    }
    return authority.ptr[0] == '[' ? is_literal_address(host) : is_reg_name(host);
}

bool hark_uri_query_next(struct hark_slice *rest, struct hark_uri_pair *ret)
{
    while (rest->len > 0) {
        struct hark_slice pair = hark_slice_next(rest, '&');
        if (pair.len == 0) {
            continue;
        }
        ret->name = hark_slice_next(&pair, '=');
        ret->value = pair;
        return true;
    }
    return false;
}

bool hark_uri_query_is(struct hark_slice raw, struct hark_slice text)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = '\0';
        if (at >= raw.len) {
            return false;
        }
        if (raw.ptr[at] == '+') {
            c = ' ';
            at++;
        } else if (decode_at(raw, &at, &c) != 0) {
            return false;
        }
        if (c != text.ptr[i]) {
            return false;
        }
    }
    return at == raw.len;
}

// unreserved / sub-delims of RFC 3986 section 2.
static bool is_unreserved_or_delim(char c)
{
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=", c) != NULL);
}

// One byte, escaped or not; moves *at behind it.
static int decode_at(struct hark_slice raw, size_t *at, char *ret)
{
    const char *from = raw.ptr + *at;
    if (*from != '%') {
        *ret = *from;
        *at += 1;
        return 0;
    }
    if (raw.len - *at < 3) {
        return HARK_EINVAL;
    }
    int high = hex_value(from[1]);
    int low = hex_value(from[2]);
    if (high < 0 || low < 0) {
        return HARK_EINVAL;
    }
    *ret = (char)(high * 16 + low);
    *at += 3;
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The segment from `segment` to `len` is whole: drops it when it is ".", with its parent when it is
// "..", else keeps it, with a slash behind it if more follows. Returns the new length.
static size_t end_segment(char *out, size_t segment, size_t len, bool more)
{
    struct hark_slice text = hark_slice(out + segment, len - segment);
    if (hark_slice_is(text, HARK_LIT("."))) {
        return segment;
    }
    if (hark_slice_is(text, HARK_LIT(".."))) {
        size_t parent = segment - 1;
        while (parent > 0 && out[parent - 1] != '/') {
            parent--;
        }
        return parent == 0 ? 1 : parent;
    }
    if (more) {
        out[len++] = '/';
    }
    return len;
}

// "[::1]": the bytes of an IPv6 address; whether the address makes sense is no matter of ours.
// IPvFuture is not served.
static bool is_literal_address(struct hark_slice text)
{
    if (text.len < 4) {
        return false;
    }
    for (size_t i = 1; i < text.len - 1; i++) {
        if (text.ptr[i] != ':' && text.ptr[i] != '.' && hex_value(text.ptr[i]) < 0) {
            return false;
        }
    }
    return true;
}

// unreserved / pct-encoded / sub-delims, not empty.
static bool is_reg_name(struct hark_slice text)
{
    size_t at = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        char byte = '\0';
        if ((!is_unreserved_or_delim(c) && c != '%') || decode_at(text, &at, &byte) != 0) {
            return false;
        }
    }
    return text.len > 0;
}

// RFC 3986 allows an empty port ("a:"); it means the scheme's default.
static bool is_port(struct hark_slice text)
{
    unsigned port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
        if (i >= PORT_DIGITS || port > 65535) {
            return false;
        }
    }
    return true;
}
