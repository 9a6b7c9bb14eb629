// SPDX-License-Identifier: MIT
//
// A session's named timers (`conn:after`). Only names are kept, so a reload changes what they do.
#ifndef HARK_SESSION_TIMERS_H
#define HARK_SESSION_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "base/wheel.h"

#define HARK_TIMERS_MAX      64 // of one session
#define HARK_TIMERS_NAME_MAX 64

struct hark_named_timer;

// A list of them; zero is empty.
struct hark_timers {
    struct hark_named_timer *first;
};

// name is borrowed until return. The timer is gone already.
typedef void hark_timers_fn(void *owner, struct hark_slice name);

// Arms the timer of that name, replacing an earlier one. 0; HARK_EINVAL: the name is empty or too
// long; HARK_EFULL; HARK_ENOMEM.
HARK_MUSTCHECK int hark_timers_set(struct hark_timers *timers,
                                   struct hark_wheel *wheel,
                                   struct hark_slice name,
                                   uint64_t due_ms,
                                   hark_timers_fn *fn,
                                   void *owner);
bool hark_timers_cancel(struct hark_timers *timers,
                        struct hark_wheel *wheel,
                        struct hark_slice name);
void hark_timers_clear(struct hark_timers *timers, struct hark_wheel *wheel);

#endif
