// SPDX-License-Identifier: MIT
//
// The history ring. Offsets in it are consecutive, so a read finds its place by subtraction.
#include "hub/history.h"

#include "hark.h"

#include "base/mem.h"

#define FIRST_CAP 8

static struct hark_history_slot *slot_at(const struct hark_history *history, uint32_t at);
static void drop_oldest(struct hark_history *history);
static void resize(struct hark_history *history, struct hark_history_slot *slots, uint32_t cap);
static void shrink(struct hark_history *history);

void hark_history_init(struct hark_history *history,
                       uint32_t max_count,
                       size_t max_bytes,
                       uint64_t ttl_ms)
{
    *history = (struct hark_history){
        .max_count = max_count,
        .max_bytes = max_bytes,
        .ttl_ms = ttl_ms,
    };
}

void hark_history_deinit(struct hark_history *history)
{
    hark_history_clear(history);
}

void hark_history_limit(struct hark_history *history,
                        uint32_t max_count,
                        size_t max_bytes,
                        uint64_t ttl_ms)
{
    history->max_count = max_count;
    history->max_bytes = max_bytes;
    history->ttl_ms = ttl_ms;
    while (history->count > max_count || history->bytes > max_bytes) {
        drop_oldest(history);
    }
    shrink(history);
}

int hark_history_reserve(struct hark_history *history)
{
    if (history->count >= history->max_count || history->count < history->cap) {
        return 0; // the push drops one first, or there is room
    }
    if (history->cap > UINT32_MAX / 2) {
        return HARK_ETOOBIG;
    }
    uint32_t cap = history->cap == 0 ? FIRST_CAP : history->cap * 2;
    struct hark_history_slot *slots = hark_mem_array(cap, sizeof(*slots));
    if (slots == NULL) {
        return HARK_ENOMEM;
    }
    resize(history, slots, cap);
    return 0;
}

void hark_history_push(struct hark_history *history, struct hark_msg *msg, uint64_t now_ms)
{
    if (history->max_count == 0) {
        return;
    }
    size_t size = hark_msg_size(msg);
    if (size > history->max_bytes) {
        hark_history_clear(history);
        return;
    }
    while (history->count >= history->max_count || history->bytes > history->max_bytes - size) {
        drop_oldest(history);
    }
    history->count++;
    *slot_at(history, history->count - 1) = (struct hark_history_slot){hark_msg_ref(msg), now_ms};
    history->bytes += size;
}

void hark_history_expire(struct hark_history *history, uint64_t now_ms)
{
    if (history->count == 0) {
        return;
    }
    while (history->count > 0) {
        uint64_t since_ms = slot_at(history, 0)->time_ms;
        if (now_ms < since_ms || now_ms - since_ms < history->ttl_ms) {
            break;
        }
        drop_oldest(history);
    }
    shrink(history);
}

void hark_history_clear(struct hark_history *history)
{
    while (history->count > 0) {
        drop_oldest(history);
    }
    shrink(history);
}

size_t hark_history_read(const struct hark_history *history,
                         uint64_t since,
                         size_t max_count,
                         size_t max_bytes,
                         struct hark_msg **ret_msgs)
{
    if (history->count == 0) {
        return 0;
    }
    uint64_t oldest = slot_at(history, 0)->msg->position.offset;
    uint64_t skip = since < oldest ? 0 : since - oldest + 1;
    size_t bytes = 0;
    size_t taken = 0;
    for (uint64_t at = skip; at < history->count && taken < max_count; at++) {
        struct hark_msg *msg = slot_at(history, (uint32_t)at)->msg;
        bytes += hark_msg_size(msg);
        if (taken > 0 && bytes > max_bytes) {
            break;
        }
        ret_msgs[taken++] = hark_msg_ref(msg);
    }
    return taken;
}

const struct hark_history_slot *hark_history_at(const struct hark_history *history, uint32_t at)
{
    return slot_at(history, at);
}

static struct hark_history_slot *slot_at(const struct hark_history *history, uint32_t at)
{
    return &history->slots[(history->head + at) & (history->cap - 1)];
}

static void drop_oldest(struct hark_history *history)
{
    struct hark_msg *msg = slot_at(history, 0)->msg;
    history->bytes -= hark_msg_size(msg);
    history->head = (history->head + 1) & (history->cap - 1);
    history->count--;
    hark_msg_unref(msg);
}

static void resize(struct hark_history *history, struct hark_history_slot *slots, uint32_t cap)
{
    for (uint32_t i = 0; i < history->count; i++) {
        slots[i] = *slot_at(history, i);
    }
    hark_mem_free(history->slots);
    history->slots = slots;
    history->cap = cap;
    history->head = 0;
}

// Gives memory back after a flood. Never called between reserve and push.
static void shrink(struct hark_history *history)
{
    if (history->count == 0) {
        hark_mem_free(history->slots);
        history->slots = NULL;
        history->cap = 0;
        history->head = 0;
        return;
    }
    uint32_t cap = history->cap;
    while (cap > FIRST_CAP && history->count < cap / 4) {
        cap /= 2;
    }
    if (cap == history->cap) {
        return;
    }
    struct hark_history_slot *slots = hark_mem_array(cap, sizeof(*slots));
    if (slots != NULL) { // else it stays as large as it is
        resize(history, slots, cap);
    }
}
