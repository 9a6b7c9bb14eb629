// SPDX-License-Identifier: MIT
//
// Four ways to broadcast. A channel keeps its subscribers in two dense lists, by wire form, and for
// each form the block of messages of this tick with the end of every message in it.
#include "fanout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conn.h"
#include "ring.h"
#include "wire.h"

enum { FORM_WS, FORM_SSE, FORMS };

enum {
    BLOCK_MAX = 512 * 1024,
    MESSAGE_EXTRA = 32
}; // a block above that leaves before the tick ends

struct form {
    struct bench_conn **subscribers;
    size_t count;
    size_t room;
    uint8_t *block;
    size_t block_size;
    size_t block_room;
    uint32_t *ends; // of each message in the block
    size_t end_count;
    size_t end_room;
};

struct bench_channel {
    struct form forms[FORMS];
    struct bench_channel *next_dirty;
    bool dirty;
};

struct bench_fanout {
    struct bench_server *server;
    struct bench_ring *ring;
    enum bench_way way;
    struct bench_channel *dirty;
    struct bench_channel *channels[BENCH_CHANNELS_MAX];
};

static void on_short(void *owner, void *user, const uint8_t *bytes, size_t size, int result);
static bool
append(struct form *form, size_t index, const uint8_t *payload, size_t size, uint8_t opcode);
static void send_all(struct bench_fanout *fanout, struct form *form);
static void flush_round(struct bench_fanout *fanout, struct form *form, size_t message);
static void clear(struct form *form);

struct bench_fanout *bench_fanout_new(struct bench_server *server,
                                      enum bench_way way,
                                      unsigned batch,
                                      const char **ret_why)
{
    struct bench_fanout *fanout = calloc(1, sizeof(*fanout));
    if (fanout == NULL) {
        *ret_why = "no memory";
        return NULL;
    }
    fanout->server = server;
    fanout->way = way;
    if (way == BENCH_WAY_URING || way == BENCH_WAY_URING_JOIN) {
        fanout->ring = bench_ring_new(batch, on_short, server, ret_why);
        if (fanout->ring == NULL) {
            free(fanout);
            return NULL;
        }
    }
    return fanout;
}

void bench_fanout_free(struct bench_fanout *fanout)
{
    if (fanout == NULL) {
        return;
    }
    for (size_t i = 0; i < BENCH_CHANNELS_MAX; i++) {
        struct bench_channel *channel = fanout->channels[i];
        for (size_t k = 0; channel != NULL && k < FORMS; k++) {
            free(channel->forms[k].subscribers);
            free(channel->forms[k].block);
            free(channel->forms[k].ends);
        }
        free(channel);
    }
    bench_ring_free(fanout->ring);
    free(fanout);
}

struct bench_channel *bench_fanout_channel(struct bench_fanout *fanout, unsigned long number)
{
    if (number >= BENCH_CHANNELS_MAX) {
        return NULL;
    }
    if (fanout->channels[number] == NULL) {
        fanout->channels[number] = calloc(1, sizeof(struct bench_channel));
    }
    return fanout->channels[number];
}

