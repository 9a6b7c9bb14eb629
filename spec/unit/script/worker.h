// SPDX-License-Identifier: MIT
//
// What the tests of handlers and bindings share: one worker without sockets (a wheel with a clock
// that the test turns, the defer queue, a hub on the memory broker), a real struct hark_script on
// it with the stand-in engine of spec/unit/script/lua, and transports that write down what they are
// given. Included by one test program each, hence static.
#ifndef HARK_SPEC_UNIT_SCRIPT_WORKER_H
#define HARK_SPEC_UNIT_SCRIPT_WORKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>

#include "base/defer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wheel.h"
#include "broker/memory.h"
#include "hark.h"
#include "hub/hub.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "script/conn.h"
#include "script/engine.h"
#include "script/host.h"
#include "script/settings.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/transform.h"
#include "script/value.h"
#include "session/input.h"
#include "session/link.h"
#include "session/session.h"
#include "session/transport.h"
#include "transport/carriers.h"
#include "transport/http1_conn.h"
#include "transport/server.h"

struct worker {
    uint64_t now_ms;
    struct hark_stats stats;
    struct hark_wheel *wheel;
    struct hark_defer_queue defer;
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct hark_broker *broker;
    struct hark_hub *hub;
    struct hark_session_env env;
    struct hark_http_limits limits;
    struct hark_server server;
    struct hark_server admin;
    struct hark_server *servers[1];
    struct hark_settings settings;
    struct hark_script *script;
    char lua_dir[512];
    int status;      // of the last engine call
    char text[4096]; // its result, or its error
};

// A client: a transport that keeps what it is sent, one message a line as event|data.
struct client {
    struct hark_transport base;
    struct hark_session *session;
    char got[4096];
    bool ended;
    uint16_t code;
    char why[128];
    unsigned resumes;
};

// --- the client's transport ---

static inline struct client *client_of(struct hark_transport *transport)
{
    return HARK_CONTAINER_OF(transport, struct client, base);
}

static inline int client_body(struct hark_buf *buf, const struct hark_msg *msg)
{
    const char *kind = (msg->flags & HARK_MSG_BINARY) != 0 ? "#" : "";
    int status = 0;
    if (msg->event.len > 0) {
        status = hark_buf_printf(buf, "%.*s|", (int)msg->event.len, msg->event.ptr);
    }
    return status != 0
               ? status
               : hark_buf_printf(buf, "%s%.*s ", kind, (int)msg->payload.len, msg->payload.ptr);
}

static inline int client_put(struct client *client, const char *data, size_t len)
{
    size_t at = strlen(client->got);
    assert_true(at + len < sizeof(client->got));
    memcpy(client->got + at, data, len);
    client->got[at + len] = '\0';
    return 0;
}

static inline int client_push(void *output, struct hark_chunk *chunk)
{
    return client_put(output, chunk->data, chunk->len);
}

static inline int client_write(void *output, struct hark_slice data)
{
    return client_put(output, data.ptr, data.len);
}

static inline bool client_has_room(void *output)
{
    (void)output;
    return true;
}

static inline size_t client_queued(void *output)
{
    (void)output;
    return 7;
}

static inline void client_opened(struct hark_transport *transport, struct hark_slice id)
{
    (void)transport;
    (void)id;
}

static inline void client_resume(struct hark_transport *transport)
{
    client_of(transport)->resumes++;
}

static inline uint64_t client_beat(struct hark_transport *transport)
{
    (void)transport;
    return 0;
}

static inline void client_abort(struct hark_transport *transport)
{
    (void)transport;
}

static inline void client_end(struct hark_transport *transport,
                              struct hark_session *session,
                              const struct hark_ending *ending)
{
    (void)session;
    struct client *client = client_of(transport);
    client->ended = true;
    client->session = NULL;
    client->code = ending->code;
    (void)snprintf(client->why, sizeof(client->why), "%.*s", (int)ending->why.len,
                   ending->why.ptr == NULL ? "" : ending->why.ptr);
}

static const struct hark_transport_ops client_ops = {
    .kind = HARK_TRANSPORT_WEBSOCKET,
    .is_streaming = true,
    .slot = HARK_WIRE_WS,
    .body_slot = HARK_WIRE_WS,
    .body = client_body,
    .send = client_push,
    .has_room = client_has_room,
    .push = client_push,
    .write = client_write,
    .queued = client_queued,
    .opened = client_opened,
    .resume = client_resume,
    .beat = client_beat,
    .abort = client_abort,
    .end = client_end,
};

