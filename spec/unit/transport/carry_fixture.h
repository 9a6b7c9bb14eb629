// SPDX-License-Identifier: MIT
//
// A whole worker below the scripts for the tests of the three transports: loop, HTTP, hub on the
// memory broker, sessions; and a stand-in for the scripts that chooses the transport by the path
// (/ws, /env, /sse, /poll) and does what a message says: "echo TEXT", "hold", "close CODE WHY",
// "join NAME", "refuse WHY", "fail".
#ifndef HARK_SPEC_CARRY_FIXTURE_H
#define HARK_SPEC_CARRY_FIXTURE_H

#include "transport/http_fixture.h"

#include "base/mem.h"
#include "broker/memory.h"
#include "hub/hub.h"
#include "session/link.h"
#include "session/session.h"
#include "transport/accept.h"
#include "transport/carriers.h"

struct carry {
    struct fixture http; // first
    struct hark_broker *broker;
    struct hark_hub *hub;
    struct hark_session_env env;
    struct hark_handlers handlers;
    struct hark_session_policy policy;
    struct hark_view view;
    struct hark_session *session; // the newest
    bool opens_later;
    bool holds_open;             // hold before open ends
    bool answers_later;          // POSTs: the test answers
    bool goes_to_chosen_session; // requests without a session get it by ?session=
    struct hark_reply *reply;
    const char *greeting; // sent by open
    size_t messages;
    size_t closed;
    uint16_t code;
    char why[128];
    char log[4096]; // messages, one a line
    size_t log_len;
};

static const struct hark_channel_options CARRY_HISTORY = {.history_count = 1000,
                                                          .history_bytes = (size_t)64 << 20};

static inline struct carry *carry_of(struct fixture *fixture)
{
    return (struct carry *)(void *)fixture;
}

static inline void
carry_joined(void *ctx, struct hark_session *session, int status, const struct hark_joined *joined)
{
    (void)ctx;
    (void)session;
    assert_true((status == 0) == (joined != NULL));
}

static inline void carry_join(struct hark_session *session, struct hark_slice name)
{
    const struct hark_start live = {.rewind = 0};
    int status = hark_session_join(session, name, &CARRY_HISTORY, &live, NULL, carry_joined, NULL);
    assert_true(status == 0 || status == HARK_ENOMEM);
}

static inline void carry_send(struct hark_session *session, struct hark_slice text, uint32_t flags)
{
    const struct hark_msg_draft draft = {.payload = text, .flags = flags};
    int status = hark_session_send(session, &draft);
    assert_true(status == 0 || status == HARK_ECLOSED || status == HARK_EFULL ||
                status == HARK_ENOMEM);
}

static inline void carry_on_open(void *ctx, struct hark_session *session)
{
    struct carry *carry = ctx;
    carry->session = session;
    carry_join(session, HARK_LIT("a"));
    if (carry->greeting != NULL) {
        carry_send(session, hark_slice_text(carry->greeting), 0);
    }
    if (carry->holds_open) {
        hark_session_hold(session, true);
    }
    if (!carry->opens_later) {
        hark_session_opened(session);
    }
}

static inline bool carry_command(struct hark_slice *data, struct hark_slice word)
{
    if (!hark_slice_starts(*data, word)) {
        return false;
    }
    *data = hark_slice_from(*data, word.len);
    return true;
}

static inline void carry_on_message(void *ctx,
                                    struct hark_session *session,
                                    struct hark_slice data,
                                    bool binary,
                                    struct hark_reply *reply)
{
    struct carry *carry = ctx;
    enum hark_outcome outcome = HARK_OUTCOME_OK;
    struct hark_slice text = HARK_SLICE_NONE;
    size_t room = sizeof(carry->log) - carry->log_len;
    int len = snprintf(carry->log + carry->log_len, room, "%.*s\n",
                       (int)(data.len < 60 ? data.len : 60), data.ptr == NULL ? "" : data.ptr);
    carry->log_len += (size_t)len < room ? (size_t)len : 0;
    carry->messages++;
    if (carry_command(&data, HARK_LIT("echo "))) {
        carry_send(session, data, binary ? HARK_MSG_BINARY : 0);
    } else if (carry_command(&data, HARK_LIT("hold"))) {
        hark_session_hold(session, true);
    } else if (carry_command(&data, HARK_LIT("join "))) {
        carry_join(session, data);
    } else if (carry_command(&data, HARK_LIT("close "))) {
        uint16_t code = (uint16_t)strtoul(data.ptr, NULL, 10);
        hark_session_close(session, code, hark_slice_from(data, 5));
    } else if (carry_command(&data, HARK_LIT("refuse "))) {
        outcome = HARK_OUTCOME_REFUSED;
        text = data;
    } else if (carry_command(&data, HARK_LIT("fail"))) {
        outcome = HARK_OUTCOME_FAILED;
        text = HARK_LIT("ref12345");
    }
    if (carry->answers_later) {
        carry->reply = reply;
    } else {
        hark_session_answer(session, reply, outcome, text);
    }
}

