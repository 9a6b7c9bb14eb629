// SPDX-License-Identifier: MIT
//
// The batch on liburing. MSG_DONTWAIT keeps a full socket from arming a poll inside the kernel, so
// no request outlives the submit; MSG_WAITALL makes a part-sent one count as failed, so that
// IOSQE_CQE_SKIP_SUCCESS leaves completions for the exceptions alone.
#include "ring.h"

#ifdef BENCH_WITH_URING

#    include <errno.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/socket.h>

#    include <liburing.h>

struct entry {
    void *user;
    const uint8_t *bytes;
    size_t size;
};

struct bench_ring {
    struct io_uring uring;
    bench_ring_fn on_short;
    void *owner;
    unsigned batch;
    unsigned count; // entries filled
    bool silent;    // successes post no completion
    struct entry entries[];
};

static void complete(struct bench_ring *ring, unsigned count);

struct bench_ring *
bench_ring_new(unsigned batch, bench_ring_fn on_short, void *owner, const char **ret_why)
{
    struct bench_ring *ring = calloc(1, sizeof(*ring) + batch * sizeof(ring->entries[0]));
    if (ring == NULL) {
        *ret_why = "no memory";
        return NULL;
    }
    struct io_uring_params params = {.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN};
    int status = io_uring_queue_init_params(batch, &ring->uring, &params);
    if (status == -EINVAL) { // before Linux 6.1
        params = (struct io_uring_params){.flags = 0};
        status = io_uring_queue_init_params(batch, &ring->uring, &params);
    }
    if (status != 0) {
        *ret_why = strerror(-status);
        free(ring);
        return NULL;
    }
    ring->on_short = on_short;
    ring->owner = owner;
    ring->batch = batch;
    ring->silent = (params.features & IORING_FEAT_CQE_SKIP) != 0;
    return ring;
}

void bench_ring_free(struct bench_ring *ring)
{
    if (ring != NULL) {
        io_uring_queue_exit(&ring->uring);
        free(ring);
    }
}

void bench_ring_send(struct bench_ring *ring, int fd, const uint8_t *bytes, size_t size, void *user)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (sqe == NULL) { // cannot be: the queue holds a batch and is submitted when full
        ring->on_short(ring->owner, user, bytes, size, -EAGAIN);
        return;
    }
    io_uring_prep_send(sqe, fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL);
    sqe->user_data = ring->count;
    sqe->flags = ring->silent ? IOSQE_CQE_SKIP_SUCCESS : 0;

    ring->entries[ring->count++] = (struct entry){.user = user, .bytes = bytes, .size = size};
    if (ring->count == ring->batch) {
        bench_ring_submit(ring);
    }
}

void bench_ring_submit(struct bench_ring *ring)
{
    unsigned count = ring->count;
    unsigned sent = 0;
    while (sent < count) {
        int status = ring->silent ? io_uring_submit(&ring->uring)
                                  : io_uring_submit_and_wait(&ring->uring, count - sent);
        if (status < 0 && status != -EINTR && status != -EAGAIN && status != -EBUSY) {
            (void)fprintf(stderr, "io_uring_enter: %s\n", strerror(-status));
            exit(1);
        }
        sent += status > 0 ? (unsigned)status : 0;
    }
    ring->count = 0;
    complete(ring, count);
}

static void complete(struct bench_ring *ring, unsigned count)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        const struct entry *entry = &ring->entries[cqe->user_data < count ? cqe->user_data : 0];
        if (cqe->res < 0 || (size_t)cqe->res < entry->size) {
            ring->on_short(ring->owner, entry->user, entry->bytes, entry->size, cqe->res);
        }
        seen++;
    }
    io_uring_cq_advance(&ring->uring, seen);
}

#else

struct bench_ring {
    int unused;
};

struct bench_ring *
bench_ring_new(unsigned batch, bench_ring_fn on_short, void *owner, const char **ret_why)
{
    (void)batch;
    (void)on_short;
    (void)owner;
    *ret_why = "built without liburing";
    return NULL;
}

void bench_ring_free(struct bench_ring *ring)
{
    (void)ring;
}

void bench_ring_send(struct bench_ring *ring, int fd, const uint8_t *bytes, size_t size, void *user)
{
    (void)ring;
    (void)fd;
    (void)bytes;
    (void)size;
    (void)user;
}

void bench_ring_submit(struct bench_ring *ring)
{
    (void)ring;
}

#endif
