// SPDX-License-Identifier: MIT
//
// A byte stream on a connected socket. libuv only tells readiness: bytes are read here, into the
// loop's one buffer, and written by the loop's flush. The uv handle is closed asynchronously, so a
// stream's memory outlives any callback that closes it and every use of it after an upcall is a
// look at its state; its descriptor leaves epoll and is closed at once.
#include "io/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/flush.h"
#include "io/loop_inner.h"

#define READS_MAX 4 // full buffers read for one readiness event, then others have their turn

enum hark_stream_state {
    STATE_OPEN,
    STATE_FINISHING, // output still leaves, then FIN
    STATE_LINGERING, // FIN is out, waiting for the peer's
    STATE_CLOSING,   // the descriptor is gone, the closed event is to come
    STATE_DETACHED,  // the descriptor is another's, no event is to come
};

struct deadline {
    struct hark_timer timer;
    struct hark_stream *stream;
};

struct hark_stream {
    uv_poll_t poll;
    struct hark_flush_item item;
    const struct hark_stream_ops *ops;
    void *owner;
    struct deadline *deadline; // NULL before hark_stream_finish
    uint8_t state;             // enum hark_stream_state
    uint8_t interest;          // UV_* events that libuv watches for
    bool wants_read;           // the owner takes bytes
    bool has_ended;            // the peer has sent FIN
    bool has_hung_up;          // ... or more, while nobody read
    bool is_congested;         // the kernel refused bytes; watching for room
    int8_t status;             // of the closed event
};

static void set_state(struct hark_stream *stream, enum hark_stream_state state);
static bool is_live(const struct hark_stream *stream);
static void watch(struct hark_stream *stream);
static void on_ready(uv_poll_t *poll, int status, int events);
static void on_hang_up(struct hark_stream *stream);
static void on_reset(struct hark_stream *stream);
static void read_ready(struct hark_stream *stream);
static bool read_once(struct hark_stream *stream);
static void on_end(struct hark_stream *stream);
static void on_flushed(struct hark_flush_item *item);
static void on_emptied(struct hark_stream *stream);
static void send_fin(struct hark_stream *stream);
static void on_linger(struct hark_timer *timer);
static void end_stream(struct hark_stream *stream, int status, bool reset);
static void release(struct hark_stream *stream);
static void on_closed(uv_handle_t *handle);

int hark_stream_open(struct hark_loop *loop,
                     int fd,
                     const struct hark_stream_ops *ops,
                     void *owner,
                     struct hark_stream **ret)
{
    struct hark_stream *stream = hark_mem_zalloc(sizeof(*stream));
    if (stream == NULL) {
        return HARK_ENOMEM;
    }
    int status = uv_poll_init_socket(hark_loop_uv(loop), &stream->poll, fd);
    if (status != 0) {
        hark_mem_free(stream);
        return hark_loop_status(status);
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); // a Unix socket has none
    hark_flush_item_init(&stream->item, fd);
    hark_flush_report_to(hark_loop_flush(loop), on_flushed);
    stream->state = STATE_OPEN;
    hark_stream_own(stream, ops, owner);
    hark_stats_add(&hark_loop_stats(loop)->connections_open, 1);
    *ret = stream;
    return 0;
}

void hark_stream_own(struct hark_stream *stream, const struct hark_stream_ops *ops, void *owner)
{
    stream->ops = ops;
    stream->owner = owner;
}

void hark_stream_read_start(struct hark_stream *stream)
{
    stream->wants_read = true;
    if (is_live(stream) && !stream->has_ended) {
        watch(stream);
    }
}

// The descriptor stays in epoll as it is: an event that nobody wants takes it out, and a stop that
// is followed by a start before that costs nothing.
void hark_stream_read_stop(struct hark_stream *stream)
{
    stream->wants_read = false;
}

