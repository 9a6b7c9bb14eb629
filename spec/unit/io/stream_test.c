// SPDX-License-Identifier: MIT
//
// Streams: events, endings, and what an owner may do inside its events. How output leaves in parts
// is in stream_flush_test.c, moving to another loop in stream_move_test.c.
#include "io/stream.h"

#include <malloc.h>
#include <signal.h>

#include "io/support.h"

struct pair {
    struct world *world;
    struct probe probe;
    int peer;
    struct hark_buf got; // what the peer has read
};

static void open_on(struct pair *pair, struct world *world, int ends[2])
{
    *pair = (struct pair){.world = world, .peer = ends[1]};
    hark_buf_init(&pair->got, SIZE_MAX);
    probe_open(world, &pair->probe, ends[0]);
}

static void tcp(int ends[2])
{
    tcp_pair(ends, 0);
}

static void open_pair(struct pair *pair)
{
    int ends[2];
    tcp(ends);
    open_on(pair, world_new(), ends);
}

static void close_pair(struct pair *pair)
{
    probe_free(pair->world, &pair->probe);
    if (pair->peer >= 0) {
        assert_int_equal(close(pair->peer), 0);
    }
    hark_buf_deinit(&pair->got);
    world_free(pair->world);
}

static void say(const struct pair *pair, const char *text)
{
    assert_int_equal(send(pair->peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void wait_closed(struct pair *pair, int status)
{
    while (pair->probe.closes == 0) {
        tick(pair->world);
    }
    assert_int_equal(pair->probe.status, status);
}

static void wait_end_at_peer(struct pair *pair)
{
    while (!take(pair->peer, &pair->got)) {
        tick(pair->world);
    }
}

static void test_both_ways(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    say(&pair, "ping");
    while (!probe_has(&pair.probe, HARK_LIT("ping"))) {
        tick(pair.world);
    }
    struct hark_chunk *chunk = hark_chunk_copy(HARK_LIT(" "));
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("hello")), 0);
    assert_int_equal(hark_stream_send(pair.probe.stream, chunk), 0);
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("")), 0);
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("world")), 0);
    hark_chunk_unref(chunk);
    assert_int_equal(hark_stream_queued(pair.probe.stream), 11);
    while (hark_buf_len(&pair.got) < 11) {
        tick(pair.world);
        assert_false(take(pair.peer, &pair.got));
    }
    assert_true(hark_slice_is(hark_buf_slice(&pair.got), HARK_LIT("hello world")));
    assert_int_equal(hark_stream_queued(pair.probe.stream), 0);
    assert_int_equal(hark_stats_get(&pair.world->stats.bytes_out), 11);
    assert_int_equal(hark_stats_get(&pair.world->stats.sends), 1); // one write a tick
    assert_int_equal(hark_stats_get(&pair.world->stats.connections_open), 1);
    assert_int_equal(pair.probe.drains, 0);
    close_pair(&pair);
}

static void test_large_input(void **state)
{
    (void)state;

    enum { TOTAL = 3000000 };
    struct pair pair;
    open_pair(&pair);
    size_t sent = 0;
    while (hark_buf_len(&pair.probe.in) < TOTAL) {
        unsigned char data[5000];
        for (size_t i = 0; i < sizeof(data); i++) {
            data[i] = (unsigned char)((sent + i) % 251);
        }
        size_t left = TOTAL - sent < sizeof(data) ? TOTAL - sent : sizeof(data);
        ssize_t n = left == 0 ? 0 : send(pair.peer, data, left, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        if (n <= 0) {
            tick(pair.world);
        }
    }
    struct hark_slice in = hark_buf_slice(&pair.probe.in);
    for (size_t i = 0; i < in.len; i++) {
        assert_int_equal((unsigned char)in.ptr[i], i % 251);
    }
    close_pair(&pair);
}

static void test_end_of_the_peer_leaves_output_open(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    say(&pair, "last");
    assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
    while (pair.probe.ends == 0) {
        tick(pair.world);
    }
    assert_true(probe_has(&pair.probe, HARK_LIT("last")));
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("answer")), 0);
    while (hark_buf_len(&pair.got) < 6) {
        tick(pair.world);
        assert_false(take(pair.peer, &pair.got));
    }
    settle(pair.world);
    assert_int_equal(pair.probe.closes, 0);
    close_pair(&pair);
}

