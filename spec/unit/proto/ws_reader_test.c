// SPDX-License-Identifier: MIT
//
// The reader of WebSocket input: RFC 6455 case by case, each fed in one piece and byte by byte,
// every piece an allocation of its own so that a sanitizer sees any look beyond it.
#include "proto/ws_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hark.h"
#include "proto/ws_frame.h"

#define LIMIT 70000
#define FIN   0x80

// What the reader made of some bytes, as text: "T5:hello P:p1 C1000:bye !1002".
struct story {
    struct hark_buf text;
    int status;
    size_t used; // bytes fed until it failed
    bool idle;
};

static struct hark_ws_reader_pool *pool;

static void put_frame(struct hark_buf *buf, uint8_t first, const void *payload, size_t len)
{
    static const uint8_t key[4] = {0x12, 0xF3, 0x00, 0x9C};
    char head[HARK_WS_HEAD_MAX];
    size_t head_len = hark_ws_frame_head(head, HARK_WS_TEXT, len);
    head[0] = (char)first;
    head[1] = (char)(head[1] | 0x80);
    assert_int_equal(hark_buf_append(buf, head, head_len), 0);
    assert_int_equal(hark_buf_append(buf, key, sizeof(key)), 0);
    for (size_t i = 0; i < len; i++) {
        char c = (char)(((const uint8_t *)payload)[i] ^ key[i % 4]);
        assert_int_equal(hark_buf_append_char(buf, c), 0);
    }
}

static void put(struct hark_buf *buf, uint8_t first, const char *payload)
{
    put_frame(buf, first, payload, strlen(payload));
}

static void tell(struct story *story, const struct hark_ws_event *event)
{
    int len = (int)event->data.len;
    int status = 0;
    switch (event->kind) {
    case HARK_WS_EVENT_NONE: break;
    case HARK_WS_EVENT_MESSAGE:
        status = hark_buf_printf(&story->text, "%c%d:%.*s ", event->binary ? 'B' : 'T', len,
                                 len < 40 ? len : 40, event->data.ptr);
        break;
    case HARK_WS_EVENT_PING:
        status = hark_buf_printf(&story->text, "P:%.*s ", len, event->data.ptr);
        break;
    case HARK_WS_EVENT_PONG:
        status = hark_buf_printf(&story->text, "O:%.*s ", len, event->data.ptr);
        break;
    case HARK_WS_EVENT_CLOSE:
        status = hark_buf_printf(&story->text, "C%u:%.*s ", event->code, len,
                                 event->data.ptr == NULL ? "" : event->data.ptr);
        break;
    }
    assert_int_equal(status, 0);
}

static struct story read_pieces(struct hark_slice bytes, size_t step)
{
    struct story story = {.status = 0};
    hark_buf_init(&story.text, SIZE_MAX / 2);
    struct hark_ws_reader *reader = hark_ws_reader_take(pool, LIMIT);
    assert_non_null(reader);
    while (bytes.len > 0 && story.status == 0) {
        size_t len = step == 0 || step > bytes.len ? bytes.len : step;
        char *piece = malloc(len);
        assert_non_null(piece);
        memcpy(piece, bytes.ptr, len);
        struct hark_slice data = hark_slice(piece, len);
        struct hark_ws_event event = {.kind = HARK_WS_EVENT_PING};
        uint16_t code = 0;
        bool closed = false;
        while (story.status == 0 && event.kind != HARK_WS_EVENT_NONE && !closed) {
            story.status = hark_ws_reader_next(reader, &data, &event, &code);
            if (story.status == 0) {
                tell(&story, &event);
                closed = event.kind == HARK_WS_EVENT_CLOSE;
            }
        }
        story.used += len - data.len;
        if (story.status != 0) {
            assert_int_equal(hark_buf_printf(&story.text, "!%u ", code), 0);
        }
        bytes = hark_slice_from(bytes, closed ? bytes.len : len);
        free(piece);
    }
    story.idle = hark_ws_reader_is_idle(reader);
    hark_ws_reader_give(pool, reader);
    return story;
}

