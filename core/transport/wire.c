// SPDX-License-Identifier: MIT
//
// Messages as bytes.
#include "transport/wire.h"

#include <stdio.h>

#include "base/codec.h"
#include "base/utf8.h"
#include "hark.h"
#include "proto/cursor.h"
#include "proto/envelope.h"
#include "proto/sse.h"
#include "proto/ws_frame.h"
#include "session/transport.h"

#define OPEN_DATA_MAX 160 // an id of 128 characters

_Static_assert(HARK_CURSOR_TEXT_MAX <= HARK_TRANSPORT_ID_MAX, "the longest cursor has room");
_Static_assert(HARK_CURSOR_MAX == HARK_PLACES_MAX, "a cursor holds all places");

static int put_frame_head(struct hark_buf *buf, size_t payload_len);
static int put_notice(struct hark_buf *buf, const struct hark_msg *msg);
static enum hark_envelope_data kind_of(const struct hark_msg *msg);

size_t hark_wire_cursor(const struct hark_places *places, char *out)
{
    struct hark_cursor_entry entries[HARK_CURSOR_MAX];
    for (uint32_t i = 0; i < places->count; i++) {
        const struct hark_place *place = &places->list[i];
        entries[i] = (struct hark_cursor_entry){place->channel, place->position.epoch,
                                                place->position.offset};
    }
    return hark_cursor_encode(entries, places->count, out);
}

int hark_wire_frame(struct hark_buf *buf, const struct hark_msg *msg)
{
    if ((msg->flags & HARK_MSG_NOTICE) != 0) {
        return put_notice(buf, msg);
    }
    bool is_text = (msg->flags & HARK_MSG_BINARY) == 0 && hark_utf8_is_valid(msg->payload);
    return hark_ws_frame_encode(buf, is_text ? HARK_WS_TEXT : HARK_WS_BINARY, msg->payload);
}

int hark_wire_envelope_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len)
{
    int status = put_frame_head(buf, hark_envelope_head_len(id.len) + body_len);
    return status == 0 ? hark_envelope_head(buf, id) : status;
}

int hark_wire_envelope_body(struct hark_buf *buf, const struct hark_msg *msg)
{
    return hark_envelope_tail(buf, msg->event, msg->payload, kind_of(msg));
}

int hark_wire_open(struct hark_buf *buf, struct hark_slice id, struct hark_slice session)
{
    char data[OPEN_DATA_MAX];
    int len = snprintf(data, sizeof(data), "{\"session\":\"%.*s\"}", (int)session.len, session.ptr);
    struct hark_msg msg = {
        .flags = HARK_MSG_NOTICE,
        .event = HARK_LIT("hark.open"),
        .payload = hark_slice(data, len > 0 ? (size_t)len : 0),
    };
    struct hark_buf body;
    hark_buf_init(&body, sizeof(data) + 64);
    int status = hark_wire_envelope_body(&body, &msg);
    if (status == 0) {
        status = hark_wire_envelope_prefix(buf, id, hark_buf_len(&body));
    }
    if (status == 0) {
        status = hark_buf_append_slice(buf, hark_buf_slice(&body));
    }
    hark_buf_deinit(&body);
    return status;
}

int hark_wire_item_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len)
{
    (void)body_len; // an object needs no length in front
    return hark_envelope_head(buf, id);
}

int hark_wire_sse_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len)
{
    (void)body_len; // nor does a block
    return id.len == 0 ? 0 : hark_sse_id(buf, id);
}

int hark_wire_sse_body(struct hark_buf *buf, const struct hark_msg *msg)
{
    if ((msg->flags & HARK_MSG_BINARY) == 0) {
        return hark_sse_body(buf, msg->event, msg->payload);
    }
    struct hark_buf text;
    hark_buf_init(&text, SIZE_MAX / 2);
    int status = hark_codec_base64(&text, msg->payload);
    if (status == 0) {
        status = hark_sse_body(buf, msg->event, hark_buf_slice(&text));
    }
    hark_buf_deinit(&text);
    return status;
}

static int put_frame_head(struct hark_buf *buf, size_t payload_len)
{
    char head[HARK_WS_HEAD_MAX];
    size_t len = hark_ws_frame_head(head, HARK_WS_TEXT, payload_len);
    return hark_buf_append(buf, head, len);
}

static int put_notice(struct hark_buf *buf, const struct hark_msg *msg)
{
    struct hark_buf object;
    hark_buf_init(&object, SIZE_MAX / 2);
    int status = hark_envelope_head(&object, HARK_SLICE_NONE);
    if (status == 0) {
        status = hark_wire_envelope_body(&object, msg);
    }
    if (status == 0) {
        status = hark_ws_frame_encode(buf, HARK_WS_TEXT, hark_buf_slice(&object));
    }
    hark_buf_deinit(&object);
    return status;
}

static enum hark_envelope_data kind_of(const struct hark_msg *msg)
{
    if ((msg->flags & HARK_MSG_BINARY) != 0) {
        return HARK_ENVELOPE_BINARY;
    }
    bool is_json = (msg->flags & (HARK_MSG_JSON | HARK_MSG_NOTICE)) != 0;
    return is_json ? HARK_ENVELOPE_JSON : HARK_ENVELOPE_TEXT;
}
