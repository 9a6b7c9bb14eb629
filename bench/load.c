// SPDX-License-Identifier: MIT
//
// bench-load: thousands of WebSocket or event-stream subscribers and their publishers in one
// process. It checks every delivery and prints one line of JSON; run.c has the work.
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "report.h"
#include "run.h"

int main(int argc, char **argv)
{
    struct bench_options options;
    if (!bench_options_parse(argc, argv, &options)) {
        return 2;
    }
    struct bench_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        (void)fputs("bench-load: no memory\n", stderr);
        return 1;
    }
    int status = 1;
    if (bench_run(run, &options) == 0) {
        bench_report(stdout, run);
        status = bench_run_is_clean(run) ? 0 : 3;
    }
    bench_run_free(run);
    free(run);
    return status;
}
