// SPDX-License-Identifier: MIT
//
// Listening sockets by uv_poll_t and accept4. Two things need care: a flood of connections must not
// starve those that are open (accepts a tick are bounded), and at the descriptor limit a connection
// that cannot be accepted keeps the listener readable for ever: so a spare descriptor is given up
// to take it and turn it away. When even that fails, the listener rests for a moment.
#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/address.h"
#include "io/loop_inner.h"

#define ACCEPTS_MAX 128  // a tick
#define REST_MS     100  // after a failure that will not go by itself
#define TELL_MS     1000 // at most one log line in this time

struct hark_listener {
    uv_poll_t poll;
    struct hark_timer rest;
    struct hark_loop *loop;
    hark_listener_fn *fn;
    void *ctx;
    int fd;
    int reserve; // -1: lost
    bool is_paused;
    bool is_closing;
    uint64_t told_ms;
    uint64_t refused; // since told_ms
    dev_t dev;        // of a Unix socket's file
    ino_t ino;
    struct hark_address address;
};

static int open_socket(struct hark_listener *listener, struct hark_address *address);
static int bind_socket(struct hark_address *address, bool is_shared, int *ret_fd);
static int bind_one(const struct hark_address *address, bool is_shared, int *ret_fd);
static int set_options(int fd, const struct hark_address *address, bool is_shared);
static void remove_stale(const struct hark_address *address);
static void listen_on(struct hark_listener *listener);
static void on_ready(uv_poll_t *poll, int status, int events);
static bool accept_one(struct hark_listener *listener);
static bool on_failure(struct hark_listener *listener, int error);
static bool turn_away(struct hark_listener *listener);
static void tell(struct hark_listener *listener, int error);
static void rest(struct hark_listener *listener);
static void on_rested(struct hark_timer *timer);
static void remove_file(const struct hark_listener *listener);
static void release(struct hark_listener *listener);
static void on_closed(uv_handle_t *handle);

int hark_listener_open(struct hark_loop *loop,
                       struct hark_slice address,
                       hark_listener_fn *fn,
                       void *ctx,
                       struct hark_listener **ret,
                       int *ret_errno)
{
    struct hark_address parsed;
    if (hark_address_parse(address, &parsed) != 0) {
        return HARK_EINVAL;
    }
    struct hark_listener *listener = hark_mem_zalloc(sizeof(*listener));
    if (listener == NULL) {
        return HARK_ENOMEM;
    }
    listener->loop = loop;
    listener->fn = fn;
    listener->ctx = ctx;
    listener->fd = -1;
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    hark_timer_init(&listener->rest, on_rested);
    int error = open_socket(listener, &parsed);
    int status = error == 0 ? 0 : HARK_EBIND;
    if (error == 0) {
        status = hark_loop_status(
            uv_poll_init_socket(hark_loop_uv(loop), &listener->poll, listener->fd));
    }
    if (status != 0) {
        release(listener);
        if (status == HARK_EBIND) {
            *ret_errno = error;
        }
        return status;
    }
    listen_on(listener);
    *ret = listener;
    return 0;
}

int hark_listener_probe(struct hark_slice address, int *ret_errno)
{
    struct hark_address parsed;
    int fd = -1;
    if (hark_address_parse(address, &parsed) != 0) {
        return HARK_EINVAL;
    }
    if (parsed.at.any.sa_family == AF_UNIX) {
        return 0;
    }
    int error = bind_socket(&parsed, false, &fd);
    if (error != 0) {
        *ret_errno = error;
        return HARK_EBIND;
    }
    (void)close(fd); // it has told what we wanted to know
    return 0;
}

int hark_listener_port(const struct hark_listener *listener)
{
    struct hark_address bound = {.len = sizeof(bound.at)};
    if (getsockname(listener->fd, &bound.at.any, &bound.len) != 0) {
        return 0;
    }
    if (bound.at.any.sa_family == AF_INET) {
        return ntohs(bound.at.v4.sin_port);
    }
    return bound.at.any.sa_family == AF_INET6 ? ntohs(bound.at.v6.sin6_port) : 0;
}

void hark_listener_pause(struct hark_listener *listener)
{
    listener->is_paused = true;
    hark_wheel_cancel(hark_loop_wheel(listener->loop), &listener->rest);
    (void)uv_poll_stop(&listener->poll); // cannot fail
}

void hark_listener_close(struct hark_listener *listener)
{
    if (listener == NULL) {
        return;
    }
    listener->is_closing = true;
    hark_wheel_cancel(hark_loop_wheel(listener->loop), &listener->rest);
    remove_file(listener);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    (void)close(listener->fd); // nothing to be done about a failure
    listener->fd = -1;
}

unsigned long hark_listener_raise_limit(void)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        limit = raised;
    }
    return limit.rlim_cur;
}

// 0 or an errno.
static int open_socket(struct hark_listener *listener, struct hark_address *address)
{
    int error = bind_socket(address, true, &listener->fd);
    if (error != 0) {
        return error;
    }
    if (listen(listener->fd, HARK_LISTENER_BACKLOG) != 0) {
        return errno;
    }
    listener->address = *address;
    struct stat file = {0};
    if (address->at.any.sa_family == AF_UNIX && lstat(address->at.local.sun_path, &file) == 0) {
        listener->dev = file.st_dev;
        listener->ino = file.st_ino;
    }
    return 0;
}

