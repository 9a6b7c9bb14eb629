// SPDX-License-Identifier: MIT
//
// The traffic of a run. Everything that was published and not yet delivered is `outstanding`; it is
// booked per subscriber, so that one lost message shows even among millions.
#include "traffic.h"

#include <stdio.h>

#include "loop.h"
#include "wire.h"

static void publish(struct bench_run *run, uint32_t channel, uint32_t count);
static int begin_phase(struct bench_run *run, enum bench_phase_index index, uint64_t end_ns);
static int end_phase(struct bench_run *run);
static int drain(struct bench_run *run);
static void send_echo(struct bench_run *run, struct bench_client *client);

enum { STALL_S = 5 }; // without one delivery: what is outstanding is lost

// Appends one frame to the burst; returns its size.
static size_t add_frame(struct bench_run *run, size_t at, const struct bench_body *head)
{
    char body[BENCH_BODY_MAX];
    bench_body_write(body, run->options->size, head);
    return bench_client_frame(&run->clients, run->frames + at, body, run->options->size);
}

void bench_traffic_probe(struct bench_run *run)
{
    for (uint32_t i = 0; i < run->options->channels; i++) {
        struct bench_body head = {.sequence = run->probe, .channel = i};
        bench_client_send(&run->clients, &run->publishers[i], run->frames,
                          add_frame(run, 0, &head));
    }
}

static void publish(struct bench_run *run, uint32_t channel, uint32_t count)
{
    size_t size = 0;
    struct bench_body head = {.channel = channel, .time_ns = bench_client_now()};
    for (uint32_t i = 0; i < count; i++) {
        head.sequence = ++run->sequences[channel];
        size += add_frame(run, size, &head);
    }
    run->outstanding += (uint64_t)run->members[channel] * count;
    run->phase->messages += count;
    bench_client_send(&run->clients, &run->publishers[channel], run->frames, size);
}

static void send_echo(struct bench_run *run, struct bench_client *client)
{
    struct bench_body head = {
        .sequence = ++client->sent,
        .channel = client->channel,
        .time_ns = bench_client_now(),
    };
    run->outstanding++;
    run->phase->messages++;
    bench_client_send(&run->clients, client, run->frames, add_frame(run, 0, &head));
}

static void take_probe(struct bench_run *run, struct bench_client *client, uint64_t probe)
{
    if (probe > client->probe) {
        client->probe = probe;
        run->probed += probe == run->probe ? 1 : 0;
    }
}

static void take_foreign(struct bench_run *run, const char *bytes, size_t size)
{
    if (run->phase->tally.foreign++ == 0) {
        int shown = size < 200 ? (int)size : 200;
        (void)fprintf(stderr, "bench-load: not a message of ours: %.*s\n", shown, bytes);
    }
}

void bench_traffic_take(struct bench_run *run,
                        struct bench_client *client,
                        const char *bytes,
                        size_t size)
{
    struct bench_phase *phase = run->phase;
    struct bench_body body;
    if (!bench_body_read(bytes, size, run->options->size, &body)) {
        take_foreign(run, bytes, size);
        return;
    }
    if (body.channel != client->channel) {
        phase->tally.misrouted++;
        return;
    }
    if (body.time_ns == 0) {
        take_probe(run, client, body.sequence);
        return;
    }
    uint64_t now = bench_client_now();
    run->outstanding -= bench_order_take(&client->order, body.sequence, &phase->tally);
    bench_histogram_add(&phase->latency, now - body.time_ns);
    if (phase->last_ns != 0 && now - phase->last_ns > phase->gap_ns) {
        phase->gap_ns = now - phase->last_ns;
    }
    phase->last_ns = now;
    if (run->options->scenario == BENCH_ECHO && now < phase->end_ns) {
        send_echo(run, client);
    }
}

void bench_traffic_drop(struct bench_run *run, struct bench_client *client)
{
    bool echo = run->options->scenario == BENCH_ECHO;
    uint64_t sent = echo ? client->sent : run->sequences[client->channel];
    run->outstanding -= sent - (client->order.next - 1);
    run->members[client->channel]--;
    run->dropped++;
}

static int read_cpu(struct bench_run *run, uint64_t *ret_ns)
{
    if (bench_process_cpu(run->options->pids, run->options->pid_count, ret_ns) != 0) {
        return bench_loop_fail(run, "server", "its process is gone");
    }
    return 0;
}

