// SPDX-License-Identifier: MIT
//
// What the loop shares with its neighbours in io/ and nobody else: the libuv loop, the buffer for
// reads, the flush, and how to keep the next tick from sleeping.
#ifndef HARK_IO_LOOP_INNER_H
#define HARK_IO_LOOP_INNER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "io/flush.h"

struct hark_loop;

#define HARK_LOOP_BUFFER_LEN (64 * 1024)

uv_loop_t *hark_loop_uv(struct hark_loop *loop);
struct hark_flush *hark_loop_flush(struct hark_loop *loop);

// HARK_LOOP_BUFFER_LEN bytes, lent to the read callback that runs now.
char *hark_loop_buffer(struct hark_loop *loop);

// Own thread: work is waiting that no event announces, the next tick must not block.
void hark_loop_again(struct hark_loop *loop);

// Whether the calling thread is the one that runs the loop now.
bool hark_loop_is_own(const struct hark_loop *loop);

// The status for an error of libuv.
int hark_loop_status(int uv_error);

#endif
