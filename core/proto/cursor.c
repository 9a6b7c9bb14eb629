// SPDX-License-Identifier: MIT
//
// Cursors as text. Works on the stack: a cursor is made for every message of a session with several
// channels, and comes from anyone.
#include "proto/cursor.h"

#include <stdbool.h>
#include <string.h>

#include "hark.h"

#define VERSION   1
#define ENTRY_LEN 24
#define RAW_MAX   (1 + HARK_CURSOR_MAX * ENTRY_LEN)

static size_t encode64(const uint8_t *raw, size_t len, char *out);
static bool decode64(struct hark_slice text, uint8_t *ret_raw, size_t *ret_len);
static int value64(char c);
static uint8_t *put64(uint8_t *at, uint64_t value);
static uint64_t get64(const uint8_t *at);
static bool has_channel(const struct hark_cursor_entry *entries, size_t count, uint64_t channel);

size_t hark_cursor_encode(const struct hark_cursor_entry *entries, size_t count, char *out)
{
    uint8_t raw[RAW_MAX];
    uint8_t *at = raw;
    *at++ = VERSION;
    for (size_t i = 0; i < count && i < HARK_CURSOR_MAX; i++) {
        at = put64(at, entries[i].channel);
        at = put64(at, entries[i].epoch);
        at = put64(at, entries[i].offset);
    }
    return encode64(raw, (size_t)(at - raw), out);
}

int hark_cursor_decode(struct hark_slice text,
                       struct hark_cursor_entry *ret_entries,
                       size_t *ret_count)
{
    uint8_t raw[RAW_MAX];
    size_t len = 0;
    if (!decode64(text, raw, &len) || len < 1 || raw[0] != VERSION || (len - 1) % ENTRY_LEN != 0) {
        return HARK_EINVAL;
    }
    struct hark_cursor_entry entries[HARK_CURSOR_MAX];
    size_t count = (len - 1) / ENTRY_LEN;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = raw + 1 + i * ENTRY_LEN;
        entries[i].channel = get64(at);
        entries[i].epoch = get64(at + 8);
        entries[i].offset = get64(at + 16);
        if (has_channel(entries, i, entries[i].channel)) {
            return HARK_EINVAL;
        }
    }
    memcpy(ret_entries, entries, count * sizeof(entries[0]));
    *ret_count = count;
    return 0;
}

static size_t encode64(const uint8_t *raw, size_t len, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t used = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)raw[i] << 16;
        bits |= have > 1 ? (uint32_t)raw[i + 1] << 8 : 0;
        bits |= have > 2 ? (uint32_t)raw[i + 2] : 0;
        for (size_t j = 0; j < have + 1; j++) {
            out[used++] = alphabet[bits >> (18 - 6 * j) & 63];
        }
    }
    return used;
}

// Exactly one text for each value: no padding, no other alphabet, bits left over are zero.
static bool decode64(struct hark_slice text, uint8_t *ret_raw, size_t *ret_len)
{
    if (text.len > HARK_CURSOR_TEXT_MAX || text.len % 4 == 1) {
        return false;
    }
    uint32_t bits = 0;
    unsigned held = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value64(text.ptr[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (len == RAW_MAX) {
                return false;
            }
            ret_raw[len++] = (uint8_t)(bits >> held & 0xFF);
            bits &= (1U << held) - 1;
        }
    }
    *ret_len = len;
    return bits == 0;
}

static int value64(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-') {
        return 62;
    }
    return c == '_' ? 63 : -1;
}

static uint8_t *put64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (56 - 8 * i) & 0xFF);
    }
    return at + 8;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static bool has_channel(const struct hark_cursor_entry *entries, size_t count, uint64_t channel)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].channel == channel) {
            return true;
        }
    }
    return false;
}
