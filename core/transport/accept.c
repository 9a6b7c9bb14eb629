// SPDX-License-Identifier: MIT
//
// From requests to sessions: what a request offers and brings, and the refusals that no script
// needs to know about.
#include "transport/accept.h"

#include <string.h>

#include "hark.h"
#include "proto/cursor.h"
#include "proto/ws_handshake.h"
#include "session/epitaph.h"
#include "session/link.h"
#include "session/transport.h"
#include "transport/ending.h"
#include "transport/etag.h"
#include "transport/poll_transport.h"
#include "transport/post.h"
#include "transport/sse_transport.h"
#include "transport/ws_transport.h"
#include "transport/ws_upgrade.h"

#define RETRY_MS 1000

// Where the client stands, as it says itself.
struct brought {
    struct hark_place room[HARK_PLACES_MAX];
    struct hark_places places;
    struct hark_place sequence;
    bool has_sequence;
};

static bool wants_stream(const struct hark_request *request);
static bool is_wanted(struct hark_slice range);
static bool is_zero(struct hark_slice weight);
static bool find_cursor(const struct hark_request *request, struct hark_slice *ret_text);
static bool read_cursor(struct hark_exchange *exchange, struct brought *ret);
static bool check_handshake(struct hark_exchange *exchange, struct hark_slice *ret_key);
static bool is_buried(struct hark_exchange *exchange);
static int make_session(struct hark_exchange *exchange,
                        const struct hark_accept *accept,
                        const struct brought *brought,
                        struct hark_session **ret_session);
static int open_transport(struct hark_exchange *exchange,
                          const struct hark_accept *accept,
                          struct hark_slice key,
                          struct hark_session *session);

unsigned hark_accept_offers(const struct hark_exchange *exchange)
{
    const struct hark_request *request = hark_exchange_request(exchange);
    unsigned offers = HARK_TRANSPORT_LONGPOLL;
    if (hark_ws_handshake_check(request, NULL) != HARK_WS_HANDSHAKE_NONE) {
        offers |= HARK_TRANSPORT_WEBSOCKET;
    }
    return wants_stream(request) ? offers | HARK_TRANSPORT_SSE : offers;
}

// Accept names text/event-stream itself (RFC 9110 section 12.5.1): a wildcard does not ask for it.
static bool wants_stream(const struct hark_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        struct hark_slice list = request->headers[i].value;
        if (!hark_slice_is_nocase(request->headers[i].name, HARK_LIT("accept"))) {
            continue;
        }
        while (list.ptr != NULL) {
            if (is_wanted(hark_slice_next(&list, ','))) {
                return true;
            }
        }
    }
    return false;
}

static bool is_wanted(struct hark_slice range)
{
    struct hark_slice type = hark_slice_trim(hark_slice_next(&range, ';'));
    if (!hark_slice_is_nocase(type, HARK_LIT("text/event-stream"))) {
        return false;
    }
    while (range.ptr != NULL) {
        struct hark_slice value = hark_slice_next(&range, ';');
        struct hark_slice name = hark_slice_trim(hark_slice_next(&value, '='));
        if (hark_slice_is_nocase(name, HARK_LIT("q")) && is_zero(hark_slice_trim(value))) {
            return false;
        }
    }
    return true;
}

static bool is_zero(struct hark_slice weight)
{
    for (size_t i = 0; i < weight.len; i++) {
        if (weight.ptr[i] != '0' && weight.ptr[i] != '.') {
            return false;
        }
    }
    return weight.len > 0;
}

bool hark_accept_session_id(const struct hark_exchange *exchange, struct hark_slice *ret_id)
{
    const struct hark_request *request = hark_exchange_request(exchange);
    const struct hark_header *header = hark_request_header(request, HARK_LIT("hark-session"));
    struct hark_slice cursor = HARK_SLICE_NONE;
    if (header != NULL) {
        *ret_id = header->value;
        return true;
    }
    if (hark_request_query(request, HARK_LIT("session"), ret_id)) {
        return true;
    }
    bool is_get = hark_slice_is(request->method, HARK_LIT("GET"));
    return is_get &&
           hark_etag_parse(hark_request_value(request, HARK_LIT("if-none-match")), ret_id, &cursor);
}

