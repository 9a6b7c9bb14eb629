// SPDX-License-Identifier: MIT
//
// A connection of the bare reference, from the accepted descriptor to its end. It reads just enough
// of HTTP and WebSocket to serve the load honestly: whole heads, real accept keys, unmasking, ping,
// close; a message must come in one frame.
#include "conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fanout.h"
#include "wire.h"

static void read_socket(struct bench_server *server, struct bench_conn *conn);
static size_t
read_request(struct bench_server *server, struct bench_conn *conn, const char *bytes, size_t size);
static bool
route(struct bench_server *server, struct bench_conn *conn, const char *path, bool upgrade);
static bool
answer(struct bench_server *server, struct bench_conn *conn, const char *key, size_t key_size);
static size_t
read_frames(struct bench_server *server, struct bench_conn *conn, uint8_t *bytes, size_t size);
static size_t on_frame(struct bench_server *server,
                       struct bench_conn *conn,
                       const struct bench_frame *frame,
                       uint8_t *payload,
                       size_t reply_size);
static void refuse(struct bench_server *server, struct bench_conn *conn, const char *status);
static void write_out(struct bench_server *server, struct bench_conn *conn);
static void watch(struct bench_server *server, struct bench_conn *conn, uint32_t events);

bool bench_conn_open(struct bench_server *server, int fd)
{
    struct bench_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        (void)close(fd);
        return false;
    }
    conn->fd = fd;

    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        (void)close(fd);
        free(conn);
        return false;
    }
    return true; // NOLINT(clang-analyzer-unix.Malloc): the epoll set holds the connection
}

void bench_conn_on_event(struct bench_server *server, struct bench_conn *conn, uint32_t events)
{
    if (!conn->closed && (events & EPOLLOUT) != 0) {
        write_out(server, conn);
    }
    if (!conn->closed && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read_socket(server, conn);
    }
}

static void read_socket(struct bench_server *server, struct bench_conn *conn)
{
    uint8_t *bytes = server->scratch;
    size_t size = conn->in_size;
    if (size > 0) {
        memcpy(bytes, conn->in, size);
    }
    ssize_t got = recv(conn->fd, bytes + size, BENCH_RECV, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            bench_conn_close(server, conn);
        }
        return;
    }
    size += (size_t)got;

    size_t used = 0;
    if (conn->role == BENCH_ROLE_HEAD) {
        used = read_request(server, conn, (const char *)bytes, size);
    }
    if (conn->role == BENCH_ROLE_SSE) {
        used = size; // an event stream's client has nothing to say
    } else if (conn->role != BENCH_ROLE_HEAD && !conn->closed) {
        used += read_frames(server, conn, bytes + used, size - used);
    }
    free(conn->in);
    conn->in = NULL;
    conn->in_size = 0;
    if (conn->closed || used == size) {
        return;
    }
    conn->in = malloc(size - used);
    if (conn->in == NULL || size - used > BENCH_SCRATCH - BENCH_RECV) {
        bench_conn_close(server, conn);
        return;
    }
    memcpy(conn->in, bytes + used, size - used);
    conn->in_size = (uint32_t)(size - used);
}

// Bytes of the request's head, 0 while it is not whole.
static size_t
read_request(struct bench_server *server, struct bench_conn *conn, const char *bytes, size_t size)
{
    size_t head = bench_wire_head(bytes, size);
    if (head == 0) {
        if (size > BENCH_HTTP_HEAD_MAX) {
            refuse(server, conn, "431 Request Header Fields Too Large");
        }
        return 0;
    }
    char path[64];
    if (sscanf(bytes, "GET %63s HTTP/1.1", path) != 1) {
        refuse(server, conn, "400 Bad Request");
        return head;
    }
    size_t key_size = 0;
    size_t unused = 0;
    const char *key = bench_wire_field(bytes, head, "Sec-WebSocket-Key:", &key_size);
    const char *wanted = bench_wire_field(bytes, head, "Upgrade:", &unused);
    bool upgrade = key != NULL && wanted != NULL;

    if (!route(server, conn, path, upgrade)) {
        refuse(server, conn, "404 Not Found");
    } else if (!answer(server, conn, upgrade ? key : NULL, key_size)) {
        bench_conn_close(server, conn);
    }
    return head;
}

static bool
route(struct bench_server *server, struct bench_conn *conn, const char *path, bool upgrade)
{
    if (strcmp(path, "/echo") == 0 && upgrade) {
        conn->role = BENCH_ROLE_ECHO;
        return true;
    }
    bool publisher = strncmp(path, "/pub/", 5) == 0;
    if (!publisher && strncmp(path, "/ch/", 4) != 0) {
        return false;
    }
    char *end = NULL;
    const char *number = path + (publisher ? 5 : 4);
    unsigned long parsed = strtoul(number, &end, 10);
    struct bench_channel *channel = bench_fanout_channel(server->fanout, parsed);
    if (end == number || *end != '\0' || channel == NULL || (publisher && !upgrade)) {
        return false;
    }
    if (publisher) {
        conn->role = BENCH_ROLE_PUBLISHER;
        conn->channel = channel;
        return true;
    }
    conn->role = upgrade ? BENCH_ROLE_WS : BENCH_ROLE_SSE;
    conn->channel = bench_fanout_join(channel, conn) ? channel : NULL;
    return conn->channel != NULL;
}