// The same story whatever the pieces.
static void expect(struct hark_buf *bytes, const char *want)
{
    static const size_t steps[] = {0, 1, 2, 3, 7, 4096, 4099};
    for (size_t i = 0; i < HARK_ARRAY_LEN(steps); i++) {
        struct story story = read_pieces(hark_buf_slice(bytes), steps[i]);
        assert_int_equal(hark_buf_append_char(&story.text, '\0'), 0);
        assert_string_equal(hark_buf_slice(&story.text).ptr, want);
        hark_buf_deinit(&story.text);
    }
    hark_buf_deinit(bytes);
}

static struct hark_buf empty(void)
{
    struct hark_buf buf;
    hark_buf_init(&buf, SIZE_MAX / 2);
    return buf;
}

static void test_whole_messages(void **state)
{
    (void)state;
    struct hark_buf in = empty();
    put(&in, FIN | HARK_WS_TEXT, "hello");
    put(&in, FIN | HARK_WS_BINARY, "\xFF\xFE");
    put(&in, FIN | HARK_WS_TEXT, "");
    put(&in, FIN | HARK_WS_TEXT, "\xC3\xA9");
    expect(&in, "T5:hello B2:\xFF\xFE T0: T2:\xC3\xA9 ");
}

static void test_lengths(void **state)
{
    (void)state;
    static const size_t sizes[] = {125, 126, 127, 4095, 4096, 4097, 8192, 65535, 65536, LIMIT};
    for (size_t i = 0; i < HARK_ARRAY_LEN(sizes); i++) {
        char *payload = malloc(sizes[i]);
        assert_non_null(payload);
        for (size_t k = 0; k < sizes[i]; k++) {
            payload[k] = (char)('a' + k % 23);
        }
        struct hark_buf in = empty();
        put_frame(&in, FIN | HARK_WS_TEXT, payload, sizes[i]);
        put(&in, FIN | HARK_WS_TEXT, "next");
        struct hark_ws_reader *reader = hark_ws_reader_take(pool, LIMIT);
        struct hark_slice data = hark_buf_slice(&in);
        struct hark_ws_event event;
        uint16_t code = 0;
        assert_int_equal(hark_ws_reader_next(reader, &data, &event, &code), 0);
        assert_int_equal(event.data.len, sizes[i]);
        assert_memory_equal(event.data.ptr, payload, sizes[i]);
        assert_int_equal(hark_ws_reader_next(reader, &data, &event, &code), 0);
        assert_true(hark_slice_is(event.data, HARK_LIT("next")));
        assert_true(hark_ws_reader_is_idle(reader));
        hark_ws_reader_give(pool, reader);
        hark_buf_deinit(&in);
        free(payload);
    }
}

static void test_fragments_with_control_frames_between(void **state)
{
    (void)state;
    struct hark_buf in = empty();
    put(&in, HARK_WS_TEXT, "one ");
    put(&in, FIN | HARK_WS_PING, "p1");
    put(&in, HARK_WS_CONTINUATION, "");
    put(&in, HARK_WS_CONTINUATION, "two ");
    put(&in, FIN | HARK_WS_PONG, "");
    put(&in, FIN | HARK_WS_CONTINUATION, "three");
    put(&in, HARK_WS_BINARY, "");
    put(&in, FIN | HARK_WS_CONTINUATION, "");
    expect(&in, "P:p1 O: T13:one two three B0: ");
}

static void test_close_frames(void **state)
{
    (void)state;
    struct hark_buf in = empty();
    put(&in, FIN | HARK_WS_CLOSE, "\x03\xE8gone");
    expect(&in, "C1000:gone ");
    in = empty();
    put(&in, FIN | HARK_WS_CLOSE, "");
    expect(&in, "C1005: ");
    in = empty();
    put(&in, FIN | HARK_WS_CLOSE, "\x03");
    expect(&in, "!1002 ");
    in = empty();
    put(&in, FIN | HARK_WS_CLOSE, "\x03\xEE");
    expect(&in, "!1002 ");
    in = empty();
    put(&in, FIN | HARK_WS_CLOSE, "\x03\xE8\xFF");
    expect(&in, "!1007 ");
}

