// SPDX-License-Identifier: MIT
//
// A latency histogram of fixed size: 64 steps a power of two, so a percentile is right to 1.6 %.
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { BENCH_HISTOGRAM_STEPS = 64, BENCH_HISTOGRAM_POWERS = 40 }; // up to 2^45 ns, ten hours

struct bench_histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[BENCH_HISTOGRAM_POWERS * BENCH_HISTOGRAM_STEPS];
};

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value);

// Upper edge of the bucket that holds the given share (0.5, 0.99) of all values; 0 when empty.
uint64_t bench_histogram_at(const struct bench_histogram *histogram, double share);

#endif
