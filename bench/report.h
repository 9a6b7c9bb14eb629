// SPDX-License-Identifier: MIT
//
// A run's result as one line of JSON.
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

struct bench_run;

void bench_report(FILE *out, const struct bench_run *run);

#endif
