// SPDX-License-Identifier: MIT
//
// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF") under a random key of the
// process, and the stable hash for what leaves the process.
#include "base/hash.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t process_key[2]; // written once, under key_once

static void make_key(void);
static uint64_t read_rest(const uint8_t *at, size_t len);
static void sip_round(struct sip *s);

uint64_t hark_hash_keyed(const void *data, size_t len)
{
    (void)pthread_once(&key_once, make_key); // cannot fail with a static control
    return hark_hash_with(process_key, data, len);
}

uint64_t hark_hash_with(const uint64_t key[2], const void *data, size_t len)
{
    struct sip s = {
        .v0 = key[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = key[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = key[1] ^ UINT64_C(0x7465646279746573),
    };
    const uint8_t *at = data;
    size_t whole = len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, sizeof(word));
        word = le64toh(word);
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    uint64_t last = (uint64_t)len << 56;
    if (len > whole) {
        last |= read_rest(at + whole, len - whole);
    }
    s.v3 ^= last;
    sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xFF;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hark_hash_stable(struct hark_slice text)
{
    uint8_t digest[HARK_DIGEST_SHA256_LEN];
    hark_digest_sha256(text, digest);
    uint64_t hash = 0;
    for (size_t i = 0; i < 8; i++) {
        hash = hash << 8 | digest[i];
    }
    return hash;
}

static void make_key(void)
{
    if (hark_digest_random(process_key, sizeof(process_key)) == 0) {
        return;
    }
    // No entropy source at all: where the process lies and when it began is better than a constant.
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); // the clock exists
    process_key[0] = (uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec;
    process_key[1] = (uint64_t)(uintptr_t)&now ^ (uint64_t)(uintptr_t)&process_key << 20;
}

// At most seven bytes, little-endian.
static uint64_t read_rest(const uint8_t *at, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)at[i] << (8 * i);
    }
    return word;
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}