static inline void
carry_on_close(void *ctx, struct hark_session *session, uint16_t code, struct hark_slice why)
{
    struct carry *carry = ctx;
    carry->closed++;
    carry->code = code;
    (void)snprintf(carry->why, sizeof(carry->why), "%.*s", (int)why.len,
                   why.ptr == NULL ? "" : why.ptr);
    carry->session = NULL;
    hark_session_release(session);
}

static inline struct hark_accept carry_accept(struct carry *carry, struct hark_slice path)
{
    struct hark_accept accept = {
        .kind = HARK_TRANSPORT_LONGPOLL, .view = &carry->view, .policy = &carry->policy};
    if (hark_slice_starts(path, HARK_LIT("/ws")) || hark_slice_starts(path, HARK_LIT("/env"))) {
        accept.kind = HARK_TRANSPORT_WEBSOCKET;
        accept.envelope = hark_slice_starts(path, HARK_LIT("/env"));
    } else if (hark_slice_starts(path, HARK_LIT("/sse"))) {
        accept.kind = HARK_TRANSPORT_SSE;
    }
    return accept;
}

static inline void carry_on_request(struct fixture *fixture, struct hark_exchange *exchange)
{
    struct carry *carry = carry_of(fixture);
    const struct hark_request *request = hark_exchange_request(exchange);
    struct hark_accept accept = carry_accept(carry, request->path);
    struct hark_slice id = HARK_SLICE_NONE;
    struct hark_session *session = NULL;
    bool has_id = hark_accept_session_id(exchange, &id);
    if (has_id) {
        session = hark_session_find_id(&carry->env, id);
    }
    if (hark_slice_is(request->path, HARK_LIT("/reject"))) {
        hark_accept_reject(exchange, 4001, HARK_LIT("unknown key"));
    } else if (session == NULL && !hark_slice_is(request->method, HARK_LIT("GET"))) {
        hark_exchange_refuse(exchange, 404, HARK_LIT("session_unknown"));
    } else if (session == NULL) {
        accept.id = has_id && !hark_session_is_token(id) ? id : HARK_SLICE_NONE;
        if (hark_accept_session(exchange, &accept, &session) == 0) {
            hark_session_start(session);
        }
    } else if (hark_slice_is(request->method, HARK_LIT("POST"))) {
        hark_accept_post(exchange, session);
    } else if (hark_slice_is(request->method, HARK_LIT("DELETE"))) {
        hark_accept_delete(exchange, session);
    } else {
        assert_int_equal(hark_accept_attach(exchange, session, &accept), 0);
    }
}

static inline bool carry_on_tick(void *ctx)
{
    struct carry *carry = ctx;
    bool more = hark_mailbox_drain(carry->http.mailbox, SIZE_MAX);
    return hark_hub_flush(carry->hub, UINT64_MAX) || more;
}

