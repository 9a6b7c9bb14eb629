// SPDX-License-Identifier: MIT
//
// Digests, MACs, constant-time comparison and random bytes: the only user of OpenSSL outside
// io/tls.
#ifndef HARK_BASE_DIGEST_H
#define HARK_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

enum hark_digest_kind { HARK_DIGEST_MD5, HARK_DIGEST_SHA1, HARK_DIGEST_SHA256, HARK_DIGEST_SHA512 };

#define HARK_DIGEST_MAX        64
#define HARK_DIGEST_SHA256_LEN 32

// Writes the digest to out[HARK_DIGEST_MAX], its size to *ret_len. 0, HARK_ENOMEM, or HARK_EINVAL
// when the library does not offer the kind (MD5 in FIPS mode).
HARK_MUSTCHECK int
hark_digest(enum hark_digest_kind kind, struct hark_slice data, uint8_t *out, size_t *ret_len);
HARK_MUSTCHECK int hark_digest_hmac(enum hark_digest_kind kind,
                                    struct hark_slice key,
                                    struct hark_slice data,
                                    uint8_t *out,
                                    size_t *ret_len);

// SHA-256 that needs no memory and so cannot fail.
void hark_digest_sha256(struct hark_slice data, uint8_t out[HARK_DIGEST_SHA256_LEN]);

// Time depends on the lengths alone.
bool hark_digest_is_equal(struct hark_slice a, struct hark_slice b);

// Cryptographically strong. 0 or HARK_EIO.
HARK_MUSTCHECK int hark_digest_random(void *out, size_t len);

#endif
