// SPDX-License-Identifier: MIT
//
// What the tests of sessions share: one worker (a wheel with a clock that the test turns, the defer
// queue, a hub on the memory broker), handlers that write down what they are called for, and
// transports that write down what they are given:
//   "<a3.b1>hello "   a message behind the position that the client stands at: channel a at 3, b at
//   1
#ifndef HARK_SPEC_SESSION_RIG_H
#define HARK_SPEC_SESSION_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/defer.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/wheel.h"
#include "broker/memory.h"
#include "hark.h"
#include "hub/hub.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "session/backlog.h"
#include "session/input.h"
#include "session/link.h"
#include "session/outbox.h"
#include "session/session.h"
#include "session/transport.h"

#define RIG_LOG      ((size_t)1 << 20)
#define RIG_CHANNELS 26 // "a" to "z"

struct rig_log {
    size_t len;
    char *text;
};

struct rig {
    uint64_t now_ms;
    struct hark_stats stats;
    struct hark_wheel *wheel;
    struct hark_defer_queue defer;
    struct hark_loop *loop; // for the mailbox
    struct hark_mailbox *mailbox;
    struct hark_broker *broker;
    struct hark_hub *hub;
    struct hark_session_env env;
    struct hark_handlers handlers;
    struct hark_session_policy policy;
    struct hark_view view; // PLAIN
    struct rig_log log;    // of the handlers
    bool opens_later;      // the open handler waits: the test calls hark_session_opened
    bool keeps;            // the close handler does not release: the test does
    bool tells_gaps;       // the gap handler tells its client itself
    enum hark_outcome outcome;
    bool answers_later; // the message handler keeps the reply
    struct hark_reply *reply;
    void (*on_message)(struct rig *rig, struct hark_session *session);
};

// A transport of either kind.
struct rig_transport {
    struct hark_transport base;
    struct rig *rig;
    struct rig_log log; // what was written
    bool is_congested;
    bool is_full; // until the end of the tick: nobody will tell
    bool cannot_begin;
    bool is_closed; // the stream is gone: writes fail
    bool has_begun;
    bool has_ended;
    bool is_aborted;
    unsigned writes;
    const struct hark_chunk *chunk; // sent last
    uint64_t beat_ms;               // what beat returns
    unsigned beats;
    unsigned resumes;
    struct hark_ending ending;
    char why[128];
};

static inline void rig_write(struct rig_log *log, const char *format, ...) HARK_PRINTF(2, 3);

static inline void rig_write(struct rig_log *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(log->text + log->len, RIG_LOG - log->len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < RIG_LOG - log->len);
    log->len += (size_t)len;
}

// What was written since the last look.
static inline void rig_expect(struct rig_log *log, const char *text)
{
    assert_string_equal(log->text, text);
    log->len = 0;
    log->text[0] = '\0';
}

static inline struct rig_log rig_log_new(void)
{
    struct rig_log log = {.text = malloc(RIG_LOG)};
    assert_non_null(log.text);
    log.text[0] = '\0';
    return log;
}

// --- handlers ---

static inline void rig_on_open(void *ctx, struct hark_session *session)
{
    struct rig *rig = ctx;
    rig_write(&rig->log, "open ");
    if (!rig->opens_later) {
        hark_session_opened(session);
    }
}

static inline void rig_on_message(void *ctx,
                                  struct hark_session *session,
                                  struct hark_slice data,
                                  bool binary,
                                  struct hark_reply *reply)
{
    struct rig *rig = ctx;
    rig_write(&rig->log, "message(%.*s%s) ", (int)data.len, data.ptr, binary ? " binary" : "");
    if (rig->on_message != NULL) {
        rig->on_message(rig, session);
    }
    if (rig->answers_later) {
        rig->reply = reply;
    } else {
        hark_session_answer(session, reply, rig->outcome, HARK_LIT("why"));
    }
}

static inline void rig_on_attach(void *ctx, struct hark_session *session)
{
    struct rig *rig = ctx;
    rig_write(&rig->log, "attach(%s) ", hark_transport_kind_name(hark_session_kind(session)));
}

static inline void
rig_on_detach(void *ctx, struct hark_session *session, struct hark_slice why, bool clean)
{
    struct rig *rig = ctx;
    (void)session;
    rig_write(&rig->log, "detach(%.*s%s) ", (int)why.len, why.ptr, clean ? " clean" : "");
}

static inline bool rig_on_gap(void *ctx,
                              struct hark_session *session,
                              struct hark_slice channel,
                              const struct hark_gap *gap)
{
    struct rig *rig = ctx;
    (void)session;
    rig_write(&rig->log, "gap(%.*s %llu-%llu) ", (int)channel.len, channel.ptr,
              (unsigned long long)gap->from.offset, (unsigned long long)gap->to.offset);
    return rig->tells_gaps;
}

