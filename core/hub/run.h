// SPDX-License-Identifier: MIT
//
// Messages on their way from a broker to a worker's subscriptions, in runs: each run is one pass,
// of one epoch, without a hole, and bounded so that the blocks joined from it stay sane. A queue of
// runs is filled by the broker and handed over whole; nothing is copied on the way.
#ifndef HARK_HUB_RUN_H
#define HARK_HUB_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "hub/msg.h"

#define HARK_RUN_COUNT 64
#define HARK_RUN_BYTES ((size_t)256 << 10)

struct hark_run {
    struct hark_run *next;
    uint64_t epoch; // of the messages that have offsets
    uint64_t first; // their first offset; 0: none of them has one
    uint64_t last;
    size_t bytes;
    uint32_t count;
    uint32_t cap;
    bool has_except;
    struct hark_msg *msgs[]; // references
};

struct hark_runs {
    struct hark_run *head;
    struct hark_run *tail;
    size_t count; // messages in all
    size_t bytes;
};

// Makes room so that the next hark_runs_push of this message (its position is set) cannot fail.
HARK_MUSTCHECK int hark_runs_reserve(struct hark_runs *runs, const struct hark_msg *msg);
void hark_runs_push(struct hark_runs *runs,
                    struct hark_msg *msg); // after reserve; takes a reference

// Moves all runs of `from` to the end of `runs`.
void hark_runs_splice(struct hark_runs *runs, struct hark_runs *from);

// Takes the first run, joined with as many that follow as one pass may hold. NULL: none. Owned.
struct hark_run *hark_runs_shift(struct hark_runs *runs);
void hark_runs_clear(struct hark_runs *runs);
void hark_run_free(struct hark_run *run); // accepts NULL

#endif
