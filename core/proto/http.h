// SPDX-License-Identifier: MIT
//
// Version-neutral request and response heads: what HTTP/1.1 and HTTP/2 both turn into. Slices point
// into the connection's buffers and live as long as the exchange.
#ifndef HARK_PROTO_HTTP_H
#define HARK_PROTO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define HARK_HEADERS_MAX 100

struct hark_header {
    struct hark_slice name;  // as received; compared without case
    struct hark_slice value; // trimmed
};

struct hark_request {
    struct hark_slice method; // "GET": a token, case-sensitive (RFC 9110 section 9.1)
    struct hark_slice target; // as received
    // Percent-decoded, dot segments removed, begins with '/'; a slash inside a segment stays "%2F"
    // (proto/uri.h); "*" for OPTIONS *.
    struct hark_slice path;
    struct hark_slice query; // raw, without '?'
    struct hark_slice host;  // from the target (absolute-form) or the Host field
    uint8_t minor;           // HTTP/1.minor; 2 stands for HTTP/2 later
    const struct hark_header *headers;
    size_t header_count;
    struct hark_slice body; // whole, decoded from chunks; empty when there is none
};

// First field of that name, or NULL.
const struct hark_header *hark_request_header(const struct hark_request *request,
                                              struct hark_slice name);
// Its value, or the empty slice.
struct hark_slice hark_request_value(const struct hark_request *request, struct hark_slice name);
// Whether a comma-separated list field (all lines of it) holds the token, without case.
bool hark_request_has_token(const struct hark_request *request,
                            struct hark_slice name,
                            struct hark_slice token);
// Raw value of the query parameter (still percent-encoded); false: absent.
bool hark_request_query(const struct hark_request *request,
                        struct hark_slice name,
                        struct hark_slice *ret_raw);

struct hark_response {
    int status;                        // 101 to 599
    const struct hark_header *headers; // without Content-Length, Date, Connection,
                                       // Transfer-Encoding; one with an empty value is left out
    size_t header_count;
    struct hark_slice body;
    bool close; // end the connection after this response
};

const char *hark_http_reason(int status); // "Not Found"; "" for unknown

// RFC 9110 section 5.6.2: not empty, every byte a tchar.
bool hark_http_is_token(struct hark_slice text);
// RFC 9110 section 5.5: visible bytes, space, tab and obs-text; no CR, LF, NUL or other control.
bool hark_http_is_value(struct hark_slice text);
// RFC 9112 section 3.2: visible ASCII without '#'.
bool hark_http_is_target(struct hark_slice text);
// Whether a comma-separated list holds the token, without case.
bool hark_http_list_has(struct hark_slice list, struct hark_slice token);

// The classes of a byte, for parsers that go byte by byte.
enum { HARK_HTTP_VALUE = 1, HARK_HTTP_TARGET = 2, HARK_HTTP_TOKEN = 4 };

extern const uint8_t hark_http_class[256];

#endif