// --- the worker ---

static inline uint64_t worker_clock(void *ctx)
{
    return ((struct worker *)ctx)->now_ms;
}

static inline void worker_up(struct worker *worker)
{
    const char *source = getenv("HARK_SOURCE_DIR");
    memset(worker, 0, sizeof(*worker));
    hark_log_set_level(HARK_LOG_ERROR);
    worker->now_ms = 1000000;
    worker->wheel = hark_wheel_new(worker->now_ms);
    assert_non_null(worker->wheel);
    hark_defer_queue_init(&worker->defer);
    assert_int_equal(hark_loop_new(&worker->stats, &worker->loop), 0);
    assert_int_equal(hark_mailbox_new(worker->loop, worker, &worker->mailbox), 0);
    struct hark_memory_options memory;
    hark_memory_options_init(&memory, 1);
    memory.now_ms = worker_clock;
    memory.ctx = worker;
    assert_int_equal(hark_memory_new_with(&memory, &worker->broker), 0);
    const struct hark_hub_options hub = {worker->broker, &worker->stats, 0};
    assert_int_equal(hark_hub_new(&hub, &worker->hub), 0);
    hark_memory_attach(worker->broker, 0, worker->mailbox);
    worker->env = (struct hark_session_env){
        .hub = worker->hub,
        .stats = &worker->stats,
        .wheel = worker->wheel,
        .defer = &worker->defer,
        .now_ms = &worker->now_ms,
        .worker_count = 1,
    };
    assert_int_equal(hark_session_env_init(&worker->env), 0);
    worker->limits = (struct hark_http_limits){16384, 1 << 20, 10000, 30000, 75000, 65536};
    worker->server = (struct hark_server){
        .loop = worker->loop,
        .mailbox = worker->mailbox,
        .stats = &worker->stats,
        .limits = &worker->limits,
        .hub = worker->hub,
        .sessions = &worker->env,
        .workers = worker->servers,
        .worker_count = 1,
    };
    worker->admin = worker->server;
    worker->servers[0] = &worker->server;
    hark_list_init(&worker->server.conns);
    hark_list_init(&worker->admin.conns);
    (void)snprintf(worker->lua_dir, sizeof(worker->lua_dir), "%s/spec/unit/script/lua",
                   source == NULL ? "." : source);
    const struct hark_script_options options = {
        .server = &worker->server,
        .admin = &worker->admin,
        .lua_dir = worker->lua_dir,
        .settings = &worker->settings,
    };
    assert_int_equal(hark_script_new(&options, &worker->script), 0);
    assert_int_equal(hark_script_enter(worker->script), 0);
}

static inline void worker_down(struct worker *worker)
{
    hark_script_stop(worker->script);
    hark_http1_conn_close_all(&worker->server);
    hark_http1_conn_close_all(&worker->admin);
    hark_script_leave(worker->script);
    hark_script_free(worker->script);
    hark_session_env_deinit(&worker->env);
    hark_carriers_stop(&worker->server);
    hark_defer_run(&worker->defer);
    hark_mailbox_free(worker->mailbox);
    hark_hub_free(worker->hub);
    hark_memory_free(worker->broker);
    hark_loop_free(worker->loop);
    hark_wheel_free(worker->wheel);
}

static inline int worker_setup(void **state)
{
    static struct worker worker;
    worker_up(&worker);
    *state = &worker;
    return 0;
}

static inline int worker_teardown(void **state)
{
    hark_mem_fail_after(SIZE_MAX);
    worker_down(*state);
    return 0;
}

static inline void worker_tick(struct worker *worker)
{
    hark_wheel_advance(worker->wheel, worker->now_ms);
    (void)hark_mailbox_drain(worker->mailbox, SIZE_MAX);
    (void)hark_hub_flush(worker->hub, UINT64_MAX);
    hark_defer_run(&worker->defer);
}

static inline void worker_pass(struct worker *worker, uint64_t ms)
{
    for (uint64_t end = worker->now_ms + ms; worker->now_ms < end;) {
        uint64_t left = end - worker->now_ms;
        worker->now_ms += left < 8 ? left : 8;
        worker_tick(worker);
    }
}

// --- Lua ---

