// SPDX-License-Identifier: MIT
//
// The strict judge of request heads; see http1_guard.h. Every rule here closes a way by which two
// servers on one path could read the same bytes differently (request smuggling), or refuses what we
// do not implement. Nothing is repaired: a head is served as it is or not at all.
#include "proto/http1_guard.h"

#include "hark.h"
#include "proto/http.h"
#include "proto/uri.h"

// More digits are a length over every limit, or zeros that no honest client puts in front.
#define LENGTH_DIGITS 18

struct guard {
    struct hark_http1_head head;
    struct hark_http1_refusal *refusal;
    unsigned hosts;
    unsigned lengths;
    unsigned encodings;
    struct hark_slice host; // value of the Host field
    bool closes;            // Connection: close
    bool keeps;             // Connection: keep-alive
    bool expects;           // Expect: 100-continue
};

// The methods that llhttp knows for HTTP, but for CONNECT (we are no tunnel) and TRACE (it echoes
// credentials). Frequent ones first.
static const struct hark_slice METHODS[] = {
    HARK_LIT("GET"),        HARK_LIT("POST"),      HARK_LIT("HEAD"),        HARK_LIT("OPTIONS"),
    HARK_LIT("PUT"),        HARK_LIT("DELETE"),    HARK_LIT("PATCH"),       HARK_LIT("COPY"),
    HARK_LIT("LOCK"),       HARK_LIT("MKCOL"),     HARK_LIT("MOVE"),        HARK_LIT("PROPFIND"),
    HARK_LIT("PROPPATCH"),  HARK_LIT("SEARCH"),    HARK_LIT("UNLOCK"),      HARK_LIT("BIND"),
    HARK_LIT("REBIND"),     HARK_LIT("UNBIND"),    HARK_LIT("ACL"),         HARK_LIT("REPORT"),
    HARK_LIT("MKACTIVITY"), HARK_LIT("CHECKOUT"),  HARK_LIT("MERGE"),       HARK_LIT("M-SEARCH"),
    HARK_LIT("NOTIFY"),     HARK_LIT("SUBSCRIBE"), HARK_LIT("UNSUBSCRIBE"), HARK_LIT("PURGE"),
    HARK_LIT("MKCALENDAR"), HARK_LIT("LINK"),      HARK_LIT("UNLINK"),      HARK_LIT("SOURCE"),
};

static int next_line(struct guard *guard, struct hark_slice *rest, struct hark_slice *ret);
static int check_request_line(struct guard *guard, struct hark_slice line);
static int check_version(struct guard *guard, struct hark_slice version);
static int check_target(struct guard *guard, struct hark_slice target);
static int check_absolute(struct guard *guard, struct hark_slice target);
static int check_field(struct guard *guard, struct hark_slice line);
static int check_known_field(struct guard *guard, struct hark_slice name, struct hark_slice value);
static int check_length(struct guard *guard, struct hark_slice value);
static int check_encoding(struct guard *guard, struct hark_slice value);
static int check_together(struct guard *guard);
static int refuse(struct guard *guard, int status, const char *why);

int hark_http1_guard_end(struct hark_slice data, size_t *at, struct hark_http1_refusal *ret_refusal)
{
    struct guard guard = {.refusal = ret_refusal};
    if (data.len > 0 && !(hark_http_class[(unsigned char)data.ptr[0]] & HARK_HTTP_TOKEN)) {
        return refuse(&guard, 400, "this is not an HTTP request");
    }
    while (*at < data.len) {
        const char *end = memchr(data.ptr + *at, '\n', data.len - *at);
        if (end == NULL) {
            *at = data.len;
            break;
        }
        size_t lf = (size_t)(end - data.ptr);
        *at = lf + 1;
        if (lf == 0 || data.ptr[lf - 1] != '\r') {
            return refuse(&guard, 400, "a line ends in a bare LF");
        }
        if (lf >= 2 && data.ptr[lf - 2] == '\n') {
            return 0;
        }
    }
    return HARK_EAGAIN;
}

int hark_http1_guard_head(struct hark_slice head,
                          struct hark_http1_head *ret,
                          struct hark_http1_refusal *ret_refusal)
{
    struct guard guard = {.refusal = ret_refusal};
    struct hark_slice line;
    int status = next_line(&guard, &head, &line);
    if (status == 0) {
        status = check_request_line(&guard, line);
    }
    while (status == 0) {
        status = next_line(&guard, &head, &line);
        if (status != 0 || line.len == 0) {
            break;
        }
        status = check_field(&guard, line);
    }
    if (status == 0 && head.len > 0) {
        status = refuse(&guard, 400, "bytes behind the head");
    }
    if (status == 0) {
        status = check_together(&guard);
    }
    if (status == 0) {
        *ret = guard.head;
    }
    return status;
}