static int begin_phase(struct bench_run *run, enum bench_phase_index index, uint64_t end_ns)
{
    run->phase = &run->phases[index];
    run->next_phase = false;
    if (read_cpu(run, &run->phase->cpu_ns) != 0) {
        return -1;
    }
    run->phase->begin_ns = bench_client_now();
    run->phase->end_ns = end_ns;
    if (index != BENCH_PHASE_WARM) {
        bench_loop_tell("measuring");
    }
    return 0;
}

static int end_phase(struct bench_run *run)
{
    uint64_t cpu_ns = 0;
    if (read_cpu(run, &cpu_ns) != 0) {
        return -1;
    }
    run->phase->end_ns = bench_client_now();
    run->phase->cpu_ns = cpu_ns - run->phase->cpu_ns;
    return 0;
}

// Waits until everything published has come. A stall is a result, not a failure to run.
static int drain(struct bench_run *run)
{
    uint64_t last = run->outstanding;
    uint64_t stall = bench_loop_after(STALL_S);
    while (run->outstanding > 0) {
        if (bench_loop_step(run, 100) != 0) {
            return -1;
        }
        if (run->outstanding != last) {
            last = run->outstanding;
            stall = bench_loop_after(STALL_S);
        } else if (bench_client_now() > stall) {
            run->stalled = true;
            run->phase->tally.lost += (int64_t)run->outstanding;
            run->outstanding = 0;
        }
    }
    return 0;
}

int bench_traffic_rounds(struct bench_run *run, enum bench_phase_index index, double seconds)
{
    uint64_t end = bench_loop_after(seconds);
    if (begin_phase(run, index, end) != 0) {
        return -1;
    }
    while (!run->stalled && bench_client_now() < end) {
        for (uint32_t i = 0; i < run->options->channels; i++) {
            publish(run, i, run->options->burst);
        }
        run->phase->rounds++;
        if (drain(run) != 0) {
            return -1;
        }
    }
    return end_phase(run);
}

// Publishes what is due by now, and waits up to a millisecond.
static int pace(struct bench_run *run, uint64_t elapsed_ns, uint64_t *sent)
{
    uint64_t due = (uint64_t)((double)elapsed_ns / 1e9 * run->options->rate);
    for (; *sent < due; (*sent)++) {
        publish(run, (uint32_t)(*sent % run->options->channels), 1);
    }
    return bench_loop_step(run, 1);
}

int bench_traffic_steady(struct bench_run *run)
{
    uint64_t begin = bench_client_now();
    uint64_t end = bench_loop_after(run->options->seconds);
    uint64_t sent = 0;
    if (begin_phase(run, BENCH_PHASE_ONE, end) != 0) {
        return -1;
    }
    for (uint64_t now = begin; now < end; now = bench_client_now()) {
        if (pace(run, now - begin, &sent) != 0) {
            return -1;
        }
        if (run->next_phase && run->phase == &run->phases[BENCH_PHASE_ONE] &&
            (end_phase(run) != 0 || begin_phase(run, BENCH_PHASE_TWO, end) != 0)) {
            return -1;
        }
    }
    return drain(run) != 0 ? -1 : end_phase(run);
}

static int step_until(struct bench_run *run, uint64_t end)
{
    int status = 0;
    while (status == 0 && bench_client_now() < end) {
        status = bench_loop_step(run, 10);
    }
    return status;
}

int bench_traffic_echo(struct bench_run *run)
{
    double warm = run->options->warm;
    double seconds = run->options->seconds;
    if (begin_phase(run, BENCH_PHASE_WARM, bench_loop_after(warm + seconds)) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < run->options->subscribers; i++) {
        send_echo(run, &run->subscribers[i]);
    }
    uint64_t end = bench_loop_after(warm + seconds);
    if (step_until(run, bench_loop_after(warm)) != 0 ||
        begin_phase(run, BENCH_PHASE_ONE, end) != 0 || step_until(run, end) != 0 ||
        end_phase(run) != 0) {
        return -1;
    }
    run->phase = &run->phases[BENCH_PHASE_WARM]; // what is still under way is checked, not measured
    return drain(run);
}
