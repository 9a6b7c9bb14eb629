// SPDX-License-Identifier: MIT
//
// The armed directories of one watch: made to agree with the file system by hark_watch_set_update,
// and telling of every event in them.
#ifndef HARK_IO_WATCH_SET_H
#define HARK_IO_WATCH_SET_H

#include "base/attr.h"

struct hark_loop;
struct hark_watch_set;

typedef void hark_watch_set_fn(void *ctx);

// NULL: no memory.
HARK_MUSTCHECK struct hark_watch_set *
hark_watch_set_new(struct hark_loop *loop, hark_watch_set_fn *fn, void *ctx);
void hark_watch_set_close(
    struct hark_watch_set *set); // no call after it; frees itself; accepts NULL

// Arms what now decides over the content of `root` (an absolute path) and lets go of the rest. What
// cannot be armed is not: the watch's poll is there for that.
void hark_watch_set_update(struct hark_watch_set *set, const char *root);

#endif
