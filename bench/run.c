// SPDX-License-Identifier: MIT
//
// The run, in the order of its steps: set up, connect, probe, then the traffic of the scenario, or
// rest. Each step waits for an event with a deadline.
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loop.h"
#include "traffic.h"
#include "wire.h"

static int set_up(struct bench_run *run);
static int connect_until(struct bench_run *run, uint32_t subscribers);
static int probe(struct bench_run *run);
static int run_idle(struct bench_run *run);
static void on_open(void *owner, struct bench_client *client);
static void on_message(void *owner, struct bench_client *client, const char *bytes, size_t size);
static void on_close(void *owner, struct bench_client *client, const char *why);

static const struct bench_client_events events = {on_open, on_message, on_close};

enum {
    WINDOW = 256, // connections being opened at a time
    CONNECT_S = 60,
    PROBE_S = 20
};

int bench_run(struct bench_run *run, const struct bench_options *options)
{
    run->options = options;
    run->phase = &run->phases[BENCH_PHASE_WARM];
    if (set_up(run) != 0) {
        return -1;
    }
    if (options->scenario == BENCH_IDLE) {
        return run_idle(run);
    }
    if (connect_until(run, options->subscribers) != 0) {
        return -1;
    }
    if (options->scenario == BENCH_ECHO) {
        return bench_traffic_echo(run);
    }
    if (probe(run) != 0) {
        return -1;
    }
    if (options->rate > 0) {
        return bench_traffic_steady(run);
    }
    if (bench_traffic_rounds(run, BENCH_PHASE_WARM, options->warm) != 0) {
        return -1;
    }
    return bench_traffic_rounds(run, BENCH_PHASE_ONE, options->seconds);
}

bool bench_run_is_clean(const struct bench_run *run)
{
    bool clean = run->dropped == 0 && !run->stalled;
    for (size_t i = 0; i < BENCH_PHASES; i++) {
        const struct bench_tally *tally = &run->phases[i].tally;
        clean = clean && tally->lost == 0 && tally->doubled == 0 && tally->disordered == 0 &&
                tally->misrouted == 0 && tally->foreign == 0;
    }
    return clean;
}

static uint32_t publisher_count(const struct bench_options *options)
{
    return options->scenario == BENCH_ECHO ? 0 : options->channels;
}

static int set_up(struct bench_run *run)
{
    const struct bench_options *options = run->options;
    uint32_t publishers = publisher_count(options);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); // too few is told when connecting
    }
    run->subscribers = calloc(options->subscribers, sizeof(*run->subscribers));
    run->publishers = calloc(publishers + 1U, sizeof(*run->publishers));
    run->sequences = calloc(options->channels, sizeof(*run->sequences));
    run->members = calloc(options->channels, sizeof(*run->members));
    run->frames = malloc((size_t)options->burst * (options->size + BENCH_WS_HEAD_MAX));

    run->clients.options = options;
    run->clients.events = &events;
    run->clients.owner = run;
    run->clients.random = bench_client_now() | 1;
    run->clients.scratch = malloc(BENCH_CLIENT_SCRATCH);
    if (run->subscribers == NULL || run->publishers == NULL || run->sequences == NULL ||
        run->members == NULL || run->frames == NULL || run->clients.scratch == NULL ||
        bench_loop_open(run) != 0) {
        return bench_loop_fail(run, "set up", strerror(errno));
    }
    for (uint32_t i = 0; i < options->subscribers + publishers; i++) {
        bool publisher = i >= options->subscribers;
        uint32_t place = publisher ? i - options->subscribers : i;
        struct bench_client *client =
            publisher ? &run->publishers[place] : &run->subscribers[place];
        client->publisher = publisher;
        client->index = i;
        client->channel = place % options->channels;
        client->kind = publisher ? BENCH_KIND_WS : options->kind;
        client->order.next = 1;
    }
    return 0;
}

// The next client to be opened, publishers first; NULL when all are under way.
static struct bench_client *next_client(struct bench_run *run)
{
    if (run->started_publishers < publisher_count(run->options)) {
        return &run->publishers[run->started_publishers++];
    }
    if (run->started < run->connected) {
        return &run->subscribers[run->started++];
    }
    return NULL;
}

