// SPDX-License-Identifier: MIT
//
// The ETag of a long-poll answer, "session~cursor": written, and read back from If-None-Match in
// whatever state proxies have left it.
#ifndef HARK_TRANSPORT_ETAG_H
#define HARK_TRANSPORT_ETAG_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

// Appends the tag with its quotes. 0, HARK_ENOMEM, HARK_ETOOBIG.
HARK_MUSTCHECK int
hark_etag_encode(struct hark_buf *buf, struct hark_slice session, struct hark_slice cursor);

// Finds the first tag of ours in a list (RFC 9110 section 13.1.2). Weak tags are fine, and suffixes
// that proxies add (`-gzip`, `;gzip`, `--gzip`, `-br`) are cut off. The slices are borrowed from
// list. false: none of these is ours.
bool hark_etag_parse(struct hark_slice list,
                     struct hark_slice *ret_session,
                     struct hark_slice *ret_cursor);

#endif
