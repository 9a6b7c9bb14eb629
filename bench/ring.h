// SPDX-License-Identifier: MIT
//
// One io_uring as a batch of plain sends: fill, submit, and every send has happened when the submit
// returns. Only the exceptions (socket full, part sent, error) are reported.
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <stddef.h>
#include <stdint.h>

struct bench_ring;

// Told of a send that did not do all its bytes: `result` is the count done, or a negative errno.
// `owner` is the ring's, `user` the send's.
typedef void (*bench_ring_fn)(
    void *owner, void *user, const uint8_t *bytes, size_t size, int result);

// NULL when the kernel, or this build, has no io_uring; then `*ret_why` says which.
struct bench_ring *
bench_ring_new(unsigned batch, bench_ring_fn on_short, void *owner, const char **ret_why);
void bench_ring_free(struct bench_ring *ring);

// Queues one send; submits when the batch is full. The bytes must live until bench_ring_submit().
void bench_ring_send(
    struct bench_ring *ring, int fd, const uint8_t *bytes, size_t size, void *user);
void bench_ring_submit(struct bench_ring *ring);

#endif
