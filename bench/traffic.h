// SPDX-License-Identifier: MIT
//
// What is sent and what comes back: bursts, a steady rate, echoes, and the books of each phase.
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "run.h"

// Sends the run's current probe to every channel.
void bench_traffic_probe(struct bench_run *run);

// Books one message that arrived; in the echo scenario also sends the next.
void bench_traffic_take(struct bench_run *run,
                        struct bench_client *client,
                        const char *bytes,
                        size_t size);

// A session is gone: what it has not received will not come.
void bench_traffic_drop(struct bench_run *run, struct bench_client *client);

// Closed loop: a burst to every channel, then all of its deliveries, then the next.
int bench_traffic_rounds(struct bench_run *run, enum bench_phase_index index, double seconds);

// Open loop: messages at the options' rate, one channel after the other.
int bench_traffic_steady(struct bench_run *run);

// One message under way on each connection.
int bench_traffic_echo(struct bench_run *run);

#endif
