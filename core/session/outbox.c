// SPDX-License-Identifier: MIT
//
// A ring of message references.
#include "session/outbox.h"

#include <assert.h>

#include "base/mem.h"
#include "hark.h"

#define CAP_MIN 8
#define CAP_MAX (1u << 30)

static uint32_t cell(const struct hark_outbox *outbox, uint32_t i);

struct hark_outbox *hark_outbox_new(void *owner, hark_timer_fn *timer_fn)
{
    struct hark_outbox *outbox = hark_mem_zalloc(sizeof(*outbox));
    if (outbox == NULL) {
        return NULL;
    }
    hark_timer_init(&outbox->timer, timer_fn);
    hark_places_init(&outbox->places);
    outbox->owner = owner;
    return outbox;
}

void hark_outbox_free(struct hark_outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    for (uint32_t i = 0; i < outbox->count; i++) {
        hark_msg_unref(hark_outbox_at(outbox, i));
    }
    hark_places_deinit(&outbox->places);
    hark_mem_free(outbox->ring);
    hark_mem_free(outbox);
}

int hark_outbox_reserve(struct hark_outbox *outbox, size_t count)
{
    if (count <= outbox->cap - outbox->count) {
        return 0;
    }
    if (count > CAP_MAX - outbox->count) {
        return HARK_ENOMEM;
    }
    uint32_t cap = outbox->cap == 0 ? CAP_MIN : outbox->cap;
    while (cap - outbox->count < count) {
        cap *= 2;
    }
    struct hark_msg **ring = hark_mem_array(cap, sizeof(struct hark_msg *));
    if (ring == NULL) {
        return HARK_ENOMEM;
    }
    for (uint32_t i = 0; i < outbox->count; i++) {
        ring[i] = hark_outbox_at(outbox, i);
    }
    hark_mem_free(outbox->ring);
    outbox->ring = ring;
    outbox->cap = cap;
    outbox->head = 0;
    return 0;
}

void hark_outbox_push(struct hark_outbox *outbox, struct hark_msg *msg)
{
    assert(outbox->count < outbox->cap);
    outbox->ring[cell(outbox, outbox->count)] = hark_msg_ref(msg);
    outbox->count++;
    outbox->bytes += hark_msg_size(msg);
}

struct hark_msg *hark_outbox_at(const struct hark_outbox *outbox, uint32_t i)
{
    return outbox->ring[cell(outbox, i)];
}

void hark_outbox_pop(struct hark_outbox *outbox)
{
    assert(outbox->count > 0);
    struct hark_msg *msg = hark_outbox_at(outbox, 0);
    outbox->head = cell(outbox, 1);
    outbox->count--;
    outbox->passed++;
    outbox->bytes -= hark_msg_size(msg);
    hark_outbox_pass(&outbox->places, msg);
    hark_msg_unref(msg);
}

void hark_outbox_drop(struct hark_outbox *outbox, uint64_t channel)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < outbox->count; i++) {
        struct hark_msg *msg = hark_outbox_at(outbox, i);
        if (msg->channel_id == channel) {
            outbox->bytes -= hark_msg_size(msg);
            hark_msg_unref(msg);
        } else {
            outbox->ring[cell(outbox, kept++)] = msg;
        }
    }
    outbox->count = kept;
}

void hark_outbox_pass(struct hark_places *places, const struct hark_msg *msg)
{
    // Besides messages of a log, the notice of a gap stands somewhere: behind the gap.
    bool is_gap = (msg->flags & HARK_MSG_DIRECT) != 0 && msg->position.epoch != 0;
    if (is_gap || hark_msg_is_logged(msg)) {
        (void)hark_places_set(places, msg->channel_id, msg->position); // as the header says
    }
}

static uint32_t cell(const struct hark_outbox *outbox, uint32_t i)
{
    return (outbox->head + i) & (outbox->cap - 1);
}