// Query before headers; an empty one is none.
static bool find_cursor(const struct hark_request *request, struct hark_slice *ret_text)
{
    struct hark_slice text = HARK_SLICE_NONE;
    struct hark_slice session = HARK_SLICE_NONE;
    if (hark_request_query(request, HARK_LIT("cursor"), &text) && text.len > 0) {
        *ret_text = text;
        return true;
    }
    text = hark_request_value(request, HARK_LIT("last-event-id"));
    if (text.len > 0) {
        *ret_text = text;
        return true;
    }
    return hark_etag_parse(hark_request_value(request, HARK_LIT("if-none-match")), &session,
                           ret_text);
}

// false: it was garbage, and has been refused.
static bool read_cursor(struct hark_exchange *exchange, struct brought *ret)
{
    struct hark_cursor_entry entries[HARK_CURSOR_MAX];
    struct hark_slice text = HARK_SLICE_NONE;
    size_t count = 0;
    hark_places_init_fixed(&ret->places, ret->room, HARK_PLACES_MAX);
    ret->has_sequence = false;
    if (!find_cursor(hark_exchange_request(exchange), &text)) {
        return true;
    }
    if (hark_cursor_decode(text, entries, &count) != 0) {
        hark_exchange_refuse(exchange, 400, HARK_LIT("cursor_invalid"));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct hark_position position = {entries[i].epoch, entries[i].offset};
        if (entries[i].channel == 0) {
            ret->sequence = (struct hark_place){.position = position};
            ret->has_sequence = true;
        } else {
            (void)hark_places_set(&ret->places, entries[i].channel, position); // there is room
        }
    }
    return true;
}

int hark_accept_session(struct hark_exchange *exchange,
                        const struct hark_accept *accept,
                        struct hark_session **ret_session)
{
    struct brought brought;
    struct hark_slice key = HARK_SLICE_NONE;
    if (accept->kind == HARK_TRANSPORT_WEBSOCKET && !check_handshake(exchange, &key)) {
        return HARK_EPROTO;
    }
    if (accept->kind == HARK_TRANSPORT_LONGPOLL && is_buried(exchange)) {
        return HARK_ECLOSED;
    }
    if (!read_cursor(exchange, &brought)) {
        return HARK_EINVAL;
    }
    struct hark_session *session = NULL;
    int status = make_session(exchange, accept, &brought, &session);
    if (status != 0) {
        return status;
    }
    status = open_transport(exchange, accept, key, session);
    if (status != 0) {
        hark_session_discard(session);
        return status;
    }
    *ret_session = session;
    return 0;
}

// false: refused.
static bool check_handshake(struct hark_exchange *exchange, struct hark_slice *ret_key)
{
    static const struct hark_header version[] = {
        {HARK_LIT("Sec-WebSocket-Version"), HARK_LIT("13")},
        {HARK_LIT("Content-Type"), HARK_LIT("application/json")},
    };
    static const struct hark_header upgrade[] = {
        {HARK_LIT("Upgrade"), HARK_LIT("websocket")},
        {HARK_LIT("Content-Type"), HARK_LIT("application/json")},
    };
    static const struct hark_response wrong_version = {
        .status = 426,
        .headers = version,
        .header_count = HARK_ARRAY_LEN(version),
        .body = HARK_LIT("{\"error\":\"upgrade_required\",\"offers\":[\"websocket\"]}"),
    };
    static const struct hark_response no_upgrade = {
        .status = 426,
        .headers = upgrade,
        .header_count = HARK_ARRAY_LEN(upgrade),
        .body = HARK_LIT("{\"error\":\"upgrade_required\",\"offers\":[\"websocket\"]}"),
    };
    switch (hark_ws_handshake_check(hark_exchange_request(exchange), ret_key)) {
    case HARK_WS_HANDSHAKE_VALID: return true;
    case HARK_WS_HANDSHAKE_BAD_VERSION: hark_exchange_respond(exchange, &wrong_version); break;
    case HARK_WS_HANDSHAKE_BAD_KEY:
        hark_exchange_refuse(exchange, 400, HARK_LIT("bad_request"));
        break;
    case HARK_WS_HANDSHAKE_NONE: hark_exchange_respond(exchange, &no_upgrade); break;
    }
    return false;
}

// The session that this poll is for was closed while nobody asked: true, and it has been told so.
static bool is_buried(struct hark_exchange *exchange)
{
    const struct hark_session_env *env = hark_exchange_server(exchange)->sessions;
    struct hark_slice id = HARK_SLICE_NONE;
    struct hark_ending ending = {.code = 0};
    if (!hark_accept_session_id(exchange, &id) ||
        !hark_epitaphs_find(env->epitaphs, id, &ending.code, &ending.why)) {
        return false;
    }
    hark_ending_answer_poll(exchange, &ending);
    return true;
}