// Where there is no IPv6, all addresses are those of IPv4. 0 or an errno.
static int bind_socket(struct hark_address *address, bool is_shared, int *ret_fd)
{
    int error = bind_one(address, is_shared, ret_fd);
    bool has_no_v6 = error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
    if (address->is_all && has_no_v6) {
        in_port_t port = address->at.v6.sin6_port;
        *address = (struct hark_address){.len = sizeof(address->at.v4)};
        address->at.v4 =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr = {INADDR_ANY}};
        error = bind_one(address, is_shared, ret_fd);
    }
    return error;
}

static int bind_one(const struct hark_address *address, bool is_shared, int *ret_fd)
{
    int family = address->at.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (family == AF_UNIX) {
        remove_stale(address);
    }
    if (set_options(fd, address, is_shared) != 0 || bind(fd, &address->at.any, address->len) != 0) {
        int error = errno;
        (void)close(fd); // the first error is the one to tell
        return error;
    }
    *ret_fd = fd;
    return 0;
}

// Shared: by every worker on the same address. As the kernel's calls: -1 and errno.
static int set_options(int fd, const struct hark_address *address, bool is_shared)
{
    int on = 1;
    int only_v6 = address->is_all ? 0 : 1;
    if (address->at.any.sa_family == AF_UNIX) {
        return 0;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)) {
        return -1;
    }
    if (address->at.any.sa_family == AF_INET6) {
        return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
    }
    return 0;
}

// A socket file that nobody listens on is left over from a process that died.
static void remove_stale(const struct hark_address *address)
{
    struct stat file = {0};
    if (lstat(address->at.local.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, &address->at.any, address->len) != 0 && errno == ECONNREFUSED) {
        (void)unlink(address->at.local.sun_path); // bind says what a failure comes to
    }
    (void)close(fd); // only a probe
}

static void listen_on(struct hark_listener *listener)
{
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_ready); // no other handle has this fd
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)events; // only one was asked for
    struct hark_listener *listener = HARK_CONTAINER_OF(poll, struct hark_listener, poll);
    if (status < 0) {
        rest(listener);
        return;
    }
    for (int i = 0; i < ACCEPTS_MAX && accept_one(listener); i++) {
    }
}

// true: go on. The callback may pause or close the listener.
static bool accept_one(struct hark_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return on_failure(listener, errno);
    }
    hark_stats_add(&hark_loop_stats(listener->loop)->connections_accepted, 1);
    listener->fn(listener->ctx, fd);
    return !listener->is_paused && !listener->is_closing;
}

static bool on_failure(struct hark_listener *listener, int error)
{
    switch (error) {
    case EAGAIN: return false;
    case EMFILE:
    case ENFILE:
        if (turn_away(listener)) {
            tell(listener, error);
            return true;
        }
        break;
    case ENOBUFS:
    case ENOMEM:
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP: break;
    default: return true; // of that one connection: ECONNABORTED, EPROTO, EPERM and the like
    }
    tell(listener, error);
    rest(listener);
    return false;
}

// Takes one connection at the limit with the reserve descriptor, and closes it.
static bool turn_away(struct hark_listener *listener)
{
    if (listener->reserve < 0) {
        listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return false;
    }
    (void)close(listener->reserve); // makes room for one
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd); // the peer sees the end at once
        hark_stats_add(&hark_loop_stats(listener->loop)->connections_refused, 1);
        listener->refused++;
    }
    // Another thread may have been quicker: then the next failure tries again.
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && listener->reserve >= 0;
}

static void tell(struct hark_listener *listener, int error)
{
    uint64_t now = hark_loop_now_ms(listener->loop);
    if (listener->told_ms != 0 && now - listener->told_ms < TELL_MS) {
        return;
    }
    HARK_LOG(HARK_LOG_WARN, "accept_failed", HARK_F_TEXT("why", uv_strerror(-error)),
             HARK_F_UINT("refused", listener->refused),
             HARK_F_INT("port", hark_listener_port(listener)));
    listener->told_ms = now;
    listener->refused = 0;
}

static void rest(struct hark_listener *listener)
{
    (void)uv_poll_stop(&listener->poll); // cannot fail
    hark_wheel_arm(hark_loop_wheel(listener->loop), &listener->rest,
                   hark_loop_now_ms(listener->loop) + REST_MS);
}

static void on_rested(struct hark_timer *timer)
{
    listen_on(HARK_CONTAINER_OF(timer, struct hark_listener, rest));
}

// Removes our socket file, not one that another process has put in its place since.
static void remove_file(const struct hark_listener *listener)
{
    struct stat file = {0};
    const char *path = listener->address.at.local.sun_path;
    if (listener->address.at.any.sa_family == AF_UNIX && lstat(path, &file) == 0 &&
        file.st_dev == listener->dev && file.st_ino == listener->ino) {
        (void)unlink(path); // left over at worst, and recognised as such later
    }
}

static void release(struct hark_listener *listener)
{
    if (listener->fd >= 0) {
        remove_file(listener);
        (void)close(listener->fd); // nothing to be done about a failure
    }
    if (listener->reserve >= 0) {
        (void)close(listener->reserve);
    }
    hark_mem_free(listener);
}

static void on_closed(uv_handle_t *handle)
{
    release(HARK_CONTAINER_OF(handle, struct hark_listener, poll));
}
