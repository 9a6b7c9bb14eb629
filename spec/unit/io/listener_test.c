// SPDX-License-Identifier: MIT
//
// Listeners: ports, two on one address, IPv6, Unix sockets, pause, pacing, and the descriptor
// limit.
#include "io/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/support.h"

#define FDS_MAX 1000

struct door {
    struct world *world;
    struct hark_listener *listener;
    int fds[FDS_MAX];
    size_t count;
    size_t ticks;   // with an accept
    size_t in_tick; // accepts since the last tick began
    size_t max_in_tick;
    bool is_closing; // close the listener at the next accept
};

static void on_accept(void *ctx, int fd)
{
    struct door *door = ctx;
    assert_true(door->count < FDS_MAX);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    door->fds[door->count++] = fd;
    door->in_tick++;
    if (door->is_closing) {
        hark_listener_close(door->listener);
        door->listener = NULL;
    }
}

static int open_door(struct door *door, struct world *world, const char *address, int *ret_errno)
{
    *door = (struct door){.world = world};
    return hark_listener_open(world->loop, hark_slice_text(address), on_accept, door,
                              &door->listener, ret_errno);
}

static void close_door(struct door *door)
{
    hark_listener_close(door->listener);
    for (size_t i = 0; i < door->count; i++) {
        assert_int_equal(close(door->fds[i]), 0);
    }
}

static void step(struct door *door)
{
    door->in_tick = 0;
    tick(door->world);
    door->ticks += door->in_tick > 0;
    door->max_in_tick = door->in_tick > door->max_in_tick ? door->in_tick : door->max_in_tick;
}