static inline void rig_on_timer(void *ctx, struct hark_session *session, struct hark_slice name)
{
    struct rig *rig = ctx;
    (void)session;
    rig_write(&rig->log, "timer(%.*s) ", (int)name.len, name.ptr);
}

static inline void rig_on_drain(void *ctx, struct hark_session *session, struct hark_slice why)
{
    struct rig *rig = ctx;
    rig_write(&rig->log, "drain(%.*s) ", (int)why.len, why.ptr);
    hark_session_drained(session, 1234);
}

static inline void
rig_on_close(void *ctx, struct hark_session *session, uint16_t code, struct hark_slice why)
{
    struct rig *rig = ctx;
    rig_write(&rig->log, "close(%u %.*s) ", code, (int)why.len, why.ptr == NULL ? "" : why.ptr);
    if (!rig->keeps) {
        hark_session_release(session);
    }
}

// --- transports ---

static inline struct rig_transport *rig_of(struct hark_transport *transport)
{
    return HARK_CONTAINER_OF(transport, struct rig_transport, base);
}

static inline int rig_body(struct hark_buf *buf, const struct hark_msg *msg)
{
    int status = 0;
    if (msg->event.len > 0) {
        status = hark_buf_printf(buf, "%.*s=", (int)msg->event.len, msg->event.ptr);
    }
    status = status == 0 ? hark_buf_append_slice(buf, msg->payload) : status;
    return status == 0 ? hark_buf_append_char(buf, ' ') : status;
}

static inline int rig_prefix(struct hark_buf *buf, struct hark_slice id, size_t body_len)
{
    assert_true(body_len > 0);
    return id.len == 0 ? 0 : hark_buf_printf(buf, "<%.*s>", (int)id.len, id.ptr);
}

static inline char rig_channel_name(uint64_t id)
{
    for (char c = 'a'; c < 'a' + RIG_CHANNELS; c++) {
        if (hark_hash_stable(hark_slice(&c, 1)) == id) {
            return c;
        }
    }
    return '?';
}

// In alphabetical order, so that texts do not depend on the order of joins.
static inline size_t rig_cursor(const struct hark_places *places, char *out)
{
    size_t len = 0;
    for (char c = 'a'; c < 'a' + RIG_CHANNELS; c++) {
        for (uint32_t i = 0; i < places->count; i++) {
            if (rig_channel_name(places->list[i].channel) == c) {
                len += (size_t)sprintf(out + len, "%s%c%llu", len > 0 ? "." : "", c,
                                       (unsigned long long)places->list[i].position.offset);
            }
        }
    }
    return len;
}

static inline void *rig_begin(struct hark_transport *transport)
{
    struct rig_transport *self = rig_of(transport);
    if (self->cannot_begin) {
        hark_link_lost(transport);
        return NULL;
    }
    self->has_begun = true;
    rig_write(&self->log, "head ");
    return self;
}

static inline int rig_put(struct rig_transport *self, const char *data, size_t len)
{
    if (self->is_closed) {
        return HARK_ECLOSED;
    }
    self->writes++;
    rig_write(&self->log, "%.*s", (int)len, data);
    return 0;
}

static inline int rig_push(void *output, struct hark_chunk *chunk)
{
    struct rig_transport *self = output;
    self->chunk = chunk;
    return rig_put(self, chunk->data, chunk->len);
}

static inline int rig_send(void *output, struct hark_chunk *chunk)
{
    struct rig_transport *self = output;
    return self->is_congested || self->is_full ? HARK_EAGAIN : rig_push(output, chunk);
}

static inline int rig_write_op(void *output, struct hark_slice data)
{
    return rig_put(output, data.ptr, data.len);
}

static inline bool rig_has_room(void *output)
{
    const struct rig_transport *self = output;
    return !self->is_congested && !self->is_full;
}

static inline bool rig_will_tell(void *output)
{
    return ((struct rig_transport *)output)->is_congested;
}

static inline size_t rig_queued(void *output)
{
    return ((struct rig_transport *)output)->is_congested ? 1000 : 0;
}

static inline void rig_opened(struct hark_transport *transport, struct hark_slice id)
{
    struct rig_transport *self = rig_of(transport);
    if (id.ptr != NULL) {
        rig_write(&self->log, "opened(%.*s) ", (int)id.len, id.ptr);
    }
}

static inline void rig_wake(struct hark_transport *transport)
{
    rig_write(&rig_of(transport)->log, "wake ");
}

static inline void rig_resume(struct hark_transport *transport)
{
    rig_of(transport)->resumes++;
}

