// SPDX-License-Identifier: MIT
//
// Log-linear buckets: values below 64 have one each, every further power of two has 64.
#include "histogram.h"

#include <stddef.h>

static size_t bucket_of(uint64_t value)
{
    if (value < BENCH_HISTOGRAM_STEPS) {
        return (size_t)value;
    }
    size_t power = (size_t)(63 - __builtin_clzll(value)) - 6; // value >> power is 64 to 127
    if (power + 2 > BENCH_HISTOGRAM_POWERS) {
        return (size_t)BENCH_HISTOGRAM_POWERS * BENCH_HISTOGRAM_STEPS - 1;
    }
    return (power + 1) * BENCH_HISTOGRAM_STEPS + (size_t)(value >> power) - BENCH_HISTOGRAM_STEPS;
}

static uint64_t upper_edge(size_t bucket)
{
    if (bucket < BENCH_HISTOGRAM_STEPS) {
        return bucket;
    }
    size_t power = bucket / BENCH_HISTOGRAM_STEPS - 1;
    uint64_t top = bucket % BENCH_HISTOGRAM_STEPS + BENCH_HISTOGRAM_STEPS + 1;
    return (top << power) - 1;
}

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value)
{
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

uint64_t bench_histogram_at(const struct bench_histogram *histogram, double share)
{
    uint64_t before = (uint64_t)(share * (double)histogram->count);
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(histogram->buckets) / sizeof(histogram->buckets[0]); i++) {
        sum += histogram->buckets[i];
        if (sum > before) {
            uint64_t edge = upper_edge(i);
            return edge < histogram->max ? edge : histogram->max;
        }
    }
    return histogram->max;
}