static int make_session(struct hark_exchange *exchange,
                        const struct hark_accept *accept,
                        const struct brought *brought,
                        struct hark_session **ret_session)
{
    const struct hark_peer peer = hark_exchange_peer(exchange);
    struct hark_session_options options = {
        .id = accept->id,
        .endpoint = accept->endpoint,
        .view = accept->view,
        .policy = accept->policy,
        .cursor = &brought->places,
        .peer_family = peer.family,
    };
    memcpy(options.peer, peer.address, sizeof(options.peer));
    int status = hark_session_new(hark_exchange_server(exchange)->sessions, &options, ret_session);
    if (status == HARK_EEXIST) {
        hark_exchange_refuse(exchange, 409, HARK_LIT("session_taken"));
    } else if (status == HARK_EINVAL) {
        hark_exchange_refuse(exchange, 400, HARK_LIT("session_invalid"));
    } else if (status != 0) {
        hark_ending_later(exchange, 503, HARK_LIT("busy"), RETRY_MS);
    }
    return status;
}

static int open_transport(struct hark_exchange *exchange,
                          const struct hark_accept *accept,
                          struct hark_slice key,
                          struct hark_session *session)
{
    if (accept->kind == HARK_TRANSPORT_WEBSOCKET) {
        const struct hark_ws_upgrade upgrade = {key, accept->subprotocol, hark_session_id(session)};
        return hark_ws_transport_open(exchange, &upgrade, session, accept->envelope);
    }
    int status = accept->kind == HARK_TRANSPORT_SSE ? hark_sse_transport_open(exchange, session)
                                                    : hark_poll_transport_open(exchange, session);
    if (status != 0) {
        hark_ending_later(exchange, 503, HARK_LIT("busy"), RETRY_MS);
    }
    return status;
}

void hark_accept_poll(struct hark_exchange *exchange, struct hark_session *session)
{
    struct brought brought;
    if (!hark_session_is_open(session)) {
        hark_exchange_refuse(exchange, 404, HARK_LIT("session_unknown"));
        return;
    }
    if (!read_cursor(exchange, &brought)) {
        return;
    }
    const struct hark_place *sequence = brought.has_sequence ? &brought.sequence : NULL;
    const struct hark_transport *transport = hark_link_transport(session);
    if (transport != NULL && transport->ops->kind == HARK_TRANSPORT_LONGPOLL) {
        hark_poll_transport_poll(exchange, session, &brought.places, sequence);
        return;
    }
    hark_link_resume(session, &brought.places, sequence);
    if (hark_poll_transport_open(exchange, session) != 0) {
        hark_ending_later(exchange, 503, HARK_LIT("busy"), RETRY_MS);
    }
}

void hark_accept_post(struct hark_exchange *exchange, struct hark_session *session)
{
    hark_post_take(exchange, session);
}

void hark_accept_delete(struct hark_exchange *exchange, struct hark_session *session)
{
    static const struct hark_response done = {.status = 204};
    const struct hark_ending ending = {
        .code = 1000,
        .why = HARK_LIT("ended by the client"),
        .is_by_client = true,
    };
    hark_session_end(session, &ending, false);
    hark_exchange_respond(exchange, &done);
}

int hark_accept_attach(struct hark_exchange *exchange,
                       struct hark_session *session,
                       const struct hark_accept *accept)
{
    struct brought brought;
    struct hark_slice key = HARK_SLICE_NONE;
    if (!hark_session_is_open(session)) {
        return HARK_ENOENT;
    }
    if (accept->kind == HARK_TRANSPORT_LONGPOLL) {
        hark_accept_poll(exchange, session);
        return 0;
    }
    if ((accept->kind == HARK_TRANSPORT_WEBSOCKET && !check_handshake(exchange, &key)) ||
        !read_cursor(exchange, &brought)) {
        return 0; // refused: the session waits on
    }
    hark_link_resume(session, &brought.places, brought.has_sequence ? &brought.sequence : NULL);
    int status = open_transport(exchange, accept, key, session);
    return status == HARK_ENOENT ? HARK_ECLOSED : 0;
}

void hark_accept_reject(struct hark_exchange *exchange, uint16_t code, struct hark_slice why)
{
    struct hark_slice key = HARK_SLICE_NONE;
    if (check_handshake(exchange, &key)) {
        const struct hark_ws_upgrade upgrade = {.key = key};
        hark_ws_transport_reject(exchange, &upgrade, code, why);
    }
}
