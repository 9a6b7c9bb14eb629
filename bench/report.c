// SPDX-License-Identifier: MIT
//
// The JSON line: settings, then what each phase carried, cost and took.
#include "report.h"

#include <inttypes.h>

#include "run.h"

static void report_tally(FILE *out, const struct bench_tally *tally)
{
    (void)fprintf(out,
                  "\"lost\":%" PRId64 ",\"doubled\":%" PRIu64 ",\"disordered\":%" PRIu64
                  ",\"misrouted\":%" PRIu64 ",\"foreign\":%" PRIu64,
                  tally->lost, tally->doubled, tally->disordered, tally->misrouted, tally->foreign);
}

static void report_latency(FILE *out, const struct bench_histogram *latency)
{
    static const struct {
        const char *name;
        double share;
    } marks[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

    (void)fputs("\"latency_us\":{", out);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        double us = (double)bench_histogram_at(latency, marks[i].share) / 1e3;
        (void)fprintf(out, "\"%s\":%.1f,", marks[i].name, us);
    }
    (void)fprintf(out, "\"max\":%.1f}", (double)latency->max / 1e3);
}

static void report_phase(FILE *out, const struct bench_run *run, const struct bench_phase *phase)
{
    double seconds = (double)(phase->end_ns - phase->begin_ns) / 1e9;
    double delivered = (double)phase->tally.delivered;
    (void)fprintf(out,
                  "{\"seconds\":%.3f,\"rounds\":%" PRIu64 ",\"messages\":%" PRIu64
                  ",\"deliveries\":%" PRIu64 ",\"deliveries_per_s\":%.0f,",
                  seconds, phase->rounds, phase->messages, phase->tally.delivered,
                  delivered / seconds);
    if (run->options->pid_count > 0 && delivered > 0) {
        double cpu = (double)phase->cpu_ns / 1e9;
        (void)fprintf(out, "\"cpu_s\":%.4f,\"cpu_s_per_million\":%.4f,", cpu,
                      cpu * 1e6 / delivered);
    }
    report_tally(out, &phase->tally);
    (void)fprintf(out, ",\"gap_us\":%.1f,", (double)phase->gap_ns / 1e3);
    report_latency(out, &phase->latency);
    (void)fputc('}', out);
}

static void report_memory(FILE *out, const struct bench_run *run)
{
    static const char *const names[BENCH_MEMORIES] = {"few", "idle", "after"};
    uint32_t more = run->options->subscribers - bench_run_few(run->options);

    (void)fputs(",\"memory\":{", out);
    for (size_t i = 0; i < BENCH_MEMORIES; i++) {
        const struct bench_memory *memory = &run->memories[i];
        (void)fprintf(
            out, "%s\"%s\":{\"rss\":%" PRIu64 ",\"pss\":%" PRIu64 ",\"private_dirty\":%" PRIu64 "}",
            i == 0 ? "" : ",", names[i], memory->rss, memory->pss, memory->private_dirty);
    }
    double few = (double)run->memories[BENCH_MEMORY_FEW].private_dirty;
    double idle = (double)run->memories[BENCH_MEMORY_IDLE].private_dirty;
    double later = (double)run->memories[BENCH_MEMORY_AFTER].private_dirty;
    (void)fprintf(out, ",\"bytes_per_session\":%.0f,\"bytes_per_session_after\":%.0f}",
                  more > 0 ? (idle - few) / more : 0, more > 0 ? (later - few) / more : 0);
}

void bench_report(FILE *out, const struct bench_run *run)
{
    static const char *const scenarios[] = {"fanout", "echo", "idle"};
    const struct bench_options *options = run->options;
    (void)fprintf(
        out,
        "{\"scenario\":\"%s\",\"kind\":\"%s\",\"subscribers\":%u,\"channels\":%u,\"burst\":%u,"
        "\"rate\":%g,\"size\":%u,\"connect_s\":%.3f,\"dropped\":%" PRIu64
        ",\"stalled\":%s,\"clean\":%s",
        scenarios[options->scenario], options->kind == BENCH_KIND_WS ? "ws" : "sse",
        options->subscribers, options->channels, options->burst, options->rate, options->size,
        run->connect_s, run->dropped, run->stalled ? "true" : "false",
        bench_run_is_clean(run) ? "true" : "false");
    if (options->scenario == BENCH_IDLE) {
        report_memory(out, run);
    } else {
        (void)fputs(",\"phases\":[", out);
        for (size_t i = BENCH_PHASE_ONE; i < BENCH_PHASES && run->phases[i].end_ns != 0; i++) {
            (void)fputs(i > BENCH_PHASE_ONE ? "," : "", out);
            report_phase(out, run, &run->phases[i]);
        }
        (void)fputc(']', out);
    }
    (void)fputs("}\n", out);
}