// Takes a line and its CRLF off *rest.
static int next_line(struct guard *guard, struct hark_slice *rest, struct hark_slice *ret)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (end == NULL) {
        return refuse(guard, 400, "the head is not whole");
    }
    size_t len = (size_t)(end - rest->ptr);
    if (len == 0 || rest->ptr[len - 1] != '\r') {
        return refuse(guard, 400, "a line ends in a bare LF");
    }
    *ret = hark_slice(rest->ptr, len - 1);
    *rest = hark_slice_from(*rest, len + 1);
    return 0;
}

// RFC 9112 section 3: method SP request-target SP HTTP-version, single spaces.
static int check_request_line(struct guard *guard, struct hark_slice line)
{
    struct hark_slice rest = line;
    struct hark_slice method = hark_slice_next(&rest, ' ');
    struct hark_slice target = hark_slice_next(&rest, ' ');
    if (!hark_http_is_token(method) || target.len == 0 || rest.ptr == NULL) {
        return refuse(guard, 400, "malformed request line");
    }
    int status = check_version(guard, rest);
    if (status != 0) {
        return status;
    }
    guard->head.method = method;
    guard->head.target = target;
    for (size_t i = 0; i < HARK_ARRAY_LEN(METHODS); i++) {
        if (hark_slice_is(method, METHODS[i])) {
            return check_target(guard, target);
        }
    }
    return refuse(guard, 501, "this method is not served");
}

// 505 for a version that is well-formed and not ours, the HTTP/2 preface among them.
static int check_version(struct guard *guard, struct hark_slice version)
{
    const struct hark_slice name = HARK_LIT("HTTP/");
    bool formed = version.len == 8 && hark_slice_starts(version, name) && version.ptr[6] == '.' &&
                  version.ptr[5] >= '0' && version.ptr[5] <= '9' && version.ptr[7] >= '0' &&
                  version.ptr[7] <= '9';
    if (!formed) {
        return refuse(guard, 400, "malformed HTTP version");
    }
    if (version.ptr[5] != '1' || version.ptr[7] > '1') {
        return refuse(guard, 505, "only HTTP/1.0 and HTTP/1.1 are served here");
    }
    guard->head.minor = version.ptr[7] == '1' ? 1 : 0;
    return 0;
}

// RFC 9112 section 3.2: origin-form, absolute-form, or asterisk-form with OPTIONS. authority-form
// belongs to CONNECT.
static int check_target(struct guard *guard, struct hark_slice target)
{
    struct hark_http1_head *head = &guard->head;
    if (target.len > HARK_HTTP1_TARGET_MAX) {
        return refuse(guard, 414, "the request target is longer than 8192 bytes");
    }
    if (!hark_http_is_target(target)) {
        return refuse(guard, 400, "a byte that no request target may hold");
    }
    if (target.ptr[0] == '/') {
        head->query = target;
        head->path = hark_slice_next(&head->query, '?');
        return 0;
    }
    if (hark_slice_is(target, HARK_LIT("*")) && hark_slice_is(head->method, HARK_LIT("OPTIONS"))) {
        head->path = target;
        return 0;
    }
    return check_absolute(guard, target);
}

static int check_absolute(struct guard *guard, struct hark_slice target)
{
    struct hark_http1_head *head = &guard->head;
    static const struct hark_slice schemes[] = {HARK_LIT("http://"), HARK_LIT("https://")};
    struct hark_slice rest = HARK_SLICE_NONE;
    for (size_t i = 0; i < HARK_ARRAY_LEN(schemes); i++) {
        size_t len = schemes[i].len;
        if (target.len > len && hark_slice_is_nocase(hark_slice(target.ptr, len), schemes[i])) {
            rest = hark_slice_from(target, len);
        }
    }
    if (rest.len == 0) {
        return refuse(guard, 400, "malformed request target");
    }
    size_t host = 0;
    while (host < rest.len && rest.ptr[host] != '/' && rest.ptr[host] != '?') {
        host++;
    }
    head->host = hark_slice(rest.ptr, host);
    head->query = hark_slice_from(rest, host);
    head->path = hark_slice_next(&head->query, '?');
    if (!hark_uri_authority_is_valid(head->host)) {
        return refuse(guard, 400, "malformed authority in the request target");
    }
    return 0;
}

// RFC 9112 section 5: a token, the colon at once, a value. A line that begins with a space
// continues the one before (obs-fold), which section 5.2 lets a server refuse.
static int check_field(struct guard *guard, struct hark_slice line)
{
    struct hark_slice value = line;
    struct hark_slice name = hark_slice_next(&value, ':');
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        return refuse(guard, 400, "a folded header field");
    }
    if (value.ptr == NULL || !hark_http_is_token(name)) {
        return refuse(guard, 400, "malformed header field name");
    }
    if (!hark_http_is_value(value)) {
        return refuse(guard, 400, "a control byte in a header field");
    }
    if (++guard->head.field_count > HARK_HEADERS_MAX) {
        return refuse(guard, 431, "more than 100 header fields");
    }
    return check_known_field(guard, name, value);
}

