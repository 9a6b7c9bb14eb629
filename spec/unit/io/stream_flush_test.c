// SPDX-License-Identifier: MIT
//
// The end-of-tick flush, each test in both ways: one send a stream, and io_uring batches (where the
// kernel has them). Every byte once and in order, whatever the kernel refuses and whatever owners
// do in the middle of it.
#include "io/flush.h"

#include <sys/resource.h>

#include "io/support.h"
#include "io/uring.h"

#define STREAMS 40 // enough for batches

struct link {
    struct probe probe;
    int peer;
    size_t sent;
    size_t got;
    struct crowd *crowd;
};

struct crowd {
    struct world *world;
    struct link *links;
    size_t count;
};

static int use_plain(void **state)
{
    (void)state;
    return setenv("HARK_URING", "0", 1);
}

static int use_batches(void **state)
{
    (void)state;
    return unsetenv("HARK_URING");
}

// Only Unix sockets stay full until the peer reads: the kernel moves the bytes of a TCP stream on.
enum kind { MIXED, ONLY_UNIX };

static void open_crowd(struct crowd *crowd, size_t count, int sndbuf, enum kind kind)
{
    *crowd = (struct crowd){.world = world_new(), .count = count};
    crowd->links = hark_mem_array(count, sizeof(*crowd->links));
    for (size_t i = 0; i < count; i++) {
        int ends[2];
        if (kind == ONLY_UNIX || i % 2 == 0) {
            unix_pair(ends);
            if (sndbuf != 0) {
                assert_int_equal(
                    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)), 0);
            }
        } else {
            tcp_pair(ends, sndbuf);
        }
        crowd->links[i].peer = ends[1];
        crowd->links[i].crowd = crowd;
        probe_open(crowd->world, &crowd->links[i].probe, ends[0]);
    }
}

static void close_crowd(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        if (crowd->links[i].probe.stream != NULL) {
            hark_stream_close(crowd->links[i].probe.stream, false);
        }
        if (crowd->links[i].peer >= 0) {
            assert_int_equal(close(crowd->links[i].peer), 0);
        }
    }
    for (size_t i = 0; i < crowd->count; i++) {
        probe_free(crowd->world, &crowd->links[i].probe);
    }
    hark_mem_free(crowd->links);
    world_free(crowd->world);
}

static unsigned char byte_at(const struct link *link, size_t position)
{
    return (unsigned char)((position * 7 + (size_t)(link - link->crowd->links)) % 253);
}

static void write_some(struct link *link, size_t len)
{
    static unsigned char data[70000];
    assert_true(len <= sizeof(data));
    for (size_t i = 0; i < len; i++) {
        data[i] = byte_at(link, link->sent + i);
    }
    assert_int_equal(hark_stream_write(link->probe.stream, hark_slice(data, len)), 0);
    link->sent += len;
}

// The peer reads at most max bytes and checks them.
static void read_some(struct link *link, size_t max)
{
    static unsigned char data[70000];
    ssize_t n = recv(link->peer, data, max < sizeof(data) ? max : sizeof(data), MSG_DONTWAIT);
    for (ssize_t i = 0; i < n; i++) {
        if (data[i] != byte_at(link, link->got + (size_t)i)) {
            fail_msg("stream %d, byte %zu", (int)(link - link->crowd->links),
                     link->got + (size_t)i);
        }
    }
    link->got += n > 0 ? (size_t)n : 0;
}

static size_t random_size(size_t max)
{
    return (size_t)random() % ((size_t)1 << (random() % 17)) % (max + 1);
}

static void test_order_under_random_partial_writes(void **state)
{
    (void)state;

    enum { TOTAL = 120000 };
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 4608, MIXED);
    srandom(11);
    size_t done = 0;
    while (done < crowd.count) {
        done = 0;
        for (size_t i = 0; i < crowd.count; i++) {
            struct link *link = &crowd.links[i];
            for (long n = random() % 6; n > 0 && link->sent < TOTAL; n--) {
                // Far ahead of the kernel at times, dry at others.
                if (hark_stream_queued(link->probe.stream) < 100000) {
                    write_some(link, random_size(60000));
                }
            }
            if (random() % 3 == 0) {
                read_some(link, 1 + random_size(65536));
            }
            if (link->sent >= TOTAL) {
                read_some(link, SIZE_MAX);
            }
            assert_true(link->got <= link->sent);
            done += link->sent >= TOTAL && link->got == link->sent;
        }
        tick(crowd.world);
    }
    uint64_t bytes = 0;
    int drains = 0;
    for (size_t i = 0; i < crowd.count; i++) {
        bytes += crowd.links[i].got;
        drains += crowd.links[i].probe.drains;
        assert_int_equal(hark_stream_queued(crowd.links[i].probe.stream), 0);
        assert_false(hark_stream_is_congested(crowd.links[i].probe.stream));
    }
    assert_true(drains > 0);
    assert_int_equal(hark_stats_get(&crowd.world->stats.bytes_out), bytes);
    assert_true(hark_stats_get(&crowd.world->stats.sends_refused) > 0);
    close_crowd(&crowd);
}

