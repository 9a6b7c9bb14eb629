// SPDX-License-Identifier: MIT
//
// Text codings: base64 and base64url (RFC 4648), hex, percent (RFC 3986), and JSON string quoting
// (RFC 8259 section 7). Decoders are strict: a byte outside the alphabet is HARK_EINVAL.
#ifndef HARK_BASE_CODEC_H
#define HARK_BASE_CODEC_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

// Encoders append to buf: 0, HARK_ETOOBIG, HARK_ENOMEM.
HARK_MUSTCHECK int hark_codec_base64(struct hark_buf *buf, struct hark_slice data);    // with '='
HARK_MUSTCHECK int hark_codec_base64url(struct hark_buf *buf, struct hark_slice data); // without
HARK_MUSTCHECK int hark_codec_hex(struct hark_buf *buf, struct hark_slice data);       // lower case

// Decoders append to buf: also HARK_EINVAL, then buf is as before.
HARK_MUSTCHECK int hark_codec_unbase64(struct hark_buf *buf, struct hark_slice text);
HARK_MUSTCHECK int hark_codec_unbase64url(struct hark_buf *buf, struct hark_slice text);
HARK_MUSTCHECK int hark_codec_unhex(struct hark_buf *buf, struct hark_slice text);
HARK_MUSTCHECK int
hark_codec_unpercent(struct hark_buf *buf, struct hark_slice text, bool plus_is_space);

// Appends data as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD.
HARK_MUSTCHECK int hark_codec_quote(struct hark_buf *buf, struct hark_slice text);

#endif
