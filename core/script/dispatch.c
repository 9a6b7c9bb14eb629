// SPDX-License-Identifier: MIT
//
// Order of events: session -> queue -> run -> outcome. The first function below a message's arrival
// is the hot path: nothing is copied or queued when the connection is idle.
#include "script/dispatch.h"

#include <string.h>

#include "base/codec.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "script/conn.h"
#include "script/pending.h"
#include "script/queue.h"
#include "script/run.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/transform.h"
#include "session/place.h"
#include "session/session.h"

#define CLOSE_INTERNAL 1011
#define CLOSE_POLICY   1008
#define RETRY_MS       1000 // advice after a drain without a number of its own, and its spread
#define RETRY_SPREAD   4000

static void on_open(void *ctx, struct hark_session *session);
static void on_message(void *ctx,
                       struct hark_session *session,
                       struct hark_slice data,
                       bool binary,
                       struct hark_reply *reply);
static void on_attach(void *ctx, struct hark_session *session);
static void on_detach(void *ctx, struct hark_session *session, struct hark_slice why, bool clean);
static bool on_gap(void *ctx,
                   struct hark_session *session,
                   struct hark_slice channel,
                   const struct hark_gap *gap);
static void on_timer(void *ctx, struct hark_session *session, struct hark_slice name);
static void on_drain(void *ctx, struct hark_session *session, struct hark_slice why);
static void on_close(void *ctx, struct hark_session *session, uint16_t code, struct hark_slice why);
static bool
later(struct hark_script *script, struct hark_conn *conn, const struct hark_run_input *input);
static void make_ready(struct hark_script *script, struct hark_conn *conn);
static void on_ready(struct hark_defer *item);
static void step(struct hark_script *script, struct hark_conn *conn);
static bool start_next(struct hark_conn *conn);
static void start(struct hark_conn *conn, const struct hark_run_input *input, void *owned);
static void on_run_ended(struct hark_conn *conn, const struct hark_run *run);
static void finish(struct hark_conn *conn,
                   const struct hark_run_input *input,
                   const struct hark_run_result *result);

const struct hark_handlers hark_dispatch_handlers = {
    .open = on_open,
    .message = on_message,
    .attach = on_attach,
    .detach = on_detach,
    .gap = on_gap,
    .timer = on_timer,
    .drain = on_drain,
    .close = on_close,
};

void hark_dispatch_open(struct hark_script *script)
{
    script->run_ended = on_run_ended;
    hark_list_init(&script->ready);
    hark_defer_init(&script->run_ready, on_ready);
}

static bool is_idle(const struct hark_script *script, const struct hark_conn *conn)
{
    return conn->run == NULL && conn->queue == NULL && conn->todo == 0 && !conn->is_stepping &&
           !hark_vm_is_running(script->vm);
}

// --- events ---

static void on_open(void *ctx, struct hark_session *session)
{
    struct hark_script *script = ctx;
    struct hark_conn *conn = hark_session_data(session);
    conn->todo |= HARK_CONN_OPEN;
    step(script, conn);
}

static void on_message(void *ctx,
                       struct hark_session *session,
                       struct hark_slice data,
                       bool binary,
                       struct hark_reply *reply)
{
    struct hark_script *script = ctx;
    struct hark_conn *conn = hark_session_data(session);
    const struct hark_run_input input = {
        .kind = HARK_SLOT_MESSAGE, .flag = binary, .reply = reply, .data = data};
    if (HARK_LIKELY(is_idle(script, conn))) {
        conn->is_stepping = true;
        start(conn, &input, NULL);
        conn->is_stepping = false;
        if (HARK_UNLIKELY(conn->queue != NULL || conn->todo != 0)) {
            step(script, conn);
        }
        return;
    }
    if (conn->asking != NULL) { // the answer to conn:request
        struct hark_pending *asking = conn->asking;
        conn->asking = NULL;
        asking->flag = binary;
        hark_dispatch_expect(conn, false);
        hark_pending_done(asking, hark_pending_keep(asking, data));
        hark_session_answer(session, reply, HARK_OUTCOME_OK, HARK_SLICE_NONE);
        return;
    }
    int status = hark_queue_push(conn, &input);
    if (status != 0) {
        hark_session_answer(session, reply, HARK_OUTCOME_LATER, HARK_LIT("busy"));
        return;
    }
    if (!conn->is_held) {
        conn->is_held = true;
        hark_session_hold(session, true);
    }
    make_ready(script, conn);
}