// Room for one more item of that size, by doubling.
static bool make_room(void **items, size_t *room, size_t need, size_t item_size)
{
    if (need <= *room) {
        return true;
    }
    size_t next = *room == 0 ? 16 : *room * 2;
    while (next < need) {
        next *= 2;
    }
    void *grown = reallocarray(*items, next, item_size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *room = next;
    return true;
}

bool bench_fanout_join(struct bench_channel *channel, struct bench_conn *conn)
{
    struct form *form = &channel->forms[conn->role == BENCH_ROLE_SSE ? FORM_SSE : FORM_WS];
    void *items = form->subscribers;
    bool ok = make_room(&items, &form->room, form->count + 1, sizeof(struct bench_conn *));
    form->subscribers = items;
    if (ok) {
        conn->place = form->count;
        form->subscribers[form->count++] = conn;
    }
    return ok;
}

void bench_fanout_leave(struct bench_channel *channel, struct bench_conn *conn)
{
    struct form *form = &channel->forms[conn->role == BENCH_ROLE_SSE ? FORM_SSE : FORM_WS];
    struct bench_conn *other = form->subscribers[--form->count];

    form->subscribers[conn->place] = other;
    other->place = conn->place;
}

void bench_fanout_publish(struct bench_fanout *fanout,
                          struct bench_channel *channel,
                          const uint8_t *payload,
                          size_t size,
                          uint8_t opcode)
{
    for (size_t i = 0; i < FORMS; i++) {
        struct form *form = &channel->forms[i];
        if (form->count == 0 || !append(form, i, payload, size, opcode)) {
            continue;
        }
        if (fanout->way == BENCH_WAY_SEND) {
            send_all(fanout, form);
            clear(form);
        } else if (!channel->dirty) {
            channel->dirty = true;
            channel->next_dirty = fanout->dirty;
            fanout->dirty = channel;
        }
        if (form->block_size > BLOCK_MAX) {
            bench_fanout_flush(fanout);
        }
    }
}

static bool
append(struct form *form, size_t index, const uint8_t *payload, size_t size, uint8_t opcode)
{
    void *block = form->block;
    void *ends = form->ends;
    bool ok = make_room(&block, &form->block_room, form->block_size + size + MESSAGE_EXTRA, 1) &&
              make_room(&ends, &form->end_room, form->end_count + 1, sizeof(uint32_t));
    form->block = block;
    form->ends = ends;
    if (!ok) {
        return false;
    }
    uint8_t *out = form->block + form->block_size;
    uint8_t *end = out;
    if (index == FORM_WS) {
        end += bench_wire_frame(out, opcode, size, NULL);
        end = (uint8_t *)mempcpy(end, payload, size);
    } else {
        end = (uint8_t *)mempcpy(end, "data: ", 6);
        end = (uint8_t *)mempcpy(end, payload, size);
        end = (uint8_t *)mempcpy(end, "\n\n", 2);
    }
    form->block_size += (size_t)(end - out);
    form->ends[form->end_count++] = (uint32_t)form->block_size;
    return true;
}

// The whole block to every subscriber, by plain send().
static void send_all(struct bench_fanout *fanout, struct form *form)
{
    for (size_t i = 0; i < form->count; i++) {
        bench_conn_send(fanout->server, form->subscribers[i], form->block, form->block_size);
    }
}

void bench_fanout_flush(struct bench_fanout *fanout)
{
    // Without joining, all first messages leave before any second one: two sends of one socket in
    // the same batch could change places when the first is refused and the second is not.
    bool more = fanout->dirty != NULL;
    for (size_t message = 0; more; message++) {
        more = false;
        for (struct bench_channel *channel = fanout->dirty; channel != NULL;
             channel = channel->next_dirty) {
            for (size_t i = 0; i < FORMS; i++) {
                flush_round(fanout, &channel->forms[i], message);
                more = more || message + 1 < channel->forms[i].end_count;
            }
        }
        if (fanout->ring != NULL) {
            bench_ring_submit(fanout->ring);
        }
        more = more && fanout->way == BENCH_WAY_URING;
    }
    for (struct bench_channel *channel = fanout->dirty; channel != NULL;
         channel = channel->next_dirty) {
        channel->dirty = false;
        clear(&channel->forms[FORM_WS]);
        clear(&channel->forms[FORM_SSE]);
    }
    fanout->dirty = NULL;
}

// Message number `message` of the block, or all of it where messages are joined.
static void flush_round(struct bench_fanout *fanout, struct form *form, size_t message)
{
    if (message >= form->end_count) {
        return;
    }
    if (fanout->ring == NULL) {
        send_all(fanout, form);
        return;
    }
    size_t from = 0;
    size_t to = form->block_size;
    if (fanout->way == BENCH_WAY_URING) {
        from = message == 0 ? 0 : form->ends[message - 1];
        to = form->ends[message];
    }
    for (size_t i = 0; i < form->count; i++) {
        struct bench_conn *conn = form->subscribers[i];
        if (conn->closed) {
            continue;
        }
        if (conn->out_size > 0) {
            bench_conn_keep(fanout->server, conn, form->block + from, to - from);
        } else {
            bench_ring_send(fanout->ring, conn->fd, form->block + from, to - from, conn);
        }
    }
}

static void on_short(void *owner, void *user, const uint8_t *bytes, size_t size, int result)
{
    struct bench_server *server = owner;
    struct bench_conn *conn = user;
    if (result < 0 && result != -EAGAIN) {
        bench_conn_close(server, conn);
        return;
    }
    size_t done = result < 0 ? 0 : (size_t)result;
    bench_conn_keep(server, conn, bytes + done, size - done);
}

static void clear(struct form *form)
{
    form->block_size = 0;
    form->end_count = 0;
}
