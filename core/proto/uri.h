// SPDX-License-Identifier: MIT
//
// The parts of RFC 3986 that a server needs: the path of a request made canonical, the authority
// checked, and the pairs of a query walked.
#ifndef HARK_PROTO_URI_H
#define HARK_PROTO_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

// Percent-decodes once, then removes dot segments (section 5.2.4), so that "%2e%2e" counts as "..";
// a path cannot climb above "/". `raw` begins with '/' or is empty, which gives "/". Empty segments
// stay. Writes at most raw.len + 1 bytes to out. EINVAL: a malformed escape or "%00".
// A slash inside a segment stays "%2F", so that no reader of the path takes it for a separator; and
// so that both can be told apart "%252F" stays, "%25252F", and so on. Whoever splits the path into
// segments decodes these.
HARK_MUSTCHECK int hark_uri_normalise(struct hark_slice raw, char *out, size_t *ret_len);

// Appends a decoded path, percent-encoding what a path may not hold as it is. 0, ETOOBIG, ENOMEM.
HARK_MUSTCHECK int hark_uri_escape(struct hark_buf *buf, struct hark_slice path);

// host [":" port], host not empty, no userinfo (RFC 9110 section 4.2.4): a name or IPv4 address of
// reg-name bytes, or an address in brackets; port up to 65535.
bool hark_uri_authority_is_valid(struct hark_slice authority);

struct hark_uri_pair {
    struct hark_slice name;  // raw
    struct hark_slice value; // raw; empty without '='
};

// The next pair of an "a=b&c" query; empty ones are passed over. false: no more. Start with the
// whole query in *rest.
bool hark_uri_query_next(struct hark_slice *rest, struct hark_uri_pair *ret);

// Whether a raw name or value of a query says `text` when decoded ('+' is a space). Never for a
// malformed escape.
bool hark_uri_query_is(struct hark_slice raw, struct hark_slice text);

#endif
