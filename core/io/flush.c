// SPDX-License-Identifier: MIT
//
// The end-of-tick flush. A run has two halves: first every queued item is sent, without a single
// call outside, so nothing can change under it; then what is worth telling is told. An item is
// always in at most one of the two lists, by the same node.
#include "io/flush.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "io/uring.h"

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#define PIECES_MAX 64   // pieces in one send
#define BATCH_MIN  4    // fewer items than this are sent one by one
#define JOIN_MAX   1024 // a queue of several chunks, up to so many bytes together, is sent as one
#define JOIN_ROOM  (128 * 1024)

struct attempt {
    struct hark_flush_item *item;
    size_t offered;
};

struct hark_flush {
    struct hark_list queued;
    struct hark_list reports;
    struct hark_stats *stats;
    hark_flush_fn *fn;
    struct hark_uring *uring; // NULL: not made yet, or not to be had
    bool uring_tried;
    size_t joined; // bytes of join that are in use
    struct attempt batch[HARK_URING_BATCH];
    char join[JOIN_ROOM];
};

static bool use_uring(struct hark_flush *flush);
static void send_batch(struct hark_flush *flush);
static size_t fill_batch(struct hark_flush *flush);
static void send_one(struct hark_flush *flush, struct hark_flush_item *item);
static size_t describe(struct hark_flush *flush,
                       const struct hark_flush_item *item,
                       struct iovec *pieces,
                       size_t max);
static size_t join(struct hark_flush *flush, struct iovec *pieces, size_t count, size_t bytes);
static size_t sum(const struct iovec *pieces, size_t count);
static void settle(struct hark_flush *flush, struct attempt attempt, ssize_t result);
static void take(struct hark_flush *flush, struct attempt attempt, size_t taken);
static void report(struct hark_flush *flush, struct hark_flush_item *item, int error);
static void report_all(struct hark_flush *flush);

struct hark_flush *hark_flush_new(struct hark_stats *stats)
{
    struct hark_flush *flush = hark_mem_zalloc(sizeof(*flush));
    if (flush == NULL) {
        return NULL;
    }
    hark_list_init(&flush->queued);
    hark_list_init(&flush->reports);
    flush->stats = stats;
    return flush;
}

void hark_flush_free(struct hark_flush *flush)
{
    if (flush == NULL) {
        return;
    }
    hark_uring_free(flush->uring);
    hark_mem_free(flush);
}

void hark_flush_report_to(struct hark_flush *flush, hark_flush_fn *fn)
{
    flush->fn = fn;
}

void hark_flush_item_init(struct hark_flush_item *item, int fd)
{
    *item = (struct hark_flush_item){.fd = fd};
    hark_list_init(&item->node);
    hark_outq_init(&item->out);
}

void hark_flush_add(struct hark_flush *flush, struct hark_flush_item *item)
{
    if (hark_list_is_empty(&item->node)) {
        hark_list_push(&flush->queued, &item->node);
    }
}

void hark_flush_remove(struct hark_flush_item *item)
{
    hark_list_remove(&item->node);
}

bool hark_flush_is_empty(const struct hark_flush *flush)
{
    return hark_list_is_empty(&flush->queued);
}

void hark_flush_run(struct hark_flush *flush)
{
    while (!hark_list_is_empty(&flush->queued) && use_uring(flush)) {
        send_batch(flush);
    }
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&flush->queued)) != NULL) {
        send_one(flush, HARK_CONTAINER_OF(node, struct hark_flush_item, node));
    }
    report_all(flush);
}

// A batch pays from a few items on; the ring is made by the thread that runs the first batch.
static bool use_uring(struct hark_flush *flush)
{
    size_t count = 0;
    hark_list_for_each (node, &flush->queued) {
        if (++count == BATCH_MIN) {
            break;
        }
    }
    if (count < BATCH_MIN) {
        return false;
    }
    if (!flush->uring_tried) {
        flush->uring = hark_uring_new();
        flush->uring_tried = true;
    }
    return flush->uring != NULL;
}

static void send_batch(struct hark_flush *flush)
{
    size_t count = fill_batch(flush);
    const int *results = NULL;
    bool is_whole = hark_uring_run(flush->uring, &results);
    for (size_t i = 0; i < count; i++) {
        if (results[i] == HARK_URING_UNSENT) {
            hark_flush_add(flush, flush->batch[i].item);
        } else {
            settle(flush, flush->batch[i], results[i]);
        }
    }
    if (!is_whole) {
        hark_uring_free(flush->uring);
        flush->uring = NULL;
    }
}