static void test_violations(void **state)
{
    (void)state;
    static const uint8_t firsts[] = {
        FIN | 0x40 | HARK_WS_TEXT,
        FIN | 0x20 | HARK_WS_TEXT,
        FIN | 0x10 | HARK_WS_TEXT,
        FIN | 0x40 | HARK_WS_PING,
        FIN | 3,
        FIN | 7,
        FIN | 11,
        FIN | 15,
        HARK_WS_PING,
        HARK_WS_CLOSE,
        HARK_WS_CONTINUATION,
        FIN | HARK_WS_CONTINUATION,
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(firsts); i++) {
        struct hark_buf in = empty();
        put(&in, firsts[i], "x");
        expect(&in, "!1002 ");
    }
    struct hark_buf in = empty();
    put(&in, HARK_WS_TEXT, "a");
    put(&in, FIN | HARK_WS_TEXT, "b");
    expect(&in, "!1002 ");
    in = empty();
    put(&in, FIN | HARK_WS_TEXT, "a");
    put(&in, FIN | HARK_WS_CONTINUATION, "b");
    expect(&in, "T1:a !1002 ");
    char large[126];
    memset(large, 'x', sizeof(large));
    in = empty();
    put_frame(&in, FIN | HARK_WS_PING, large, sizeof(large));
    expect(&in, "!1002 ");
}

static void test_raw_violations(void **state)
{
    (void)state;
    static const struct hark_slice cases[] = {
        HARK_LIT("\x81\x01x"),                                         // no mask
        HARK_LIT("\x81\x00"),                                          // ... and empty
        HARK_LIT("\x89\x00"),                                          // ... a ping
        HARK_LIT("\x81\xFE\x00\x05keyyhello"),                         // 5 in 16 bits
        HARK_LIT("\x81\xFF\x00\x00\x00\x00\x00\x00\x00\x05keyyhello"), // 5 in 64 bits
        HARK_LIT("\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFFkeyyhello"), // 65535 in 64 bits
        HARK_LIT("\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x01keyyx"),     // highest bit
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        struct hark_buf in = empty();
        assert_int_equal(hark_buf_append_slice(&in, cases[i]), 0);
        expect(&in, "!1002 ");
    }
}

static void test_size_is_refused_by_the_header_alone(void **state)
{
    (void)state;
    static const struct hark_slice heads[] = {
        HARK_LIT("\x81\xFF\x00\x00\x00\x00\x00\x01\x11\x71keyy"), // LIMIT + 1
        HARK_LIT("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFFkeyy"),
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(heads); i++) {
        struct hark_buf in = empty();
        assert_int_equal(hark_buf_append_slice(&in, heads[i]), 0);
        expect(&in, "!1009 ");
    }
    struct hark_buf in = empty();
    char *half = calloc(1, LIMIT / 2 + 1);
    assert_non_null(half);
    put_frame(&in, HARK_WS_BINARY, half, LIMIT / 2 + 1);
    put_frame(&in, FIN | HARK_WS_CONTINUATION, half, LIMIT / 2 + 1);
    struct story story = read_pieces(hark_buf_slice(&in), 1);
    assert_int_equal(story.status, HARK_EPROTO);
    assert_int_equal(story.used,
                     8 + LIMIT / 2 + 1 + 8); // the second header, no byte of its payload
    hark_buf_deinit(&story.text);
    hark_buf_deinit(&in);
    free(half);
}

static void test_bad_text_is_noticed_at_its_byte(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",         "\xC3(",        "\xC0\xAF",
                                      "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                      "\xF8\x88",     "\xFF",         "ok\xC3"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        struct hark_buf in = empty();
        put(&in, FIN | HARK_WS_TEXT, bad[i]);
        expect(&in, "!1007 ");
    }
    // In the middle of a frame that has not arrived whole.
    char payload[1000];
    memset(payload, 'a', sizeof(payload));
    payload[3] = '\xFF';
    struct hark_buf in = empty();
    put_frame(&in, FIN | HARK_WS_TEXT, payload, sizeof(payload));
    struct story story = read_pieces(hark_buf_slice(&in), 1);
    assert_int_equal(story.status, HARK_EPROTO);
    assert_int_equal(story.used, 8 + 4);
    hark_buf_deinit(&story.text);
    hark_buf_deinit(&in);
    // Across fragments; and cut inside a character it is fine.
    in = empty();
    put(&in, HARK_WS_TEXT, "\xF0\x9F");
    put(&in, FIN | HARK_WS_CONTINUATION, "H\x98");
    expect(&in, "!1007 ");
    in = empty();
    put(&in, HARK_WS_TEXT, "\xF0\x9F");
    put(&in, FIN | HARK_WS_CONTINUATION, "\x98\x80");
    put(&in, FIN | HARK_WS_BINARY, "\x80");
    expect(&in, "T4:\xF0\x9F\x98\x80 B1:\x80 ");
}

