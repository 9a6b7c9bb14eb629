// SPDX-License-Identifier: MIT
//
// Answers to polls. Each carries the position behind it as ETag; in a batch each item carries its
// own.
#include "transport/poll_answer.h"

#include "base/codec.h"
#include "base/utf8.h"
#include "hark.h"
#include "session/backlog.h"
#include "session/outbox.h"
#include "session/place.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/etag.h"
#include "transport/wire.h"

#define BATCH_BYTES ((size_t)1 << 20) // of one answer, but at least one message
#define ANSWER_MAX  ((size_t)1 << 30)
#define TAG_MAX     (HARK_TRANSPORT_ID_MAX + 256)
#define GAP_MAX     8192

// The client's position while an answer is put together: the session's own sequence, and channels.
struct stand {
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places places;
};

struct answer {
    struct hark_exchange *exchange;
    struct hark_session *session;
    int status;
    struct hark_slice type;
    struct hark_slice event;
    struct hark_slice gap;
    struct hark_slice body;
};

static void stand_init(struct stand *stand, const struct hark_session *session);
static void stand_pass(struct stand *stand, const struct hark_msg *msg);
static void answer_one(struct answer *answer, struct stand *stand);
static struct hark_slice type_of(const struct hark_msg *msg);
static int put_ascii(struct hark_buf *buf, struct hark_slice json);
static void answer_batch(struct answer *answer, struct stand *stand);
static int put_item(struct hark_buf *buf, struct stand *stand, const struct hark_msg *msg);
static void respond(const struct answer *answer, const struct stand *stand);

void hark_poll_answer(struct hark_exchange *exchange, struct hark_session *session)
{
    struct stand stand;
    struct answer answer = {.exchange = exchange, .session = session, .status = 200};
    stand_init(&stand, session);
    if (hark_session_policy(session)->poll_batch <= 1) {
        answer_one(&answer, &stand);
    } else {
        answer_batch(&answer, &stand);
    }
}

void hark_poll_answer_empty(struct hark_exchange *exchange, struct hark_session *session)
{
    struct stand stand;
    const struct answer answer = {.exchange = exchange, .session = session, .status = 204};
    stand_init(&stand, session);
    respond(&answer, &stand);
}

static void stand_init(struct stand *stand, const struct hark_session *session)
{
    hark_places_init_fixed(&stand->places, stand->room, HARK_PLACES_MAX);
    const struct hark_place own = hark_backlog_sequence(session);
    if (own.position.epoch != 0) {
        (void)hark_places_set(&stand->places, own.channel,
                              own.position); // the first: there is room
    }
    hark_backlog_places(session, &stand->places);
}

static void stand_pass(struct stand *stand, const struct hark_msg *msg)
{
    hark_outbox_pass(&stand->places, msg);
    struct hark_place *own = hark_places_find(&stand->places, 0);
    if (own != NULL) {
        own->position.offset++;
    }
}

static void answer_one(struct answer *answer, struct stand *stand)
{
    const struct hark_msg *msg = hark_backlog_at(answer->session, 0);
    stand_pass(stand, msg);
    struct hark_buf gap;
    hark_buf_init(&gap, GAP_MAX);
    answer->type = type_of(msg);
    answer->event = msg->event;
    answer->body = msg->payload;
    bool is_gap =
        (msg->flags & HARK_MSG_NOTICE) != 0 && hark_slice_is(msg->event, HARK_LIT("hark.gap"));
    if (is_gap && put_ascii(&gap, msg->payload) == 0) {
        answer->gap = hark_buf_slice(&gap);
    }
    respond(answer, stand);
    hark_buf_deinit(&gap);
}

static struct hark_slice type_of(const struct hark_msg *msg)
{
    if ((msg->flags & HARK_MSG_BINARY) != 0) {
        return HARK_LIT("application/octet-stream");
    }
    bool is_json = (msg->flags & (HARK_MSG_JSON | HARK_MSG_NOTICE)) != 0;
    return is_json ? HARK_LIT("application/json") : HARK_LIT("text/plain; charset=utf-8");
}