static int dial(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, path, sizeof(at.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void test_port_zero(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    int error = 0;
    assert_int_equal(open_door(&door, world, "127.0.0.1:0", &error), 0);
    int port = hark_listener_port(door.listener);
    assert_true(port > 0);
    int fd = dial(port);
    while (door.count == 0) {
        step(&door);
    }
    assert_int_equal(hark_stats_get(&world->stats.connections_accepted), 1);
    assert_int_equal(send(fd, "hi", 2, 0), 2);
    char data[3] = {0};
    while (recv(door.fds[0], data, 2, 0) != 2) {
        step(&door);
    }
    assert_string_equal(data, "hi");
    close(fd);
    close_door(&door);
    world_free(world);
}

static void test_two_on_one_port(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door doors[2];
    int fds[64];
    char address[32];
    int error = 0;
    assert_int_equal(open_door(&doors[0], world, "127.0.0.1:0", &error), 0);
    int port = hark_listener_port(doors[0].listener);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    assert_int_equal(open_door(&doors[1], world, address, &error), 0);
    assert_int_equal(hark_listener_port(doors[1].listener), port);
    for (size_t i = 0; i < HARK_ARRAY_LEN(fds); i++) {
        fds[i] = dial(port);
    }
    while (doors[0].count + doors[1].count < HARK_ARRAY_LEN(fds)) {
        tick(world);
    }
    assert_true(doors[0].count > 0);
    assert_true(doors[1].count > 0);
    for (size_t i = 0; i < HARK_ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    close_door(&doors[0]);
    close_door(&doors[1]);
    world_free(world);
}

static void test_all_addresses(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    int error = 0;
    assert_int_equal(open_door(&door, world, ":0", &error), 0);
    int fd = dial(hark_listener_port(door.listener));
    while (door.count == 0) {
        step(&door);
    }
    struct probe probe = {0};
    probe_open(world, &probe, door.fds[0]);
    door.count = 0;
    struct hark_peer peer = hark_stream_peer(probe.stream);
    char text[HARK_PEER_TEXT_MAX];
    assert_int_equal(peer.family, 4); // whatever the listener's family
    assert_int_equal(hark_peer_text(&peer, text), 9);
    assert_string_equal(text, "127.0.0.1");
    probe_free(world, &probe);
    close(fd);
    close_door(&door);
    world_free(world);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return has;
}

static void test_ipv6_beside_ipv4(void **state)
{
    (void)state;
    if (!has_ipv6()) {
        skip();
    }
    struct world *world = world_new();
    struct door doors[2];
    char address[32];
    int error = 0;
    assert_int_equal(open_door(&doors[0], world, "[::]:0", &error), 0);
    int port = hark_listener_port(doors[0].listener);
    (void)snprintf(address, sizeof(address), "0.0.0.0:%d", port);
    assert_int_equal(open_door(&doors[1], world, address, &error), 0); // only IPv6: no conflict
    int fd = dial(port);
    while (doors[1].count == 0) {
        step(&doors[1]);
    }
    assert_int_equal(doors[0].count, 0);
    close(fd);
    close_door(&doors[0]);
    close_door(&doors[1]);
    world_free(world);
}

static void test_errors(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    int error = 0;
    assert_int_equal(open_door(&door, world, "nonsense", &error), HARK_EINVAL);
    assert_int_equal(error, 0);
    assert_int_equal(open_door(&door, world, "203.0.113.1:0", &error),
                     HARK_EBIND); // not ours (RFC 5737)
    assert_int_equal(error, EADDRNOTAVAIL);
    assert_null(door.listener);
    hark_mem_fail_after(0);
    assert_int_equal(open_door(&door, world, "127.0.0.1:0", &error), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);

    // A port that somebody holds without SO_REUSEPORT.
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    char address[32];
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(open_door(&door, world, address, &error), HARK_EBIND);
    assert_int_equal(error, EADDRINUSE);
    close(fd);
    world_free(world);
}

// SO_REUSEPORT would let a second host in.
static void test_probe(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    char address[32];
    int error = 0;
    static const char *const places[] = {"127.0.0.1:0", ":0"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(places); i++) {
        assert_int_equal(open_door(&door, world, places[i], &error), 0);
        int port = hark_listener_port(door.listener);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
        error = 0;
        assert_int_equal(hark_listener_probe(hark_slice_text(address), &error), HARK_EBIND);
        assert_int_equal(error, EADDRINUSE);
        (void)snprintf(address, sizeof(address), ":%d", port);
        assert_int_equal(hark_listener_probe(hark_slice_text(address), &error), HARK_EBIND);
        int fd = dial(port);
        while (door.count == 0) {
            step(&door);
        }
        close_door(&door); // its end first: a connection in TIME_WAIT is no listener
        settle(world);
        assert_int_equal(hark_listener_probe(hark_slice_text(address), &error), 0);
        close(fd);
        assert_int_equal(open_door(&door, world, address, &error), 0); // the probe holds nothing
        close_door(&door);
        settle(world);
    }
    assert_int_equal(hark_listener_probe(HARK_LIT("127.0.0.1:0"), &error), 0);
    assert_int_equal(hark_listener_probe(HARK_LIT("unix:/nowhere/at/all"), &error), 0);
    error = 0;
    assert_int_equal(hark_listener_probe(HARK_LIT("nonsense"), &error), HARK_EINVAL);
    assert_int_equal(error, 0);
    assert_int_equal(hark_listener_probe(HARK_LIT("203.0.113.1:0"), &error), HARK_EBIND);
    assert_int_equal(error, EADDRNOTAVAIL);
    world_free(world);
}

static void test_unix_socket(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    struct door second;
    char directory[] = "/tmp/hark-listener-XXXXXX";
    char address[64];
    int error = 0;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(address, sizeof(address), "unix:%s/socket", directory);
    const char *path = address + 5;
    assert_int_equal(open_door(&door, world, address, &error), 0);
    assert_int_equal(hark_listener_port(door.listener), 0);
    int fd = dial_unix(path);
    assert_true(fd >= 0);
    while (door.count == 0) {
        step(&door);
    }
    close(fd);
    // Somebody listens: the file is not stale.
    assert_int_equal(open_door(&second, world, address, &error), HARK_EBIND);
    assert_int_equal(error, EADDRINUSE);
    close_door(&door);
    assert_int_equal(access(path, F_OK), -1); // taken away
    settle(world);

    // Left over by a process that died.
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(open_door(&door, world, address, &error), 0);

    // Replaced by another one's file: that is not ours to remove.
    assert_int_equal(unlink(path), 0);
    int other = open(path, O_CREAT | O_WRONLY, 0600);
    close(other);
    close_door(&door);
    assert_int_equal(access(path, F_OK), 0);

    // What is no socket is not removed either.
    assert_int_equal(open_door(&door, world, address, &error), HARK_EBIND);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
    world_free(world);
}

static void test_pause(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    int error = 0;
    char byte = 0;
    assert_int_equal(open_door(&door, world, "127.0.0.1:0", &error), 0);
    int port = hark_listener_port(door.listener);
    hark_listener_pause(door.listener);
    int fd = dial(port); // by the kernel
    settle(world);
    assert_int_equal(door.count, 0);
    hark_listener_close(door.listener);
    settle(world);
    assert_true(recv(fd, &byte, 1, 0) <= 0); // closed with the backlog
    close(fd);
    world_free(world);
}

static void test_accepts_are_paced(void **state)
{
    (void)state;

    enum { CLIENTS = 300 };
    struct world *world = world_new();
    struct door door;
    int fds[CLIENTS];
    int error = 0;
    assert_int_equal(open_door(&door, world, "127.0.0.1:0", &error), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = dial(hark_listener_port(door.listener)); // the backlog holds them all
    }
    while (door.count < CLIENTS) {
        step(&door);
    }
    assert_int_equal(door.max_in_tick, 128);
    assert_int_equal(door.ticks, 3);
    for (size_t i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
    close_door(&door);
    world_free(world);
}

static void test_close_inside_the_callback(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct door door;
    int fds[5];
    int error = 0;
    assert_int_equal(open_door(&door, world, "127.0.0.1:0", &error), 0);
    for (size_t i = 0; i < HARK_ARRAY_LEN(fds); i++) {
        fds[i] = dial(hark_listener_port(door.listener));
    }
    door.is_closing = true;
    while (door.count == 0) {
        step(&door);
    }
    settle(world);
    assert_int_equal(door.count, 1);
    for (size_t i = 0; i < HARK_ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    close_door(&door);
    world_free(world);
}

// The limit under which exactly `room` numbers are free.
static rlim_t limit_with_room(int room)
{
    int fd = 0;
    while (room > 0) {
        room -= fcntl(fd, F_GETFD) == -1;
        fd++;
    }
    return (rlim_t)fd;
}

static void test_descriptor_limit(void **state)
{
    (void)state;

    enum { CLIENTS = 20, ROOM = 5 };
    struct world *world = world_new();
    struct door door;
    struct rlimit limit;
    struct rlimit low;
    int fds[CLIENTS];
    int error = 0;
    assert_int_equal(open_door(&door, world, "127.0.0.1:0", &error), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = dial(hark_listener_port(door.listener));
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = (struct rlimit){.rlim_cur = limit_with_room(ROOM), .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (door.count + hark_stats_get(&world->stats.connections_refused) < CLIENTS) {
        step(&door);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(door.count, ROOM);
    assert_int_equal(hark_stats_get(&world->stats.connections_accepted), ROOM);
    // Those turned away are told so, not left hanging.
    size_t ended = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        char byte = 0;
        ended += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
        close(fds[i]);
    }
    assert_int_equal(ended, CLIENTS - ROOM);
    // And it goes on when there is room again.
    size_t before = door.count;
    int fd = dial(hark_listener_port(door.listener));
    while (door.count == before) {
        step(&door);
    }
    close(fd);
    close_door(&door);
    world_free(world);
}

static void test_raise_limit(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit low = {.rlim_cur = 100, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(hark_listener_raise_limit(), limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(low.rlim_cur, limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_zero),
        cmocka_unit_test(test_two_on_one_port),
        cmocka_unit_test(test_all_addresses),
        cmocka_unit_test(test_ipv6_beside_ipv4),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_accepts_are_paced),
        cmocka_unit_test(test_close_inside_the_callback),
        cmocka_unit_test(test_descriptor_limit),
        cmocka_unit_test(test_raise_limit),
    };
    hark_listener_close(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
