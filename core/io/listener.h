// SPDX-License-Identifier: MIT
//
// Listening sockets: TCP (v4, v6) with SO_REUSEPORT, so that each worker has its own on the same
// address, and Unix sockets. Accepts are paced (a bounded number a tick); at the descriptor limit
// the listener accepts and closes with a reserve descriptor and says so in the counters.
#ifndef HARK_IO_LISTENER_H
#define HARK_IO_LISTENER_H

#include "base/attr.h"
#include "base/slice.h"
#include "io/loop.h"

struct hark_listener;

// `fd` is the callee's.
typedef void hark_listener_fn(void *ctx, int fd);

#define HARK_LISTENER_BACKLOG 4096

// `address`: "127.0.0.1:8080", "[::1]:8080", ":8080" (all), "unix:/path". 0, EINVAL (not of that
// form), EBIND (*ret_errno tells why).
HARK_MUSTCHECK int hark_listener_open(struct hark_loop *loop,
                                      struct hark_slice address,
                                      hark_listener_fn *fn,
                                      void *ctx,
                                      struct hark_listener **ret,
                                      int *ret_errno);
// Whether nobody listens on a TCP address yet, to be asked before the first listener is opened:
// SO_REUSEPORT would let a second host of the same user take half of the first one's connections.
// 0 (of a Unix socket always: opening tells), EINVAL, EBIND (*ret_errno tells why).
HARK_MUSTCHECK int hark_listener_probe(struct hark_slice address, int *ret_errno);
int hark_listener_port(
    const struct hark_listener *listener); // the real one when 0 was asked; 0 for Unix
void hark_listener_pause(
    struct hark_listener *listener); // stops accepting; the backlog is closed by close
void hark_listener_close(
    struct hark_listener *listener); // no callback after it; frees itself; accepts NULL

// Raises the soft descriptor limit to the hard one; returns the limit in force.
unsigned long hark_listener_raise_limit(void);

#endif
