// SPDX-License-Identifier: MIT
//
// Options of bench-load: one table of numbers with their limits, a few words, and the usage text.
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "body.h"

static const char usage[] =
    "usage: bench-load --url http://127.0.0.1:PORT [options]\n"
    "  --scenario fanout|echo|idle  what to do (fanout)\n"
    "  --kind ws|sse        how subscribers listen (ws)\n"
    "  --path /ch/{i}       subscribers' path, {i} is the number of the channel\n"
    "  --publish /pub/{i}   WebSocket path whose text messages go to channel i\n"
    "  --subscribers N      connections (1000); connection n listens to channel n % channels\n"
    "  --channels N         (1)\n"
    "  --burst K            messages a channel and round (1); a round ends when all have come\n"
    "  --rate R             instead of rounds: R messages a second, channel after channel\n"
    "  --size BYTES         of a message body (64)\n"
    "  --warm S             unmeasured time before (0.5)\n"
    "  --seconds S          measured time (2)\n"
    "  --hold S             idle: rest before memory is read (1)\n"
    "  --sources N          client addresses, 127.0.0.1 to 127.0.0.N (4)\n"
    "  --pid PID            a server process to account for; may be given several times\n"
    "Prints one line of JSON. With --rate, SIGUSR1 ends phase one and begins phase two.\n"
    "Exit status: 0 clean, 1 could not run, 2 usage, 3 something was lost, doubled or dropped.\n";

struct number {
    const char *name;
    double min;
    double max;
};

static bool parse_number(const struct number *number, const char *text, double *ret_value)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= number->min && value <= number->max)) {
        (void)fprintf(stderr, "bench-load: --%s %s: a number from %g to %g\n", number->name, text,
                      number->min, number->max);
        return false;
    }
    *ret_value = value;
    return true;
}

static bool
parse_word(const char *name, const char *text, const char *const *words, unsigned *ret_index)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_index = i;
            return true;
        }
    }
    (void)fprintf(stderr, "bench-load: --%s %s: one of", name, text);
    for (unsigned i = 0; words[i] != NULL; i++) {
        (void)fprintf(stderr, " %s", words[i]);
    }
    (void)fputc('\n', stderr);
    return false;
}

static bool parse_url(const char *text, struct bench_options *options)
{
    static const char scheme[] = "http://";
    const char *address = text + sizeof(scheme) - 1;
    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0 ||
        !bench_address_parse(address, &options->server) || options->server.sin_port == 0) {
        (void)fprintf(stderr, "bench-load: --url %s: http://IPV4:PORT\n", text);
        return false;
    }
    (void)snprintf(options->host, sizeof(options->host), "%s", address);
    return true;
}

enum { OPT_URL = 1, OPT_PATH, OPT_PUBLISH, OPT_KIND, OPT_SCENARIO, OPT_PID, OPT_NUMBERS };

enum {
    N_SUBSCRIBERS,
    N_CHANNELS,
    N_BURST,
    N_RATE,
    N_SIZE,
    N_WARM,
    N_SECONDS,
    N_HOLD,
    N_SOURCES,
    NUMBERS
};

static const struct number numbers[NUMBERS] = {
    [N_SUBSCRIBERS] = {"subscribers", 1, BENCH_CONNECTIONS_MAX},
    [N_CHANNELS] = {"channels", 1, BENCH_CONNECTIONS_MAX},
    [N_BURST] = {"burst", 1, BENCH_BURST_MAX},
    [N_RATE] = {"rate", 0, 1e6},
    [N_SIZE] = {"size", BENCH_BODY_MIN, BENCH_BODY_MAX},
    [N_WARM] = {"warm", 0, 60},
    [N_SECONDS] = {"seconds", 0.01, 600},
    [N_HOLD] = {"hold", 0, 600},
    [N_SOURCES] = {"sources", 1, 250},
};