static inline uint64_t rig_beat(struct hark_transport *transport)
{
    rig_of(transport)->beats++;
    return rig_of(transport)->beat_ms;
}

static inline void rig_abort(struct hark_transport *transport)
{
    rig_of(transport)->is_aborted = true;
}

static inline void rig_end(struct hark_transport *transport,
                           struct hark_session *session,
                           const struct hark_ending *ending)
{
    struct rig_transport *self = rig_of(transport);
    assert_null(transport->session);
    assert_true(hark_session_id(session).len > 0);
    assert_false(self->has_ended);
    self->has_ended = true;
    self->ending = *ending;
    (void)snprintf(self->why, sizeof(self->why), "%.*s", (int)ending->why.len,
                   ending->why.ptr == NULL ? "" : ending->why.ptr);
    self->ending.why = hark_slice_text(self->why);
}

// Like a raw WebSocket: no positions.
static const struct hark_transport_ops rig_raw_ops = {
    .kind = HARK_TRANSPORT_WEBSOCKET,
    .is_streaming = true,
    .slot = HARK_WIRE_WS,
    .body_slot = HARK_WIRE_WS,
    .body = rig_body,
    .send = rig_send,
    .has_room = rig_has_room,
    .will_tell = rig_will_tell,
    .push = rig_push,
    .write = rig_write_op,
    .queued = rig_queued,
    .opened = rig_opened,
    .resume = rig_resume,
    .beat = rig_beat,
    .abort = rig_abort,
    .end = rig_end,
};

// Like SSE: positions, and it begins with the first output.
static const struct hark_transport_ops rig_sse_ops = {
    .kind = HARK_TRANSPORT_SSE,
    .is_streaming = true,
    .has_ids = true,
    .slot = HARK_WIRE_SSE,
    .body_slot = HARK_WIRE_SSE_BODY,
    .body = rig_body,
    .prefix = rig_prefix,
    .cursor = rig_cursor,
    .begin = rig_begin,
    .send = rig_send,
    .has_room = rig_has_room,
    .will_tell = rig_will_tell,
    .push = rig_push,
    .write = rig_write_op,
    .queued = rig_queued,
    .opened = rig_opened,
    .resume = rig_resume,
    .beat = rig_beat,
    .abort = rig_abort,
    .end = rig_end,
};

static const struct hark_transport_ops rig_poll_ops = {
    .kind = HARK_TRANSPORT_LONGPOLL,
    .has_ids = true,
    .slot = HARK_WIRE_ENVELOPE,
    .body_slot = HARK_WIRE_ENVELOPE_BODY,
    .body = rig_body,
    .prefix = rig_prefix,
    .cursor = rig_cursor,
    .wake = rig_wake,
    .resume = rig_resume,
    .beat = rig_beat,
    .abort = rig_abort,
    .end = rig_end,
};

static inline struct rig_transport *rig_transport_new(struct rig *rig,
                                                      const struct hark_transport_ops *ops)
{
    struct rig_transport *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->base.ops = ops;
    self->rig = rig;
    self->log = rig_log_new();
    return self;
}

static inline void rig_transport_free(struct rig_transport *self)
{
    free(self->log.text);
    free(self);
}

// --- the worker ---

static inline uint64_t rig_clock(void *ctx)
{
    return ((struct rig *)ctx)->now_ms;
}

static inline void rig_up(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    rig->now_ms = 1000000;
    rig->log = rig_log_new();
    rig->wheel = hark_wheel_new(rig->now_ms);
    assert_non_null(rig->wheel);
    hark_defer_queue_init(&rig->defer);
    assert_int_equal(hark_loop_new(&rig->stats, &rig->loop), 0);
    assert_int_equal(hark_mailbox_new(rig->loop, rig, &rig->mailbox), 0);
    struct hark_memory_options memory;
    hark_memory_options_init(&memory, 1);
    memory.now_ms = rig_clock;
    memory.ctx = rig;
    assert_int_equal(hark_memory_new_with(&memory, &rig->broker), 0);
    const struct hark_hub_options hub = {rig->broker, &rig->stats, 0};
    assert_int_equal(hark_hub_new(&hub, &rig->hub), 0);
    hark_memory_attach(rig->broker, 0, rig->mailbox);
    rig->handlers = (struct hark_handlers){
        .open = rig_on_open,
        .message = rig_on_message,
        .attach = rig_on_attach,
        .detach = rig_on_detach,
        .gap = rig_on_gap,
        .timer = rig_on_timer,
        .drain = rig_on_drain,
        .close = rig_on_close,
    };
    rig->env = (struct hark_session_env){
        .hub = rig->hub,
        .stats = &rig->stats,
        .wheel = rig->wheel,
        .defer = &rig->defer,
        .now_ms = &rig->now_ms,
        .handlers = &rig->handlers,
        .handlers_ctx = rig,
        .worker_count = 1,
    };
    assert_int_equal(hark_session_env_init(&rig->env), 0);
    hark_session_policy_init(&rig->policy);
    hark_view_init(&rig->view);
}

