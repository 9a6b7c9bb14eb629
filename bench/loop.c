// SPDX-License-Identifier: MIT
//
// The loop of bench-load: epoll, signals, deadlines.
#include "loop.h"

#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "run.h"

enum { EVENTS = 1024 };

int bench_loop_open(struct bench_run *run)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGUSR1);
    run->clients.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run->clients.epoll < 0 || sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = run};
    return run->signals < 0 ? -1
                            : epoll_ctl(run->clients.epoll, EPOLL_CTL_ADD, run->signals, &event);
}

static void read_signals(struct bench_run *run)
{
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        run->next_phase = run->next_phase || info.ssi_signo == SIGUSR1;
        run->stop = run->stop || info.ssi_signo != SIGUSR1;
    }
}

int bench_loop_step(struct bench_run *run, int timeout_ms)
{
    static struct epoll_event events[EVENTS];
    int count = epoll_wait(run->clients.epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == run) {
            read_signals(run);
        } else {
            bench_client_on_event(&run->clients, events[i].data.ptr, events[i].events);
        }
    }
    return run->failed || run->stop ? -1 : 0;
}

uint64_t bench_loop_after(double seconds)
{
    return bench_client_now() + (uint64_t)(seconds * 1e9);
}

int bench_loop_fail(struct bench_run *run, const char *what, const char *why)
{
    if (!run->failed) {
        (void)fprintf(stderr, "bench-load: %s: %s\n", what, why);
    }
    run->failed = true;
    return -1;
}

void bench_loop_tell(const char *event)
{
    (void)fprintf(stderr, "event %s\n", event);
}