// `value` is as it stands behind the colon, white space included.
static int check_known_field(struct guard *guard, struct hark_slice name, struct hark_slice value)
{
    if (hark_slice_is_nocase(name, HARK_LIT("Host"))) {
        guard->hosts++;
        guard->host = hark_slice_trim(value);
        return 0;
    }
    if (hark_slice_is_nocase(name, HARK_LIT("Content-Length"))) {
        return check_length(guard, value);
    }
    if (hark_slice_is_nocase(name, HARK_LIT("Transfer-Encoding"))) {
        return check_encoding(guard, value);
    }
    if (hark_slice_is_nocase(name, HARK_LIT("Connection"))) {
        guard->closes = guard->closes || hark_http_list_has(value, HARK_LIT("close"));
        guard->keeps = guard->keeps || hark_http_list_has(value, HARK_LIT("keep-alive"));
        return 0;
    }
    if (hark_slice_is_nocase(name, HARK_LIT("Expect"))) {
        guard->expects = true;
        if (!hark_slice_is_nocase(hark_slice_trim(value), HARK_LIT("100-continue"))) {
            return refuse(guard, 417, "only Expect: 100-continue is understood");
        }
    }
    return 0;
}

// RFC 9112 section 6.3: a list of equal lengths may be repaired; we refuse it. Tabs around the
// digits are refused with them: readers differ on them.
static int check_length(struct guard *guard, struct hark_slice value)
{
    struct hark_http1_head *head = &guard->head;
    while (value.len > 0 && value.ptr[0] == ' ') {
        value = hark_slice_from(value, 1);
    }
    while (value.len > 0 && value.ptr[value.len - 1] == ' ') {
        value.len--;
    }
    if (++guard->lengths > 1 || value.len == 0) {
        return refuse(guard, 400, "malformed or repeated Content-Length");
    }
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return refuse(guard, 400, "malformed or repeated Content-Length");
        }
        length = i < LENGTH_DIGITS ? length * 10 + (uint64_t)(value.ptr[i] - '0') : length;
    }
    if (value.len > LENGTH_DIGITS) {
        return refuse(guard, 413, "the request body is larger than the limit");
    }
    head->length = length;
    return 0;
}

// RFC 9112 section 6.1: one coding, chunked. Codings that exist and that we do not implement get
// 501 when the framing is sound.
static int check_encoding(struct guard *guard, struct hark_slice value)
{
    struct hark_slice coding = hark_slice_trim(value);
    bool tabbed = value.len > 0 && memchr(value.ptr, '\t', value.len) != NULL;
    if (++guard->encodings > 1 || tabbed) {
        return refuse(guard, 400, "malformed or repeated Transfer-Encoding");
    }
    if (hark_slice_is_nocase(coding, HARK_LIT("chunked"))) {
        guard->head.chunked = true;
        return 0;
    }
    size_t last = coding.len;
    while (last > 0 && coding.ptr[last - 1] != ',') {
        last--;
    }
    struct hark_slice final = hark_slice_trim(hark_slice_from(coding, last));
    struct hark_slice others = hark_slice(coding.ptr, last);
    if (hark_slice_is_nocase(final, HARK_LIT("chunked")) &&
        !hark_http_list_has(others, HARK_LIT("chunked"))) {
        return refuse(guard, 501, "no transfer coding but chunked is served");
    }
    return refuse(guard, 400, "Transfer-Encoding does not end in chunked");
}

// What no field alone can tell.
static int check_together(struct guard *guard)
{
    struct hark_http1_head *head = &guard->head;
    if (guard->encodings > 0 && guard->lengths > 0) {
        return refuse(guard, 400, "Content-Length together with Transfer-Encoding");
    }
    if (guard->encodings > 0 && head->minor == 0) {
        return refuse(guard, 400, "Transfer-Encoding in HTTP/1.0");
    }
    if (guard->hosts > 1 || (guard->hosts == 0 && head->minor == 1)) {
        return refuse(guard, 400, "exactly one Host is needed");
    }
    // Empty is what a client sends whose URI has no authority (RFC 9112 section 3.2).
    if (guard->host.len > 0 && !hark_uri_authority_is_valid(guard->host)) {
        return refuse(guard, 400, "malformed Host");
    }
    if (head->host.len == 0) { // RFC 9112 section 3.2.2: the target's authority goes before Host
        head->host = guard->host;
    }
    head->keep_alive = !guard->closes && (head->minor == 1 || guard->keeps);
    bool has_body = head->chunked || head->length > 0;
    head->expects_continue = guard->expects && has_body && head->minor == 1;
    return 0;
}

static int refuse(struct guard *guard, int status, const char *why)
{
    *guard->refusal = (struct hark_http1_refusal){.status = status, .why = why};
    return HARK_EPROTO;
}