// Several batches, and more pieces than one send takes.
static void test_many_streams_and_many_pieces(void **state)
{
    (void)state;

    enum { CROWD = HARK_URING_BATCH + 100, PIECES = 150 };
    struct crowd crowd;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 2 * CROWD + 50) {
        skip();
    }
    open_crowd(&crowd, CROWD, 0, MIXED);
    for (size_t i = 0; i < crowd.count; i++) {
        size_t pieces = i % 20 == 0 ? PIECES : 1 + i % 3;
        for (size_t k = 0; k < pieces; k++) {
            write_some(&crowd.links[i], 1 + k % 5);
        }
    }
    tick(crowd.world);
    for (size_t i = 0; i < crowd.count; i++) {
        read_some(&crowd.links[i], SIZE_MAX);
        assert_int_equal(crowd.links[i].got, crowd.links[i].sent); // all in one tick
    }
    assert_int_equal(hark_stats_get(&crowd.world->stats.sends_refused), 0);
    close_crowd(&crowd);
}

static void test_one_block_shared_by_all(void **state)
{
    (void)state;
    struct crowd crowd;
    char data[8];
    open_crowd(&crowd, STREAMS, 0, MIXED);
    struct hark_chunk *chunk = hark_chunk_copy(HARK_LIT("shared"));
    for (size_t i = 0; i < crowd.count; i++) {
        assert_int_equal(hark_stream_send(crowd.links[i].probe.stream, chunk), 0);
    }
    assert_int_equal(chunk->refs, STREAMS + 1);
    tick(crowd.world);
    assert_int_equal(chunk->refs, 1); // the kernel has copied
    for (size_t i = 0; i < crowd.count; i++) {
        assert_int_equal(recv(crowd.links[i].peer, data, sizeof(data), MSG_DONTWAIT), 6);
    }
    hark_chunk_unref(chunk);
    close_crowd(&crowd);
}

// Fills each stream until the kernel refuses.
static void congest(struct crowd *crowd)
{
    size_t congested = 0;
    while (congested < crowd->count) {
        congested = 0;
        for (size_t i = 0; i < crowd->count; i++) {
            struct link *link = &crowd->links[i];
            if (hark_stream_is_congested(link->probe.stream)) {
                congested++;
            } else {
                write_some(link, 60000);
            }
        }
        tick(crowd->world);
    }
}

static void test_drained_comes_once_for_each_refusal(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 4608, ONLY_UNIX);
    for (int round = 1; round <= 2; round++) {
        congest(&crowd);
        settle(crowd.world);
        for (size_t i = 0; i < crowd.count; i++) {
            assert_int_equal(crowd.links[i].probe.drains, round - 1);
        }
        for (size_t i = 0; i < crowd.count; i++) {
            while (crowd.links[i].probe.drains < round) {
                read_some(&crowd.links[i], SIZE_MAX);
                tick(crowd.world);
            }
        }
        settle(crowd.world);
        for (size_t i = 0; i < crowd.count; i++) {
            assert_int_equal(crowd.links[i].probe.drains, round);
            assert_int_equal(hark_stream_queued(crowd.links[i].probe.stream), 0);
        }
    }
    close_crowd(&crowd);
}

static void test_a_congested_stream_is_left_alone(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 4608, ONLY_UNIX);
    congest(&crowd);
    settle(crowd.world);
    uint64_t sends = hark_stats_get(&crowd.world->stats.sends);
    for (size_t i = 0; i < crowd.count; i++) {
        write_some(&crowd.links[i], 10);
    }
    settle(crowd.world);
    assert_int_equal(hark_stats_get(&crowd.world->stats.sends), sends);
    close_crowd(&crowd);
}

static void test_closed_before_the_flush(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 0, MIXED);
    for (size_t i = 0; i < crowd.count; i++) {
        write_some(&crowd.links[i], 100);
    }
    for (size_t i = 0; i < crowd.count; i += 3) {
        hark_stream_close(crowd.links[i].probe.stream, false);
    }
    tick(crowd.world);
    for (size_t i = 0; i < crowd.count; i++) {
        read_some(&crowd.links[i], SIZE_MAX);
        assert_int_equal(crowd.links[i].got, i % 3 == 0 ? 0 : 100);
    }
    close_crowd(&crowd);
}