static inline void
worker_called(void *ctx, int status, struct hark_slice text, struct hark_slice result)
{
    struct worker *worker = ctx;
    struct hark_slice value = HARK_SLICE_NONE;
    worker->status = status;
    if (status == 0) {
        text = hark_value_take_string(&result, &value) == 0 ? value : HARK_SLICE_NONE;
    }
    (void)snprintf(worker->text, sizeof(worker->text), "%.*s", (int)text.len,
                   text.ptr == NULL ? "" : text.ptr);
}

static inline void worker_call(struct worker *worker, const char *name, const char *argument)
{
    struct hark_buf packed;
    hark_buf_init(&packed, 1 << 20);
    assert_int_equal(hark_value_put_string(&packed, hark_slice_text(argument)), 0);
    worker->status = 1; // not ended
    worker->text[0] = '\0';
    assert_int_equal(
        hark_engine_call(worker->script, name, hark_buf_slice(&packed), worker_called, worker), 0);
    hark_buf_deinit(&packed);
    worker_tick(worker);
    worker_tick(worker); // what it published arrives
}

// Runs a piece of Lua in a task; what it returns is in worker->text, if it has ended.
static inline void lua_run(struct worker *worker, const char *source)
{
    worker_call(worker, "run", source);
}

static inline void lua_is(struct worker *worker, const char *source, const char *expected)
{
    lua_run(worker, source);
    if (worker->status != 0 || strcmp(worker->text, expected) != 0) {
        fail_msg("%s\ngave %d: %s\nexpected: %s", source, worker->status, worker->text, expected);
    }
}

// Starts a piece of Lua that waits; its results come later.
static inline void lua_waits(struct worker *worker, const char *source)
{
    lua_run(worker, source);
    assert_int_equal(worker->status, 1);
}

static inline void lua_fails(struct worker *worker, const char *source, const char *part)
{
    hark_log_set_level(HARK_LOG_ERROR + 1);
    lua_run(worker, source);
    hark_log_set_level(HARK_LOG_ERROR);
    if (worker->status != HARK_ESCRIPT || strstr(worker->text, part) == NULL) {
        fail_msg("%s\ngave %d: %s\nexpected error: %s", source, worker->status, worker->text, part);
    }
}

// The endpoint's code.
static inline void endpoint(struct worker *worker, const char *source)
{
    worker_call(worker, "endpoint", source);
    if (worker->status != 0) {
        fail_msg("%s\n%s", source, worker->text);
    }
}

// --- clients ---

static inline int slot_of_test(lua_State *L)
{
    struct hark_slot **ret = lua_touserdata(L, 1);
    lua_pushliteral(L, "test");
    *ret = hark_slot_open(L, -1);
    return 0;
}

static inline struct hark_slot *worker_slot(struct worker *worker)
{
    struct hark_slot *slot = NULL;
    assert_int_equal(hark_vm_call(worker->script->vm, slot_of_test, &slot, 0, NULL, NULL), 0);
    return slot;
}

// A session of the endpoint, with path parameters and query as packed values (NULL: none).
static inline void
client_connect(struct worker *worker, struct client *client, const struct hark_buf *packed)
{
    struct hark_slot *slot = worker_slot(worker);
    const struct hark_session_options options = {
        .endpoint = slot, .view = hark_transform_view(slot), .policy = slot->policy};
    memset(client, 0, sizeof(*client));
    client->base.ops = &client_ops;
    assert_int_equal(hark_session_new(&worker->env, &options, &client->session), 0);
    struct hark_conn *conn = hark_conn_new(
        slot, client->session, packed == NULL ? HARK_SLICE_NONE : hark_buf_slice(packed));
    assert_non_null(conn);
    hark_session_set_data(client->session, conn);
    hark_link_attach(client->session, &client->base, client, 0);
    hark_session_start(client->session);
    worker_tick(worker);
}

// false: it is held.
static inline bool client_say(struct worker *worker, struct client *client, const char *text)
{
    if (client->session == NULL || !hark_input_is_ready(client->session)) {
        return false;
    }
    hark_input_message(client->session, hark_slice_text(text), false);
    worker_tick(worker);
    return true;
}

// The session's token, which Lua does not get to see.
static inline const char *client_token(const struct client *client)
{
    static char token[HARK_CONN_NAME_LEN + 64];
    struct hark_slice id = hark_session_id(client->session);
    (void)snprintf(token, sizeof(token), "%.*s", (int)id.len, id.ptr);
    return token;
}

// What the client was sent since the last look.
static inline void client_got(struct client *client, const char *expected)
{
    assert_string_equal(client->got, expected);
    client->got[0] = '\0';
}

#endif
