// SPDX-License-Identifier: MIT
//
// Ends the sessions of a slot whose endpoint is gone, spread over a while, so that their clients do
// not all come back at once. Each gets its drain handler (if the code is still there) and the
// advice when to come back. A slot that gets code again keeps the sessions that are left.
#ifndef HARK_SCRIPT_RETIRE_H
#define HARK_SCRIPT_RETIRE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct hark_script;
struct hark_slot;

// ENOMEM.
HARK_MUSTCHECK int
hark_retire_start(struct hark_slot *slot, struct hark_slice why, uint64_t spread_ms);
void hark_retire_free_all(struct hark_script *script);

#endif
