// SPDX-License-Identifier: MIT
//
// Hierarchical timer wheel: a pure data structure, the caller supplies the time. Arming, moving and
// cancelling are O(1) and allocate nothing; resolution is 1 << HARK_WHEEL_SHIFT milliseconds.
#ifndef HARK_BASE_WHEEL_H
#define HARK_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"

#define HARK_WHEEL_SHIFT 3 // 8 ms

struct hark_timer;
typedef void hark_timer_fn(struct hark_timer *timer);

struct hark_timer {
    struct hark_list node; // private
    uint64_t due_ms;       // private; 0: not armed
    hark_timer_fn *fn;     // called once when due; may re-arm, cancel, or free its owner
};

struct hark_wheel;

HARK_MUSTCHECK struct hark_wheel *hark_wheel_new(uint64_t now_ms);
void hark_wheel_free(struct hark_wheel *wheel); // armed timers are forgotten

void hark_timer_init(struct hark_timer *timer, hark_timer_fn *fn);

// Arms or moves; never fires early. A due time in the past fires at the next advance.
void hark_wheel_arm(struct hark_wheel *wheel, struct hark_timer *timer, uint64_t due_ms);
void hark_wheel_cancel(struct hark_wheel *wheel, struct hark_timer *timer); // idempotent

static inline bool hark_timer_is_armed(const struct hark_timer *timer)
{
    return timer->due_ms != 0;
}

// Fires what is due up to now_ms, in slot order.
void hark_wheel_advance(struct hark_wheel *wheel, uint64_t now_ms);

// Milliseconds from now_ms until advance must be called; UINT64_MAX when nothing is armed. May be
// early (a cascade), never late.
uint64_t hark_wheel_next(const struct hark_wheel *wheel, uint64_t now_ms);

#endif