static inline void rig_down(struct rig *rig)
{
    hark_session_env_deinit(&rig->env);
    hark_defer_run(&rig->defer);
    hark_view_deinit(&rig->view);
    hark_mailbox_free(rig->mailbox);
    assert_int_equal(hark_stats_get(&rig->stats.subscriptions), 0);
    assert_int_equal(hark_stats_get(&rig->stats.lagging), 0);
    hark_hub_free(rig->hub);
    hark_memory_free(rig->broker);
    hark_loop_free(rig->loop);
    hark_wheel_free(rig->wheel);
    free(rig->log.text);
}

static inline int rig_setup(void **state)
{
    static struct rig rig;
    rig_up(&rig);
    *state = &rig;
    return 0;
}

static inline int rig_teardown(void **state)
{
    hark_mem_fail_after(SIZE_MAX);
    rig_down(*state);
    return 0;
}

// What a worker does in a tick: due timers, mail, passes, deferred work.
static inline void rig_tick(struct rig *rig)
{
    hark_wheel_advance(rig->wheel, rig->now_ms);
    (void)hark_mailbox_drain(rig->mailbox, SIZE_MAX);
    assert_false(hark_hub_flush(rig->hub, UINT64_MAX));
    hark_defer_run(&rig->defer);
}

// Time goes on, in steps that no timer of interest is shorter than.
static inline void rig_pass_time(struct rig *rig, uint64_t ms)
{
    for (uint64_t end = rig->now_ms + ms; rig->now_ms < end;) {
        uint64_t left = end - rig->now_ms;
        rig->now_ms += left < 8 ? left : 8;
        rig_tick(rig);
    }
}

static inline struct hark_session *rig_session_with(struct rig *rig,
                                                    struct rig_transport *transport,
                                                    struct hark_session_options options)
{
    struct hark_session *session = NULL;
    options.policy = options.policy != NULL ? options.policy : &rig->policy;
    options.view = options.view != NULL ? options.view : &rig->view;
    assert_int_equal(hark_session_new(&rig->env, &options, &session), 0);
    if (transport != NULL) {
        bool begins = transport->base.ops->begin != NULL || !transport->base.ops->is_streaming;
        hark_link_attach(session, &transport->base, begins ? NULL : transport, 0);
    }
    hark_session_start(session);
    return session;
}

static inline struct hark_session *rig_session(struct rig *rig, struct rig_transport *transport)
{
    return rig_session_with(rig, transport, (struct hark_session_options){.endpoint = rig});
}

// The last of a raw or SSE transport's messages.
static inline void rig_drain(struct rig *rig, struct rig_transport *transport)
{
    transport->is_congested = false;
    hark_backlog_pump(transport->base.session);
    rig_tick(rig);
}

// --- channels ---

static const struct hark_channel_options RIG_HISTORY = {.history_count = 1000};

static inline struct hark_slice rig_slice(const char *text)
{
    return hark_slice_text(text);
}

static inline void
rig_on_joined(void *ctx, struct hark_session *session, int status, const struct hark_joined *joined)
{
    (void)session;
    assert_true((status == 0) == (joined != NULL));
    int *ret = ctx;
    if (ret != NULL) {
        *ret = status;
    }
}

static inline void rig_join(struct hark_session *session,
                            const char *channel,
                            const struct hark_channel_options *options)
{
    int status = 99;
    const struct hark_start live = {.rewind = 0};
    assert_int_equal(hark_session_join(session, rig_slice(channel), options, &live, NULL,
                                       rig_on_joined, &status),
                     0);
    assert_int_equal(status, 0);
}

static inline void rig_publish_draft(struct rig *rig,
                                     struct hark_msg_draft draft,
                                     const struct hark_channel_options *options)
{
    assert_int_equal(hark_hub_publish(rig->hub, &draft, options, NULL, NULL), 0);
}

static inline void rig_publish(struct rig *rig,
                               const char *channel,
                               const char *payload,
                               const struct hark_channel_options *options)
{
    const struct hark_msg_draft draft = {.channel = rig_slice(channel),
                                         .payload = rig_slice(payload)};
    rig_publish_draft(rig, draft, options);
}

static inline int rig_direct(struct hark_session *session, const char *payload)
{
    const struct hark_msg_draft draft = {.payload = rig_slice(payload)};
    return hark_session_send(session, &draft);
}

#endif
