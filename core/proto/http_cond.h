// SPDX-License-Identifier: MIT
//
// Conditional and range requests (RFC 9110 sections 13 and 14): entity tags compared, a byte range
// read. Pure functions; transport/static and the long poll decide what to answer.
#ifndef HARK_PROTO_HTTP_COND_H
#define HARK_PROTO_HTTP_COND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/http.h"

// What a request is held against.
struct hark_http_validators {
    struct hark_slice etag; // with its quotes, strong
    int64_t modified;       // seconds since 1970
    int64_t now;            // for the two-digit years of old date forms
};

enum hark_http_verdict {
    HARK_HTTP_VERDICT_GO,        // perform the request
    HARK_HTTP_VERDICT_UNCHANGED, // 304
    HARK_HTTP_VERDICT_FAILED,    // 412
};

// If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of
// section 13.2.2, for GET and HEAD of something that exists. A date that is none is as if it were
// not there.
enum hark_http_verdict hark_http_cond_check(const struct hark_request *request,
                                            const struct hark_http_validators *validators);

// Section 13.1.5: whether a Range may be honoured: no If-Range, or one that names this very
// version.
bool hark_http_cond_if_range(const struct hark_request *request,
                             const struct hark_http_validators *validators);

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
