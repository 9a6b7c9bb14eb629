// SPDX-License-Identifier: MIT
//
// Decoders of what a server sends. They are strict where a lax one would hide a lost or damaged
// message: reserved bits, masked frames, fragments (no server here needs them) and chunk sizes.
#include "decode.h"

#include <stdbool.h>
#include <string.h>

#include "wire.h"

static ptrdiff_t decode_frames(struct bench_clients *clients,
                               struct bench_client *client,
                               uint8_t *bytes,
                               size_t size,
                               const char **ret_why);
static ptrdiff_t decode_blocks(struct bench_clients *clients,
                               struct bench_client *client,
                               const char *bytes,
                               size_t size);
static ptrdiff_t unchunk(struct bench_client *client, uint8_t *bytes, size_t size);

ptrdiff_t bench_decode(struct bench_clients *clients,
                       struct bench_client *client,
                       uint8_t *bytes,
                       size_t old,
                       size_t size,
                       const char **ret_why)
{
    ptrdiff_t used;
    if (client->kind == BENCH_KIND_WS) {
        used = decode_frames(clients, client, bytes, size, ret_why);
    } else {
        if (client->chunk != BENCH_CHUNK_NONE) {
            ptrdiff_t fresh = unchunk(client, bytes + old, size - old);
            if (fresh < 0) {
                *ret_why = "end of stream, or broken chunk";
                return -1;
            }
            size = old + (size_t)fresh;
        }
        used = decode_blocks(clients, client, (const char *)bytes, size);
    }
    if (used > 0) {
        memmove(bytes, bytes + used, size - (size_t)used);
    }
    return used < 0 ? -1 : (ptrdiff_t)size - used;
}

static void pong(struct bench_clients *clients,
                 struct bench_client *client,
                 const uint8_t *payload,
                 size_t size)
{
    static const uint8_t mask[4] = {0x5a, 0xa5, 0x5a, 0xa5};
    uint8_t frame[BENCH_WS_HEAD_MAX + 125];
    size_t head = bench_wire_frame(frame, BENCH_WS_PONG, size, mask);
    memcpy(frame + head, payload, size);
    bench_wire_mask(frame + head, size, mask);
    bench_client_send(clients, client, frame, head + size);
}

static ptrdiff_t decode_frames(struct bench_clients *clients,
                               struct bench_client *client,
                               uint8_t *bytes,
                               size_t size,
                               const char **ret_why)
{
    struct bench_frame frame;
    size_t used = 0;
    while (client->state == BENCH_CLIENT_OPEN) {
        int status = bench_wire_parse(bytes + used, size - used, &frame);
        if (status < 0 || (status > 0 && (frame.masked || !frame.fin || frame.opcode == 0))) {
            *ret_why = "bad frame: reserved bits, a mask, or a fragment";
            return -1;
        }
        if (status == 0 || size - used - frame.head < frame.length) {
            break;
        }
        const uint8_t *payload = bytes + used + frame.head;
        used += frame.head + (size_t)frame.length;
        if (frame.opcode <= BENCH_WS_BINARY) {
            clients->events->on_message(clients->owner, client, (const char *)payload,
                                        (size_t)frame.length);
        } else if (frame.opcode == BENCH_WS_PING) {
            pong(clients, client, payload, (size_t)frame.length);
        } else if (frame.opcode == BENCH_WS_CLOSE) {
            *ret_why = "closed by the server";
            return -1;
        }
    }
    return (ptrdiff_t)used;
}

static bool read_digit(uint8_t c, unsigned *ret_digit)
{
    unsigned low = c | 0x20U;
    if (c >= '0' && c <= '9') {
        *ret_digit = c - (unsigned)'0';
        return true;
    }
    *ret_digit = low - 'a' + 10U;
    return low >= 'a' && low <= 'f';
}

// One byte of a chunk's size line; false: too large, or the last chunk.
static bool chunk_size(struct bench_client *client, uint8_t c)
{
    unsigned digit = 0;
    if (c == '\n') {
        client->chunk = BENCH_CHUNK_DATA;
        return client->chunk_left > 0;
    }
    if (client->chunk == BENCH_CHUNK_EXTENSION || c == '\r') {
        return true;
    }
    if (read_digit(c, &digit)) {
        client->chunk_left = client->chunk_left << 4 | digit;
    } else {
        client->chunk = BENCH_CHUNK_EXTENSION;
    }
    return client->chunk_left <= UINT32_MAX;
}

// One byte of the line end behind a chunk's data.
static bool chunk_end(struct bench_client *client, uint8_t c)
{
    if (c == '\n') {
        client->chunk = BENCH_CHUNK_SIZE;
    }
    return c == '\r' || c == '\n';
}

// Bytes of chunk data, moved together at the front; -1: broken, or the last chunk.
static ptrdiff_t unchunk(struct bench_client *client, uint8_t *bytes, size_t size)
{
    size_t to = 0;
    for (size_t from = 0; from < size;) {
        if (client->chunk == BENCH_CHUNK_DATA) {
            size_t rest = size - from;
            size_t part = rest < client->chunk_left ? rest : (size_t)client->chunk_left;
            memmove(bytes + to, bytes + from, part);
            to += part;
            from += part;
            client->chunk_left -= part;
            client->chunk = client->chunk_left > 0 ? BENCH_CHUNK_DATA : BENCH_CHUNK_END;
            continue;
        }
        uint8_t c = bytes[from++];
        if (!(client->chunk == BENCH_CHUNK_END ? chunk_end(client, c) : chunk_size(client, c))) {
            return -1;
        }
    }
    return (ptrdiff_t)to;
}

struct line {
    const char *text;
    size_t size;
    size_t next; // where the following one begins
};

// A whole line, which ends in LF or CR LF.
static bool read_line(const char *bytes, size_t size, size_t at, struct line *ret_line)
{
    const char *text = bytes + at;
    const char *end = memchr(text, '\n', size - at);
    if (end == NULL) {
        return false;
    }
    size_t length = (size_t)(end - text);
    if (length > 0 && text[length - 1] == '\r') {
        length--;
    }
    *ret_line = (struct line){.text = text, .size = length, .next = (size_t)(end - bytes) + 1};
    return true;
}

// Keeps the value of a data field; a second one makes the block foreign, since ours have one.
static void take_field(const struct line *line, struct line *data)
{
    if (line->size < 5 || memcmp(line->text, "data:", 5) != 0) {
        return;
    }
    size_t skip = line->size > 5 && line->text[5] == ' ' ? 6 : 5;
    data->size = data->text == NULL ? line->size - skip : 0;
    data->text = line->text + skip;
}

// Whole blocks only: lines up to an empty one.
static ptrdiff_t decode_blocks(struct bench_clients *clients,
                               struct bench_client *client,
                               const char *bytes,
                               size_t size)
{
    struct line line = {.next = 0};
    struct line data = {.text = NULL};
    size_t used = 0;
    while (client->state == BENCH_CLIENT_OPEN && read_line(bytes, size, line.next, &line)) {
        if (line.size > 0) {
            take_field(&line, &data);
            continue;
        }
        used = line.next;
        if (data.text != NULL) {
            clients->events->on_message(clients->owner, client, data.text, data.size);
        }
        data.text = NULL;
    }
    return (ptrdiff_t)used;
}
