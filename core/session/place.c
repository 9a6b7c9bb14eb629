// SPDX-License-Identifier: MIT
//
// Positions by channel.
#include "session/place.h"

#include <string.h>

#include "base/mem.h"
#include "hark.h"

static int grow(struct hark_places *places);
static char *put_digits(char *end, uint64_t value);
static bool read_number(struct hark_slice text, uint64_t *ret);

void hark_places_init(struct hark_places *places)
{
    *places = (struct hark_places){.list = NULL};
}

void hark_places_init_fixed(struct hark_places *places, struct hark_place *array, uint32_t cap)
{
    *places = (struct hark_places){.list = array, .cap = cap, .is_fixed = true};
}

void hark_places_deinit(struct hark_places *places)
{
    if (!places->is_fixed) {
        hark_mem_free(places->list);
    }
    hark_places_init(places);
}

struct hark_place *hark_places_find(const struct hark_places *places, uint64_t channel)
{
    for (uint32_t i = 0; i < places->count; i++) {
        if (places->list[i].channel == channel) {
            return &places->list[i];
        }
    }
    return NULL;
}

int hark_places_set(struct hark_places *places, uint64_t channel, struct hark_position position)
{
    struct hark_place *place = hark_places_find(places, channel);
    if (place == NULL) {
        if (places->count >= HARK_PLACES_MAX) {
            return HARK_EFULL;
        }
        if (places->count == places->cap) {
            int status = grow(places);
            if (status != 0) {
                return status;
            }
        }
        place = &places->list[places->count++];
        place->channel = channel;
    }
    place->position = position;
    return 0;
}

int hark_places_copy(struct hark_places *places, const struct hark_places *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        int status = hark_places_set(places, from->list[i].channel, from->list[i].position);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

void hark_places_remove(struct hark_places *places, uint64_t channel)
{
    struct hark_place *place = hark_places_find(places, channel);
    if (place != NULL) {
        *place = places->list[--places->count];
    }
}

bool hark_place_covers(const struct hark_place *place, struct hark_position position)
{
    return place->position.epoch == position.epoch && place->position.offset >= position.offset;
}

size_t hark_place_text(struct hark_position position, char *out)
{
    char *end = out + HARK_PLACE_TEXT_MAX - 1;
    char *at = put_digits(end, position.offset);
    *--at = ':';
    at = put_digits(at, position.epoch);
    size_t len = (size_t)(end - at);
    memmove(out, at, len);
    out[len] = '\0';
    return len;
}

// Writes the digits in front of `end`; returns the first. On the path of every publish.
static char *put_digits(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

int hark_place_parse(struct hark_slice text, struct hark_position *ret)
{
    struct hark_position position = {0, 0};
    struct hark_slice epoch = hark_slice_next(&text, ':');
    if (!read_number(epoch, &position.epoch) || !read_number(text, &position.offset)) {
        return HARK_EINVAL;
    }
    *ret = position;
    return 0;
}

static int grow(struct hark_places *places)
{
    if (places->is_fixed) {
        return HARK_EFULL;
    }
    uint32_t cap = places->cap == 0 ? 2 : places->cap * 2;
    struct hark_place *list = hark_mem_realloc(places->list, cap * sizeof(*list));
    if (list == NULL) {
        return HARK_ENOMEM;
    }
    places->list = list;
    places->cap = cap;
    return 0;
}

static bool read_number(struct hark_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < '0' || c > '9' || value > (UINT64_MAX - (uint64_t)(c - '0')) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(c - '0');
    }
    *ret = value;
    return text.len > 0;
}