// Some peers are gone: their streams end, the others of the same batch get theirs.
static void test_failures_in_a_batch(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 0, MIXED);
    for (size_t i = 0; i < crowd.count; i++) {
        hark_stream_read_stop(crowd.links[i].probe.stream);
        write_some(&crowd.links[i], 100);
        if (i % 4 == 0) {
            reset_and_close(crowd.links[i].peer);
            crowd.links[i].peer = -1;
        }
    }
    settle(crowd.world);
    for (size_t i = 0; i < crowd.count; i++) {
        if (i % 4 == 0) {
            assert_int_equal(crowd.links[i].probe.closes, 1);
            assert_int_equal(crowd.links[i].probe.status, HARK_EIO);
        } else {
            assert_int_equal(crowd.links[i].probe.closes, 0);
            read_some(&crowd.links[i], SIZE_MAX);
            assert_int_equal(crowd.links[i].got, 100);
        }
    }
    close_crowd(&crowd);
}

static struct link *next_of(struct probe *probe)
{
    struct link *link = HARK_CONTAINER_OF(probe, struct link, probe);
    size_t index = (size_t)(link - link->crowd->links);
    return &link->crowd->links[(index + 1) % link->crowd->count];
}

static void close_both(struct probe *probe)
{
    struct link *next = next_of(probe);
    if (next->probe.stream != NULL) {
        hark_stream_close(next->probe.stream, false);
    }
    hark_stream_close(probe->stream, true);
}

static void test_drained_may_close_others_of_the_batch(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 4608, MIXED);
    congest(&crowd);
    for (size_t i = 0; i < crowd.count; i++) {
        crowd.links[i].probe.on_drained = close_both;
    }
    size_t closed = 0;
    while (closed < crowd.count) {
        closed = 0;
        for (size_t i = 0; i < crowd.count; i++) {
            struct link *link = &crowd.links[i];
            if (link->probe.closes == 0) {
                read_some(link, SIZE_MAX);
            }
            closed += link->probe.closes > 0;
        }
        tick(crowd.world);
    }
    close_crowd(&crowd);
}

static void send_to_next(struct probe *probe)
{
    struct link *next = next_of(probe);
    if (next->sent < 2000000) {
        write_some(next, 20000);
    }
}

// A report of one stream makes output for another whose own report is still to come.
static void test_drained_may_send_to_others_of_the_batch(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 4608, ONLY_UNIX);
    for (size_t i = 0; i < crowd.count; i++) {
        crowd.links[i].probe.on_drained = send_to_next;
    }
    congest(&crowd);
    size_t done = 0;
    while (done < crowd.count) {
        done = 0;
        for (size_t i = 0; i < crowd.count; i++) {
            read_some(&crowd.links[i], SIZE_MAX);
            done += crowd.links[i].got == crowd.links[i].sent;
        }
        tick(crowd.world);
    }
    close_crowd(&crowd);
}

static void test_finish_of_many(void **state)
{
    (void)state;
    struct crowd crowd;
    open_crowd(&crowd, STREAMS, 4608, MIXED);
    for (size_t i = 0; i < crowd.count; i++) {
        write_some(&crowd.links[i], i % 2 == 0 ? 50000 : 10);
        hark_stream_finish(crowd.links[i].probe.stream, 60000);
    }
    for (size_t i = 0; i < crowd.count; i++) {
        struct link *link = &crowd.links[i];
        while (link->got < link->sent) {
            read_some(link, SIZE_MAX);
            tick(crowd.world);
        }
        char byte = 0;
        assert_int_equal(recv(link->peer, &byte, 1, MSG_DONTWAIT), 0); // FIN, behind the last byte
        assert_int_equal(close(link->peer), 0);
        link->peer = -1;
        while (link->probe.closes == 0) {
            tick(crowd.world);
        }
        assert_int_equal(link->probe.status, 0);
    }
    close_crowd(&crowd);
}

static void test_switch(void **state)
{
    (void)state;
    (void)use_plain(NULL); // cannot fail with these names
    assert_null(hark_uring_new());
    (void)use_batches(NULL);
    struct hark_uring *uring = hark_uring_new();
    if (uring == NULL) {
        print_message("no io_uring here: both ways were the plain one\n");
        skip();
    }
    hark_uring_free(uring);
    hark_mem_fail_after(0);
    assert_null(hark_uring_new());
    hark_mem_fail_after(SIZE_MAX);
    hark_uring_free(NULL);
}

#define BOTH_WAYS(test)                                   \
    {#test " (plain)", test, use_plain, NULL, NULL},      \
    {                                                     \
#        test " (batches)", test, use_batches, NULL, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(test_order_under_random_partial_writes),
        BOTH_WAYS(test_many_streams_and_many_pieces),
        BOTH_WAYS(test_one_block_shared_by_all),
        BOTH_WAYS(test_drained_comes_once_for_each_refusal),
        BOTH_WAYS(test_a_congested_stream_is_left_alone),
        BOTH_WAYS(test_closed_before_the_flush),
        BOTH_WAYS(test_failures_in_a_batch),
        BOTH_WAYS(test_drained_may_close_others_of_the_batch),
        BOTH_WAYS(test_drained_may_send_to_others_of_the_batch),
        BOTH_WAYS(test_finish_of_many),
        cmocka_unit_test(test_switch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
