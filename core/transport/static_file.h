// SPDX-License-Identifier: MIT
//
// A file below a directory, opened so that no path leads out of it, and its bytes as a response
// body.
#ifndef HARK_TRANSPORT_STATIC_FILE_H
#define HARK_TRANSPORT_STATIC_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "transport/exchange.h"

struct hark_static_file {
    int fd;
    bool is_directory; // and nothing else
    uint64_t inode;
    uint64_t size;
    int64_t modified;     // seconds since 1970
    uint32_t modified_ns; // and the rest
};

// Opens "/a/b" below `directory`. The name is taken as it is: no escapes. ENOENT: no such file, not
// a regular file or a directory, not readable, a hidden or empty segment, or a link that leads out;
// ENOMEM, EIO: out of descriptors and the like.
HARK_MUSTCHECK int
hark_static_file_open(const char *directory, struct hark_slice path, struct hark_static_file *ret);
void hark_static_file_close(struct hark_static_file *file); // accepts a closed one

// The file's bytes from `offset` on, in pieces, as the source of a response. Takes the descriptor
// over. NULL: no memory, the file is as it was.
HARK_MUSTCHECK void *hark_static_file_body(struct hark_static_file *file, uint64_t offset);
extern const struct hark_body_source hark_static_file_source;

#endif
