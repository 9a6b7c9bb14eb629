// SPDX-License-Identifier: MIT
//
// What messages of each kind look like on each transport, and the inbox of held frames.
#include "transport/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"
#include "proto/cursor.h"
#include "session/transport.h"
#include "transport/ws_inbox.h"

#define LIT(text) text, sizeof(text) - 1

static struct hark_msg msg_of(uint32_t flags, struct hark_slice event, struct hark_slice payload)
{
    return (struct hark_msg){.flags = flags, .event = event, .payload = payload};
}

typedef int form_fn(struct hark_buf *buf, const struct hark_msg *msg);

static void expect(form_fn *form, const struct hark_msg *msg, const char *want, size_t len)
{
    struct hark_buf buf;
    hark_buf_init(&buf, 4096);
    assert_int_equal(form(&buf, msg), 0);
    assert_int_equal(hark_buf_len(&buf), len);
    assert_memory_equal(hark_buf_slice(&buf).ptr, want, len);
    hark_buf_deinit(&buf);
}

static void test_forms(void **state)
{
    (void)state;
    const struct hark_msg text = msg_of(0, HARK_LIT("e"), HARK_LIT("hi"));
    const struct hark_msg json = msg_of(HARK_MSG_JSON, HARK_SLICE_NONE, HARK_LIT("[1]"));
    const struct hark_msg binary = msg_of(HARK_MSG_BINARY, HARK_SLICE_NONE, HARK_LIT("\xFF"));
    const struct hark_msg notice = msg_of(HARK_MSG_NOTICE, HARK_LIT("hark.gap"), HARK_LIT("{}"));
    const struct hark_msg broken = msg_of(0, HARK_SLICE_NONE, HARK_LIT("\xC3"));
    expect(hark_wire_frame, &text, LIT("\x81\x02hi"));
    expect(hark_wire_frame, &json, LIT("\x81\x03[1]"));
    expect(hark_wire_frame, &binary, LIT("\x82\x01\xFF"));
    expect(hark_wire_frame, &notice, LIT("\x81\x1E{\"event\":\"hark.gap\",\"data\":{}}"));
    expect(hark_wire_frame, &broken, LIT("\x82\x01\xC3")); // a client must fail on bad text
    expect(hark_wire_envelope_body, &text, LIT("\"event\":\"e\",\"data\":\"hi\"}"));
    expect(hark_wire_envelope_body, &json, LIT("\"data\":[1]}"));
    expect(hark_wire_envelope_body, &binary, LIT("\"data\":\"/w==\",\"base64\":true}"));
    expect(hark_wire_envelope_body, &notice, LIT("\"event\":\"hark.gap\",\"data\":{}}"));
    expect(hark_wire_sse_body, &text, LIT("event: e\ndata: hi\n\n"));
    expect(hark_wire_sse_body, &binary, LIT("data: /w==\n\n"));
}

static void test_prefixes(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 4096);
    assert_int_equal(hark_wire_envelope_prefix(&buf, HARK_LIT("AQ"), 200), 0);
    assert_memory_equal(hark_buf_slice(&buf).ptr, "\x81\x7E\x00\xD3{\"id\":\"AQ\",", 15);
    hark_buf_clear(&buf);
    assert_int_equal(hark_wire_envelope_prefix(&buf, HARK_SLICE_NONE, 10), 0);
    assert_memory_equal(hark_buf_slice(&buf).ptr, "\x81\x0B{", 3);
    hark_buf_clear(&buf);
    assert_int_equal(hark_wire_sse_prefix(&buf, HARK_LIT("AQ"), 1), 0);
    assert_int_equal(hark_wire_sse_prefix(&buf, HARK_SLICE_NONE, 1), 0);
    assert_true(hark_slice_is(hark_buf_slice(&buf), HARK_LIT("id: AQ\n")));
    hark_buf_clear(&buf);
    assert_int_equal(hark_wire_open(&buf, HARK_LIT("AQ"), HARK_LIT("token.0")), 0);
    assert_true(hark_slice_is(
        hark_buf_slice(&buf),
        HARK_LIT(
            "\x81\x3C{\"id\":\"AQ\",\"event\":\"hark.open\",\"data\":{\"session\":\"token.0\"}}")));
    hark_buf_deinit(&buf);
}

