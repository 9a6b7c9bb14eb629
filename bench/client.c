// SPDX-License-Identifier: MIT
//
// A client connection in the order of its life: connect, request, answer, messages, end. The
// upgrade is done honestly: a fresh nonce and a checked Sec-WebSocket-Accept (RFC 6455
// section 4.1).
#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "decode.h"
#include "wire.h"

static void on_connected(struct bench_clients *clients, struct bench_client *client);
static void read_socket(struct bench_clients *clients, struct bench_client *client);
static ptrdiff_t feed(struct bench_clients *clients,
                      struct bench_client *client,
                      uint8_t *bytes,
                      size_t old,
                      size_t size,
                      const char **ret_why);
static void keep_rest(struct bench_clients *clients,
                      struct bench_client *client,
                      const uint8_t *bytes,
                      size_t size);
static ptrdiff_t
read_answer(struct bench_client *client, const char *bytes, size_t size, const char **ret_why);
static void write_out(struct bench_clients *clients, struct bench_client *client);
static void shut(struct bench_clients *clients, struct bench_client *client, const char *why);

uint64_t bench_client_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

bool bench_client_start(struct bench_clients *clients, struct bench_client *client)
{
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        return false;
    }
    int one = 1;
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + client->index % clients->options->sources),
    };
    // The port is chosen by connect(), so that one port serves several (address, server) pairs.
    (void)setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    const struct sockaddr_in *server = &clients->options->server;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    if ((clients->options->sources > 1 &&
         bind(client->fd, (const struct sockaddr *)&source, sizeof(source)) != 0) ||
        (connect(client->fd, (const struct sockaddr *)server, sizeof(*server)) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(clients->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        int error = errno;
        (void)close(client->fd);
        client->fd = -1;
        errno = error;
        return false;
    }
    client->state = BENCH_CLIENT_CONNECTING;
    return true;
}

void bench_client_on_event(struct bench_clients *clients,
                           struct bench_client *client,
                           uint32_t events)
{
    if (client->state == BENCH_CLIENT_CONNECTING) {
        on_connected(clients, client);
        return;
    }
    if (client->state != BENCH_CLIENT_CLOSED && (events & EPOLLOUT) != 0) {
        write_out(clients, client);
    }
    if (client->state != BENCH_CLIENT_CLOSED && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read_socket(clients, client);
    }
}

static void watch(struct bench_clients *clients, struct bench_client *client, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(clients->epoll, EPOLL_CTL_MOD, client->fd, &event) != 0) {
        shut(clients, client, "epoll_ctl failed");
    }
}

// The path with {i} replaced by the channel's number.
static void expand(const char *path, uint32_t channel, char *out, size_t size)
{
    const char *mark = strstr(path, "{i}");
    if (mark == NULL) {
        (void)snprintf(out, size, "%s", path);
    } else {
        (void)snprintf(out, size, "%.*s%u%s", (int)(mark - path), path, channel, mark + 3);
    }
}

static void on_connected(struct bench_clients *clients, struct bench_client *client)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        shut(clients, client, strerror(error));
        return;
    }
    char path[256];
    char key[32];
    char text[1024];
    const struct bench_options *options = clients->options;
    expand(client->publisher ? options->publish : options->path, client->channel, path,
           sizeof(path));
    if (client->kind == BENCH_KIND_WS) {
        if (getrandom(client->key, sizeof(client->key), 0) != (ssize_t)sizeof(client->key)) {
            shut(clients, client, "no random bytes");
            return;
        }
        (void)EVP_EncodeBlock((unsigned char *)key, client->key, (int)sizeof(client->key));
    }
    int written =
        client->kind == BENCH_KIND_WS
            ? snprintf(
                  text, sizeof(text),
                  "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                  path, options->host, key)
            : snprintf(text, sizeof(text),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", path,
                       options->host);
    client->state = BENCH_CLIENT_UPGRADING;
    watch(clients, client, EPOLLIN);
    bench_client_send(clients, client, (const uint8_t *)text, (size_t)written);
}

static void read_socket(struct bench_clients *clients, struct bench_client *client)
{
    uint8_t *bytes = clients->scratch;
    size_t old = client->rest_size;
    if (old > 0) {
        memcpy(bytes, client->rest, old);
    }
    ssize_t got = recv(client->fd, bytes + old, BENCH_CLIENT_RECV, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        shut(clients, client, got == 0 ? "end of stream" : strerror(errno));
        return;
    }
    size_t size = old + (size_t)got;
    const char *why = "message too long";
    ptrdiff_t left = feed(clients, client, bytes, old, size, &why);
    if (left < 0 || left > BENCH_CLIENT_SCRATCH - BENCH_CLIENT_RECV) {
        shut(clients, client, why);
    } else if (client->state != BENCH_CLIENT_CLOSED) {
        keep_rest(clients, client, bytes, (size_t)left);
    }
}

// Bytes that remain undecoded, at the front of the buffer; -1: this connection is over.
static ptrdiff_t feed(struct bench_clients *clients,
                      struct bench_client *client,
                      uint8_t *bytes,
                      size_t old,
                      size_t size,
                      const char **ret_why)
{
    if (client->state == BENCH_CLIENT_UPGRADING) {
        ptrdiff_t head = read_answer(client, (const char *)bytes, size, ret_why);
        if (head <= 0) {
            return head < 0 ? -1 : (ptrdiff_t)size;
        }
        client->state = BENCH_CLIENT_OPEN;
        clients->events->on_open(clients->owner, client);
        size -= (size_t)head;
        memmove(bytes, bytes + head, size);
        old = 0;
    }
    return bench_decode(clients, client, bytes, old, size, ret_why);
}

