// SPDX-License-Identifier: MIT
//
// The run's event loop: one epoll set over all clients and the signals, and the words to the
// driver.
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct bench_run;

// Opens the set and takes SIGTERM and SIGINT (stop) and SIGUSR1 (next phase). -1 with errno.
int bench_loop_open(struct bench_run *run);

// One turn: waits for events up to that long and serves them. -1 when the run failed or was
// stopped.
int bench_loop_step(struct bench_run *run, int timeout_ms);

// A deadline for bench_client_now().
uint64_t bench_loop_after(double seconds);

// Tells a person what went wrong and marks the run as failed; returns -1.
int bench_loop_fail(struct bench_run *run, const char *what, const char *why);

// Tells the driver what is happening now, as "event NAME" on stderr.
void bench_loop_tell(const char *event);

#endif
