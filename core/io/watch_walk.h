// SPDX-License-Identifier: MIT
//
// Finds the directories whose events can change what a reader sees below a root: those below it,
// the place of every symbolic link on the way, and where linked files lie. Pure look at the file
// system; io/watch_set arms what it names.
#ifndef HARK_IO_WATCH_WALK_H
#define HARK_IO_WATCH_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

#define HARK_WATCH_DIRECTORIES_MAX 4096

// `directory` is an absolute real path; of its entries `name` counts, or all when name is "".
// Borrowed until return. true: not named before in this walk.
typedef bool hark_watch_want_fn(void *ctx, const char *directory, const char *name);

// Walks below `root`, an absolute path that need not exist. 0; ENOMEM or EFULL when not everything
// could be named.
HARK_MUSTCHECK int hark_watch_walk(const char *root, hark_watch_want_fn *want, void *ctx);

#endif