int hark_stream_send(struct hark_stream *stream, struct hark_chunk *chunk)
{
    if (HARK_UNLIKELY(stream->state != STATE_OPEN)) {
        return HARK_ECLOSED;
    }
    int status = hark_outq_push(&stream->item.out, chunk);
    if (status != 0) {
        return status;
    }
    if (!stream->is_congested && stream->item.out.bytes > 0) {
        hark_flush_add(hark_loop_flush(hark_stream_loop(stream)), &stream->item);
    }
    return 0;
}

int hark_stream_write(struct hark_stream *stream, struct hark_slice data)
{
    if (stream->state != STATE_OPEN) {
        return HARK_ECLOSED;
    }
    struct hark_chunk *chunk = hark_chunk_copy(data);
    if (chunk == NULL) {
        return HARK_ENOMEM;
    }
    int status = hark_stream_send(stream, chunk);
    hark_chunk_unref(chunk);
    return status;
}

size_t hark_stream_queued(const struct hark_stream *stream)
{
    return stream->item.out.bytes;
}

bool hark_stream_is_congested(const struct hark_stream *stream)
{
    return stream->is_congested;
}

void hark_stream_finish(struct hark_stream *stream, uint64_t linger_ms)
{
    if (stream->state != STATE_OPEN) {
        return;
    }
    struct hark_loop *loop = hark_stream_loop(stream);
    stream->deadline = hark_mem_alloc(sizeof(*stream->deadline));
    if (stream->deadline == NULL) {
        // Without a deadline a peer could keep the socket for ever.
        end_stream(stream, HARK_ENOMEM, false);
        return;
    }
    stream->deadline->stream = stream;
    hark_timer_init(&stream->deadline->timer, on_linger);
    uint64_t now = hark_loop_now_ms(loop);
    uint64_t due = linger_ms < UINT64_MAX - now ? now + linger_ms : UINT64_MAX;
    hark_wheel_arm(hark_loop_wheel(loop), &stream->deadline->timer, due);
    set_state(stream, STATE_FINISHING);
    watch(stream);
    // The report of a flush is the one place that sends FIN.
    stream->item.tell_empty = true;
    if (!stream->is_congested) {
        hark_flush_add(hark_loop_flush(loop), &stream->item);
    }
}

void hark_stream_close(struct hark_stream *stream, bool reset)
{
    if (is_live(stream)) {
        end_stream(stream, 0, reset);
    }
}

int hark_stream_detach(struct hark_stream *stream, int *ret_fd)
{
    if (stream->state != STATE_OPEN) {
        return HARK_ECLOSED;
    }
    if (stream->item.out.bytes > 0) {
        return HARK_EAGAIN;
    }
    set_state(stream, STATE_DETACHED);
    *ret_fd = stream->item.fd;
    release(stream);
    return 0;
}

struct hark_peer hark_stream_peer(const struct hark_stream *stream)
{
    struct hark_peer peer = {0};

    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } at = {.room = {0}};

    socklen_t len = sizeof(at);
    if (!is_live(stream) || getpeername(stream->item.fd, &at.any, &len) != 0) {
        return peer;
    }
    if (at.any.sa_family == AF_INET) {
        peer.family = 4;
        peer.port = ntohs(at.v4.sin_port);
        memcpy(peer.address, &at.v4.sin_addr, 4);
    } else if (at.any.sa_family == AF_INET6) {
        // A socket for both versions shows IPv4 peers as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&at.v6.sin6_addr);
        peer.family = is_mapped ? 4 : 6;
        peer.port = ntohs(at.v6.sin6_port);
        memcpy(peer.address, at.v6.sin6_addr.s6_addr + (is_mapped ? 12 : 0), is_mapped ? 4 : 16);
    }
    return peer;
}

size_t hark_peer_text(const struct hark_peer *peer, char *out)
{
    int family = peer->family == 4 ? AF_INET : AF_INET6;
    if (peer->family == 0 || inet_ntop(family, peer->address, out, HARK_PEER_TEXT_MAX) == NULL) {
        memcpy(out, "unix", sizeof("unix"));
    }
    return strlen(out);
}