static void test_finish_sends_all_then_ends(void **state)
{
    (void)state;
    static char block[2000000];
    struct pair pair;
    open_pair(&pair);
    memset(block, 'b', sizeof(block));
    assert_int_equal(hark_stream_write(pair.probe.stream, hark_slice(block, sizeof(block))), 0);
    hark_stream_finish(pair.probe.stream, 60000);
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("more")), HARK_ECLOSED);
    hark_stream_finish(pair.probe.stream, 1); // once
    wait_end_at_peer(&pair);
    assert_int_equal(hark_buf_len(&pair.got), sizeof(block));
    // The owner still hears the peer, and the stream waits for its end.
    say(&pair, "bye");
    while (!probe_has(&pair.probe, HARK_LIT("bye"))) {
        tick(pair.world);
    }
    assert_int_equal(pair.probe.closes, 0);
    assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
    wait_closed(&pair, 0);
    assert_int_equal(pair.probe.ends, 1);
    close_pair(&pair);
}

static void test_finish_without_a_reader_discards(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    hark_stream_read_stop(pair.probe.stream);
    hark_stream_finish(pair.probe.stream, 60000);
    wait_end_at_peer(&pair);
    say(&pair, "nobody wants this");
    settle(pair.world);
    assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
    wait_closed(&pair, 0);
    assert_int_equal(pair.probe.reads, 0);
    close_pair(&pair);
}

static void test_finish_behind_the_peers_end(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
    while (pair.probe.ends == 0) {
        tick(pair.world);
    }
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("answer")), 0);
    hark_stream_finish(pair.probe.stream, 60000);
    wait_closed(&pair, 0);
    wait_end_at_peer(&pair);
    assert_true(hark_slice_is(hark_buf_slice(&pair.got), HARK_LIT("answer")));
    close_pair(&pair);
}

static void test_finish_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    hark_stream_finish(pair.probe.stream, 20);
    wait_closed(&pair, 0); // FIN is out, the peer never answers
    wait_end_at_peer(&pair);
    close_pair(&pair);
}

static void test_finish_gives_up_on_a_peer_that_does_not_read(void **state)
{
    (void)state;
    static char block[8000000];
    int ends[2];
    struct pair pair;
    unix_pair(ends);
    open_on(&pair, world_new(), ends);
    assert_int_equal(hark_stream_write(pair.probe.stream, hark_slice(block, sizeof(block))), 0);
    hark_stream_finish(pair.probe.stream, 20);
    wait_closed(&pair, HARK_ETIMEOUT);
    close_pair(&pair);
}

static void test_close_drops_output(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("never")), 0);
    hark_stream_close(pair.probe.stream, false);
    assert_int_equal(pair.probe.closes, 0); // from the loop, not from here
    assert_int_equal(hark_stream_write(pair.probe.stream, HARK_LIT("x")), HARK_ECLOSED);
    struct hark_chunk *chunk = hark_chunk_copy(HARK_LIT("x"));
    assert_int_equal(hark_stream_send(pair.probe.stream, chunk), HARK_ECLOSED);
    assert_int_equal(chunk->refs, 1);
    hark_chunk_unref(chunk);
    hark_stream_read_start(pair.probe.stream);
    hark_stream_finish(pair.probe.stream, 5);
    hark_stream_close(pair.probe.stream, true); // all idempotent
    int fd = -1;
    assert_int_equal(hark_stream_detach(pair.probe.stream, &fd), HARK_ECLOSED);
    wait_closed(&pair, 0);
    assert_true(take(pair.peer, &pair.got));
    assert_int_equal(hark_buf_len(&pair.got), 0);
    close_pair(&pair);
}

