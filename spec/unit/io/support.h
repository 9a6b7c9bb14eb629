// SPDX-License-Identifier: MIT
//
// What the tests of io share: a loop with a deadline for the whole test, and an owner of a stream
// that remembers every event. A test waits by `while (!condition) tick(world);`.
#ifndef SPEC_UNIT_IO_SUPPORT_H
#define SPEC_UNIT_IO_SUPPORT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hark.h"
#include "io/loop.h"
#include "io/stream.h"

#define DEADLINE_NS (UINT64_C(60) * 1000000000)

struct world {
    struct hark_stats stats;
    struct hark_loop *loop;
    uint64_t deadline_ns;
};

static inline struct world *world_new(void)
{
    struct world *world = hark_mem_zalloc(sizeof(*world));
    assert_non_null(world);
    assert_int_equal(hark_loop_new(&world->stats, &world->loop), 0);
    world->deadline_ns = hark_loop_clock_ns() + DEADLINE_NS;
    return world;
}

static inline void world_free(struct world *world)
{
    hark_loop_free(world->loop);
    assert_int_equal(hark_stats_get(&world->stats.connections_open), 0);
    hark_mem_free(world);
}

static inline void tick(struct world *world)
{
    assert_true(hark_loop_clock_ns() < world->deadline_ns);
    assert_int_equal(hark_loop_step(world->loop, 50), 0);
}

// A few ticks that do not wait: what could happen has happened.
static inline void settle(struct world *world)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(hark_loop_step(world->loop, 0), 0);
    }
}

struct probe {
    struct hark_stream *stream; // NULL after closed
    struct hark_buf in;
    int reads;
    int ends;
    int drains;
    int closes;
    int status;
    void (*on_read)(struct probe *probe, struct hark_slice data); // NULL: keeps the bytes
    void (*on_end)(struct probe *probe);
    void (*on_drained)(struct probe *probe);
    void *ctx;
};

static inline void probe_read(void *owner, struct hark_slice data)
{
    struct probe *probe = owner;
    assert_int_equal(probe->closes, 0);
    assert_true(data.len > 0);
    probe->reads++;
    if (probe->on_read != NULL) {
        probe->on_read(probe, data);
    } else {
        assert_int_equal(hark_buf_append_slice(&probe->in, data), 0);
    }
}

static inline void probe_end(void *owner)
{
    struct probe *probe = owner;
    assert_int_equal(probe->closes, 0);
    assert_int_equal(probe->ends, 0);
    probe->ends++;
    if (probe->on_end != NULL) {
        probe->on_end(probe);
    }
}

static inline void probe_drained(void *owner)
{
    struct probe *probe = owner;
    assert_int_equal(probe->closes, 0);
    assert_int_equal(hark_stream_queued(probe->stream), 0);
    probe->drains++;
    if (probe->on_drained != NULL) {
        probe->on_drained(probe);
    }
}

static inline void probe_closed(void *owner, int status)
{
    struct probe *probe = owner;
    assert_int_equal(probe->closes, 0);
    probe->closes++;
    probe->status = status;
    probe->stream = NULL;
}

static const struct hark_stream_ops probe_ops = {
    .read = probe_read, .end = probe_end, .drained = probe_drained, .closed = probe_closed};

// Opens the stream of a probe on fd and reads.
static inline void probe_open(struct world *world, struct probe *probe, int fd)
{
    hark_buf_init(&probe->in, 64 * 1024 * 1024);
    assert_int_equal(hark_stream_open(world->loop, fd, &probe_ops, probe, &probe->stream), 0);
    hark_stream_read_start(probe->stream);
}

// Closes what is open and waits for the end of it.
static inline void probe_free(struct world *world, struct probe *probe)
{
    if (probe->stream != NULL) {
        hark_stream_close(probe->stream, false);
    }
    while (probe->stream != NULL) {
        tick(world);
    }
    hark_buf_deinit(&probe->in);
}

static inline bool probe_has(const struct probe *probe, struct hark_slice text)
{
    return hark_slice_is(hark_buf_slice(&probe->in), text);
}

static inline void unix_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

// Two ends of a connection over loopback; a small send buffer at the first when `sndbuf` is not 0.
static inline void tcp_pair(int ends[2], int sndbuf)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(ends[0] >= 0);
    if (sndbuf != 0) {
        assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)), 0);
    }
    assert_int_equal(connect(ends[0], (struct sockaddr *)&at, sizeof(at)), 0);
    ends[1] = accept(listener, NULL, NULL);
    assert_true(ends[1] >= 0);
    int on = 1; // the peer's part: the stream sets it by itself
    assert_int_equal(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(close(listener), 0);
}

// SO_LINGER with time 0: the next close sends RST.
static inline void reset_and_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(close(fd), 0);
}

// Reads what there is without waiting; appends to buf. true: end of stream.
static inline bool take(int fd, struct hark_buf *buf)
{
    static char data[65536];
    ssize_t n = 0;
    while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
        assert_int_equal(hark_buf_append(buf, data, (size_t)n), 0);
    }
    assert_true(n == 0 || errno == EAGAIN);
    return n == 0;
}

#endif
