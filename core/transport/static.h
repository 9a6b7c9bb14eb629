// SPDX-License-Identifier: MIT
//
// Files below one directory over HTTP: GET and HEAD, types by suffix, strong ETag, conditional and
// range requests (RFC 9110 sections 13 and 14). No way out: the path is resolved with openat2
// RESOLVE_BENEATH (or an equivalent walk), hidden names are not served.
#ifndef HARK_TRANSPORT_STATIC_H
#define HARK_TRANSPORT_STATIC_H

#include "base/attr.h"
#include "transport/exchange.h"

struct hark_static;

// ENOENT when the directory does not exist.
HARK_MUSTCHECK int hark_static_open(const char *directory, struct hark_static **ret);
void hark_static_free(struct hark_static *files); // accepts NULL

// Answers when the path names a file (or a directory with index.html; one without its final slash
// is redirected) and ends the exchange: true. false: no such file, the exchange is untouched.
bool hark_static_serve(struct hark_static *files, struct hark_exchange *exchange);

#endif