static void on_attach(void *ctx, struct hark_session *session)
{
    const struct hark_run_input input = {.kind = HARK_SLOT_ATTACH};
    (void)later(ctx, hark_session_data(session), &input);
}

static void on_detach(void *ctx, struct hark_session *session, struct hark_slice why, bool clean)
{
    const struct hark_run_input input = {.kind = HARK_SLOT_DETACH, .flag = clean, .data = why};
    (void)later(ctx, hark_session_data(session), &input);
}

static bool on_gap(void *ctx,
                   struct hark_session *session,
                   struct hark_slice channel,
                   const struct hark_gap *gap)
{
    const struct hark_run_input input = {
        .kind = HARK_SLOT_GAP, .from = gap->from, .to = gap->to, .data = channel};
    return later(ctx, hark_session_data(session), &input);
}

static void on_timer(void *ctx, struct hark_session *session, struct hark_slice name)
{
    struct hark_script *script = ctx;
    const struct hark_run_input input = {.kind = HARK_SLOT_TIMERS, .data = name};
    if (!later(script, hark_session_data(session), &input)) {
        hark_stats_add(&script->stats->timers_dropped, 1);
    }
}

static void on_drain(void *ctx, struct hark_session *session, struct hark_slice why)
{
    const struct hark_run_input input = {.kind = HARK_SLOT_DRAIN, .data = why};
    struct hark_script *script = ctx;
    struct hark_conn *conn = hark_session_data(session);
    if (!later(script, conn, &input)) {
        conn->todo |= HARK_CONN_DRAIN;
        make_ready(script, conn);
    }
}

static void on_close(void *ctx, struct hark_session *session, uint16_t code, struct hark_slice why)
{
    struct hark_script *script = ctx;
    struct hark_conn *conn = hark_session_data(session);
    if (conn == NULL) {
        hark_session_release(session); // it never got its record
        return;
    }
    const struct hark_run_input input = {.kind = HARK_SLOT_CLOSE, .code = code, .data = why};
    if (conn->asking != NULL) {
        struct hark_pending *asking = conn->asking;
        conn->asking = NULL;
        hark_pending_done(asking, HARK_ECLOSED);
    }
    if (!hark_slot_has(hark_conn_slot(conn), HARK_SLOT_CLOSE) || !conn->is_opened ||
        hark_queue_push(conn, &input) != 0) {
        conn->todo |= HARK_CONN_CLOSE;
    }
    step(script, conn);
}

// For events that come from the middle of something: they run when that is over. false: nobody
// cares about it, or there is no memory.
static bool
later(struct hark_script *script, struct hark_conn *conn, const struct hark_run_input *input)
{
    if (conn == NULL || !hark_slot_has(hark_conn_slot(conn), input->kind) ||
        hark_queue_push(conn, input) != 0) {
        return false;
    }
    make_ready(script, conn);
    return true;
}

static void make_ready(struct hark_script *script, struct hark_conn *conn)
{
    if (hark_list_is_empty(&conn->ready)) {
        hark_list_push(&script->ready, &conn->ready);
        hark_defer_post(script->sessions->defer, &script->run_ready);
    }
}

static void on_ready(struct hark_defer *item)
{
    struct hark_script *script = HARK_CONTAINER_OF(item, struct hark_script, run_ready);
    struct hark_list now;
    hark_list_init(&now);
    hark_list_splice(&now, &script->ready);
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&now)) != NULL) {
        step(script, HARK_CONTAINER_OF(node, struct hark_conn, ready));
    }
    script->start_requests(script);
}

// --- one at a time ---

static void step(struct hark_script *script, struct hark_conn *conn)
{
    if (conn->is_stepping || conn->run != NULL) {
        return;
    }
    if (hark_vm_is_running(script->vm)) {
        make_ready(script, conn);
        return;
    }
    conn->is_stepping = true;
    while (conn->run == NULL && start_next(conn)) {
        if (conn->is_over) {
            hark_conn_free(script, conn);
            return;
        }
    }
    conn->is_stepping = false;
}

static void let_messages_in(struct hark_conn *conn)
{
    if (conn->is_held && !hark_queue_has_message(conn)) {
        conn->is_held = false;
        hark_session_hold(conn->session, false);
    }
}

