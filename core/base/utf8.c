// SPDX-License-Identifier: MIT
//
// UTF-8 validation by ranges: the first byte of a character says how many follow and in which range
// the second one lies (RFC 3629 section 4: no overlong form, no surrogate, nothing above U+10FFFF).
#include "base/utf8.h"

#include <stddef.h>
#include <string.h>

static bool begin_character(struct hark_utf8 *utf8, uint8_t byte);
static size_t skip_ascii(const char *ptr, size_t len);

bool hark_utf8_feed(struct hark_utf8 *utf8, struct hark_slice data)
{
    size_t i = 0;
    while (i < data.len) {
        if (utf8->need == 0) {
            i += skip_ascii(data.ptr + i, data.len - i);
            if (i == data.len) {
                return true;
            }
            if (!begin_character(utf8, (uint8_t)data.ptr[i])) {
                return false;
            }
        } else {
            uint8_t byte = (uint8_t)data.ptr[i];
            if (byte < utf8->low || byte > utf8->high) {
                // A stream that is broken stays broken: no byte lies in an empty range.
                utf8->low = 0xFF;
                utf8->high = 0;
                return false;
            }
            utf8->need--;
            utf8->low = 0x80;
            utf8->high = 0xBF;
        }
        i++;
    }
    return true;
}

bool hark_utf8_is_valid(struct hark_slice text)
{
    struct hark_utf8 utf8;
    hark_utf8_init(&utf8);
    return hark_utf8_feed(&utf8, text) && hark_utf8_is_complete(&utf8);
}

size_t hark_utf8_next(struct hark_slice text, bool *ret_valid)
{
    struct hark_utf8 utf8;
    hark_utf8_init(&utf8);
    size_t len = 0;
    while (len < text.len && hark_utf8_feed(&utf8, hark_slice(text.ptr + len, 1))) {
        len++;
        if (hark_utf8_is_complete(&utf8)) {
            *ret_valid = true;
            return len;
        }
    }
    *ret_valid = false;
    return len == 0 ? 1 : len;
}

static bool begin_character(struct hark_utf8 *utf8, uint8_t byte)
{
    utf8->low = 0x80;
    utf8->high = 0xBF;
    if (byte >= 0xC2 && byte <= 0xDF) {
        utf8->need = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
        utf8->need = 2;
        utf8->low = byte == 0xE0 ? 0xA0 : 0x80;
        utf8->high = byte == 0xED ? 0x9F : 0xBF;
    } else if (byte >= 0xF0 && byte <= 0xF4) {
        utf8->need = 3;
        utf8->low = byte == 0xF0 ? 0x90 : 0x80;
        utf8->high = byte == 0xF4 ? 0x8F : 0xBF;
    } else {
        utf8->need = 1;
        utf8->low = 0xFF;
        utf8->high = 0;
        return false;
    }
    return true;
}

// Bytes below 0x80 at the front, eight at a time while it goes.
static size_t skip_ascii(const char *ptr, size_t len)
{
    size_t i = 0;
    while (len - i >= sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, ptr + i, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        i += sizeof(word);
    }
    while (i < len && (uint8_t)ptr[i] < 0x80) {
        i++;
    }
    return i;
}
