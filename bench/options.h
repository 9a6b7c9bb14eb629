// SPDX-License-Identifier: MIT
//
// The load generator's command line.
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum bench_kind { BENCH_KIND_WS, BENCH_KIND_SSE };

enum bench_scenario { BENCH_FANOUT, BENCH_ECHO, BENCH_IDLE };

enum { BENCH_PIDS_MAX = 16, BENCH_CONNECTIONS_MAX = 19900, BENCH_BURST_MAX = 1024 };

struct bench_options {
    struct sockaddr_in server;
    char host[32];    // "127.0.0.1:8080", for the Host field
    const char *path; // {i} stands for the channel's number
    const char *publish;
    enum bench_kind kind;
    enum bench_scenario scenario;
    uint32_t subscribers;
    uint32_t channels;
    uint32_t burst;
    uint32_t size;
    uint32_t sources;
    double rate; // messages a second over all channels; 0: closed loop
    double warm;
    double seconds;
    double hold;
    pid_t pids[BENCH_PIDS_MAX];
    size_t pid_count;
};

// False after a message on stderr that names the option, the value and what is allowed.
bool bench_options_parse(int argc, char **argv, struct bench_options *ret_options);

#endif
