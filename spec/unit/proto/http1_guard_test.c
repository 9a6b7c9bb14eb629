// SPDX-License-Identifier: MIT
//
// The table of request heads that are served or refused, with the status of the refusal. Each head
// goes through the guard alone and through the whole reader, cut at every byte, which must agree.
#include "proto/http1_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <llhttp.h>

#include "hark.h"
#include "proto/http1.h"

struct row {
    const char *what;
    struct hark_slice head;
    int status; // of the refusal; 0: served
};

#define HEAD(text) HARK_LIT(text "\r\n\r\n")
#define HOST       "\r\nHost: a"
#define ROW(what, text, status)  \
    {                            \
        what, HEAD(text), status \
    }

static const struct row ROWS[] = {
    // request line
    ROW("plain", "GET / HTTP/1.1" HOST, 0),
    ROW("1.0 without Host", "GET / HTTP/1.0", 0),
    ROW("1.0 with Host", "GET / HTTP/1.0" HOST, 0),
    ROW("two spaces behind the method", "GET  / HTTP/1.1" HOST, 400),
    ROW("two spaces before the version", "GET /  HTTP/1.1" HOST, 400),
    ROW("tab behind the method", "GET\t/ HTTP/1.1" HOST, 400),
    ROW("space at the end", "GET / HTTP/1.1 " HOST, 400),
    ROW("leading space", " GET / HTTP/1.1" HOST, 400),
    ROW("leading tab", "\tGET / HTTP/1.1" HOST, 400),
    ROW("no version: HTTP/0.9", "GET /" HOST, 400),
    ROW("no target", "GET HTTP/1.1" HOST, 400),
    ROW("method alone", "GET" HOST, 400),
    ROW("CR in the line", "GET /\r HTTP/1.1" HOST, 400),
    ROW("bare CR as line end", "GET / HTTP/1.1\rHost: a", 400),
    ROW("bare LF as line end", "GET / HTTP/1.1\nHost: a", 400),
    ROW("NUL in the line", "GET /\0 HTTP/1.1" HOST, 400),
    ROW("TLS hello", "\x16\x03\x01\x02\x00\x01", 400),
    ROW("response instead", "HTTP/1.1 200 OK" HOST, 400),
    // versions
    ROW("HTTP/2.0", "GET / HTTP/2.0" HOST, 505),
    ROW("HTTP/2 preface", "PRI * HTTP/2.0", 505),
    ROW("HTTP/0.9 written out", "GET / HTTP/0.9" HOST, 505),
    ROW("HTTP/1.2", "GET / HTTP/1.2" HOST, 505),
    ROW("HTTP/3.0", "GET / HTTP/3.0" HOST, 505),
    ROW("HTTP/1.10", "GET / HTTP/1.10" HOST, 400),
    ROW("HTTP/01.1", "GET / HTTP/01.1" HOST, 400),
    ROW("HTTP/1", "GET / HTTP/1" HOST, 400),
    ROW("HTTP/1,1", "GET / HTTP/1,1" HOST, 400),
    ROW("HTTP/+1.1", "GET / HTTP/+.1" HOST, 400),
    ROW("lower case", "GET / http/1.1" HOST, 400),
    ROW("another protocol", "GET / ICAP/1.0" HOST, 400),
    // methods
    ROW("lower-case method", "get / HTTP/1.1" HOST, 501),
    ROW("unknown method", "BREW / HTTP/1.1" HOST, 501),
    ROW("QUERY", "QUERY / HTTP/1.1" HOST, 501),
    ROW("TRACE", "TRACE / HTTP/1.1" HOST, 501),
    ROW("CONNECT", "CONNECT a:443 HTTP/1.1" HOST, 501),
    ROW("CONNECT with a path", "CONNECT / HTTP/1.1" HOST, 501),
    ROW("PRI over 1.1", "PRI * HTTP/1.1" HOST, 501),
    ROW("RTSP method", "DESCRIBE / HTTP/1.1" HOST, 501),
    ROW("method that is no token", "GE(T / HTTP/1.1" HOST, 400),
    ROW("method with a control byte", "GE\x01T / HTTP/1.1" HOST, 400),
    ROW("HEAD", "HEAD / HTTP/1.1" HOST, 0),
    ROW("PATCH", "PATCH / HTTP/1.1" HOST, 0),
    ROW("M-SEARCH", "M-SEARCH / HTTP/1.1" HOST, 0),
    // targets
    ROW("query", "GET /a?b=c&d HTTP/1.1" HOST, 0),
    ROW("two question marks", "GET /a?b?c HTTP/1.1" HOST, 0),
    ROW("delimiters", "GET /\"<>\\^`{|}~ HTTP/1.1" HOST, 0),
    ROW("fragment", "GET /a#b HTTP/1.1" HOST, 400),
    ROW("DEL", "GET /a\x7f HTTP/1.1" HOST, 400),
    ROW("above ASCII", "GET /\xc3\xa4 HTTP/1.1" HOST, 400),
    ROW("tab", "GET /a\tb HTTP/1.1" HOST, 400),
    ROW("no slash", "GET a HTTP/1.1" HOST, 400),
    ROW("authority-form", "GET a:80 HTTP/1.1" HOST, 400),
    ROW("OPTIONS *", "OPTIONS * HTTP/1.1" HOST, 0),
    ROW("GET *", "GET * HTTP/1.1" HOST, 400),
    ROW("OPTIONS *x", "OPTIONS *x HTTP/1.1" HOST, 400),
    ROW("absolute", "GET http://b/c HTTP/1.1" HOST, 0),
    ROW("absolute https", "GET https://b:8443/c?d HTTP/1.1" HOST, 0),
    ROW("absolute, upper case", "GET HTTP://b/ HTTP/1.1" HOST, 0),
    ROW("absolute without path", "GET http://b HTTP/1.1" HOST, 0),
    ROW("absolute with query alone", "GET http://b?c HTTP/1.1" HOST, 0),
    ROW("absolute, address in brackets", "GET http://[::1]:80/ HTTP/1.1" HOST, 0),
    ROW("absolute without authority", "GET http:///c HTTP/1.1" HOST, 400),
    ROW("absolute, nothing", "GET http:// HTTP/1.1" HOST, 400),
    ROW("absolute with userinfo", "GET http://u:p@b/ HTTP/1.1" HOST, 400),
    ROW("absolute, bad port", "GET http://b:99999/ HTTP/1.1" HOST, 400),
    ROW("absolute, bad host", "GET http://b[/ HTTP/1.1" HOST, 400),
    ROW("absolute, other scheme", "GET ftp://b/ HTTP/1.1" HOST, 400),
    ROW("absolute, Host missing", "GET http://b/ HTTP/1.1", 400),
    ROW("absolute, Host malformed", "GET http://b/ HTTP/1.1\r\nHost: a b", 400),
    // Host
    ROW("no Host", "GET / HTTP/1.1", 400),
    ROW("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a", 400),
    ROW("two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b", 400),
    ROW("empty Host", "GET / HTTP/1.1\r\nHost:", 0),
    ROW("blank Host", "GET / HTTP/1.1\r\nHost: \t ", 0),
    ROW("Host with port", "GET / HTTP/1.1\r\nHost: a.example:8080", 0),
    ROW("Host with empty port", "GET / HTTP/1.1\r\nHost: a:", 0),
    ROW("Host, port of letters", "GET / HTTP/1.1\r\nHost: a:b", 400),
    ROW("Host, port too large", "GET / HTTP/1.1\r\nHost: a:65536", 400),
    ROW("Host, IPv6", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80", 0),
    ROW("Host, IPv6 without brackets", "GET / HTTP/1.1\r\nHost: ::1", 400),
    ROW("Host, bracket open", "GET / HTTP/1.1\r\nHost: [::1", 400),
    ROW("Host, bytes behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]a", 400),
    ROW("Host with a path", "GET / HTTP/1.1\r\nHost: a/b", 400),
    ROW("Host with userinfo", "GET / HTTP/1.1\r\nHost: u@a", 400),
    ROW("Host with a space", "GET / HTTP/1.1\r\nHost: a b", 400),
    ROW("Host list", "GET / HTTP/1.1\r\nHost: a, b", 400),
    ROW("Host, port alone", "GET / HTTP/1.1\r\nHost: :80", 400),
    ROW("Host, broken escape", "GET / HTTP/1.1\r\nHost: a%2", 400),
    ROW("Host above ASCII", "GET / HTTP/1.1\r\nHost: \xc3\xa4", 400),
    // fields
    ROW("empty value", "GET / HTTP/1.1" HOST "\r\nX:", 0),
    ROW("no space behind the colon", "GET / HTTP/1.1" HOST "\r\nX:y", 0),
    ROW("white space around the value", "GET / HTTP/1.1" HOST "\r\nX: \t y \t ", 0),
    ROW("tab and obs-text in the value", "GET / HTTP/1.1" HOST "\r\nX: a\tb\x80\xff", 0),
    ROW("space before the colon", "GET / HTTP/1.1" HOST "\r\nX : y", 400),
    ROW("tab before the colon", "GET / HTTP/1.1" HOST "\r\nX\t: y", 400),
    ROW("space before Host's colon", "GET / HTTP/1.1\r\nHost : a", 400),
    ROW("no colon", "GET / HTTP/1.1" HOST "\r\nX", 400),
    ROW("empty name", "GET / HTTP/1.1" HOST "\r\n: y", 400),
    ROW("name with a space", "GET / HTTP/1.1" HOST "\r\nX Y: z", 400),
    ROW("name with a bracket", "GET / HTTP/1.1" HOST "\r\nX[0]: z", 400),
    ROW("name above ASCII", "GET / HTTP/1.1" HOST "\r\nX\xe4: z", 400),
    ROW("name with NUL", "GET / HTTP/1.1" HOST "\r\nX\0Y: z", 400),
    ROW("folded", "GET / HTTP/1.1" HOST "\r\nX: y\r\n z", 400),
    ROW("folded with a tab", "GET / HTTP/1.1" HOST "\r\nX: y\r\n\tz", 400),
    ROW("first field folded", "GET / HTTP/1.1\r\n Host: a", 400),
    ROW("folded, colon in it", "GET / HTTP/1.1" HOST "\r\nX: y\r\n Content-Length: 5", 400),
    ROW("NUL in a value", "GET / HTTP/1.1" HOST "\r\nX: a\0b", 400),
    ROW("control byte in a value", "GET / HTTP/1.1" HOST "\r\nX: a\x01", 400),
    ROW("escape byte in a value", "GET / HTTP/1.1" HOST "\r\nX: \x1b[2J", 400),
    ROW("DEL in a value", "GET / HTTP/1.1" HOST "\r\nX: a\x7f", 400),
    ROW("CR in a value", "GET / HTTP/1.1" HOST "\r\nX: a\rb", 400),
    ROW("CR hides a field", "GET / HTTP/1.1" HOST "\r\nDummy:\rContent-Length: 3", 400),
    ROW("two CRs", "GET / HTTP/1.1" HOST "\r\r\nX: y", 400),
    ROW("bare LF between fields", "GET / HTTP/1.1" HOST "\nX: y", 400),
    ROW("bare LF, then a folded line", "GET / HTTP/1.1" HOST "\r\nX: y\n z", 400),
    // Content-Length
    ROW("length 0", "POST / HTTP/1.1" HOST "\r\nContent-Length: 0", 0),
    ROW("length on GET", "GET / HTTP/1.1" HOST "\r\nContent-Length: 3", 0),
    ROW("length with zeros", "POST / HTTP/1.1" HOST "\r\nContent-Length: 0003", 0),
    ROW("two lengths, equal",
        "POST / HTTP/1.1" HOST "\r\nContent-Length: 3\r\nContent-Length: 3",
        400),
    ROW("two lengths", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3\r\ncontent-length: 4", 400),
    ROW("length list", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3, 3", 400),
    ROW("length with a plus", "POST / HTTP/1.1" HOST "\r\nContent-Length: +3", 400),
    ROW("negative length", "POST / HTTP/1.1" HOST "\r\nContent-Length: -3", 400),
    ROW("hexadecimal length", "POST / HTTP/1.1" HOST "\r\nContent-Length: 0x3", 400),
    ROW("length of letters", "POST / HTTP/1.1" HOST "\r\nContent-Length: three", 400),
    ROW("length with a fraction", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3.0", 400),
    ROW("length with a space inside", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3 3", 400),
    ROW("length with a tab", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3\t", 400),
    ROW("length in quotes", "POST / HTTP/1.1" HOST "\r\nContent-Length: \"3\"", 400),
    ROW("empty length", "POST / HTTP/1.1" HOST "\r\nContent-Length:", 400),
    ROW("length of 2^64", "POST / HTTP/1.1" HOST "\r\nContent-Length: 18446744073709551616", 413),
    ROW("length of many digits",
        "POST / HTTP/1.1" HOST "\r\nContent-Length: 1000000000000000000",
        413),
    ROW("length of many zeros",
        "POST / HTTP/1.1" HOST "\r\nContent-Length: 0000000000000000003",
        413),
    ROW("space before its colon", "POST / HTTP/1.1" HOST "\r\nContent-Length : 3", 400),
    // Transfer-Encoding
    ROW("chunked", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: chunked", 0),
    ROW("chunked, upper case", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: CHUNKED", 0),
    ROW("chunked and length",
        "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: chunked\r\nContent-Length: 3",
        400),
    ROW("length and chunked",
        "POST / HTTP/1.1" HOST "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        400),
    ROW("length 0 and chunked",
        "POST / HTTP/1.1" HOST "\r\nContent-Length: 0\r\nTransfer-Encoding: chunked",
        400),
    ROW("chunked twice", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: chunked, chunked", 400),
    ROW("two fields",
        "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        400),
    ROW("gzip, chunked", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: gzip, chunked", 501),
    ROW("chunked, gzip", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: chunked, gzip", 400),
    ROW("identity", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: identity", 400),
    ROW("xchunked", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: xchunked", 400),
    ROW("chunked with a parameter",
        "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: chunked;q=1",
        400),
    ROW("chunked in quotes", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: \"chunked\"", 400),
    ROW("chunked behind a tab", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding:\tchunked", 400),
    ROW("chunked behind a vertical tab",
        "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: \x0b"
        "chunked",
        400),
    ROW("empty coding", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding:", 400),
    ROW("comma before", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding: ,chunked", 501),
    ROW("chunked in 1.0", "POST / HTTP/1.0" HOST "\r\nTransfer-Encoding: chunked", 400),
    ROW("space before its colon", "POST / HTTP/1.1" HOST "\r\nTransfer-Encoding : chunked", 400),
    // Expect
    ROW("100-continue", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3\r\nExpect: 100-continue", 0),
    ROW("100-Continue", "POST / HTTP/1.1" HOST "\r\nContent-Length: 3\r\nExpect: 100-Continue", 0),
    ROW("other expectation", "POST / HTTP/1.1" HOST "\r\nExpect: 200-ok", 417),
    ROW("two expectations", "POST / HTTP/1.1" HOST "\r\nExpect: 100-continue, x", 417),
    ROW("empty expectation", "POST / HTTP/1.1" HOST "\r\nExpect:", 417),
};

static int judge(struct hark_slice head, struct hark_http1_head *ret)
{
    size_t at = 0;
    struct hark_http1_refusal refusal = {0};
    int status = hark_http1_guard_end(head, &at, &refusal);
    if (status == 0) {
        assert_int_equal(at, head.len);
        status = hark_http1_guard_head(head, ret, &refusal);
    }
    if (status == 0) {
        return 0;
    }
    assert_int_equal(status, HARK_EPROTO);
    assert_non_null(refusal.why);
    return refusal.status;
}

static void test_table(void **state)
{
    (void)state;
    assert_true(HARK_ARRAY_LEN(ROWS) >= 100);
    for (size_t i = 0; i < HARK_ARRAY_LEN(ROWS); i++) {
        struct hark_http1_head head;
        int status = judge(ROWS[i].head, &head);
        if (status != ROWS[i].status) {
            fail_msg("%s: %d instead of %d", ROWS[i].what, status, ROWS[i].status);
        }
    }
}

// Status of the refusal by the whole reader, fed `step` bytes a time; 0: the head was accepted.
static int read_head(struct hark_slice head, size_t step)
{
    const struct hark_http1_limits limits = {.head_bytes = 16384, .body_bytes = 1048576};
    struct hark_http1 *reader = hark_http1_new(&limits);
    assert_non_null(reader);
    int status = HARK_EAGAIN;
    while (head.len > 0 && status == HARK_EAGAIN) {
        size_t consumed = 0;
        size_t n = step < head.len ? step : head.len;
        status = hark_http1_feed(reader, hark_slice(head.ptr, n), &consumed);
        head = hark_slice_from(head, n);
    }
    int refused = 0;
    if (status == HARK_EPROTO) {
        refused = hark_http1_refusal(reader).status;
    } else {
        assert_true(hark_http1_stage(reader) >= HARK_HTTP1_BODY);
    }
    hark_http1_free(reader);
    return refused;
}

static void test_reader_agrees_however_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(ROWS); i++) {
        for (size_t step = 1; step <= ROWS[i].head.len; step++) {
            int status = read_head(ROWS[i].head, step);
            if (status != ROWS[i].status) {
                fail_msg("%s, %zu bytes a time: %d instead of %d", ROWS[i].what, step, status,
                         ROWS[i].status);
            }
        }
    }
}

static void test_facts_of_origin_form(void **state)
{
    (void)state;
    struct hark_http1_head head;
    assert_int_equal(
        judge(HEAD("PUT /a/b?c=d&e HTTP/1.1\r\nHost: x:1\r\nContent-Length: 12"), &head), 0);
    assert_true(hark_slice_is(head.method, HARK_LIT("PUT")));
    assert_true(hark_slice_is(head.target, HARK_LIT("/a/b?c=d&e")));
    assert_true(hark_slice_is(head.path, HARK_LIT("/a/b")));
    assert_true(hark_slice_is(head.query, HARK_LIT("c=d&e")));
    assert_true(hark_slice_is(head.host, HARK_LIT("x:1")));
    assert_int_equal(head.length, 12);
    assert_int_equal(head.field_count, 2);
    assert_int_equal(head.minor, 1);
    assert_false(head.chunked);
    assert_true(head.keep_alive);
}

static void test_authority_goes_before_host(void **state)
{
    (void)state;
    struct hark_http1_head head;
    assert_int_equal(judge(HEAD("GET http://b:80?q HTTP/1.1" HOST), &head), 0);
    assert_true(hark_slice_is(head.host, HARK_LIT("b:80")));
    assert_int_equal(head.path.len, 0);
    assert_true(hark_slice_is(head.query, HARK_LIT("q")));
}

static void test_keep_alive(void **state)
{
    (void)state;

    static const struct {
        struct hark_slice head;
        bool keep;
    } rows[] = {
        {HEAD("GET / HTTP/1.1" HOST), true},
        {HEAD("GET / HTTP/1.1" HOST "\r\nConnection: close"), false},
        {HEAD("GET / HTTP/1.1" HOST "\r\nConnection: keep-alive, CLOSE"), false},
        {HEAD("GET / HTTP/1.1" HOST "\r\nConnection: x\r\nConnection: close"), false},
        {HEAD("GET / HTTP/1.1" HOST "\r\nConnection: closed"), true},
        {HEAD("GET / HTTP/1.0"), false},
        {HEAD("GET / HTTP/1.0\r\nConnection: Keep-Alive"), true},
        {HEAD("GET / HTTP/1.0\r\nConnection: keep-alive, close"), false},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(rows); i++) {
        struct hark_http1_head head;
        assert_int_equal(judge(rows[i].head, &head), 0);
        assert_int_equal(head.keep_alive, rows[i].keep);
    }
}

static void test_expectation_counts_with_a_body_only(void **state)
{
    (void)state;
    struct hark_http1_head head;
    assert_int_equal(judge(HEAD("GET / HTTP/1.1" HOST "\r\nExpect: 100-continue"), &head), 0);
    assert_false(head.expects_continue);
    assert_int_equal(
        judge(HEAD("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue"), &head), 0);
    assert_false(head.expects_continue);
    assert_int_equal(
        judge(HEAD("PUT / HTTP/1.1" HOST "\r\nContent-Length: 1\r\nExpect: 100-continue"), &head),
        0);
    assert_true(head.expects_continue);
}

// The guard's list of methods is llhttp's for HTTP, but for the two that we refuse.
static void test_methods_are_those_of_llhttp(void **state)
{
    (void)state;
#define NAME(number, name, text) #text,
    static const char *const names[] = {HTTP_METHOD_MAP(NAME)};
#undef NAME
    for (size_t i = 0; i < HARK_ARRAY_LEN(names); i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "%s / HTTP/1.1" HOST "\r\n\r\n", names[i]);
        bool refused = strcmp(names[i], "CONNECT") == 0 || strcmp(names[i], "TRACE") == 0;
        struct hark_http1_head head;
        assert_int_equal(judge(hark_slice(text, (size_t)len), &head), refused ? 501 : 0);
        if (!refused) {
            assert_int_equal(read_head(hark_slice(text, (size_t)len), (size_t)len), 0);
        }
    }
}

static void test_too_many_fields(void **state)
{
    (void)state;
    char text[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (size_t fields = 1; fields <= HARK_HEADERS_MAX + 1; fields++) {
        struct hark_http1_head head;
        size_t len = strlen(text);
        memcpy(text + len, "\r\n", 3);
        assert_int_equal(judge(hark_slice(text, len + 2), &head),
                         fields <= HARK_HEADERS_MAX ? 0 : 431);
        memcpy(text + len, "X: y\r\n", 7);
    }
}

static void test_long_target(void **state)
{
    (void)state;
    static char text[HARK_HTTP1_TARGET_MAX + 64];
    for (size_t extra = 0; extra <= 1; extra++) {
        struct hark_http1_head head;
        size_t target = HARK_HTTP1_TARGET_MAX + extra;
        memcpy(text, "GET /", 5);
        memset(text + 5, 'a', target - 1);
        int tail = snprintf(text + 4 + target, 40, " HTTP/1.1" HOST "\r\n\r\n");
        assert_int_equal(judge(hark_slice(text, 4 + target + (size_t)tail), &head),
                         extra == 0 ? 0 : 414);
    }
}

static void test_end_is_found_however_cut(void **state)
{
    (void)state;
    const struct hark_slice text = HARK_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b");
    const size_t end = text.len - 6;
    size_t at = 0;
    for (size_t len = 0; len < end; len++) {
        struct hark_http1_refusal refusal;
        assert_int_equal(hark_http1_guard_end(hark_slice(text.ptr, len), &at, &refusal),
                         HARK_EAGAIN);
    }
    struct hark_http1_refusal refusal;
    assert_int_equal(hark_http1_guard_end(text, &at, &refusal), 0);
    assert_int_equal(at, end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_reader_agrees_however_cut),
        cmocka_unit_test(test_facts_of_origin_form),
        cmocka_unit_test(test_authority_goes_before_host),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_expectation_counts_with_a_body_only),
        cmocka_unit_test(test_methods_are_those_of_llhttp),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_long_target),
        cmocka_unit_test(test_end_is_found_however_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
