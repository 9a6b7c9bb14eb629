// SPDX-License-Identifier: MIT
//
// Messages from frames. wslay's frame parser judges lengths and unmasks; around it stand what it
// leaves to its caller: reserved bits, opcodes, the order of fragments, UTF-8, and the limit, which
// must hold before the payload is read. For that each header is gathered here first, and wslay is
// handed one frame's bytes at a time, so nothing of a later frame ever waits inside it.
#include "proto/ws_reader.h"

#include <string.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "hark.h"
#include "proto/ws_frame.h"

#define HEAD_MAX       14 // a client's header: with the masking key
#define PROTOCOL_ERROR 1002
#define NOT_UTF8       1007
#define TOO_BIG        1009
#define SERVER_ERROR   1011

enum place { AT_HEAD, IN_PAYLOAD };

struct hark_ws_reader {
    wslay_frame_context_ptr frame;
    struct hark_ws_reader *next; // in the pool
    struct hark_buf message;     // what has come of a message that did not come in one piece
    struct hark_utf8 utf8;
    struct hark_slice input; // what wslay may take of the caller's bytes
    uint64_t left;           // payload of this frame still to come
    enum place place;
    uint8_t opcode;     // of this frame
    uint8_t data;       // opcode of the unfinished message; 0: none
    bool fin;           // this frame ends its message
    bool lent;          // the last event's data lies in `message`
    uint8_t head_len;   // bytes of the header gathered
    uint8_t head_given; // and handed to wslay
    uint8_t control_len;
    char head[HEAD_MAX];
    char control[HARK_WS_CONTROL_MAX];
};

struct hark_ws_reader_pool {
    struct hark_ws_reader *unused;
    size_t count;
    size_t keep;
};

static struct hark_ws_reader *reader_new(void);
static bool gather_head(struct hark_ws_reader *reader, struct hark_slice *data);
static size_t head_size(const struct hark_ws_reader *reader);
static int begin_frame(struct hark_ws_reader *reader, uint16_t *ret_code);
static uint64_t payload_size(const struct hark_ws_reader *reader);
static int judge_data_frame(struct hark_ws_reader *reader, uint64_t size, uint16_t *ret_code);
static int read_piece(struct hark_ws_reader *reader,
                      struct hark_slice *data,
                      struct hark_slice *ret_piece,
                      uint16_t *ret_code);
static ssize_t on_wanted(uint8_t *buf, size_t len, int flags, void *user_data);
static int take_control(struct hark_ws_reader *reader,
                        struct hark_slice piece,
                        struct hark_ws_event *ret_event,
                        uint16_t *ret_code);
static int take_data(struct hark_ws_reader *reader,
                     struct hark_slice piece,
                     struct hark_ws_event *ret_event,
                     uint16_t *ret_code);
static void end_loan(struct hark_ws_reader *reader);
static int fail(uint16_t code, uint16_t *ret_code);

struct hark_ws_reader_pool *hark_ws_reader_pool_new(size_t keep)
{
    struct hark_ws_reader_pool *pool = hark_mem_zalloc(sizeof(*pool));
    if (pool != NULL) {
        pool->keep = keep;
    }
    return pool;
}

void hark_ws_reader_pool_free(struct hark_ws_reader_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    while (pool->unused != NULL) {
        struct hark_ws_reader *reader = pool->unused;
        pool->unused = reader->next;
        hark_ws_reader_free(reader);
    }
    hark_mem_free(pool);
}

struct hark_ws_reader *hark_ws_reader_take(struct hark_ws_reader_pool *pool, size_t message_max)
{
    struct hark_ws_reader *reader = pool->unused;
    if (reader != NULL) {
        pool->unused = reader->next;
        pool->count--;
    } else {
        reader = reader_new();
        if (reader == NULL) {
            return NULL;
        }
    }
    reader->message.max = message_max;
    return reader;
}

void hark_ws_reader_give(struct hark_ws_reader_pool *pool, struct hark_ws_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    // wslay cannot be told to forget half a frame.
    if (!hark_ws_reader_is_idle(reader) || pool->count >= pool->keep) {
        hark_ws_reader_free(reader);
        return;
    }
    reader->next = pool->unused;
    pool->unused = reader;
    pool->count++;
}

void hark_ws_reader_free(struct hark_ws_reader *reader)
{
    if (reader != NULL) {
        hark_buf_deinit(&reader->message);
        wslay_frame_context_free(reader->frame);
        hark_mem_free(reader);
    }
}

