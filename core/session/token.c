// SPDX-License-Identifier: MIT
//
// Session ids, made and read.
#include "session/token.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/digest.h"
#include "base/hash.h"
#include "hark.h"

#define RANDOM_LEN   16
#define RANDOM_TEXT  22
#define PLACE_DIGITS 5

static size_t put_place(unsigned worker, char *out);
static bool read_place(struct hark_slice text, unsigned *ret_worker);
static bool is_base64url(struct hark_slice text);

int hark_token_make(unsigned worker, char *out, size_t *ret_len)
{
    uint8_t random[RANDOM_LEN];
    int status = hark_digest_random(random, sizeof(random));
    if (status != 0) {
        return status;
    }
    struct hark_buf text;
    hark_buf_init(&text, RANDOM_TEXT);
    status = hark_codec_base64url(&text, hark_slice(random, sizeof(random)));
    if (status == 0) {
        memcpy(out, hark_buf_slice(&text).ptr, RANDOM_TEXT);
        out[RANDOM_TEXT] = '.';
        *ret_len = RANDOM_TEXT + 1 + put_place(worker, out + RANDOM_TEXT + 1);
    }
    hark_buf_deinit(&text);
    return status;
}

bool hark_token_is_token(struct hark_slice id)
{
    unsigned worker = 0;
    return id.len > RANDOM_TEXT + 1 && id.ptr[RANDOM_TEXT] == '.' &&
           is_base64url(hark_slice(id.ptr, RANDOM_TEXT)) &&
           read_place(hark_slice_from(id, RANDOM_TEXT + 1), &worker);
}

bool hark_token_is_chosen(struct hark_slice id)
{
    return id.len >= HARK_TOKEN_CHOSEN_MIN && id.len <= HARK_TOKEN_CHOSEN_MAX && is_base64url(id);
}

int hark_token_owner(struct hark_slice id, unsigned worker_count, unsigned *ret_worker)
{
    unsigned worker = 0;
    if (hark_token_is_chosen(id)) {
        *ret_worker = (unsigned)(hark_hash_stable(id) % worker_count);
        return 0;
    }
    if (!hark_token_is_token(id) || !read_place(hark_slice_from(id, RANDOM_TEXT + 1), &worker) ||
        worker >= worker_count) {
        return HARK_EINVAL;
    }
    *ret_worker = worker;
    return 0;
}

static size_t put_place(unsigned worker, char *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned shift = 0;
    while (worker >> shift >= 16 && shift < 4 * (PLACE_DIGITS - 1)) {
        shift += 4;
    }
    size_t len = 0;
    for (unsigned left = shift + 4; left > 0; left -= 4) {
        out[len++] = digits[worker >> (left - 4) & 15];
    }
    return len;
}

// One spelling for each worker: lower case, no zero in front.
static bool read_place(struct hark_slice text, unsigned *ret_worker)
{
    if (text.len == 0 || text.len > PLACE_DIGITS || (text.len > 1 && text.ptr[0] == '0')) {
        return false;
    }
    unsigned worker = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f')) {
            return false;
        }
        worker = worker << 4 | (unsigned)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *ret_worker = worker;
    return true;
}

static bool is_base64url(struct hark_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}
