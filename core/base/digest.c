// SPDX-License-Identifier: MIT
//
// Digests by OpenSSL. The algorithms are fetched once per process: an implicit fetch per digest
// takes a lock that all workers share. They live as long as the process.
#define OPENSSL_SUPPRESS_DEPRECATED // SHA256_*: the only form that allocates nothing

#include "base/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>

#include "hark.h"

#define KINDS 4

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *algorithms[KINDS]; // written once, under fetch_once

static void fetch_algorithms(void);
static const EVP_MD *algorithm_of(enum hark_digest_kind kind);

int hark_digest(enum hark_digest_kind kind, struct hark_slice data, uint8_t *out, size_t *ret_len)
{
    const EVP_MD *algorithm = algorithm_of(kind);
    if (algorithm == NULL) {
        return HARK_EINVAL;
    }
    unsigned len = 0;
    if (EVP_Digest(data.ptr, data.len, out, &len, algorithm, NULL) != 1) {
        return HARK_ENOMEM;
    }
    *ret_len = len;
    return 0;
}

int hark_digest_hmac(enum hark_digest_kind kind,
                     struct hark_slice key,
                     struct hark_slice data,
                     uint8_t *out,
                     size_t *ret_len)
{
    const EVP_MD *algorithm = algorithm_of(kind);
    if (algorithm == NULL || key.len > INT_MAX) {
        return HARK_EINVAL;
    }
    // A NULL key means "the key of before" to OpenSSL, not the empty key.
    const char *bytes = key.len == 0 ? "" : key.ptr;
    unsigned len = 0;
    if (HMAC(algorithm, bytes, (int)key.len, (const unsigned char *)data.ptr, data.len, out,
             &len) == NULL) {
        return HARK_ENOMEM;
    }
    *ret_len = len;
    return 0;
}

void hark_digest_sha256(struct hark_slice data, uint8_t out[HARK_DIGEST_SHA256_LEN])
{
    SHA256_CTX context;
    (void)SHA256_Init(&context); // these three only fill the context: they have no way to fail
    (void)SHA256_Update(&context, data.ptr, data.len);
    (void)SHA256_Final(out, &context);
}

bool hark_digest_is_equal(struct hark_slice a, struct hark_slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

int hark_digest_random(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        int part = len > INT_MAX ? INT_MAX : (int)len;
        if (RAND_bytes(at, part) != 1) {
            return HARK_EIO;
        }
        at += part;
        len -= (size_t)part;
    }
    return 0;
}

static void fetch_algorithms(void)
{
    static const char *const names[KINDS] = {
        [HARK_DIGEST_MD5] = "MD5",
        [HARK_DIGEST_SHA1] = "SHA1",
        [HARK_DIGEST_SHA256] = "SHA256",
        [HARK_DIGEST_SHA512] = "SHA512",
    };
    for (size_t i = 0; i < KINDS; i++) {
        algorithms[i] = EVP_MD_fetch(NULL, names[i], NULL);
    }
}

static const EVP_MD *algorithm_of(enum hark_digest_kind kind)
{
    (void)pthread_once(&fetch_once, fetch_algorithms); // cannot fail with a static control
    return algorithms[kind];
}
