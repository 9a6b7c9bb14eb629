// SPDX-License-Identifier: MIT
//
// Batches of sends through one io_uring: filled, run to the end, read. No request outlives a run,
// so nothing is in flight between ticks and buffers need no care. The one home of liburing; built
// without it, hark_uring_new gives NULL and io/flush sends one by one.
#ifndef HARK_IO_URING_H
#define HARK_IO_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/attr.h"

#define HARK_URING_BATCH  1024 // sends a batch
#define HARK_URING_PIECES 4096 // pieces a batch, all sends together

struct hark_uring;

// NULL: switched off (HARK_URING=0 in the environment), forbidden or unknown to the kernel, or no
// memory. The ring belongs to the thread that makes it.
HARK_MUSTCHECK struct hark_uring *hark_uring_new(void);
void hark_uring_free(struct hark_uring *uring); // accepts NULL

// Room for the pieces of the next send; *ret_room is how many. NULL: the batch is full, run it.
struct iovec *hark_uring_room(struct hark_uring *uring, size_t *ret_room);

// Adds a send of the first `pieces` (1 or more) of that room. Sends are counted from 0.
void hark_uring_add(struct hark_uring *uring, int fd, size_t pieces);

// Runs the batch; afterwards it is empty. *ret_results are by number: bytes taken, -errno, or
// HARK_URING_UNSENT when the send was never tried. false: the ring is broken, free it.
HARK_MUSTCHECK bool hark_uring_run(struct hark_uring *uring, const int **ret_results);

#define HARK_URING_UNSENT (-100000)

#endif