int hark_ws_reader_next(struct hark_ws_reader *reader,
                        struct hark_slice *data,
                        struct hark_ws_event *ret_event,
                        uint16_t *ret_code)
{
    end_loan(reader);
    ret_event->kind = HARK_WS_EVENT_NONE;
    while (ret_event->kind == HARK_WS_EVENT_NONE) {
        if (reader->place == AT_HEAD) {
            if (!gather_head(reader, data)) {
                return 0;
            }
            int status = begin_frame(reader, ret_code);
            if (status != 0) {
                return status;
            }
        }
        struct hark_slice piece = HARK_SLICE_NONE;
        int status = read_piece(reader, data, &piece, ret_code);
        if (status == HARK_EAGAIN) {
            return 0;
        }
        if (status != 0) {
            return status;
        }
        status = reader->opcode >= HARK_WS_CLOSE ? take_control(reader, piece, ret_event, ret_code)
                                                 : take_data(reader, piece, ret_event, ret_code);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

bool hark_ws_reader_is_idle(struct hark_ws_reader *reader)
{
    end_loan(reader);
    return reader->place == AT_HEAD && reader->head_len == 0 && reader->data == 0;
}

static struct hark_ws_reader *reader_new(void)
{
    struct hark_ws_reader *reader = hark_mem_zalloc(sizeof(*reader));
    if (reader == NULL) {
        return NULL;
    }
    const struct wslay_frame_callbacks callbacks = {.recv_callback = on_wanted};
    if (wslay_frame_context_init(&reader->frame, &callbacks, reader) != 0) {
        hark_mem_free(reader);
        return NULL;
    }
    hark_buf_init(&reader->message, 0);
    return reader;
}

// true when the header is whole.
static bool gather_head(struct hark_ws_reader *reader, struct hark_slice *data)
{
    size_t want = head_size(reader);
    while (reader->head_len < want) {
        if (data->len == 0) {
            return false;
        }
        reader->head[reader->head_len++] = data->ptr[0];
        *data = hark_slice_from(*data, 1);
        want = head_size(reader);
    }
    return true;
}

// Size of the header as far as its first bytes tell (section 5.2). An unmasked frame is refused, so
// nothing of its header matters behind the second byte.
static size_t head_size(const struct hark_ws_reader *reader)
{
    if (reader->head_len < 2) {
        return 2;
    }
    uint8_t second = (uint8_t)reader->head[1];
    if ((second & 0x80) == 0) {
        return 2;
    }
    size_t length = second & 0x7F;
    size_t extended = length == 127 ? 8 : 0;
    extended = length == 126 ? 2 : extended;
    return 2 + extended + 4;
}

static int begin_frame(struct hark_ws_reader *reader, uint16_t *ret_code)
{
    uint8_t first = (uint8_t)reader->head[0];
    uint8_t opcode = first & 0x0F;
    bool reserved = (first & 0x70) != 0; // no extension was agreed (section 5.2)
    bool known = opcode <= HARK_WS_BINARY || (opcode >= HARK_WS_CLOSE && opcode <= HARK_WS_PONG);
    bool masked = ((uint8_t)reader->head[1] & 0x80) != 0; // section 5.1
    uint64_t size = masked ? payload_size(reader) : 0;
    if (reserved || !known || !masked || size > INT64_MAX) {
        return fail(PROTOCOL_ERROR, ret_code);
    }
    reader->opcode = opcode;
    reader->fin = (first & 0x80) != 0;
    reader->left = size;
    reader->place = IN_PAYLOAD;
    if (opcode < HARK_WS_CLOSE) {
        return judge_data_frame(reader, size, ret_code);
    }
    return 0; // wslay refuses control frames that are too long or in fragments
}

static uint64_t payload_size(const struct hark_ws_reader *reader)
{
    uint64_t length = (uint8_t)reader->head[1] & 0x7F;
    if (length < 126) {
        return length;
    }
    size_t bytes = length == 126 ? 2 : 8;
    uint64_t size = 0;
    for (size_t i = 0; i < bytes; i++) {
        size = size << 8 | (uint8_t)reader->head[2 + i];
    }
    return size;
}

// Section 5.4: fragments of one message follow each other without another message between them.
static int judge_data_frame(struct hark_ws_reader *reader, uint64_t size, uint16_t *ret_code)
{
    bool continues = reader->opcode == HARK_WS_CONTINUATION;
    if (continues == (reader->data == 0)) {
        return fail(PROTOCOL_ERROR, ret_code);
    }
    if (!continues) {
        reader->data = reader->opcode;
        hark_utf8_init(&reader->utf8);
    }
    if (size > reader->message.max - hark_buf_len(&reader->message)) {
        return fail(TOO_BIG, ret_code);
    }
    return 0;
}

// One run of unmasked payload, maybe empty. HARK_EAGAIN: the bytes are used up.
static int read_piece(struct hark_ws_reader *reader,
                      struct hark_slice *data,
                      struct hark_slice *ret_piece,
                      uint16_t *ret_code)
{
    size_t allowed = data->len < reader->left ? data->len : (size_t)reader->left;
    reader->input = hark_slice(data->ptr, allowed);
    struct wslay_frame_iocb piece;
    ssize_t got = wslay_frame_recv(reader->frame, &piece);
    *data = hark_slice_from(*data, allowed - reader->input.len);
    if (got == WSLAY_ERR_WANT_READ) {
        return HARK_EAGAIN;
    }
    if (got < 0) {
        return fail(PROTOCOL_ERROR, ret_code);
    }
    reader->left -= piece.data_length;
    if (reader->left == 0) {
        reader->place = AT_HEAD;
        reader->head_len = 0;
        reader->head_given = 0;
    }
    *ret_piece = hark_slice(piece.data, piece.data_length);
    return 0;
}

static ssize_t on_wanted(uint8_t *buf, size_t len, int flags, void *user_data)
{
    (void)flags;
    struct hark_ws_reader *reader = user_data;
    size_t head = (size_t)(reader->head_len - reader->head_given);
    head = head < len ? head : len;
    memcpy(buf, reader->head + reader->head_given, head);
    reader->head_given = (uint8_t)(reader->head_given + head);
    size_t body = reader->input.len < len - head ? reader->input.len : len - head;
    if (body > 0) {
        memcpy(buf + head, reader->input.ptr, body);
        reader->input = hark_slice_from(reader->input, body);
    }
    return head + body == 0 ? -1 : (ssize_t)(head + body);
}

static int take_control(struct hark_ws_reader *reader,
                        struct hark_slice piece,
                        struct hark_ws_event *ret_event,
                        uint16_t *ret_code)
{
    if (piece.len > sizeof(reader->control) - reader->control_len) {
        return fail(PROTOCOL_ERROR, ret_code);
    }
    if (piece.len > 0) {
        memcpy(reader->control + reader->control_len, piece.ptr, piece.len);
        reader->control_len = (uint8_t)(reader->control_len + piece.len);
    }
    if (reader->place == IN_PAYLOAD) {
        return 0;
    }
    struct hark_slice payload = hark_slice(reader->control, reader->control_len);
    reader->control_len = 0;
    if (reader->opcode != HARK_WS_CLOSE) {
        ret_event->kind = reader->opcode == HARK_WS_PING ? HARK_WS_EVENT_PING : HARK_WS_EVENT_PONG;
        ret_event->data = payload;
        return 0;
    }
    uint16_t wrong = hark_ws_frame_parse_close(payload, &ret_event->code, &ret_event->data);
    if (wrong != 0) {
        return fail(wrong, ret_code);
    }
    ret_event->kind = HARK_WS_EVENT_CLOSE;
    return 0;
}

static int take_data(struct hark_ws_reader *reader,
                     struct hark_slice piece,
                     struct hark_ws_event *ret_event,
                     uint16_t *ret_code)
{
    bool whole = reader->fin && reader->place == AT_HEAD;
    bool text = reader->data == HARK_WS_TEXT;
    if (text && !hark_utf8_feed(&reader->utf8, piece)) {
        return fail(NOT_UTF8, ret_code); // section 8.1
    }
    if (text && whole && !hark_utf8_is_complete(&reader->utf8)) {
        return fail(NOT_UTF8, ret_code);
    }
    if (!whole || hark_buf_len(&reader->message) > 0) {
        if (hark_buf_append_slice(&reader->message, piece) != 0) {
            (void)fail(SERVER_ERROR, ret_code);
            return HARK_ENOMEM; // the size was judged by the headers
        }
        piece = hark_buf_slice(&reader->message);
        reader->lent = whole;
    }
    if (whole) {
        *ret_event = (struct hark_ws_event){.kind = HARK_WS_EVENT_MESSAGE, .data = piece};
        ret_event->binary = !text;
        reader->data = 0;
    }
    return 0;
}

// The memory of a large message is not kept for the next one: readers are shared by connections.
static void end_loan(struct hark_ws_reader *reader)
{
    if (reader->lent) {
        hark_buf_deinit(&reader->message);
        reader->lent = false;
    }
}

static int fail(uint16_t code, uint16_t *ret_code)
{
    *ret_code = code;
    return HARK_EPROTO;
}
