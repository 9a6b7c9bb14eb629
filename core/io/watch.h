// SPDX-License-Identifier: MIT
//
// Directory watch: says "look" some time after something below a directory changed, never what.
// Watches directories, not files, and the parents of resolved links; debounced (quiet_ms without an
// event, at most max_ms); besides, one look every poll_ms, for file systems without events.
#ifndef HARK_IO_WATCH_H
#define HARK_IO_WATCH_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "io/loop.h"

struct hark_watch;
typedef void hark_watch_fn(void *ctx);

struct hark_watch_options {
    uint64_t quiet_ms; // 150
    uint64_t max_ms;   // 2000
    uint64_t poll_ms;  // 2000
};

HARK_MUSTCHECK int hark_watch_open(struct hark_loop *loop,
                                   struct hark_slice directory,
                                   const struct hark_watch_options *options,
                                   hark_watch_fn *fn,
                                   void *ctx,
                                   struct hark_watch **ret);
void hark_watch_close(struct hark_watch *watch); // no callback after it; accepts NULL

#endif
