// SPDX-License-Identifier: MIT
//
// What is to be told to a long-poll client whose session was closed while it was not asking: its
// next poll gets the reason instead of a new session. Kept for the grace time, a bounded number a
// worker.
#ifndef HARK_SESSION_EPITAPH_H
#define HARK_SESSION_EPITAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define HARK_EPITAPHS_MAX    1024
#define HARK_EPITAPH_WHY_MAX 123 // as in a close frame

struct hark_epitaphs;
struct hark_wheel;

HARK_MUSTCHECK struct hark_epitaphs *hark_epitaphs_new(struct hark_wheel *wheel); // NULL: no memory
void hark_epitaphs_free(struct hark_epitaphs *epitaphs);                          // accepts NULL

// At the limit the oldest goes; without memory nothing is kept.
void hark_epitaphs_put(struct hark_epitaphs *epitaphs,
                       struct hark_slice id,
                       uint16_t code,
                       struct hark_slice why,
                       uint64_t due_ms);

// false: none. *ret_why is borrowed until the next call.
bool hark_epitaphs_find(const struct hark_epitaphs *epitaphs,
                        struct hark_slice id,
                        uint16_t *ret_code,
                        struct hark_slice *ret_why);

#endif