static void test_close_with_reset(void **state)
{
    (void)state;
    char byte = 0;
    struct pair pair;
    open_pair(&pair);
    hark_stream_close(pair.probe.stream, true);
    wait_closed(&pair, 0);
    assert_int_equal(recv(pair.peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close_pair(&pair);
}

static void test_reset_by_the_peer(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    say(&pair, "before");
    reset_and_close(pair.peer);
    pair.peer = -1;
    wait_closed(&pair, HARK_EIO);
    assert_true(probe_has(&pair.probe, HARK_LIT("before"))); // it had arrived
    assert_int_equal(pair.probe.ends, 0);
    close_pair(&pair);
}

static void test_reset_while_nobody_reads(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    hark_stream_read_stop(pair.probe.stream);
    say(&pair, "x"); // makes the stream look, and turn to watching for the end
    settle(pair.world);
    reset_and_close(pair.peer);
    pair.peer = -1;
    wait_closed(&pair, HARK_EIO);
    assert_int_equal(pair.probe.reads, 0);
    close_pair(&pair);
}

// TCP answers the first send by RST; a Unix socket fails at once. Neither raises a signal.
static void test_sending_to_a_peer_that_is_gone(void **state)
{
    (void)state;
    static void (*const kinds[])(int ends[2]) = {tcp, unix_pair};
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    for (size_t i = 0; i < HARK_ARRAY_LEN(kinds); i++) {
        struct pair pair;
        int ends[2];
        kinds[i](ends);
        open_on(&pair, world_new(), ends);
        hark_stream_read_stop(pair.probe.stream);
        assert_int_equal(close(pair.peer), 0);
        pair.peer = -1;
        while (pair.probe.closes == 0) {
            int status = hark_stream_write(pair.probe.stream, HARK_LIT("hello?"));
            assert_true(status == 0 || status == HARK_ECLOSED);
            tick(pair.world);
        }
        assert_int_equal(pair.probe.status, HARK_EIO);
        close_pair(&pair);
    }
}

static void stop_reading(struct probe *probe, struct hark_slice data)
{
    assert_int_equal(hark_buf_append_slice(&probe->in, data), 0);
    hark_stream_read_stop(probe->stream);
}

static void test_read_stop(void **state)
{
    (void)state;
    static char block[300000];
    struct pair pair;
    open_pair(&pair);
    pair.probe.on_read = stop_reading;
    memset(block, 'r', sizeof(block));
    assert_int_equal(send(pair.peer, block, sizeof(block), 0), (ssize_t)sizeof(block));
    int reads = 0;
    while (hark_buf_len(&pair.probe.in) < sizeof(block)) {
        while (pair.probe.reads == reads) {
            tick(pair.world);
        }
        reads++;
        settle(pair.world);
        assert_int_equal(pair.probe.reads, reads); // not one more
        hark_stream_read_start(pair.probe.stream);
        hark_stream_read_start(pair.probe.stream);
    }
    assert_true(reads > 1);
    close_pair(&pair);
}

static void test_end_while_nobody_reads(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    hark_stream_read_stop(pair.probe.stream);
    say(&pair, "pending");
    settle(pair.world);
    assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
    settle(pair.world);
    assert_int_equal(pair.probe.ends, 0); // bytes lie before it
    hark_stream_read_start(pair.probe.stream);
    while (pair.probe.ends == 0) {
        tick(pair.world);
    }
    assert_true(probe_has(&pair.probe, HARK_LIT("pending")));
    close_pair(&pair);
}

static void test_end_with_nothing_to_read_is_told_at_once(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    say(&pair, "x");
    while (pair.probe.reads == 0) {
        tick(pair.world);
    }
    hark_stream_read_stop(pair.probe.stream);
    assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
    while (pair.probe.ends == 0) {
        tick(pair.world);
    }
    close_pair(&pair);
}

static void close_self(struct probe *probe, struct hark_slice data)
{
    (void)data;
    hark_stream_close(probe->stream, false);
}

static void finish_self(struct probe *probe)
{
    hark_stream_finish(probe->stream, 60000);
}

static void close_at_end(struct probe *probe)
{
    hark_stream_close(probe->stream, false);
}

static void test_close_inside_read(void **state)
{
    (void)state;
    static char block[200000];
    struct pair pair;
    open_pair(&pair);
    pair.probe.on_read = close_self;
    assert_int_equal(send(pair.peer, block, sizeof(block), 0), (ssize_t)sizeof(block));
    wait_closed(&pair, 0);
    assert_int_equal(pair.probe.reads, 1);
    close_pair(&pair);
}

static void test_close_and_finish_inside_end(void **state)
{
    (void)state;
    static void (*const ways[])(struct probe *) = {close_at_end, finish_self};
    for (size_t i = 0; i < HARK_ARRAY_LEN(ways); i++) {
        struct pair pair;
        open_pair(&pair);
        pair.probe.on_end = ways[i];
        assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
        wait_closed(&pair, 0);
        close_pair(&pair);
    }
}

static void test_own(void **state)
{
    (void)state;
    struct pair pair;
    struct probe second = {0};
    open_pair(&pair);
    hark_buf_init(&second.in, 1000);
    say(&pair, "for the first");
    while (pair.probe.reads == 0) {
        tick(pair.world);
    }
    second.stream = pair.probe.stream;
    hark_stream_own(second.stream, &probe_ops, &second);
    say(&pair, "for the second");
    while (second.reads == 0) {
        tick(pair.world);
    }
    assert_true(probe_has(&second, HARK_LIT("for the second")));
    assert_true(probe_has(&pair.probe, HARK_LIT("for the first")));
    pair.probe.stream = NULL;
    probe_free(pair.world, &second);
    assert_int_equal(pair.probe.closes, 0);
    close_pair(&pair);
}

static void test_peer_of_each_family(void **state)
{
    (void)state;
    char text[HARK_PEER_TEXT_MAX];
    struct pair pair;
    open_pair(&pair);
    struct hark_peer peer = hark_stream_peer(pair.probe.stream);
    assert_int_equal(peer.family, 4);
    assert_int_equal(hark_peer_text(&peer, text), 9);
    assert_string_equal(text, "127.0.0.1");
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    assert_int_equal(getsockname(pair.peer, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(peer.port, ntohs(at.sin_port));
    close_pair(&pair);

    int ends[2];
    unix_pair(ends);
    open_on(&pair, world_new(), ends);
    peer = hark_stream_peer(pair.probe.stream);
    assert_int_equal(peer.family, 0);
    assert_int_equal(peer.port, 0);
    assert_int_equal(hark_peer_text(&peer, text), 4);
    assert_string_equal(text, "unix");
    close_pair(&pair);

    peer = (struct hark_peer){.family = 6, .address = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    (void)hark_peer_text(&peer, text);
    assert_string_equal(text, "2001:db8::1");
}

static void test_open_refuses_what_is_no_socket(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct hark_stream *stream = NULL;
    assert_int_not_equal(hark_stream_open(world->loop, -1, &probe_ops, NULL, &stream), 0);
    assert_null(stream);
    world_free(world);
}

static void test_small(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    assert_true(malloc_usable_size(pair.probe.stream) <= 272);
    close_pair(&pair);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct hark_stream *stream = NULL;
    struct pair pair;
    int ends[2];
    open_pair(&pair);
    unix_pair(ends);
    hark_mem_fail_after(0);
    assert_int_equal(hark_stream_open(pair.world->loop, ends[0], &probe_ops, NULL, &stream),
                     HARK_ENOMEM);
    assert_null(stream);
    assert_int_equal(close(ends[0]), 0); // still ours
    assert_int_equal(close(ends[1]), 0);

    stream = pair.probe.stream;
    hark_mem_fail_after(0);
    assert_int_equal(hark_stream_write(stream, HARK_LIT("lost")), HARK_ENOMEM);
    assert_int_equal(hark_stream_queued(stream), 0);
    assert_int_equal(hark_stream_write(stream, HARK_LIT("kept")), 0);
    hark_mem_fail_after(1); // the chunk is made, its place in the queue not
    assert_int_equal(hark_stream_write(stream, HARK_LIT("lost")), HARK_ENOMEM);
    assert_int_equal(hark_stream_queued(stream), 4);
    while (hark_buf_len(&pair.got) < 4) {
        tick(pair.world);
        assert_false(take(pair.peer, &pair.got));
    }
    assert_true(hark_slice_is(hark_buf_slice(&pair.got), HARK_LIT("kept")));
    // Lingering needs a timer: without it the stream closes at once and says why.
    hark_mem_fail_after(0);
    hark_stream_finish(stream, 1000);
    hark_mem_fail_after(SIZE_MAX);
    wait_closed(&pair, HARK_ENOMEM);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_large_input),
        cmocka_unit_test(test_end_of_the_peer_leaves_output_open),
        cmocka_unit_test(test_finish_sends_all_then_ends),
        cmocka_unit_test(test_finish_without_a_reader_discards),
        cmocka_unit_test(test_finish_behind_the_peers_end),
        cmocka_unit_test(test_finish_does_not_wait_for_ever),
        cmocka_unit_test(test_finish_gives_up_on_a_peer_that_does_not_read),
        cmocka_unit_test(test_close_drops_output),
        cmocka_unit_test(test_close_with_reset),
        cmocka_unit_test(test_reset_by_the_peer),
        cmocka_unit_test(test_reset_while_nobody_reads),
        cmocka_unit_test(test_sending_to_a_peer_that_is_gone),
        cmocka_unit_test(test_read_stop),
        cmocka_unit_test(test_end_while_nobody_reads),
        cmocka_unit_test(test_end_with_nothing_to_read_is_told_at_once),
        cmocka_unit_test(test_close_inside_read),
        cmocka_unit_test(test_close_and_finish_inside_end),
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_peer_of_each_family),
        cmocka_unit_test(test_open_refuses_what_is_no_socket),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
