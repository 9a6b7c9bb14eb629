// SPDX-License-Identifier: MIT
//
// Where a client stands: a position for each channel. The cursor it brought, the cursor that goes
// out with a message, what stands at the head of an outbox. Lists are short; search is linear.
#ifndef HARK_SESSION_PLACE_H
#define HARK_SESSION_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "hub/msg.h"

// As many as a cursor holds; on long poll one of them is the session's own sequence.
#define HARK_PLACES_MAX 64

struct hark_place {
    uint64_t channel; // hark_hash_stable of its name
    struct hark_position position;
};

struct hark_places {
    struct hark_place *list;
    uint32_t count;
    uint32_t cap;
    bool is_fixed; // the list is the maker's: it neither grows nor is freed
};

void hark_places_init(struct hark_places *places); // empty, on the heap as it grows
// Empty, in an array of the maker's.
void hark_places_init_fixed(struct hark_places *places, struct hark_place *array, uint32_t cap);
void hark_places_deinit(struct hark_places *places);

// The place of a channel, or NULL.
struct hark_place *hark_places_find(const struct hark_places *places, uint64_t channel);

// Adds or moves. 0, HARK_ENOMEM, or HARK_EFULL: no room for another channel. Moving never fails.
int hark_places_set(struct hark_places *places, uint64_t channel, struct hark_position position);

// Adds all of `from`. As set.
int hark_places_copy(struct hark_places *places, const struct hark_places *from);

void hark_places_remove(struct hark_places *places, uint64_t channel); // absent: nothing

// A position as text, `epoch:offset` in decimal: what scripts and clients see. Writes to
// out[HARK_PLACE_TEXT_MAX] with a NUL behind; returns the length.
#define HARK_PLACE_TEXT_MAX 42
size_t hark_place_text(struct hark_position position, char *out);
HARK_MUSTCHECK int hark_place_parse(struct hark_slice text,
                                    struct hark_position *ret); // HARK_EINVAL

// Whether a client at `place` has had what stands at `position`.
bool hark_place_covers(const struct hark_place *place, struct hark_position position);

#endif