static bool
answer(struct bench_server *server, struct bench_conn *conn, const char *key, size_t key_size)
{
    char accept[BENCH_WS_ACCEPT_MAX];
    char text[256];
    int size;
    if (key == NULL) {
        size = snprintf(text, sizeof(text),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    } else if (bench_wire_accept(key, key_size, accept)) {
        size = snprintf(text, sizeof(text),
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                        accept);
    } else {
        return false;
    }
    bench_conn_send(server, conn, (const uint8_t *)text, (size_t)size);
    return true;
}

static size_t
read_frames(struct bench_server *server, struct bench_conn *conn, uint8_t *bytes, size_t size)
{
    struct bench_frame frame;
    size_t used = 0;
    size_t reply = 0;
    while (!conn->closed) {
        int status = bench_wire_parse(bytes + used, size - used, &frame);
        if (status < 0 || (status > 0 && (!frame.masked || frame.length > BENCH_RECV))) {
            bench_conn_close(server, conn);
            break;
        }
        if (status == 0 || size - used - frame.head < frame.length) {
            break;
        }
        uint8_t *payload = bytes + used + frame.head;
        bench_wire_mask(payload, (size_t)frame.length, frame.mask);
        reply = on_frame(server, conn, &frame, payload, reply);
        used += frame.head + (size_t)frame.length;
    }
    if (reply > 0) {
        bench_conn_send(server, conn, server->reply, reply);
    }
    return used;
}

// Returns the size of the reply gathered so far: one write for all frames of one read. Server heads
// are never longer than the client's, so the reply of one scratch fits into another.
static size_t on_frame(struct bench_server *server,
                       struct bench_conn *conn,
                       const struct bench_frame *frame,
                       uint8_t *payload,
                       size_t reply_size)
{
    size_t size = (size_t)frame->length;
    uint8_t opcode = frame->opcode;
    if (opcode == BENCH_WS_PONG) {
        return reply_size;
    }
    if (opcode == BENCH_WS_CLOSE) {
        bench_conn_close(server, conn);
        return reply_size;
    }
    if (opcode == BENCH_WS_PING) {
        opcode = BENCH_WS_PONG;
    } else if (conn->role == BENCH_ROLE_PUBLISHER) {
        bench_fanout_publish(server->fanout, conn->channel, payload, size, opcode);
        return reply_size;
    } else if (conn->role != BENCH_ROLE_ECHO) {
        return reply_size; // a subscriber's messages go nowhere
    }
    uint8_t *out = server->reply + reply_size;
    size_t head = bench_wire_frame(out, opcode, size, NULL);
    memcpy(out + head, payload, size);
    return reply_size + head + size;
}

static void refuse(struct bench_server *server, struct bench_conn *conn, const char *status)
{
    char text[128];
    int size = snprintf(text, sizeof(text),
                        "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    bench_conn_send(server, conn, (const uint8_t *)text, (size_t)size);
    bench_conn_close(server, conn);
}

void bench_conn_send(struct bench_server *server,
                     struct bench_conn *conn,
                     const uint8_t *bytes,
                     size_t size)
{
    if (conn->closed) {
        return;
    }
    size_t done = 0;
    if (conn->out_size == 0) {
        ssize_t sent = send(conn->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            bench_conn_close(server, conn);
            return;
        }
        done = sent < 0 ? 0 : (size_t)sent;
    }
    if (done < size) {
        bench_conn_keep(server, conn, bytes + done, size - done);
    }
}

void bench_conn_keep(struct bench_server *server,
                     struct bench_conn *conn,
                     const uint8_t *bytes,
                     size_t size)
{
    if (conn->closed) {
        return;
    }
    uint8_t *out = NULL;
    if (size <= BENCH_OUT_MAX - conn->out_size) {
        out = realloc(conn->out, conn->out_size + size);
    }
    if (out == NULL) {
        bench_conn_close(server, conn);
        return;
    }
    memcpy(out + conn->out_size, bytes, size);
    bool was_empty = conn->out_size == 0;
    conn->out = out;
    conn->out_size += (uint32_t)size;
    if (was_empty) {
        watch(server, conn, EPOLLIN | EPOLLOUT);
    }
}

static void write_out(struct bench_server *server, struct bench_conn *conn)
{
    if (conn->out_size == 0) {
        return;
    }
    ssize_t sent = send(conn->fd, conn->out, conn->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            bench_conn_close(server, conn);
        }
        return;
    }
    conn->out_size -= (uint32_t)sent;
    if (conn->out_size > 0) {
        memmove(conn->out, conn->out + sent, conn->out_size);
        return;
    }
    free(conn->out);
    conn->out = NULL;
    watch(server, conn, EPOLLIN);
}

static void watch(struct bench_server *server, struct bench_conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, conn->fd, &event) != 0) {
        bench_conn_close(server, conn);
    }
}

void bench_conn_close(struct bench_server *server, struct bench_conn *conn)
{
    if (conn->closed) {
        return;
    }
    conn->closed = true;
    conn->next_closed = server->closed;
    server->closed = conn;
}

void bench_conn_free_closed(struct bench_server *server)
{
    while (server->closed != NULL) {
        struct bench_conn *conn = server->closed;
        server->closed = conn->next_closed;
        if (conn->channel != NULL && conn->role != BENCH_ROLE_PUBLISHER) {
            bench_fanout_leave(conn->channel, conn);
        }
        (void)close(conn->fd);
        free(conn->in);
        free(conn->out);
        free(conn);
    }
}