static bool take_option(int option, const char *text, struct bench_options *options, double *values)
{
    static const struct number pid = {"pid", 1, 1 << 22};
    static const char *const kinds[] = {"ws", "sse", NULL};
    static const char *const scenarios[] = {"fanout", "echo", "idle", NULL};
    unsigned index = 0;
    double value = 0;
    if (option >= OPT_NUMBERS) {
        return parse_number(&numbers[option - OPT_NUMBERS], text, &values[option - OPT_NUMBERS]);
    }
    switch (option) {
    case OPT_URL: return parse_url(text, options);
    case OPT_PATH: options->path = text; return true;
    case OPT_PUBLISH: options->publish = text; return true;
    case OPT_KIND:
        if (!parse_word("kind", text, kinds, &index)) {
            return false;
        }
        options->kind = (enum bench_kind)index;
        return true;
    case OPT_SCENARIO:
        if (!parse_word("scenario", text, scenarios, &index)) {
            return false;
        }
        options->scenario = (enum bench_scenario)index;
        return true;
    case OPT_PID:
        if (options->pid_count == BENCH_PIDS_MAX || !parse_number(&pid, text, &value)) {
            return false;
        }
        options->pids[options->pid_count++] = (pid_t)value;
        return true;
    default: return false;
    }
}

static bool check(const struct bench_options *options)
{
    if (options->server.sin_port == 0) {
        (void)fputs("bench-load: --url is missing\n", stderr);
        return false;
    }
    if (options->channels > options->subscribers ||
        options->subscribers + options->channels > BENCH_CONNECTIONS_MAX) {
        (void)fprintf(
            stderr,
            "bench-load: %u subscribers, %u channels: at most one channel a subscriber, and "
            "%d connections with one publisher a channel\n",
            options->subscribers, options->channels, BENCH_CONNECTIONS_MAX);
        return false;
    }
    return true;
}

static void fill(struct bench_options *options, const double *values)
{
    options->subscribers = (uint32_t)values[N_SUBSCRIBERS];
    options->channels = (uint32_t)values[N_CHANNELS];
    options->burst = (uint32_t)values[N_BURST];
    options->size = (uint32_t)values[N_SIZE];
    options->sources = (uint32_t)values[N_SOURCES];
    options->rate = values[N_RATE];
    options->warm = values[N_WARM];
    options->seconds = values[N_SECONDS];
    options->hold = values[N_HOLD];
}

bool bench_options_parse(int argc, char **argv, struct bench_options *ret_options)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, OPT_URL},
        {"path", required_argument, NULL, OPT_PATH},
        {"publish", required_argument, NULL, OPT_PUBLISH},
        {"kind", required_argument, NULL, OPT_KIND},
        {"scenario", required_argument, NULL, OPT_SCENARIO},
        {"pid", required_argument, NULL, OPT_PID},
        {"subscribers", required_argument, NULL, OPT_NUMBERS + N_SUBSCRIBERS},
        {"channels", required_argument, NULL, OPT_NUMBERS + N_CHANNELS},
        {"burst", required_argument, NULL, OPT_NUMBERS + N_BURST},
        {"rate", required_argument, NULL, OPT_NUMBERS + N_RATE},
        {"size", required_argument, NULL, OPT_NUMBERS + N_SIZE},
        {"warm", required_argument, NULL, OPT_NUMBERS + N_WARM},
        {"seconds", required_argument, NULL, OPT_NUMBERS + N_SECONDS},
        {"hold", required_argument, NULL, OPT_NUMBERS + N_HOLD},
        {"sources", required_argument, NULL, OPT_NUMBERS + N_SOURCES},
        {NULL, 0, NULL, 0},
    };
    double values[NUMBERS] = {
        [N_SUBSCRIBERS] = 1000, [N_CHANNELS] = 1, [N_BURST] = 1, [N_SIZE] = 64,
        [N_WARM] = 0.5,         [N_SECONDS] = 2,  [N_HOLD] = 1,  [N_SOURCES] = 4,
    };
    struct bench_options result = {.path = "/ch/{i}", .publish = "/pub/{i}"};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (!take_option(c, optarg, &result, values)) {
            (void)fputs(usage, stderr);
            return false;
        }
    }
    fill(&result, values);
    if (optind != argc || !check(&result)) {
        (void)fputs(usage, stderr);
        return false;
    }
    *ret_options = result;
    return true;
}
