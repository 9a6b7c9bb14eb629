// SPDX-License-Identifier: MIT
//
// One run against one server: connect everybody, see that every subscriber hears its channel, then
// load it for a time and keep the books. report.h prints them.
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "body.h"
#include "client.h"
#include "histogram.h"
#include "options.h"
#include "process.h"

enum bench_phase_index {
    BENCH_PHASE_WARM, // not reported
    BENCH_PHASE_ONE,
    BENCH_PHASE_TWO, // with --rate, after SIGUSR1
    BENCH_PHASES
};

struct bench_phase {
    uint64_t begin_ns;
    uint64_t end_ns; // 0: did not take place
    uint64_t cpu_ns; // of the server
    uint64_t messages;
    uint64_t rounds;
    uint64_t last_ns; // newest delivery of all
    uint64_t gap_ns;  // longest time between two deliveries, whoever got them
    struct bench_tally tally;
    struct bench_histogram latency;
};

enum bench_memory_index {
    BENCH_MEMORY_FEW,   // the first connections only, so that fixed costs do not count
    BENCH_MEMORY_IDLE,  // all connected, nothing sent
    BENCH_MEMORY_AFTER, // all have received one message
    BENCH_MEMORIES
};

enum { BENCH_FEW = 100 };

struct bench_run {
    const struct bench_options *options;
    struct bench_clients clients;
    struct bench_client *subscribers;
    struct bench_client *publishers; // one a channel; none for echo
    uint64_t *sequences;             // last one published, by channel
    uint32_t *members;               // subscribers still there, by channel
    uint8_t *frames;                 // of one burst
    uint32_t opened;                 // publishers too
    uint32_t opening;
    uint32_t started;
    uint32_t started_publishers;
    uint32_t connected; // subscribers asked to be open by now
    uint32_t probed;    // subscribers that heard the current probe
    uint64_t probe;
    uint64_t outstanding; // deliveries still to come
    uint64_t dropped;     // sessions lost after they were open
    double connect_s;
    bool connecting;
    bool stalled; // deliveries ceased
    bool failed;
    bool stop;
    bool next_phase;
    int signals;
    struct bench_phase phases[BENCH_PHASES];
    struct bench_phase *phase;
    struct bench_memory memories[BENCH_MEMORIES];
};

// 0: measured (clean or not); -1: could not, told on stderr.
int bench_run(struct bench_run *run, const struct bench_options *options);
void bench_run_free(struct bench_run *run);

// How many connections the idle scenario opens first.
uint32_t bench_run_few(const struct bench_options *options);

// Whether every message came once, in order, to everybody, and nobody was dropped.
bool bench_run_is_clean(const struct bench_run *run);

#endif
