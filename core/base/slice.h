// SPDX-License-Identifier: MIT
//
// A borrowed view of bytes. Text travels as a slice: never assume a NUL behind it.
#ifndef HARK_BASE_SLICE_H
#define HARK_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct hark_slice {
    const char *ptr;
    size_t len;
};

#define HARK_LIT(text)  ((struct hark_slice){"" text, sizeof(text) - 1})
#define HARK_SLICE_NONE ((struct hark_slice){NULL, 0})

static inline struct hark_slice hark_slice(const void *ptr, size_t len)
{
    return (struct hark_slice){(const char *)ptr, len};
}

// text may be NULL: the empty slice.
static inline struct hark_slice hark_slice_text(const char *text)
{
    return (struct hark_slice){text, text == NULL ? 0 : strlen(text)};
}

static inline bool hark_slice_is(struct hark_slice a, struct hark_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// ASCII case-insensitive equality (field names, tokens).
static inline bool hark_slice_is_nocase(struct hark_slice a, struct hark_slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool hark_slice_starts(struct hark_slice a, struct hark_slice prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

// The rest behind `n` bytes; n is clamped to the length.
static inline struct hark_slice hark_slice_from(struct hark_slice a, size_t n)
{
    n = n < a.len ? n : a.len;
    return (struct hark_slice){a.ptr == NULL ? NULL : a.ptr + n, a.len - n};
}

// Cuts OWS (space and tab) at both ends.
static inline struct hark_slice hark_slice_trim(struct hark_slice a)
{
    while (a.len > 0 && (a.ptr[0] == ' ' || a.ptr[0] == '\t')) {
        a.ptr++;
        a.len--;
    }
    while (a.len > 0 && (a.ptr[a.len - 1] == ' ' || a.ptr[a.len - 1] == '\t')) {
        a.len--;
    }
    return a;
}

// Splits at the first `sep`: returns the part before, moves *rest behind it (NULL ptr at the end).
static inline struct hark_slice hark_slice_next(struct hark_slice *rest, char sep)
{
    struct hark_slice head = *rest;
    const char *at = rest->len > 0 ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (at == NULL) {
        *rest = HARK_SLICE_NONE;
        return head;
    }
    head.len = (size_t)(at - head.ptr);
    *rest = hark_slice_from(*rest, head.len + 1);
    return head;
}

#endif
