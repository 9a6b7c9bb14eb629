// SPDX-License-Identifier: MIT
//
// HTTP dates (RFC 9110 section 5.6.7) to and from seconds since 1970, independent of locale and
// time zone. Written in the preferred form; read in all three forms that recipients must accept.
#ifndef HARK_PROTO_HTTP_DATE_H
#define HARK_PROTO_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define HARK_HTTP_DATE_LEN 29 // "Sun, 06 Nov 1994 08:49:37 GMT"

// Writes HARK_HTTP_DATE_LEN bytes, no NUL. Years outside 0 to 9999 are clamped to the nearest
// second that can be written.
void hark_http_date_format(int64_t seconds, char *out);

// `now` places the two-digit years of RFC 850 dates (section 5.6.7: not more than 50 years ahead).
bool hark_http_date_parse(struct hark_slice text, int64_t now, int64_t *ret);

#endif
