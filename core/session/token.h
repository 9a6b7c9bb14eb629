// SPDX-License-Identifier: MIT
//
// Session ids. A token of ours is 128 random bits in base64url, a dot, and the owner's place: the
// index of its worker in hexadecimal. An id that a client made up has no dot; its owner is found by
// a stable hash.
#ifndef HARK_SESSION_TOKEN_H
#define HARK_SESSION_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

#define HARK_TOKEN_MAX 28 // 22 characters, the dot, up to five digits

#define HARK_TOKEN_CHOSEN_MIN 22
#define HARK_TOKEN_CHOSEN_MAX 128

// Writes a new token to out[HARK_TOKEN_MAX] (no NUL) and its length. 0, HARK_EIO, HARK_ENOMEM.
HARK_MUSTCHECK int hark_token_make(unsigned worker, char *out, size_t *ret_len);

bool hark_token_is_token(struct hark_slice id);  // of our form
bool hark_token_is_chosen(struct hark_slice id); // of the form a client may choose

// The worker that owns sessions of that id. HARK_EINVAL: neither form, or no such worker.
HARK_MUSTCHECK int
hark_token_owner(struct hark_slice id, unsigned worker_count, unsigned *ret_worker);

#endif