// JSON for a header: characters beyond ASCII, which stand in strings only, as \u escapes.
static int put_ascii(struct hark_buf *buf, struct hark_slice json)
{
    int status = 0;
    while (json.len > 0 && status == 0) {
        bool is_valid = false;
        size_t len = hark_utf8_next(json, &is_valid);
        uint32_t c = (uint8_t)json.ptr[0];
        if (len > 1 && is_valid) {
            c &= 0x7FU >> len;
            for (size_t i = 1; i < len; i++) {
                c = c << 6 | ((uint8_t)json.ptr[i] & 0x3F);
            }
        }
        if (c < 0x80) {
            status = hark_buf_append_char(buf, (char)c);
        } else if (c < 0x10000) {
            status = hark_buf_printf(buf, "\\u%04x", (unsigned)c);
        } else {
            c -= 0x10000;
            status = hark_buf_printf(buf, "\\u%04x\\u%04x", (unsigned)(0xD800 + (c >> 10)),
                                     (unsigned)(0xDC00 + (c & 0x3FF)));
        }
        json = hark_slice_from(json, len);
    }
    return status;
}

static void answer_batch(struct answer *answer, struct stand *stand)
{
    struct hark_buf body;
    hark_buf_init(&body, ANSWER_MAX);
    size_t count = hark_backlog_count(answer->session);
    uint32_t batch = hark_session_policy(answer->session)->poll_batch;
    size_t used = 0;
    int status = hark_buf_append_char(&body, '[');
    while (status == 0 && used < count && used < batch && hark_buf_len(&body) < BATCH_BYTES) {
        status = used > 0 ? hark_buf_append_char(&body, ',') : 0;
        if (status == 0) {
            status = put_item(&body, stand, hark_backlog_at(answer->session, used));
        }
        used++;
    }
    status = status == 0 ? hark_buf_append_char(&body, ']') : status;
    if (status == 0) {
        answer->type = HARK_LIT("application/vnd.hark.batch+json");
        answer->body = hark_buf_slice(&body);
        respond(answer, stand);
    } else {
        hark_exchange_refuse(answer->exchange, 503, HARK_LIT("busy")); // nothing has been let go
    }
    hark_buf_deinit(&body);
}

static int put_item(struct hark_buf *buf, struct stand *stand, const struct hark_msg *msg)
{
    char id[HARK_TRANSPORT_ID_MAX];
    stand_pass(stand, msg);
    size_t id_len = hark_wire_cursor(&stand->places, id);
    int status = hark_wire_item_prefix(buf, hark_slice(id, id_len), 0);
    return status == 0 ? hark_wire_envelope_body(buf, msg) : status;
}

static void respond(const struct answer *answer, const struct stand *stand)
{
    char cursor[HARK_TRANSPORT_ID_MAX];
    struct hark_slice session_id = hark_session_id(answer->session);
    size_t cursor_len = hark_wire_cursor(&stand->places, cursor);
    struct hark_buf tag;
    hark_buf_init(&tag, TAG_MAX);
    if (hark_etag_encode(&tag, session_id, hark_slice(cursor, cursor_len)) != 0) {
        hark_exchange_refuse(answer->exchange, 503, HARK_LIT("busy"));
        hark_buf_deinit(&tag);
        return;
    }
    // A field without a value is left out by whoever writes the head.
    const struct hark_header headers[] = {
        {HARK_LIT("Content-Type"), answer->type}, {HARK_LIT("Cache-Control"), HARK_LIT("no-store")},
        {HARK_LIT("ETag"), hark_buf_slice(&tag)}, {HARK_LIT("Hark-Session"), session_id},
        {HARK_LIT("Hark-Event"), answer->event},  {HARK_LIT("Hark-Gap"), answer->gap},
    };
    const struct hark_response response = {
        .status = answer->status,
        .headers = headers,
        .header_count = HARK_ARRAY_LEN(headers),
        .body = answer->body,
    };
    hark_exchange_respond(answer->exchange, &response);
    hark_buf_deinit(&tag);
}
