// SPDX-License-Identifier: MIT
//
// Named timers, each with a timer of the wheel of its own.
#include "session/timers.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "hark.h"

struct hark_named_timer {
    struct hark_timer timer;
    struct hark_named_timer *next;
    struct hark_timers *timers;
    hark_timers_fn *fn;
    void *owner;
    uint8_t name_len;
    char name[];
};

static struct hark_named_timer **find(struct hark_timers *timers, struct hark_slice name);
static size_t count_of(const struct hark_timers *timers);
static void on_due(struct hark_timer *timer);

int hark_timers_set(struct hark_timers *timers,
                    struct hark_wheel *wheel,
                    struct hark_slice name,
                    uint64_t due_ms,
                    hark_timers_fn *fn,
                    void *owner)
{
    if (name.len == 0 || name.len > HARK_TIMERS_NAME_MAX) {
        return HARK_EINVAL;
    }
    struct hark_named_timer *item = *find(timers, name);
    if (item == NULL) {
        if (count_of(timers) >= HARK_TIMERS_MAX) {
            return HARK_EFULL;
        }
        item = hark_mem_zalloc(sizeof(*item) + name.len);
        if (item == NULL) {
            return HARK_ENOMEM;
        }
        hark_timer_init(&item->timer, on_due);
        item->timers = timers;
        item->name_len = (uint8_t)name.len;
        memcpy(item->name, name.ptr, name.len);
        item->next = timers->first;
        timers->first = item;
    }
    item->fn = fn;
    item->owner = owner;
    hark_wheel_arm(wheel, &item->timer, due_ms);
    return 0;
}

bool hark_timers_cancel(struct hark_timers *timers,
                        struct hark_wheel *wheel,
                        struct hark_slice name)
{
    struct hark_named_timer **place = find(timers, name);
    struct hark_named_timer *item = *place;
    if (item == NULL) {
        return false;
    }
    hark_wheel_cancel(wheel, &item->timer);
    *place = item->next;
    hark_mem_free(item);
    return true;
}

void hark_timers_clear(struct hark_timers *timers, struct hark_wheel *wheel)
{
    while (timers->first != NULL) {
        struct hark_named_timer *item = timers->first;
        timers->first = item->next;
        hark_wheel_cancel(wheel, &item->timer);
        hark_mem_free(item);
    }
}

// The place that points to the timer of that name, or the end of the list.
static struct hark_named_timer **find(struct hark_timers *timers, struct hark_slice name)
{
    struct hark_named_timer **place = &timers->first;
    while (*place != NULL && !hark_slice_is(hark_slice((*place)->name, (*place)->name_len), name)) {
        place = &(*place)->next;
    }
    return place;
}

static size_t count_of(const struct hark_timers *timers)
{
    size_t count = 0;
    for (const struct hark_named_timer *item = timers->first; item != NULL; item = item->next) {
        count++;
    }
    return count;
}

static void on_due(struct hark_timer *timer)
{
    struct hark_named_timer *item = HARK_CONTAINER_OF(timer, struct hark_named_timer, timer);
    struct hark_slice name = hark_slice(item->name, item->name_len);
    *find(item->timers, name) = item->next; // a handler may set the same name again
    item->fn(item->owner, name);
    hark_mem_free(item);
}
