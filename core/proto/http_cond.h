// SPDX-License-Identifier: MIT
//
// Conditional and range requests (RFC 9110 sections 13 and 14): entity tags compared, a byte range
// read. Pure functions; transport/static and the long poll decide what to answer.
#ifndef HARK_PROTO_HTTP_COND_H
#define HARK_PROTO_HTTP_COND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

// Whether a list of entity tags (If-None-Match, If-Match), or "*", matches `etag`, which is written
// with its quotes. weak: "W/" makes no difference (section 8.8.3.2), as If-None-Match wants it;
// else a weak tag never matches. Nothing matches from the first malformed element on.
bool hark_http_cond_etag(struct hark_slice list, struct hark_slice etag, bool weak);

enum hark_http_range {
    HARK_HTTP_RANGE_WHOLE, // no bytes range, malformed, or several: answer 200 with everything
    HARK_HTTP_RANGE_ONE,   // first to last, both inside the size
    HARK_HTTP_RANGE_NONE,  // nothing of it is there: 416
};

// Reads the value of a Range field for a representation of `size` bytes.
enum hark_http_range hark_http_cond_range(struct hark_slice value,
                                          uint64_t size,
                                          uint64_t *ret_first,
                                          uint64_t *ret_last);

#endif