struct hark_loop *hark_stream_loop(const struct hark_stream *stream)
{
    return stream->poll.loop->data;
}

static bool is_live(const struct hark_stream *stream)
{
    return stream->state < STATE_CLOSING;
}

static void set_state(struct hark_stream *stream, enum hark_stream_state state)
{
    static const uint8_t next[] = {
        [STATE_OPEN] = 1 << STATE_FINISHING | 1 << STATE_CLOSING | 1 << STATE_DETACHED,
        [STATE_FINISHING] = 1 << STATE_LINGERING | 1 << STATE_CLOSING,
        [STATE_LINGERING] = 1 << STATE_CLOSING,
        [STATE_CLOSING] = 0,
        [STATE_DETACHED] = 0,
    };
    static const char *const names[] = {"open", "finishing", "lingering", "closing", "detached"};
    assert((next[stream->state] >> state & 1) != 0);
    (void)next; // without assertions
    if (HARK_UNLIKELY(hark_log_is_on(HARK_LOG_DEBUG))) {
        HARK_LOG(HARK_LOG_DEBUG, "stream", HARK_F_INT("fd", stream->item.fd),
                 HARK_F_TEXT("from", names[stream->state]), HARK_F_TEXT("to", names[state]));
    }
    stream->state = (uint8_t)state;
}

// Tells libuv what is of interest now. While nobody reads, the peer's hanging up is: it ends a
// stream that would otherwise be held until the next send.
static void watch(struct hark_stream *stream)
{
    int interest = stream->is_congested ? UV_WRITABLE : 0;
    bool reads = stream->wants_read || stream->state != STATE_OPEN;
    if (!stream->has_ended) {
        if (reads) {
            interest |= UV_READABLE;
        } else if (!stream->has_hung_up) {
            interest |= UV_DISCONNECT;
        }
    }
    if (interest == stream->interest) {
        return;
    }
    stream->interest = (uint8_t)interest;
    // Cannot fail: no other handle of the loop watches this descriptor, open has seen to that.
    (void)uv_poll_start(&stream->poll, interest, on_ready);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct hark_stream *stream = HARK_CONTAINER_OF(poll, struct hark_stream, poll);
    if (status < 0) {
        stream->interest = 0; // libuv has stopped watching
        on_reset(stream);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        hark_flush_add(hark_loop_flush(hark_stream_loop(stream)), &stream->item);
    }
    if ((events & UV_DISCONNECT) != 0) {
        on_hang_up(stream);
    }
    if ((events & UV_READABLE) != 0) {
        read_ready(stream);
    }
    if (is_live(stream)) {
        watch(stream);
    }
}

// FIN while nobody reads: it is told when nothing lies before it, else when that has been read.
static void on_hang_up(struct hark_stream *stream)
{
    char byte = 0;
    ssize_t got = recv(stream->item.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0) {
        on_end(stream);
    } else {
        stream->has_hung_up = true;
    }
}

// EPOLLERR: the connection is broken, but what arrived before is still there to be read.
static void on_reset(struct hark_stream *stream)
{
    if (stream->wants_read && !stream->has_ended) {
        read_ready(stream);
    }
    if (!is_live(stream)) {
        return;
    }
    if (stream->wants_read && !stream->has_ended) {
        watch(stream); // more than one turn's worth: the error will be told again
    } else {
        end_stream(stream, HARK_EIO, false);
    }
}

static void read_ready(struct hark_stream *stream)
{
    int turns = READS_MAX;
    while (turns > 0 && read_once(stream)) {
        turns--;
    }
}