static void test_reader_is_idle_between_messages_only(void **state)
{
    (void)state;
    struct hark_buf in = empty();
    put(&in, FIN | HARK_WS_TEXT, "hello");
    size_t whole = hark_buf_len(&in);
    put(&in, HARK_WS_TEXT, "half of ");
    size_t half = hark_buf_len(&in);
    put(&in, FIN | HARK_WS_PING, "p");
    put(&in, FIN | HARK_WS_CONTINUATION, "it");
    for (size_t cut = 0; cut <= hark_buf_len(&in); cut++) {
        struct story story = read_pieces(hark_slice(hark_buf_slice(&in).ptr, cut), 0);
        bool between = cut == 0 || cut == whole || cut == hark_buf_len(&in);
        assert_int_equal(story.idle, between);
        hark_buf_deinit(&story.text);
    }
    assert_true(half > whole);
    hark_buf_deinit(&in);
}

static void test_pool_keeps_readers_that_are_clean(void **state)
{
    (void)state;
    struct hark_ws_reader_pool *own = hark_ws_reader_pool_new(1);
    assert_non_null(own);
    struct hark_ws_reader *first = hark_ws_reader_take(own, 100);
    struct hark_ws_reader *second = hark_ws_reader_take(own, 100);
    assert_non_null(first);
    assert_non_null(second);
    hark_ws_reader_give(own, first);
    hark_ws_reader_give(own, second); // one is enough: this is freed
    assert_ptr_equal(hark_ws_reader_take(own, 100), first);
    struct hark_slice half = HARK_LIT("\x81\x85");
    struct hark_ws_event event;
    uint16_t code = 0;
    assert_int_equal(hark_ws_reader_next(first, &half, &event, &code), 0);
    hark_ws_reader_give(own, first); // half a header in it: not for others
    struct hark_ws_reader *fresh = hark_ws_reader_take(own, 100);
    assert_non_null(fresh);
    assert_true(hark_ws_reader_is_idle(fresh));
    hark_ws_reader_free(fresh);
    hark_ws_reader_give(own, NULL);
    hark_ws_reader_pool_free(own);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    hark_mem_fail_after(0);
    assert_null(hark_ws_reader_pool_new(1));
    struct hark_buf in = empty();
    put(&in, HARK_WS_TEXT, "a fragment must be kept");
    struct hark_ws_reader *reader = hark_ws_reader_take(pool, LIMIT);
    assert_non_null(reader);
    struct hark_slice data = hark_buf_slice(&in);
    struct hark_ws_event event;
    uint16_t code = 0;
    hark_mem_fail_after(0);
    assert_int_equal(hark_ws_reader_next(reader, &data, &event, &code), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_int_equal(code, 1011);
    hark_ws_reader_give(pool, reader);
    hark_buf_deinit(&in);
}

static int pool_up(void **state)
{
    (void)state;
    pool = hark_ws_reader_pool_new(4);
    return pool == NULL ? -1 : 0;
}

static int pool_down(void **state)
{
    (void)state;
    hark_ws_reader_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_messages),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_fragments_with_control_frames_between),
        cmocka_unit_test(test_close_frames),
        cmocka_unit_test(test_violations),
        cmocka_unit_test(test_raw_violations),
        cmocka_unit_test(test_size_is_refused_by_the_header_alone),
        cmocka_unit_test(test_bad_text_is_noticed_at_its_byte),
        cmocka_unit_test(test_reader_is_idle_between_messages_only),
        cmocka_unit_test(test_pool_keeps_readers_that_are_clean),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, pool_up, pool_down);
}