// Opens subscribers up to that count, and every publisher.
static int connect_until(struct bench_run *run, uint32_t subscribers)
{
    uint64_t begin = bench_client_now();
    uint64_t deadline = bench_loop_after(CONNECT_S);
    run->connected = subscribers;
    run->connecting = true;
    while (run->opened < subscribers + publisher_count(run->options)) {
        struct bench_client *client = run->opening < WINDOW ? next_client(run) : NULL;
        if (client != NULL) {
            run->opening++;
            if (!bench_client_start(&run->clients, client)) {
                return bench_loop_fail(run, "connect", strerror(errno));
            }
            continue;
        }
        if (bench_loop_step(run, 100) != 0) {
            return -1;
        }
        if (bench_client_now() > deadline) {
            return bench_loop_fail(run, "connect", "not all were answered in time");
        }
    }
    run->connecting = false;
    run->connect_s += (double)(bench_client_now() - begin) / 1e9;
    bench_loop_tell("connected");
    return 0;
}

static void on_open(void *owner, struct bench_client *client)
{
    struct bench_run *run = owner;
    run->opening--;
    run->opened++;
    if (!client->publisher) {
        run->members[client->channel]++;
    }
}

static void on_message(void *owner, struct bench_client *client, const char *bytes, size_t size)
{
    if (!client->publisher) { // some servers answer each message of a publisher
        bench_traffic_take(owner, client, bytes, size);
    }
}

static void on_close(void *owner, struct bench_client *client, const char *why)
{
    struct bench_run *run = owner;
    if (run->connecting || client->publisher) {
        (void)bench_loop_fail(run, client->publisher ? "publisher" : "subscriber", why);
        return;
    }
    if (run->dropped == 0) {
        (void)fprintf(stderr, "bench-load: session %u dropped: %s\n", client->index, why);
    }
    bench_traffic_drop(run, client);
}

// An answer to the upgrade does not prove that the subscription stands. So each channel is told a
// numbered probe, again and again, until every subscriber has heard the same one; since a channel
// keeps its order, no earlier probe can come after that.
static int probe(struct bench_run *run)
{
    uint64_t deadline = bench_loop_after(PROBE_S);
    uint64_t again = 0;
    while (run->probed < run->connected - run->dropped) {
        uint64_t now = bench_client_now();
        if (now > deadline) {
            (void)fprintf(stderr, "bench-load: %u of %u heard the probe\n", run->probed,
                          run->connected);
            return bench_loop_fail(run, "probe", "not every subscriber hears its channel");
        }
        if (now > again) {
            again = bench_loop_after(1);
            run->probed = 0;
            run->probe++;
            bench_traffic_probe(run);
        }
        if (bench_loop_step(run, 100) != 0) {
            return -1;
        }
    }
    return 0;
}

// Lets the server come to rest, which has no event to wait for, and reads its memory.
static int read_memory(struct bench_run *run, enum bench_memory_index index)
{
    uint64_t end = bench_loop_after(run->options->hold);
    while (bench_client_now() < end) {
        if (bench_loop_step(run, 50) != 0) {
            return -1;
        }
    }
    if (bench_process_memory(run->options->pids, run->options->pid_count, &run->memories[index]) !=
        0) {
        return bench_loop_fail(run, "server", "its process is gone");
    }
    return 0;
}

static int run_idle(struct bench_run *run)
{
    uint32_t few = bench_run_few(run->options);
    if (few < run->options->channels) {
        return bench_loop_fail(run, "idle", "more channels than first connections");
    }
    if (connect_until(run, few) != 0 || probe(run) != 0 ||
        read_memory(run, BENCH_MEMORY_FEW) != 0 ||
        connect_until(run, run->options->subscribers) != 0) {
        return -1;
    }
    bench_loop_tell("idle");
    if (read_memory(run, BENCH_MEMORY_IDLE) != 0) {
        return -1;
    }
    run->probed = 0; // the first ones heard an earlier probe
    if (probe(run) != 0) {
        return -1;
    }
    return read_memory(run, BENCH_MEMORY_AFTER);
}

uint32_t bench_run_few(const struct bench_options *options)
{
    return options->subscribers > 2 * BENCH_FEW ? BENCH_FEW : 1;
}

void bench_run_free(struct bench_run *run)
{
    for (uint32_t i = 0; run->subscribers != NULL && i < run->options->subscribers; i++) {
        bench_client_free(&run->subscribers[i]);
    }
    for (uint32_t i = 0; run->publishers != NULL && i < publisher_count(run->options); i++) {
        bench_client_free(&run->publishers[i]);
    }
    free(run->subscribers);
    free(run->publishers);
    free(run->sequences);
    free(run->members);
    free(run->frames);
    free(run->clients.scratch);
}
