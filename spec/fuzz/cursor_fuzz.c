// SPDX-License-Identifier: MIT
//
// Cursors: whatever is accepted is exactly what would be written for it, so one state has one text.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cursor.h"

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hark_cursor_entry entries[HARK_CURSOR_MAX];
    size_t count = SIZE_MAX;
    if (hark_cursor_decode(hark_slice(data, size), entries, &count) != 0) {
        REQUIRE(count == SIZE_MAX);
        return 0;
    }
    REQUIRE(count <= HARK_CURSOR_MAX);
    char text[HARK_CURSOR_TEXT_MAX];
    size_t len = hark_cursor_encode(entries, count, text);
    REQUIRE(len == size && memcmp(text, data, size) == 0);
    return 0;
}