// false: nothing is left to do.
static bool start_next(struct hark_conn *conn)
{
    struct hark_run_input input = {.kind = HARK_SLOT_OPEN};
    if ((conn->todo & HARK_CONN_OPEN) != 0) {
        conn->todo &= (uint8_t)~HARK_CONN_OPEN;
        if (hark_session_is_open(conn->session)) {
            conn->is_opened = true;
            start(conn, &input, NULL);
        }
        return true;
    }
    struct hark_queued *item = hark_queue_pop(conn);
    if (item != NULL) {
        input = item->input;
        bool wanted = hark_session_is_open(conn->session) || input.kind == HARK_SLOT_MESSAGE ||
                      input.kind == HARK_SLOT_CLOSE;
        let_messages_in(conn);
        if (wanted) {
            start(conn, &input, item);
        } else {
            hark_mem_free(item);
        }
        return true;
    }
    if ((conn->todo & HARK_CONN_DRAIN) != 0) {
        conn->todo &= (uint8_t)~HARK_CONN_DRAIN;
        input.kind = HARK_SLOT_DRAIN;
        finish(conn, &input, &(const struct hark_run_result){.status = 0});
        return true;
    }
    if ((conn->todo & HARK_CONN_CLOSE) != 0) {
        conn->todo &= (uint8_t)~HARK_CONN_CLOSE;
        input.kind = HARK_SLOT_CLOSE;
        finish(conn, &input, &(const struct hark_run_result){.status = 0});
        return true;
    }
    return false;
}

// Starts the handler, or does what its absence means. Takes `owned` over.
static void start(struct hark_conn *conn, const struct hark_run_input *input, void *owned)
{
    struct hark_run_result result = {.outcome = HARK_OUTCOME_OK};
    if (hark_slot_has(hark_conn_slot(conn), input->kind) &&
        !hark_conn_slot(conn)->script->stopping) {
        if (hark_run_start(conn, input, owned) == 0) {
            return;
        }
        result.status = HARK_ENOMEM;
        result.outcome = HARK_OUTCOME_LATER;
    } else if (input->kind == HARK_SLOT_MESSAGE) {
        result.outcome = HARK_OUTCOME_REFUSED;
        result.text = HARK_LIT("this endpoint takes no messages");
    }
    finish(conn, input, &result);
    hark_mem_free(owned);
}

static void on_run_ended(struct hark_conn *conn, const struct hark_run *run)
{
    struct hark_script *script = run->slot->script;
    finish(conn, &run->input, &run->result);
    if (!conn->is_stepping) { // it had waited
        if (conn->is_over) {
            hark_conn_free(script, conn);
        } else {
            step(script, conn);
        }
    }
}

// --- outcomes ---

// A handler that nobody waits for has failed: all that is left is to say so and to end.
static void fail(struct hark_session *session, const struct hark_run_result *result)
{
    char text[64] = "reference ";
    size_t len = sizeof("reference ") - 1;
    size_t more = result->text.len < sizeof(text) - len ? result->text.len : 0;
    if (more > 0) {
        memcpy(text + len, result->text.ptr, more);
    }
    hark_session_close(session, CLOSE_INTERNAL, hark_slice(text, len + more));
}

static void finish_open(struct hark_session *session, const struct hark_run_result *result)
{
    if (result->status != 0) {
        fail(session, result);
    } else if (result->refused) {
        hark_session_close(session, CLOSE_POLICY, result->text);
    }
    hark_session_opened(session);
}

// The script did not tell its client: the engine does.
static void tell_gap(struct hark_session *session, const struct hark_run_input *input)
{
    struct hark_buf data;
    char from[HARK_PLACE_TEXT_MAX];
    char to[HARK_PLACE_TEXT_MAX];
    int from_len = (int)hark_place_text(input->from, from);
    int to_len = (int)hark_place_text(input->to, to);
    hark_buf_init(&data, 4096);
    int status = hark_buf_append_text(&data, "{\"channel\":");
    status = status == 0 ? hark_codec_quote(&data, input->data) : status;
    if (status == 0) {
        status = hark_buf_printf(&data, ",\"from\":\"%.*s\",\"to\":\"%.*s\"}", from_len, from,
                                 to_len, to);
    }
    if (status == 0) {
        const struct hark_msg_draft draft = {
            .event = HARK_LIT("hark.gap"),
            .payload = hark_buf_slice(&data),
            .flags = HARK_MSG_NOTICE | HARK_MSG_JSON,
        };
        status = hark_session_send(session, &draft);
    }
    hark_buf_deinit(&data);
    if (status != 0 && status != HARK_ECLOSED) { // never silent
        hark_session_close(session, CLOSE_INTERNAL, HARK_LIT("a gap could not be told"));
    }
}

