// SPDX-License-Identifier: MIT
//
// The opening handshake: which requests are one, which are good ones, and the answer of RFC 6455's
// own example.
#include "proto/ws_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

struct change {
    const char *name;  // NULL: none
    const char *value; // NULL: the field is left out
    const char *more;  // a second field of that name
};

static enum hark_ws_handshake check(struct change change, const char *method, uint8_t minor)
{
    static const struct hark_header fields[] = {
        {HARK_LIT("Host"), HARK_LIT("a")},
        {HARK_LIT("Upgrade"), HARK_LIT("WebSocket")},
        {HARK_LIT("connection"), HARK_LIT("keep-alive, Upgrade")},
        {HARK_LIT("Sec-WebSocket-Version"), HARK_LIT("13")},
        {HARK_LIT("SEC-WEBSOCKET-KEY"), HARK_LIT(KEY)},
    };
    struct hark_header headers[8];
    size_t count = 0;
    for (size_t i = 0; i < HARK_ARRAY_LEN(fields); i++) {
        bool is_changed = change.name != NULL &&
                          hark_slice_is_nocase(fields[i].name, hark_slice_text(change.name));
        if (!is_changed) {
            headers[count++] = fields[i];
        } else if (change.value != NULL) {
            headers[count++] = (struct hark_header){fields[i].name, hark_slice_text(change.value)};
        }
        if (is_changed && change.more != NULL) {
            headers[count++] = (struct hark_header){fields[i].name, hark_slice_text(change.more)};
        }
    }
    const struct hark_request request = {
        .method = hark_slice_text(method),
        .minor = minor,
        .headers = headers,
        .header_count = count,
    };
    struct hark_slice key = HARK_SLICE_NONE;
    enum hark_ws_handshake found = hark_ws_handshake_check(&request, &key);
    if (found == HARK_WS_HANDSHAKE_VALID) {
        assert_true(hark_slice_is(key, HARK_LIT(KEY)));
    }
    return found;
}

static void test_good_one(void **state)
{
    (void)state;
    const struct change none = {NULL, NULL, NULL};
    assert_int_equal(check(none, "GET", 1), HARK_WS_HANDSHAKE_VALID);
    assert_int_equal(check((struct change){"upgrade", "h2c, websocket", NULL}, "GET", 1),
                     HARK_WS_HANDSHAKE_VALID);
}

static void test_what_is_none(void **state)
{
    (void)state;
    const struct change none = {NULL, NULL, NULL};
    assert_int_equal(check(none, "POST", 1), HARK_WS_HANDSHAKE_NONE);
    assert_int_equal(check(none, "GET", 0), HARK_WS_HANDSHAKE_NONE);
    assert_int_equal(check((struct change){"connection", "keep-alive", NULL}, "GET", 1),
                     HARK_WS_HANDSHAKE_NONE);
    assert_int_equal(check((struct change){"upgrade", NULL, NULL}, "GET", 1),
                     HARK_WS_HANDSHAKE_NONE);
    assert_int_equal(check((struct change){"upgrade", "websockets", NULL}, "GET", 1),
                     HARK_WS_HANDSHAKE_NONE);
}

static void test_bad_version(void **state)
{
    (void)state;
    static const char *const bad[] = {NULL, "12", "13x", "8, 13", ""};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        const struct change change = {"sec-websocket-version", bad[i], NULL};
        assert_int_equal(check(change, "GET", 1), HARK_WS_HANDSHAKE_BAD_VERSION);
    }
    const struct change twice = {"sec-websocket-version", "13", "13"};
    assert_int_equal(check(twice, "GET", 1), HARK_WS_HANDSHAKE_BAD_VERSION);
}

static void test_bad_key(void **state)
{
    (void)state;
    static const char *const bad[] = {
        NULL,                        //
        "",                          //
        "!!!!!!!!!!!!!!!!!!!!!!==",  // no base64
        "AAAAAAAAAAAAAAAAAAAA",      // 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=",  // 17 bytes
        "AAAAAAAAAAAAAAAAAAAAAAAA",  // 18 bytes
        "dGhlIHNhbXBsZSBub25jZR==",  // bits left over
        "dGhlIHNhbXBsZSBub25jZQ== ", // a blank too many
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        const struct change change = {"sec-websocket-key", bad[i], NULL};
        assert_int_equal(check(change, "GET", 1), HARK_WS_HANDSHAKE_BAD_KEY);
    }
    const struct change twice = {"sec-websocket-key", KEY, KEY};
    assert_int_equal(check(twice, "GET", 1), HARK_WS_HANDSHAKE_BAD_KEY);
}

static void test_accept_value(void **state)
{
    (void)state;
    char out[HARK_WS_ACCEPT_LEN];
    assert_int_equal(hark_ws_handshake_accept(HARK_LIT(KEY), out), 0);
    assert_memory_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", HARK_WS_ACCEPT_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_one),     cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_bad_version),  cmocka_unit_test(test_bad_key),
        cmocka_unit_test(test_accept_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
