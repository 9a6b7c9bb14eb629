// SPDX-License-Identifier: MIT
//
// Batched sends through io_uring. With MSG_DONTWAIT a send on a socket is tried once, at once and
// in the submitting call; it never waits for room, so every result is there when the call returns.
// The code still counts results instead of trusting that, and gives up the ring when the kernel
// will take no more: what was never taken up is then known exactly and can be sent another way.
#include "io/uring.h"

#if defined(HARK_WITH_URING)

#    include <errno.h>
#    include <liburing.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/socket.h>

#    include "base/mem.h"

#    define SEND_FLAGS  (MSG_DONTWAIT | MSG_NOSIGNAL)
#    define MAX_REFUSED 16 // errors in a row of the submitting call

struct hark_uring {
    struct io_uring ring;
    unsigned count; // sends in the batch
    size_t pieces;  // pieces in the batch
    int results[HARK_URING_BATCH];
    struct msghdr messages[HARK_URING_BATCH];
    struct iovec vectors[HARK_URING_PIECES];
};

static bool is_switched_off(void);
static int open_ring(struct io_uring *ring);
static bool can_send(struct io_uring *ring);
static unsigned reap(struct hark_uring *uring);
static void give_up(struct hark_uring *uring);

struct hark_uring *hark_uring_new(void)
{
    if (is_switched_off()) {
        return NULL;
    }
    struct hark_uring *uring = hark_mem_zalloc(sizeof(*uring));
    if (uring == NULL) {
        return NULL;
    }
    if (open_ring(&uring->ring) != 0) {
        hark_mem_free(uring);
        return NULL;
    }
    if (!can_send(&uring->ring)) {
        hark_uring_free(uring);
        return NULL;
    }
    return uring;
}

void hark_uring_free(struct hark_uring *uring)
{
    if (uring == NULL) {
        return;
    }
    io_uring_queue_exit(&uring->ring);
    hark_mem_free(uring);
}

struct iovec *hark_uring_room(struct hark_uring *uring, size_t *ret_room)
{
    if (uring->count == HARK_URING_BATCH || uring->pieces == HARK_URING_PIECES) {
        return NULL;
    }
    *ret_room = HARK_URING_PIECES - uring->pieces;
    return uring->vectors + uring->pieces;
}

void hark_uring_add(struct hark_uring *uring, int fd, size_t pieces)
{
    struct iovec *vectors = uring->vectors + uring->pieces;
    // The ring has as many entries as a batch, and each run empties it: there is one free.
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (pieces == 1) {
        io_uring_prep_send(sqe, fd, vectors[0].iov_base, vectors[0].iov_len, SEND_FLAGS);
    } else {
        struct msghdr *message = &uring->messages[uring->count];
        *message = (struct msghdr){.msg_iov = vectors, .msg_iovlen = pieces};
        io_uring_prep_sendmsg(sqe, fd, message, SEND_FLAGS);
    }
    io_uring_sqe_set_data64(sqe, uring->count);
    uring->results[uring->count] = HARK_URING_UNSENT;
    uring->count++;
    uring->pieces += pieces;
}

bool hark_uring_run(struct hark_uring *uring, const int **ret_results)
{
    unsigned left = uring->count;
    unsigned refused = 0;
    while (left > 0 && refused < MAX_REFUSED) {
        // Submits what the kernel has not taken yet and waits for all results; it may do less of
        // both (a signal, a shortage), so go on until every result has been seen.
        int status = io_uring_submit_and_wait(&uring->ring, left);
        unsigned done = reap(uring);
        left -= done;
        if (status < 0 && status != -EINTR && done == 0) {
            refused++;
        } else {
            refused = 0;
        }
    }
    if (left > 0) {
        give_up(uring);
    }
    uring->count = 0;
    uring->pieces = 0;
    *ret_results = uring->results;
    return left == 0;
}

static bool is_switched_off(void)
{
    const char *setting = getenv("HARK_URING");
    return setting != NULL && strcmp(setting, "0") == 0;
}

static int open_ring(struct io_uring *ring)
{
    int status = io_uring_queue_init(HARK_URING_BATCH, ring, IORING_SETUP_SUBMIT_ALL);
    return status == -EINVAL ? io_uring_queue_init(HARK_URING_BATCH, ring, 0) : status;
}

static bool can_send(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (probe == NULL) {
        return false;
    }
    bool can = io_uring_opcode_supported(probe, IORING_OP_SEND) != 0 &&
               io_uring_opcode_supported(probe, IORING_OP_SENDMSG) != 0;
    io_uring_free_probe(probe);
    return can;
}

static unsigned reap(struct hark_uring *uring)
{
    struct io_uring_cqe *cqe = NULL;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&uring->ring, head, cqe)
    {
        uring->results[cqe->user_data] = cqe->res;
        count++;
    }
    io_uring_cq_advance(&uring->ring, count);
    return count;
}

// Requests are taken in order: one that was taken and has no result may or may not have sent, which
// only ending its stream answers. Those behind it were never tried.
static void give_up(struct hark_uring *uring)
{
    unsigned taken = uring->count - io_uring_sq_ready(&uring->ring);
    for (unsigned i = 0; i < taken; i++) {
        if (uring->results[i] == HARK_URING_UNSENT) {
            uring->results[i] = -EIO;
        }
    }
}

#else

struct hark_uring *hark_uring_new(void)
{
    return NULL;
}

void hark_uring_free(struct hark_uring *uring)
{
    (void)uring; // there is none
}

struct iovec *hark_uring_room(struct hark_uring *uring, size_t *ret_room)
{
    (void)uring;
    (void)ret_room;
    return NULL;
}

void hark_uring_add(struct hark_uring *uring, int fd, size_t pieces)
{
    (void)uring;
    (void)fd;
    (void)pieces;
}

bool hark_uring_run(struct hark_uring *uring, const int **ret_results)
{
    (void)uring;
    (void)ret_results;
    return false;
}

#endif
