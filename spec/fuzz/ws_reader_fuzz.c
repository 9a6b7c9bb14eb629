// SPDX-License-Identifier: MIT
//
// The reader of WebSocket input against a plain parser written from RFC 6455 that sees all bytes at
// once: both must tell the same events and fail with the same code, however the bytes are cut. The
// first two bytes of the input seed the cuts. Events become text, which is compared.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "proto/ws_frame.h"
#include "proto/ws_reader.h"

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

#define LIMIT 2000 // of a message
#define STORY (1 << 20)

struct story {
    size_t len;
    char text[STORY];
};

struct frame {
    uint8_t first;
    uint64_t size;
    size_t head;
    uint8_t key[4];
};

static struct story wanted;
static struct story told;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct story *story, char kind, uint32_t number, const uint8_t *data, size_t len)
{
    REQUIRE(story->len + len + 32 < sizeof(story->text));
    story->len += (size_t)sprintf(story->text + story->len, "%c%u,%zu:", kind, number, len);
    if (len > 0) {
        memcpy(story->text + story->len, data, len);
    }
    story->len += len;
}

// --- the plain parser ---

// 0: not all of the header is there; -1: wrong; 1: whole.
static int plain_head(const uint8_t *at, size_t left, struct frame *frame)
{
    if (left < 2) {
        return 0;
    }
    frame->first = at[0];
    frame->size = at[1] & 0x7F;
    size_t extended = frame->size == 127 ? 8 : frame->size == 126 ? 2 : 0;
    if ((at[1] & 0x80) == 0) {
        return -1;
    }
    frame->head = 2 + extended + 4;
    if (left < frame->head) {
        return 0;
    }
    if (extended > 0) {
        frame->size = 0;
        for (size_t i = 0; i < extended; i++) {
            frame->size = frame->size << 8 | at[2 + i];
        }
    }
    memcpy(frame->key, at + 2 + extended, 4);
    return 1;
}

static bool is_shortest(const struct frame *frame)
{
    size_t extended = frame->head - 6;
    return extended == 0 || (extended == 2 && frame->size > 125) ||
           (extended == 8 && frame->size > 65535);
}

// Whether text can still become valid.
static bool is_prefix_of_text(const uint8_t *text, size_t len)
{
    struct hark_utf8 utf8;
    hark_utf8_init(&utf8);
    for (size_t i = 0; i < len; i++) {
        if (!hark_utf8_feed(&utf8, hark_slice(text + i, 1))) {
            return false;
        }
    }
    return true;
}

static uint32_t plain_close(const uint8_t *payload, size_t len)
{
    if (len == 0) {
        note(&wanted, 'C', 1005, NULL, 0);
        return 0;
    }
    uint16_t code = len == 1 ? 0 : (uint16_t)(payload[0] << 8 | payload[1]);
    if (len == 1 || !hark_ws_frame_code_is_valid(code)) {
        return 1002;
    }
    if (!hark_utf8_is_valid(hark_slice(payload + 2, len - 2))) {
        return 1007;
    }
    note(&wanted, 'C', code, payload + 2, len - 2);
    return 0;
}

