// SPDX-License-Identifier: MIT
//
// The cursor: one opaque text that carries the positions of all of a session's channels, as SSE's
// `id`, long poll's ETag and `?cursor=`. Base64url of a version byte and 24 bytes a channel: id,
// epoch, offset, each big-endian. Not signed: joining is what authorises.
#ifndef HARK_PROTO_CURSOR_H
#define HARK_PROTO_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

#define HARK_CURSOR_MAX 64 // channels

struct hark_cursor_entry {
    uint64_t channel; // hark_hash_stable of its name
    uint64_t epoch;
    uint64_t offset;
};

// Longest text: version and entries in base64url.
#define HARK_CURSOR_TEXT_MAX ((1 + HARK_CURSOR_MAX * 24) * 4 / 3 + 1)

// Writes the text to out, which has room for HARK_CURSOR_TEXT_MAX bytes (no NUL); returns its
// length. Entries beyond HARK_CURSOR_MAX are left out.
size_t hark_cursor_encode(const struct hark_cursor_entry *entries, size_t count, char *out);

// Reads at most HARK_CURSOR_MAX entries into ret_entries. 0 or HARK_EINVAL: not exactly what
// hark_cursor_encode writes (other version, odd length, a channel twice, stray bits).
HARK_MUSTCHECK int hark_cursor_decode(struct hark_slice text,
                                      struct hark_cursor_entry *ret_entries,
                                      size_t *ret_count);

#endif
