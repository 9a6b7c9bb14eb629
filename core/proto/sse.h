// SPDX-License-Identifier: MIT
//
// Server-Sent Events on the way out (WHATWG HTML section 9.2): blocks of `id`, `event` and `data`
// lines, the `retry` field and comments. All functions append to a buffer: 0, HARK_ETOOBIG or
// HARK_ENOMEM, and then part of the block may have been appended: the caller truncates.
#ifndef HARK_PROTO_SSE_H
#define HARK_PROTO_SSE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

// One line `id: ID`, to stand in front of a body or, with hark_sse_end, alone.
HARK_MUSTCHECK int hark_sse_id(struct hark_buf *buf, struct hark_slice id);

// The rest of a block: event name (empty: none), data, blank line. Data is split at CR, LF and CRLF
// alike, as a client would split it; a line break at the end is kept.
HARK_MUSTCHECK int
hark_sse_body(struct hark_buf *buf, struct hark_slice event, struct hark_slice data);

// The blank line that ends a block. A block of an id alone moves the client's position and fires
// nothing.
HARK_MUSTCHECK int hark_sse_end(struct hark_buf *buf);

// A block with the delay before a reconnect.
HARK_MUSTCHECK int hark_sse_retry(struct hark_buf *buf, uint64_t retry_ms);

// A comment: keeps proxies from giving the connection up.
#define HARK_SSE_COMMENT ":\n\n"

#endif
