// SPDX-License-Identifier: MIT
//
// The body of a measured message and the check that a subscriber got every one of them, once and in
// order. A body is plain ASCII, so that it is the same in a WebSocket frame and in an SSE data
// line: 16 hexadecimal digits of sequence number, 16 of send time in nanoseconds, 8 of channel,
// then dots.
#ifndef BENCH_BODY_H
#define BENCH_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_BODY_MIN = 40, BENCH_BODY_MAX = 8192 };

struct bench_body {
    uint64_t sequence; // from 1 in each channel; a probe counts apart and has no time
    uint64_t time_ns;  // CLOCK_MONOTONIC; 0 marks a probe
    uint32_t channel;
};

// What became of the messages, over all subscribers.
struct bench_tally {
    uint64_t delivered;  // each (message, subscriber) pair once
    int64_t lost;        // skipped and not seen since; a late one is taken off again
    uint64_t doubled;    // seen before
    uint64_t disordered; // came after a later one
    uint64_t misrouted;  // belongs to another channel
    uint64_t foreign;    // not one of ours: notices, answers, damage
};

// What one subscriber has seen: the next sequence number, and which of the last 64 arrived.
struct bench_order {
    uint64_t next; // starts at 1
    uint64_t seen; // bit i: number next - 1 - i came
};

void bench_body_write(char *out, size_t size, const struct bench_body *body);

// False when the bytes are not a body of exactly this size.
bool bench_body_read(const char *bytes, size_t size, size_t want, struct bench_body *ret_body);

// Counts one arrival; returns by how many numbers the subscriber moved forward (0: doubled or
// late).
uint64_t bench_order_take(struct bench_order *order, uint64_t sequence, struct bench_tally *tally);

#endif
