// SPDX-License-Identifier: MIT
//
// What a server process costs, read from /proc: CPU of all its threads in nanoseconds, and memory.
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bench_memory {
    uint64_t rss;           // bytes
    uint64_t pss;           // shared pages counted by their share
    uint64_t private_dirty; // what the process itself wrote: the figure to compare
};

// Sum over the processes' threads, io_uring's kernel workers among them. -1 when one is gone.
int bench_process_cpu(const pid_t *pids, size_t count, uint64_t *ret_ns);

// Sum over the processes. -1 when one is gone.
int bench_process_memory(const pid_t *pids, size_t count, struct bench_memory *ret_memory);

#endif