// Reads all frames; notes events, and last how it failed.
static void plain_read(const uint8_t *data, size_t size)
{
    static uint8_t message[LIMIT];
    static uint8_t payload[LIMIT];
    size_t held = 0;
    uint8_t kind = 0;
    uint32_t wrong = 0;
    for (size_t at = 0; wrong == 0;) {
        struct frame frame;
        int head = plain_head(data + at, size - at, &frame);
        if (head == 0) {
            return;
        }
        uint8_t opcode = data[at] & 15;
        bool fin = (data[at] & 0x80) != 0;
        bool is_known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
        if (head < 0 || (data[at] & 0x70) != 0 || !is_known || frame.size > INT64_MAX) {
            wrong = 1002;
            break;
        }
        if (opcode < 8) {
            if ((opcode == 0) == (kind == 0)) {
                wrong = 1002;
                break;
            }
            kind = opcode == 0 ? kind : opcode;
            if (frame.size > LIMIT - held) {
                wrong = 1009;
                break;
            }
        }
        if (!is_shortest(&frame) || (opcode >= 8 && (!fin || frame.size > 125))) {
            wrong = 1002;
            break;
        }
        at += frame.head;
        size_t there = frame.size < size - at ? (size_t)frame.size : size - at;
        for (size_t i = 0; i < there; i++) {
            payload[i] = data[at + i] ^ frame.key[i % 4];
        }
        at += there;
        bool is_whole = there == frame.size;
        if (opcode < 8) {
            memcpy(message + held, payload, there);
            held += there;
            if (kind == 1 && !is_prefix_of_text(message, held)) {
                wrong = 1007;
            } else if (is_whole && fin && kind == 1 &&
                       !hark_utf8_is_valid(hark_slice(message, held))) {
                wrong = 1007;
            } else if (is_whole && fin) {
                note(&wanted, kind == 1 ? 'T' : 'B', 0, message, held);
                held = 0;
                kind = 0;
            }
        } else if (is_whole && opcode == 8) {
            wrong = plain_close(payload, there);
            if (wrong == 0) {
                return;
            }
        } else if (is_whole) {
            note(&wanted, opcode == 9 ? 'P' : 'O', 0, payload, there);
        }
        if (!is_whole && wrong == 0) {
            return;
        }
    }
    note(&wanted, '!', wrong, NULL, 0);
}

// --- the reader under test ---

static void note_event(const struct hark_ws_event *event)
{
    static const char kinds[] = {
        [HARK_WS_EVENT_PING] = 'P', [HARK_WS_EVENT_PONG] = 'O', [HARK_WS_EVENT_CLOSE] = 'C'};
    if (event->kind == HARK_WS_EVENT_NONE) {
        return;
    }
    bool is_message = event->kind == HARK_WS_EVENT_MESSAGE;
    char kind = is_message ? (event->binary ? 'B' : 'T') : kinds[event->kind];
    uint32_t number = event->kind == HARK_WS_EVENT_CLOSE ? event->code : 0;
    note(&told, kind, number, (const uint8_t *)event->data.ptr, event->data.len);
}

// false: it is over.
static bool feed(struct hark_ws_reader *reader, struct hark_slice data)
{
    struct hark_ws_event event = {.kind = HARK_WS_EVENT_PING};
    while (event.kind != HARK_WS_EVENT_NONE) {
        uint16_t code = 0;
        if (hark_ws_reader_next(reader, &data, &event, &code) != 0) {
            note(&told, '!', code, NULL, 0);
            return false;
        }
        note_event(&event);
        if (event.kind == HARK_WS_EVENT_CLOSE) {
            return false;
        }
    }
    REQUIRE(data.len == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 20000) {
        return 0;
    }
    uint32_t seed = (uint32_t)(data[0] << 8 | data[1]);
    uint32_t span = seed == 0 ? UINT32_MAX : seed % 61 + 1; // 0: everything at once
    data += 2;
    size -= 2;
    wanted.len = 0;
    told.len = 0;
    plain_read(data, size);
    struct hark_ws_reader_pool *pool = hark_ws_reader_pool_new(1);
    REQUIRE(pool != NULL);
    struct hark_ws_reader *reader = hark_ws_reader_take(pool, LIMIT);
    REQUIRE(reader != NULL);
    bool goes_on = true;
    for (size_t at = 0; at < size && goes_on;) {
        seed = seed * 1664525 + 1013904223;
        size_t len = span == UINT32_MAX ? size - at : seed % span + 1;
        len = len < size - at ? len : size - at;
        char *piece = malloc(len); // its own allocation: a look beyond it is seen
        REQUIRE(piece != NULL);
        memcpy(piece, data + at, len);
        goes_on = feed(reader, hark_slice(piece, len));
        free(piece);
        at += len;
    }
    hark_ws_reader_give(pool, reader);
    hark_ws_reader_pool_free(pool);
    REQUIRE(told.len == wanted.len && memcmp(told.text, wanted.text, told.len) == 0);
    return 0;
}
