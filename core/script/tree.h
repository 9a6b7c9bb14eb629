// SPDX-License-Identifier: MIT
//
// One consistent picture of a script directory: every .lua file read into memory, checked by a
// second pass, so that a checkout or a link swap in the middle is never seen half. Blocking; for
// the thread that looks at scripts, never for a worker.
#ifndef HARK_SCRIPT_TREE_H
#define HARK_SCRIPT_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

#define HARK_TREE_FILE_MAX  (1024UL * 1024)
#define HARK_TREE_TOTAL_MAX (16UL * 1024 * 1024)
#define HARK_TREE_FILES_MAX 4096
#define HARK_TREE_DEPTH_MAX 16

struct hark_tree_file {
    char *path; // relative to the directory, '/' between names
    char *data;
    size_t len;
    dev_t device;
    ino_t inode;
    int64_t mtime_ns;
};

struct hark_tree {
    struct hark_tree_file *files; // sorted by path
    size_t count;
    size_t capacity;
    size_t total;
};

// 0; ENOENT (no such directory), ETOOBIG (a limit above), EIO (unreadable, or it would not hold
// still), ENOMEM; with *ret_why saying which file.
HARK_MUSTCHECK int
hark_tree_read(const char *directory, struct hark_tree *ret, struct hark_buf *ret_why);
void hark_tree_deinit(struct hark_tree *tree);

#endif