// true: there may be more, and it may be read at once.
static bool read_once(struct hark_stream *stream)
{
    bool is_discarding = !stream->wants_read;
    if (stream->has_ended || (is_discarding && stream->state == STATE_OPEN)) {
        return false;
    }
    char *buffer = hark_loop_buffer(hark_stream_loop(stream));
    ssize_t got = recv(stream->item.fd, buffer, HARK_LOOP_BUFFER_LEN, MSG_DONTWAIT);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            end_stream(stream, HARK_EIO, false);
        }
        return false;
    }
    if (got == 0) {
        on_end(stream);
        return false;
    }
    if (!is_discarding) {
        stream->ops->read(stream->owner, hark_slice(buffer, (size_t)got));
    }
    // A buffer that was not filled was the end of what there is: no need to hear EAGAIN.
    return got == HARK_LOOP_BUFFER_LEN && is_live(stream);
}

static void on_end(struct hark_stream *stream)
{
    stream->has_ended = true;
    stream->ops->end(stream->owner);
    if (stream->state == STATE_LINGERING) {
        end_stream(stream, 0, false);
    }
}

// The flush has sent what it could of this stream.
static void on_flushed(struct hark_flush_item *item)
{
    struct hark_stream *stream = HARK_CONTAINER_OF(item, struct hark_stream, item);
    switch (item->error) {
    case 0: on_emptied(stream); break;
    case EAGAIN:
        stream->is_congested = true;
        item->tell_empty = true;
        watch(stream);
        break;
    default: end_stream(stream, HARK_EIO, false); break;
    }
}

static void on_emptied(struct hark_stream *stream)
{
    struct hark_flush_item *item = &stream->item;
    bool was_congested = stream->is_congested;
    stream->is_congested = false;
    item->tell_empty = stream->state == STATE_FINISHING;
    watch(stream);
    if (item->out.bytes > 0) {
        // Sent by another stream's owner since: not refused, only not tried yet.
        hark_flush_add(hark_loop_flush(hark_stream_loop(stream)), item);
        return;
    }
    if (stream->state == STATE_FINISHING) {
        send_fin(stream);
        return;
    }
    if (was_congested) {
        stream->ops->drained(stream->owner);
    }
}

static void send_fin(struct hark_stream *stream)
{
    if (stream->has_ended) {
        end_stream(stream, 0, false); // closing sends FIN, and there is none to wait for
        return;
    }
    set_state(stream, STATE_LINGERING);
    if (shutdown(stream->item.fd, SHUT_WR) != 0) {
        end_stream(stream, HARK_EIO, false);
    }
}

static void on_linger(struct hark_timer *timer)
{
    struct hark_stream *stream = HARK_CONTAINER_OF(timer, struct deadline, timer)->stream;
    end_stream(stream, stream->state == STATE_LINGERING ? 0 : HARK_ETIMEOUT, false);
}

static void end_stream(struct hark_stream *stream, int status, bool reset)
{
    set_state(stream, STATE_CLOSING);
    stream->status = (int8_t)status;
    int fd = stream->item.fd;
    release(stream);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); // at worst FIN goes out
    }
    (void)close(fd); // the descriptor is gone whatever this says
}

// Lets go of everything but the memory, which waits for libuv.
static void release(struct hark_stream *stream)
{
    struct hark_loop *loop = hark_stream_loop(stream);
    hark_flush_remove(&stream->item);
    hark_outq_clear(&stream->item.out);
    if (stream->deadline != NULL) {
        hark_wheel_cancel(hark_loop_wheel(loop), &stream->deadline->timer);
        hark_mem_free(stream->deadline);
        stream->deadline = NULL;
    }
    hark_stats_sub(&hark_loop_stats(loop)->connections_open, 1);
    uv_close((uv_handle_t *)&stream->poll, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct hark_stream *stream = HARK_CONTAINER_OF(handle, struct hark_stream, poll);
    if (stream->state == STATE_CLOSING) {
        stream->ops->closed(stream->owner, stream->status);
    }
    hark_mem_free(stream);
}
