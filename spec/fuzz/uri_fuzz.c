// SPDX-License-Identifier: MIT
//
// Paths, authorities and queries: a canonical path holds no dot segment, climbs nowhere, is not
// longer than what it came from, and leads to itself when it is escaped and made canonical again.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/uri.h"

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Whether text like "252F" stands here: a percent sign before it was escaped.
static bool reads_like_slash(struct hark_slice text)
{
    while (hark_slice_starts(text, HARK_LIT("25"))) {
        text = hark_slice_from(text, 2);
    }
    return hark_slice_starts(text, HARK_LIT("2F"));
}

// A target that has this canonical path: every percent sign is one in the text, unless it stands
// for a slash.
static size_t escape(struct hark_slice path, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        struct hark_slice rest = hark_slice_from(path, i + 1);
        out[len++] = path.ptr[i];
        if (path.ptr[i] != '%' || hark_slice_starts(rest, HARK_LIT("2F"))) {
            continue;
        }
        memcpy(out + len, "25", 2);
        len += 2;
        i += reads_like_slash(rest) ? 2 : 0;
    }
    return len;
}

static void check_path(struct hark_slice raw)
{
    char *out = malloc(raw.len + 1);
    REQUIRE(out != NULL);
    size_t len = 0;
    if (hark_uri_normalise(raw, out, &len) == 0) {
        struct hark_slice rest = hark_slice(out, len);
        REQUIRE(len >= 1 && len <= raw.len + 1 && out[0] == '/');
        REQUIRE(memchr(out, '\0', len) == NULL);
        while (rest.ptr != NULL) {
            struct hark_slice segment = hark_slice_next(&rest, '/');
            REQUIRE(!hark_slice_is(segment, HARK_LIT(".")));
            REQUIRE(!hark_slice_is(segment, HARK_LIT("..")));
        }
        char *target = malloc(3 * len);
        REQUIRE(target != NULL);
        size_t target_len = escape(hark_slice(out, len), target);
        char *again = malloc(target_len + 1);
        size_t again_len = 0;
        REQUIRE(again != NULL);
        REQUIRE(hark_uri_normalise(hark_slice(target, target_len), again, &again_len) == 0);
        REQUIRE(again_len == len && memcmp(again, out, len) == 0);
        free(again);
        free(target);
    }
    free(out);
}

static void check_query(struct hark_slice query)
{
    struct hark_slice rest = query;
    struct hark_uri_pair pair;
    size_t pairs = 0;
    while (hark_uri_query_next(&rest, &pair)) {
        REQUIRE(pair.name.len + pair.value.len <= query.len);
        bool plain = pair.name.len == 0 || (memchr(pair.name.ptr, '%', pair.name.len) == NULL &&
                                            memchr(pair.name.ptr, '+', pair.name.len) == NULL);
        REQUIRE(!plain || hark_uri_query_is(pair.name, pair.name));
        pairs++;
    }
    REQUIRE(pairs <= query.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // Copied to a block of its own size, so that the sanitizer sees any look beyond it.
    char *copy = malloc(size);
    REQUIRE(copy != NULL || size == 0);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct hark_slice text = hark_slice(copy, size);
    check_path(text);
    check_query(text);
    (void)hark_uri_authority_is_valid(text);
    free(copy);
    return 0;
}