static uint64_t advised_retry_ms(const struct hark_run_result *result)
{
    uint32_t random = 0;
    if (hark_digest_random(&random, sizeof(random)) != 0) {
        random = 0; // all come back at once: better than not at all
    }
    uint64_t base_ms = result->has_seconds ? result->seconds * 1000 : RETRY_MS;
    uint64_t spread_ms = result->has_seconds ? base_ms / 2 + 1 : RETRY_SPREAD;
    return base_ms + random % spread_ms;
}

static void finish(struct hark_conn *conn,
                   const struct hark_run_input *input,
                   const struct hark_run_result *result)
{
    struct hark_session *session = conn->session;
    switch (input->kind) {
    case HARK_SLOT_OPEN: finish_open(session, result); break;
    case HARK_SLOT_MESSAGE:
        hark_session_answer(session, input->reply, result->outcome, result->text);
        break;
    case HARK_SLOT_GAP:
        if (!result->told) {
            tell_gap(session, input);
        }
        break;
    case HARK_SLOT_DRAIN: hark_session_drained(session, advised_retry_ms(result)); break;
    case HARK_SLOT_CLOSE:
        hark_transform_leave(conn);
        hark_session_set_data(session, NULL);
        conn->is_over = true;
        hark_session_release(session);
        break;
    case HARK_SLOT_ATTACH:
    case HARK_SLOT_TIMERS:
        if (result->status != 0) {
            fail(session, result);
        }
        break;
    case HARK_SLOT_DETACH:
    case HARK_SLOT_DELIVER:
    case HARK_SLOT_UPGRADE:
    case HARK_SLOT_KEY:
    case HARK_SLOT_VARIANT:
    case HARK_SLOT_DECODE:
    case HARK_SLOT_ENCODE:
    case HARK_SLOT_FNS: break;
    }
}

static void drop_queue(struct hark_conn *conn)
{
    struct hark_queued *item = NULL;
    while ((item = hark_queue_pop(conn)) != NULL) {
        if (item->input.reply != NULL) {
            hark_session_answer(conn->session, item->input.reply, HARK_OUTCOME_LATER,
                                HARK_LIT("stopping"));
        }
        hark_mem_free(item);
    }
}

void hark_dispatch_expect(struct hark_conn *conn, bool expect)
{
    bool hold = !expect && hark_queue_has_message(conn);
    if (hold != conn->is_held) {
        conn->is_held = hold;
        hark_session_hold(conn->session, hold);
    }
}

// --- the end ---

static bool stop_session(void *ctx, struct hark_session *session)
{
    (void)ctx;
    struct hark_conn *conn = hark_session_data(session);
    if (conn == NULL) {
        return true;
    }
    if (conn->run != NULL && conn->run->input.reply != NULL) {
        struct hark_reply *reply = conn->run->input.reply;
        conn->run->input.reply = NULL;
        hark_session_answer(session, reply, HARK_OUTCOME_LATER, HARK_LIT("stopping"));
    }
    drop_queue(conn);
    return true;
}

void hark_dispatch_stop(struct hark_script *script)
{
    script->stopping = true;
    hark_session_each(script->sessions, stop_session, script);
}

static bool free_conn(void *ctx, struct hark_session *session)
{
    (void)ctx;
    struct hark_conn *conn = hark_session_data(session);
    if (conn == NULL) {
        return true;
    }
    hark_session_set_data(session, NULL);
    if (conn->asking != NULL) {
        struct hark_pending *asking = conn->asking;
        conn->asking = NULL;
        hark_pending_done(asking, HARK_ECLOSED);
    }
    drop_queue(conn);
    hark_list_remove(&conn->ready);
    hark_mem_free(conn); // handles go with the state
    return true;
}

void hark_dispatch_free_all(struct hark_script *script)
{
    hark_dispatch_stop(script);
    hark_session_each(script->sessions, free_conn, script);
}