static inline int carry_setup(void **state)
{
    struct carry *carry = calloc(1, sizeof(*carry));
    assert_non_null(carry);
    fixture_init(&carry->http);
    carry->http.handler = carry_on_request;
    struct fixture *http = &carry->http;
    assert_int_equal(hark_memory_new(1, &carry->broker), 0);
    const struct hark_hub_options hub = {carry->broker, &http->stats, 0};
    assert_int_equal(hark_hub_new(&hub, &carry->hub), 0);
    hark_memory_attach(carry->broker, 0, http->mailbox);
    carry->handlers = (struct hark_handlers){
        .open = carry_on_open, .message = carry_on_message, .close = carry_on_close};
    carry->env = (struct hark_session_env){
        .hub = carry->hub,
        .stats = &http->stats,
        .wheel = hark_loop_wheel(http->loop),
        .defer = hark_loop_defer(http->loop),
        .now_ms = hark_loop_now_ref(http->loop),
        .handlers = &carry->handlers,
        .handlers_ctx = carry,
        .worker_count = 1,
    };
    assert_int_equal(hark_session_env_init(&carry->env), 0);
    hark_session_policy_init(&carry->policy);
    carry->policy.ping_ms = 0;
    carry->policy.comment_ms = 0;
    carry->policy.retry_ms = 0;
    hark_view_init(&carry->view);
    http->server.hub = carry->hub;
    http->server.sessions = &carry->env;
    hark_loop_on_tick(http->loop, carry_on_tick, carry);
    *state = carry;
    return 0;
}

static inline int carry_teardown(void **state)
{
    struct carry *carry = *state;
    hark_mem_fail_after(SIZE_MAX);
    hark_session_env_deinit(&carry->env);
    hark_carriers_stop(&carry->http.server);
    hark_view_deinit(&carry->view);
    hark_loop_on_tick(carry->http.loop, NULL, NULL);
    (void)hark_mailbox_drain(carry->http.mailbox, SIZE_MAX);
    hark_hub_free(carry->hub);
    fixture_deinit(&carry->http);
    hark_memory_free(carry->broker);
    free(carry);
    return 0;
}

static inline void carry_publish(struct carry *carry, const char *channel, const char *text)
{
    const struct hark_msg_draft draft = {.channel = hark_slice_text(channel),
                                         .payload = hark_slice_text(text)};
    assert_int_equal(hark_hub_publish(carry->hub, &draft, &CARRY_HISTORY, NULL, NULL), 0);
}

static inline void carry_steps(struct carry *carry, int count)
{
    for (int i = 0; i < count; i++) {
        step(&carry->http);
    }
}

// Reads up to and with the end of a response's head; NUL behind it. Borrowed until the next read.
static inline const char *carry_head(struct carry *carry, int fd)
{
    static char head[16384];
    size_t len = 0;
    head[0] = '\0';
    while (strstr(head, "\r\n\r\n") == NULL) {
        bool end = false;
        assert_true(len + 1 < sizeof(head));
        struct hark_slice byte = client_read(&carry->http, fd, 1, &end);
        if (end) {
            fail_msg("the end came behind:\n%s", head);
        }
        head[len++] = byte.ptr[0];
        head[len] = '\0';
    }
    return head;
}

static inline void carry_field(const char *head, const char *name, char *out, size_t size)
{
    const char *at = strstr(head, name);
    if (at == NULL) {
        fail_msg("no %s in:\n%s", name, head);
        return;
    }
    at += strlen(name);
    size_t len = strcspn(at, "\r");
    assert_true(len < size);
    memcpy(out, at, len);
    out[len] = '\0';
}

static inline void carry_request(struct carry *carry,
                                 int fd,
                                 const char *method,
                                 const char *target,
                                 const char *fields,
                                 const char *body)
{
    static char text[200000];
    int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n" ID "%s", method, target,
                       fields);
    if (body != NULL) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, "Content-Length: %zu\r\n",
                        strlen(body));
    }
    len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n%s", body == NULL ? "" : body);
    assert_true((size_t)len < sizeof(text));
    client_send(&carry->http, fd, hark_slice(text, (size_t)len));
}

// The body of a response whose head was read, by its Content-Length; NUL behind it.
static inline const char *carry_body(struct carry *carry, int fd, const char *head)
{
    char length[32] = "0";
    bool end = false;
    if (strstr(head, "Content-Length: ") != NULL) {
        carry_field(head, "Content-Length: ", length, sizeof(length));
    }
    size_t len = strtoul(length, NULL, 10);
    struct hark_slice body = client_read(&carry->http, fd, len, &end);
    assert_false(end);
    carry->http.received[body.len] = '\0';
    return carry->http.received;
}

#define CARRY(name) cmocka_unit_test_setup_teardown(name, carry_setup, carry_teardown)

#endif