static void test_cursor(void **state)
{
    (void)state;
    struct hark_place room[] = {{7, {1, 2}}, {8, {3, 4}}};
    const struct hark_places places = {.list = room, .count = 2, .cap = 2, .is_fixed = true};
    char text[HARK_TRANSPORT_ID_MAX];
    struct hark_cursor_entry entries[HARK_CURSOR_MAX];
    size_t count = 0;
    size_t len = hark_wire_cursor(&places, text);
    assert_int_equal(hark_cursor_decode(hark_slice(text, len), entries, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(entries[1].channel, 8);
    assert_int_equal(entries[1].epoch, 3);
    assert_int_equal(entries[1].offset, 4);
}

static void test_limits_are_told(void **state)
{
    (void)state;
    const struct hark_msg notice = msg_of(HARK_MSG_NOTICE, HARK_LIT("hark.gap"), HARK_LIT("{}"));
    const struct hark_msg binary = msg_of(HARK_MSG_BINARY, HARK_LIT("e"), HARK_LIT("abc"));
    for (size_t max = 0; max < 15; max++) {
        struct hark_buf buf;
        hark_buf_init(&buf, max);
        assert_int_equal(hark_wire_frame(&buf, &notice), HARK_ETOOBIG);
        assert_int_equal(hark_wire_sse_body(&buf, &binary), HARK_ETOOBIG);
        hark_buf_deinit(&buf);
    }
    struct hark_buf buf;
    hark_buf_init(&buf, 4096);
    for (size_t n = 0; n < 2; n++) {
        hark_mem_fail_after(n);
        assert_int_equal(hark_wire_frame(&buf, &notice), HARK_ENOMEM);
        hark_mem_fail_after(SIZE_MAX);
    }
    hark_buf_deinit(&buf);
}

static void test_inbox(void **state)
{
    (void)state;
    struct hark_ws_inbox *inbox = NULL;
    const struct hark_ws_inbox_item items[] = {
        {HARK_WS_INBOX_TEXT, 0, HARK_LIT("one")},
        {HARK_WS_INBOX_BINARY, 0, HARK_SLICE_NONE},
        {HARK_WS_INBOX_CLOSE, 4000, HARK_LIT("bye")},
        {HARK_WS_INBOX_LOST, 1006, HARK_SLICE_NONE},
    };
    assert_int_equal(hark_ws_inbox_bytes(inbox), 0);
    for (size_t i = 0; i < HARK_ARRAY_LEN(items); i++) {
        assert_int_equal(hark_ws_inbox_push(&inbox, &items[i], 100), 0);
    }
    assert_int_equal(hark_ws_inbox_bytes(inbox), 4 * 5 + 3 + 5 + 2);
    struct hark_ws_inbox_item got;
    for (size_t i = 0; i < HARK_ARRAY_LEN(items); i++) {
        assert_true(hark_ws_inbox_pop(inbox, &got));
        assert_int_equal(got.kind, items[i].kind);
        assert_int_equal(got.code, items[i].code);
        assert_true(hark_slice_is(got.data, items[i].data));
    }
    assert_int_equal(hark_ws_inbox_bytes(inbox), 0);
    assert_false(hark_ws_inbox_pop(inbox, &got));
    static char large[100];
    const struct hark_ws_inbox_item big = {HARK_WS_INBOX_TEXT, 0, {large, sizeof(large)}};
    assert_int_equal(hark_ws_inbox_push(&inbox, &big, 100), HARK_ETOOBIG);
    hark_ws_inbox_free(inbox);
    inbox = NULL;
    hark_mem_fail_after(0);
    assert_int_equal(hark_ws_inbox_push(&inbox, &big, 1000), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    hark_ws_inbox_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),  cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_cursor), cmocka_unit_test(test_limits_are_told),
        cmocka_unit_test(test_inbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