static void keep_rest(struct bench_clients *clients,
                      struct bench_client *client,
                      const uint8_t *bytes,
                      size_t size)
{
    free(client->rest);
    client->rest = NULL;
    client->rest_size = 0;
    if (size == 0) {
        return;
    }
    client->rest = malloc(size);
    if (client->rest == NULL) {
        shut(clients, client, "no memory");
        return;
    }
    memcpy(client->rest, bytes, size);
    client->rest_size = (uint32_t)size;
}

static bool field_is(const char *head, size_t size, const char *name, const char *want)
{
    size_t value_size = 0;
    const char *value = bench_wire_field(head, size, name, &value_size);
    size_t want_size = strlen(want);
    return value != NULL && value_size >= want_size && strncasecmp(value, want, want_size) == 0;
}

// Size of the head when the server agreed, 0 when it is not whole, -1 when it did not agree.
static ptrdiff_t
read_answer(struct bench_client *client, const char *bytes, size_t size, const char **ret_why)
{
    static char why[64]; // the first line of a refusal, for the person who reads it
    size_t head = bench_wire_head(bytes, size);
    if (head == 0) {
        *ret_why = "answer's head too long";
        return size > BENCH_HTTP_HEAD_MAX ? -1 : 0;
    }
    int line = (int)((const char *)memchr(bytes, '\r', head) - bytes);
    (void)snprintf(why, sizeof(why), "answered %.*s", line < 48 ? line : 48, bytes);
    *ret_why = why;

    if (client->kind == BENCH_KIND_SSE) {
        if (head < 12 || memcmp(bytes, "HTTP/1.1 200", 12) != 0 ||
            !field_is(bytes, head, "Content-Type:", "text/event-stream")) {
            return -1;
        }
        bool chunked = field_is(bytes, head, "Transfer-Encoding:", "chunked");
        client->chunk = chunked ? BENCH_CHUNK_SIZE : BENCH_CHUNK_NONE;
        return (ptrdiff_t)head;
    }
    char key[32];
    char accept[BENCH_WS_ACCEPT_MAX];
    int key_size = EVP_EncodeBlock((unsigned char *)key, client->key, (int)sizeof(client->key));
    if (head < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
        return -1;
    }
    if (!bench_wire_accept(key, (size_t)key_size, accept) ||
        !field_is(bytes, head, "Sec-WebSocket-Accept:", accept)) {
        *ret_why = "wrong Sec-WebSocket-Accept";
        return -1;
    }
    return (ptrdiff_t)head;
}

// xorshift64*: a mask must differ from frame to frame, it need not be a secret on loopback.
static void next_mask(struct bench_clients *clients, uint8_t mask[4])
{
    uint64_t x = clients->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    clients->random = x;
    uint32_t high = (uint32_t)((x * UINT64_C(2685821657736338717)) >> 32);
    memcpy(mask, &high, 4);
}

size_t
bench_client_frame(struct bench_clients *clients, uint8_t *out, const char *body, size_t size)
{
    uint8_t mask[4];
    next_mask(clients, mask);
    size_t head = bench_wire_frame(out, BENCH_WS_TEXT, size, mask);
    memcpy(out + head, body, size);
    bench_wire_mask(out + head, size, mask);
    return head + size;
}

static void
keep(struct bench_clients *clients, struct bench_client *client, const uint8_t *bytes, size_t size)
{
    uint8_t *out = NULL;
    if (size <= BENCH_CLIENT_OUT_MAX - client->out_size) {
        out = realloc(client->out, client->out_size + size);
    }
    if (out == NULL) {
        shut(clients, client, "the server does not read what we publish");
        return;
    }
    memcpy(out + client->out_size, bytes, size);
    client->out = out;
    client->out_size += (uint32_t)size;
    watch(clients, client, EPOLLIN | EPOLLOUT);
}

void bench_client_send(struct bench_clients *clients,
                       struct bench_client *client,
                       const uint8_t *bytes,
                       size_t size)
{
    if (client->state == BENCH_CLIENT_CLOSED) {
        return;
    }
    size_t done = 0;
    if (client->out_size == 0) {
        ssize_t sent = send(client->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            shut(clients, client, strerror(errno));
            return;
        }
        done = sent < 0 ? 0 : (size_t)sent;
    }
    if (done < size) {
        keep(clients, client, bytes + done, size - done);
    }
}

static void write_out(struct bench_clients *clients, struct bench_client *client)
{
    if (client->out_size == 0) {
        return;
    }
    ssize_t sent = send(client->fd, client->out, client->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            shut(clients, client, strerror(errno));
        }
        return;
    }
    client->out_size -= (uint32_t)sent;
    if (client->out_size > 0) {
        memmove(client->out, client->out + sent, client->out_size);
    } else {
        watch(clients, client, EPOLLIN);
    }
}

static void shut(struct bench_clients *clients, struct bench_client *client, const char *why)
{
    if (client->state == BENCH_CLIENT_CLOSED) {
        return;
    }
    bench_client_free(client);
    clients->events->on_close(clients->owner, client, why);
}

void bench_client_free(struct bench_client *client)
{
    if (client->state != BENCH_CLIENT_NEW && client->state != BENCH_CLIENT_CLOSED) {
        (void)close(client->fd);
    }
    free(client->rest);
    free(client->out);
    client->rest = NULL;
    client->out = NULL;
    client->rest_size = 0;
    client->out_size = 0;
    client->fd = -1;
    client->state = BENCH_CLIENT_CLOSED;
}