static size_t fill_batch(struct hark_flush *flush)
{
    size_t count = 0;
    size_t room = 0;
    struct iovec *pieces = NULL;
    struct hark_list *node = NULL;
    flush->joined = 0;
    while ((pieces = hark_uring_room(flush->uring, &room)) != NULL &&
           (node = hark_list_pop(&flush->queued)) != NULL) {
        struct hark_flush_item *item = HARK_CONTAINER_OF(node, struct hark_flush_item, node);
        size_t used = describe(flush, item, pieces, room < PIECES_MAX ? room : PIECES_MAX);
        if (used == 0) {
            report(flush, item, 0); // nothing to send, only to tell
            continue;
        }
        flush->batch[count++] = (struct attempt){item, sum(pieces, used)};
        hark_uring_add(flush->uring, item->fd, used);
    }
    return count;
}

static void send_one(struct hark_flush *flush, struct hark_flush_item *item)
{
    struct iovec pieces[PIECES_MAX];
    flush->joined = 0;
    size_t used = describe(flush, item, pieces, PIECES_MAX);
    if (used == 0) {
        report(flush, item, 0);
        return;
    }
    ssize_t sent = 0;
    if (used == 1) {
        sent = send(item->fd, pieces[0].iov_base, pieces[0].iov_len, SEND_FLAGS);
    } else {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = used};
        sent = sendmsg(item->fd, &message, SEND_FLAGS);
    }
    settle(flush, (struct attempt){item, sum(pieces, used)}, sent < 0 ? -errno : sent);
}

// The pieces of the next send. A few small ones are copied together: that costs less than what the
// kernel spends on a vector of them.
static size_t describe(struct hark_flush *flush,
                       const struct hark_flush_item *item,
                       struct iovec *pieces,
                       size_t max)
{
    size_t count = hark_outq_peek(&item->out, pieces, max);
    size_t bytes = item->out.bytes;
    if (count > 1 && bytes <= JOIN_MAX && bytes <= JOIN_ROOM - flush->joined) {
        return join(flush, pieces, count, bytes);
    }
    return count;
}

static size_t join(struct hark_flush *flush, struct iovec *pieces, size_t count, size_t bytes)
{
    if (sum(pieces, count) != bytes) {
        return count; // more chunks than pieces
    }
    char *at = flush->join + flush->joined;
    flush->joined += bytes;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(at + len, pieces[i].iov_base, pieces[i].iov_len);
        len += pieces[i].iov_len;
    }
    pieces[0] = (struct iovec){.iov_base = at, .iov_len = bytes};
    return 1;
}

static size_t sum(const struct iovec *pieces, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += pieces[i].iov_len;
    }
    return bytes;
}

// What one send has come to: bytes taken, or -errno.
static void settle(struct hark_flush *flush, struct attempt attempt, ssize_t result)
{
    hark_stats_add(&flush->stats->sends, 1);
    if (result >= 0) {
        take(flush, attempt, (size_t)result);
    } else if (result == -EINTR) {
        hark_flush_add(flush, attempt.item);
    } else if (result == -EAGAIN || result == -ENOBUFS) {
        take(flush, attempt, 0);
    } else {
        report(flush, attempt.item, (int)-result);
    }
}

static void take(struct hark_flush *flush, struct attempt attempt, size_t taken)
{
    struct hark_flush_item *item = attempt.item;
    hark_stats_add(&flush->stats->bytes_out, taken);
    hark_outq_advance(&item->out, taken);
    if (taken < attempt.offered) {
        hark_stats_add(&flush->stats->sends_refused, 1);
        report(flush, item, EAGAIN);
    } else if (item->out.bytes > 0) {
        hark_flush_add(flush, item); // more than fits one send: on with it in this run
    } else if (item->tell_empty) {
        report(flush, item, 0);
    }
}

static void report(struct hark_flush *flush, struct hark_flush_item *item, int error)
{
    item->error = (int16_t)error;
    hark_list_push(&flush->reports, &item->node);
}

static void report_all(struct hark_flush *flush)
{
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&flush->reports)) != NULL) {
        flush->fn(HARK_CONTAINER_OF(node, struct hark_flush_item, node));
    }
}
