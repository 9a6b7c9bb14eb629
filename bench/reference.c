// SPDX-License-Identifier: MIT
//
// The bare reference: one thread, one epoll set, WebSocket and server-sent events, nothing else. It
// is what the kernel and the wire cost when no gateway stands between; every figure of the bench is
// a ratio against it. GET /ch/N subscribes (Upgrade: WebSocket, else SSE), /pub/N publishes, /echo
// echoes.
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "conn.h"
#include "fanout.h"

enum { EVENTS = 1024, BACKLOG = 4096, SEND_BUFFER_MAX = 1 << 24 };

struct settings {
    struct sockaddr_in listen;
    enum bench_way way;
    unsigned batch;
    unsigned send_buffer; // 0: the kernel's own sizing
};

static const char usage[] =
    "usage: bench-reference [options]\n"
    "  --listen ADDR:PORT  IPv4 address (127.0.0.1:0); told on stdout as 'listen URL'\n"
    "  --mode send         one send() a subscriber and message, as it comes (default)\n"
    "  --mode join         messages of one tick joined, one send() a subscriber\n"
    "  --mode uring        io_uring sends in batches, one a message\n"
    "  --join              with --mode uring: one send of the joined messages a subscriber\n"
    "  --batch N           io_uring sends a submit, 1 to 4096 (1024)\n"
    "  --send-buffer N     SO_SNDBUF of every connection, for tests of full sockets\n";

static int parse_options(int argc, char **argv, struct settings *settings);
static int open_listener(struct sockaddr_in *address);
static int open_signals(void);
static int serve(struct bench_server *server, int listener, int signals, unsigned send_buffer);
static void accept_all(struct bench_server *server, int listener, unsigned send_buffer);

int main(int argc, char **argv)
{
    struct settings settings = {
        .listen = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .way = BENCH_WAY_SEND,
        .batch = 1024,
    };
    if (parse_options(argc, argv, &settings) != 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE,
                        &files); // fewer descriptors are told by accept4() soon enough
    }
    const char *why = "no memory";
    struct bench_server server = {.epoll = epoll_create1(EPOLL_CLOEXEC)};

    server.scratch = malloc(BENCH_SCRATCH);
    server.reply = malloc(BENCH_SCRATCH);
    server.fanout = bench_fanout_new(&server, settings.way, settings.batch, &why);
    int listener = open_listener(&settings.listen);
    int signals = open_signals();
    int status = 1;
    if (server.fanout == NULL || server.scratch == NULL || server.reply == NULL) {
        (void)fprintf(stderr, "bench-reference: cannot start: %s\n", why);
    } else if (listener < 0 || signals < 0 || server.epoll < 0) {
        (void)fprintf(stderr, "bench-reference: cannot listen: %s\n", strerror(errno));
    } else {
        char host[INET_ADDRSTRLEN] = "";
        (void)inet_ntop(AF_INET, &settings.listen.sin_addr, host, sizeof(host));
        (void)printf("listen http://%s:%u\n", host, (unsigned)ntohs(settings.listen.sin_port));
        (void)fflush(stdout);
        status = serve(&server, listener, signals, settings.send_buffer);
    }
    bench_conn_free_closed(&server);
    bench_fanout_free(server.fanout);
    free(server.scratch);
    free(server.reply);
    return status;
}

static int parse_way(const char *mode, bool join, enum bench_way *ret_way)
{
    if (strcmp(mode, "send") == 0 && !join) {
        *ret_way = BENCH_WAY_SEND;
    } else if (strcmp(mode, "join") == 0) {
        *ret_way = BENCH_WAY_JOIN;
    } else if (strcmp(mode, "uring") == 0) {
        *ret_way = join ? BENCH_WAY_URING_JOIN : BENCH_WAY_URING;
    } else {
        (void)fprintf(
            stderr, "bench-reference: --mode %s: send, join, uring, or uring with --join\n", mode);
        return -1;
    }
    return 0;
}

static int parse_address(const char *text, struct sockaddr_in *ret_address)
{
    if (bench_address_parse(text, ret_address)) {
        return 0;
    }
    (void)fprintf(stderr, "bench-reference: --listen %s: an IPv4 address and a port\n", text);
    return -1;
}

static int
parse_number(const char *name, const char *text, unsigned long most, unsigned *ret_number)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number < 1 || number > most) {
        (void)fprintf(stderr, "bench-reference: --%s %s: 1 to %lu\n", name, text, most);
        return -1;
    }
    *ret_number = (unsigned)number;
    return 0;
}

static int parse_options(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"mode", required_argument, NULL, 'm'},
        {"join", no_argument, NULL, 'j'},
        {"batch", required_argument, NULL, 'b'},
        {"send-buffer", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    const char *mode = "send";
    bool join = false;
    int status = 0;
    for (int c; status == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'l': status = parse_address(optarg, &settings->listen); break;
        case 'm': mode = optarg; break;
        case 'j': join = true; break;
        case 'b': status = parse_number("batch", optarg, BENCH_BATCH_MAX, &settings->batch); break;
        case 's':
            status = parse_number("send-buffer", optarg, SEND_BUFFER_MAX, &settings->send_buffer);
            break;
        default: status = -1; break;
        }
    }
    if (status != 0 || optind != argc) {
        return -1;
    }
    return parse_way(mode, join, &settings->way);
}

static int open_listener(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0) {
        return -1;
    }
    socklen_t size = sizeof(*address);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)address, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int serve(struct bench_server *server, int listener, int signals, unsigned send_buffer)
{
    // The two descriptors that are not connections are known by the address of their variable.
    struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event on_signal = {.events = EPOLLIN, .data.ptr = &signals};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, listener, &on_listener) != 0 ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, signals, &on_signal) != 0) {
        return 1;
    }
    static struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(server->epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) {
            return 1;
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &signals) {
                return 0;
            }
            if (events[i].data.ptr == &listener) {
                accept_all(server, listener, send_buffer);
            } else {
                bench_conn_on_event(server, events[i].data.ptr, events[i].events);
            }
        }
        bench_fanout_flush(server->fanout);
        bench_conn_free_closed(server);
    }
}

static void accept_all(struct bench_server *server, int listener, unsigned send_buffer)
{
    int one = 1;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                (void)fprintf(stderr, "bench-reference: accept: %s\n", strerror(errno));
            }
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                         sizeof(one)); // slower without, not wrong
        if (send_buffer > 0) {
            int size = (int)send_buffer;
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        }
        (void)bench_conn_open(server, fd);
    }
}
