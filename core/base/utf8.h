// SPDX-License-Identifier: MIT
//
// Incremental UTF-8 validator (RFC 3629): fails at the first byte that cannot be continued, as
// RFC 6455 section 8.1 wants it to be noticed early.
#ifndef HARK_BASE_UTF8_H
#define HARK_BASE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct hark_utf8 {
    uint8_t need; // continuation bytes still expected
    uint8_t low;  // allowed range of the next one
    uint8_t high;
};

static inline void hark_utf8_init(struct hark_utf8 *utf8)
{
    utf8->need = 0;
    utf8->low = 0x80;
    utf8->high = 0xBF;
}

// false: invalid, for good.
bool hark_utf8_feed(struct hark_utf8 *utf8, struct hark_slice data);

// true when no character is left half.
static inline bool hark_utf8_is_complete(const struct hark_utf8 *utf8)
{
    return utf8->need == 0;
}

bool hark_utf8_is_valid(struct hark_slice text);

// Length of the first character of a text that is not empty; when it is not well-formed, *ret_valid
// is false and the length is that of the part to be replaced by one U+FFFD.
size_t hark_utf8_next(struct hark_slice text, bool *ret_valid);

#endif
