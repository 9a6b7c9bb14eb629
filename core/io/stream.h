// SPDX-License-Identifier: MIT
//
// A connected byte stream on a socket: readiness by uv_poll_t, our own recv and batched send,
// output as a queue of shared chunks. Whoever currently owns the stream (HTTP/1.1 connection,
// WebSocket or SSE transport) receives its events; ownership can be passed on at any time by
// hark_stream_own. Nothing is written at once: output leaves in the loop's end-of-tick flush, whole
// queue per socket.
#ifndef HARK_IO_STREAM_H
#define HARK_IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/chunk.h"
#include "base/slice.h"
#include "io/loop.h"

struct hark_stream;

struct hark_stream_ops {
    // Bytes arrived: borrowed (the loop's shared 64 KiB buffer) until return. The owner may close,
    // stop reading or pass on the stream inside.
    void (*read)(void *owner, struct hark_slice data);
    // The peer will send nothing more (FIN). Output still works. Behind all its bytes, so while the
    // owner does not read it comes only if there are none left to read.
    void (*end)(void *owner);
    // The queue, which the kernel had refused to take in full, is empty again.
    void (*drained)(void *owner);
    // Last event: the stream is gone (status 0 after hark_stream_close, else HARK_E*: EIO for a
    // reset). Comes from the loop, never inside a call of this header; the pointer is dead
    // afterwards.
    void (*closed)(void *owner, int status);
};

// Takes the fd on success (made non-blocking, TCP_NODELAY set). Reading starts stopped.
HARK_MUSTCHECK int hark_stream_open(struct hark_loop *loop,
                                    int fd,
                                    const struct hark_stream_ops *ops,
                                    void *owner,
                                    struct hark_stream **ret);
void hark_stream_own(struct hark_stream *stream, const struct hark_stream_ops *ops, void *owner);

void hark_stream_read_start(struct hark_stream *stream); // idempotent
void hark_stream_read_stop(
    struct hark_stream *stream); // idempotent; no read event after it returns

// Appends one chunk (the stream takes its own reference). 0; ECLOSED after close or when the peer
// is gone; ENOMEM. Never fails for size: the caller bounds the queue by hark_stream_queued.
HARK_MUSTCHECK int hark_stream_send(struct hark_stream *stream, struct hark_chunk *chunk);
// As send, copying `data` into a chunk of its own.
HARK_MUSTCHECK int hark_stream_write(struct hark_stream *stream, struct hark_slice data);

size_t hark_stream_queued(const struct hark_stream *stream); // bytes not yet taken by the kernel
// The kernel has refused bytes and `drained` is still to come: new broadcast output should wait.
bool hark_stream_is_congested(const struct hark_stream *stream);

// Sends what is queued, then FIN; the owner still gets read/end; closes by itself when the peer has
// finished too, or after linger_ms. Further sends give ECLOSED.
void hark_stream_finish(struct hark_stream *stream, uint64_t linger_ms);
// Drops queued output and closes; `reset` sends RST instead of FIN. `closed` follows from the loop.
void hark_stream_close(struct hark_stream *stream, bool reset);

// Takes the socket out of this loop, to be opened on another worker's: *ret_fd is the caller's.
// Only with an empty queue (else EAGAIN). No event follows, the stream frees itself.
HARK_MUSTCHECK int hark_stream_detach(struct hark_stream *stream, int *ret_fd);

// Peer address, filled at open. Port in host order; 0 for a Unix socket.
struct hark_peer {
    uint8_t family;      // 0 Unix, 4, 6
    uint8_t address[16]; // 4 or 16 bytes used
    uint16_t port;
};
struct hark_peer hark_stream_peer(const struct hark_stream *stream); // getpeername, not stored
#define HARK_PEER_TEXT_MAX 48
// The address as text ("unix" for a Unix socket), NUL behind it; returns its length.
size_t hark_peer_text(const struct hark_peer *peer, char *out);

struct hark_loop *hark_stream_loop(const struct hark_stream *stream);

#endif
