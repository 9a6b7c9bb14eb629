// SPDX-License-Identifier: MIT
//
// A stream taken out of one loop and opened again on another, in another thread and in the same.
#include <pthread.h>
#include <sched.h>

#include "io/mailbox.h"
#include "io/support.h"

#define CONNECTIONS 50

struct echo {
    struct probe probe;
    bool is_moving; // the next input says where to
};

// One thread with a loop that echoes; connections come by mail.
struct server {
    struct hark_stats stats;
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct server *other;
    struct echo *echoes[2 * CONNECTIONS];
    size_t count;
};

struct arrival {
    struct hark_mail mail;
    int fd;
};

static void echo_read(struct probe *probe, struct hark_slice data);
static void on_arrival(struct hark_mail *mail, void *worker);

static void adopt(struct server *server, int fd)
{
    struct echo *echo = hark_mem_zalloc(sizeof(*echo));
    echo->probe.on_read = echo_read;
    echo->probe.ctx = server;
    assert_true(server->count < HARK_ARRAY_LEN(server->echoes));
    server->echoes[server->count++] = echo;
    assert_int_equal(
        hark_stream_open(server->loop, fd, &probe_ops, &echo->probe, &echo->probe.stream), 0);
    hark_stream_read_start(echo->probe.stream);
}

// "m" moves the connection to the other server, from inside its own read event.
static void echo_read(struct probe *probe, struct hark_slice data)
{
    struct server *server = probe->ctx;
    if (data.ptr[0] != 'm') {
        assert_int_equal(hark_stream_write(probe->stream, data), 0);
        return;
    }
    int fd = -1;
    assert_int_equal(hark_stream_detach(probe->stream, &fd), 0);
    probe->stream = NULL;
    struct arrival *arrival = hark_mem_zalloc(sizeof(*arrival));
    arrival->mail.fn = on_arrival;
    arrival->fd = fd;
    hark_mailbox_post(server->other->mailbox, &arrival->mail);
}

static void on_arrival(struct hark_mail *mail, void *worker)
{
    struct arrival *arrival = HARK_CONTAINER_OF(mail, struct arrival, mail);
    adopt(worker, arrival->fd);
    hark_mem_free(arrival);
}

static bool on_tick(void *ctx)
{
    struct server *server = ctx;
    return hark_mailbox_drain(server->mailbox, SIZE_MAX);
}

static void *serve(void *arg)
{
    struct server *server = arg;
    return (void *)(intptr_t)hark_loop_run(server->loop);
}

static void open_server(struct server *server, struct server *other)
{
    *server = (struct server){.other = other};
    assert_int_equal(hark_loop_new(&server->stats, &server->loop), 0);
    assert_int_equal(hark_mailbox_new(server->loop, server, &server->mailbox), 0);
    hark_loop_on_tick(server->loop, on_tick, server);
}

static void close_server(struct server *server)
{
    for (size_t i = 0; i < server->count; i++) {
        if (server->echoes[i]->probe.stream != NULL) {
            hark_stream_close(server->echoes[i]->probe.stream, false);
        }
    }
    hark_mailbox_free(server->mailbox);
    hark_loop_free(server->loop);
    for (size_t i = 0; i < server->count; i++) {
        hark_mem_free(server->echoes[i]);
    }
    assert_int_equal(hark_stats_get(&server->stats.connections_open), 0);
}

static void assert_echoes(int fd, const char *text)
{
    char back[64];
    size_t len = strlen(text);
    assert_int_equal(send(fd, text, len, 0), (ssize_t)len);
    assert_int_equal(recv(fd, back, len, MSG_WAITALL), (ssize_t)len);
    assert_memory_equal(back, text, len);
}

static void test_to_another_thread_and_back(void **state)
{
    (void)state;
    struct server servers[2];
    pthread_t threads[2];
    int peers[CONNECTIONS];
    open_server(&servers[0], &servers[1]);
    open_server(&servers[1], &servers[0]);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        int ends[2];
        tcp_pair(ends, 0);
        peers[i] = ends[1];
        adopt(&servers[0], ends[0]);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, serve, &servers[i]), 0);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        assert_echoes(peers[i], "first");
        assert_int_equal(send(peers[i], "m", 1, 0), 1);
        // The move may join with what follows: wait until the "m" is taken.
        while (hark_stats_get(&servers[1].stats.connections_open) < i + 1) {
            sched_yield();
        }
        assert_echoes(peers[i], "second");
    }
    assert_int_equal(hark_stats_get(&servers[0].stats.connections_open), 0);
    for (size_t i = 0; i < CONNECTIONS; i += 2) {
        assert_int_equal(send(peers[i], "m", 1, 0), 1);
        while (hark_stats_get(&servers[0].stats.connections_open) < i / 2 + 1) {
            sched_yield();
        }
        assert_echoes(peers[i], "third");
    }
    for (size_t i = 0; i < 2; i++) {
        void *result = NULL;
        hark_loop_stop(servers[i].loop);
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(close(peers[i]), 0);
    }
    close_server(&servers[0]);
    close_server(&servers[1]);
}

static void test_refused_with_output(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct probe probe = {0};
    int ends[2];
    int fd = -1;
    tcp_pair(ends, 0);
    probe_open(world, &probe, ends[0]);
    assert_int_equal(hark_stream_write(probe.stream, HARK_LIT("x")), 0);
    assert_int_equal(hark_stream_detach(probe.stream, &fd), HARK_EAGAIN);
    assert_int_equal(fd, -1);
    tick(world);
    assert_int_equal(hark_stream_detach(probe.stream, &fd), 0);
    assert_int_equal(fd, ends[0]);
    settle(world);
    assert_int_equal(probe.closes, 0); // no event of the old one
    probe.stream = NULL;

    // Again on the same loop, with bytes that came in between.
    assert_int_equal(send(ends[1], "between", 7, 0), 7);
    probe_open(world, &probe, fd);
    while (!probe_has(&probe, HARK_LIT("between"))) {
        tick(world);
    }
    probe_free(world, &probe);
    assert_int_equal(close(ends[1]), 0);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_another_thread_and_back),
        cmocka_unit_test(test_refused_with_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
