// SPDX-License-Identifier: MIT
//
// POSIX signals delivered as loop callbacks (HUP, TERM, INT). One thread's loop handles them.
#ifndef HARK_IO_SIGNAL_H
#define HARK_IO_SIGNAL_H

#include "base/attr.h"
#include "io/loop.h"

struct hark_signal;
typedef void hark_signal_fn(void *ctx, int number);

HARK_MUSTCHECK int hark_signal_open(
    struct hark_loop *loop, int number, hark_signal_fn *fn, void *ctx, struct hark_signal **ret);
void hark_signal_close(struct hark_signal *signal); // accepts NULL

#endif
