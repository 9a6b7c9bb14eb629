// SPDX-License-Identifier: MIT
//
// A list, oldest first. It is short, and searched only for ids that name no session.
#include "session/epitaph.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/wheel.h"

struct epitaph {
    struct hark_list node;
    struct hark_timer timer;
    struct hark_epitaphs *epitaphs;
    uint16_t code;
    uint8_t id_len;
    uint8_t why_len;
    char text[]; // id, reason
};

struct hark_epitaphs {
    struct hark_list list;
    struct hark_wheel *wheel;
    size_t count;
};

static void drop(struct epitaph *epitaph);
static void on_due(struct hark_timer *timer);

struct hark_epitaphs *hark_epitaphs_new(struct hark_wheel *wheel)
{
    struct hark_epitaphs *epitaphs = hark_mem_zalloc(sizeof(*epitaphs));
    if (epitaphs != NULL) {
        hark_list_init(&epitaphs->list);
        epitaphs->wheel = wheel;
    }
    return epitaphs;
}

void hark_epitaphs_free(struct hark_epitaphs *epitaphs)
{
    if (epitaphs == NULL) {
        return;
    }
    while (!hark_list_is_empty(&epitaphs->list)) {
        drop(HARK_CONTAINER_OF(epitaphs->list.next, struct epitaph, node));
    }
    hark_mem_free(epitaphs);
}

void hark_epitaphs_put(struct hark_epitaphs *epitaphs,
                       struct hark_slice id,
                       uint16_t code,
                       struct hark_slice why,
                       uint64_t due_ms)
{
    if (id.len > UINT8_MAX) {
        return;
    }
    why.len = why.len < HARK_EPITAPH_WHY_MAX ? why.len : HARK_EPITAPH_WHY_MAX;
    struct epitaph *epitaph = hark_mem_zalloc(sizeof(*epitaph) + id.len + why.len);
    if (epitaph == NULL) {
        return;
    }
    if (epitaphs->count >= HARK_EPITAPHS_MAX) {
        drop(HARK_CONTAINER_OF(epitaphs->list.next, struct epitaph, node));
    }
    epitaph->epitaphs = epitaphs;
    epitaph->code = code;
    epitaph->id_len = (uint8_t)id.len;
    epitaph->why_len = (uint8_t)why.len;
    memcpy(epitaph->text, id.ptr, id.len);
    if (why.len > 0) {
        memcpy(epitaph->text + id.len, why.ptr, why.len);
    }
    hark_list_push(&epitaphs->list, &epitaph->node);
    epitaphs->count++;
    hark_timer_init(&epitaph->timer, on_due);
    hark_wheel_arm(epitaphs->wheel, &epitaph->timer, due_ms);
}

bool hark_epitaphs_find(const struct hark_epitaphs *epitaphs,
                        struct hark_slice id,
                        uint16_t *ret_code,
                        struct hark_slice *ret_why)
{
    hark_list_for_each (node, &epitaphs->list) {
        const struct epitaph *epitaph = HARK_CONTAINER_OF(node, struct epitaph, node);
        if (hark_slice_is(hark_slice(epitaph->text, epitaph->id_len), id)) {
            *ret_code = epitaph->code;
            *ret_why = hark_slice(epitaph->text + epitaph->id_len, epitaph->why_len);
            return true;
        }
    }
    return false;
}

static void drop(struct epitaph *epitaph)
{
    hark_wheel_cancel(epitaph->epitaphs->wheel, &epitaph->timer);
    hark_list_remove(&epitaph->node);
    epitaph->epitaphs->count--;
    hark_mem_free(epitaph);
}

static void on_due(struct hark_timer *timer)
{
    drop(HARK_CONTAINER_OF(timer, struct epitaph, timer));
}
