// SPDX-License-Identifier: MIT
//
// One worker's event loop: owns the uv_loop, the clock, the timer wheel, the defer queue, and the
// end-of-tick sequence. A tick is: poll for I/O (read callbacks, mail wake-ups), due timers, then
// in the check phase: tick hook (drains the mailbox, runs the hub's passes), defer queue, flush of
// every stream that has output (one batched operation, io/flush), defer queue once more.
#ifndef HARK_IO_LOOP_H
#define HARK_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/defer.h"
#include "base/stats.h"
#include "base/wheel.h"

struct hark_loop;

// Runs once a tick. true: work is left, so the next tick must not block in poll.
typedef bool hark_loop_tick_fn(void *ctx);

// `stats` is borrowed for the life of the loop. All functions but hark_loop_wake and
// hark_loop_stop belong to the thread that runs the loop (or to its maker before it runs).
HARK_MUSTCHECK int hark_loop_new(struct hark_stats *stats, struct hark_loop **ret);

// All streams and listeners must be closed: their last events still come, timers do not fire any
// more. Accepts NULL.
void hark_loop_free(struct hark_loop *loop);

int hark_loop_run(struct hark_loop *loop); // until hark_loop_stop
// Runs ready work once; waits at most timeout_ms for some. For programs with a loop of their own,
// tests.
int hark_loop_step(struct hark_loop *loop, uint64_t timeout_ms);
void hark_loop_stop(struct hark_loop *loop); // any thread
void hark_loop_wake(struct hark_loop *loop); // any thread: a tick happens soon

void hark_loop_on_tick(struct hark_loop *loop, hark_loop_tick_fn *fn, void *ctx);

uint64_t hark_loop_now_ms(const struct hark_loop *loop);         // monotonic, cached once a tick
const uint64_t *hark_loop_now_ref(const struct hark_loop *loop); // the same, as a place to read it
uint64_t hark_loop_clock_ns(void); // monotonic, read now: for time slices
struct hark_wheel *hark_loop_wheel(struct hark_loop *loop);
struct hark_defer_queue *hark_loop_defer(struct hark_loop *loop);
struct hark_stats *hark_loop_stats(struct hark_loop *loop);

#endif
