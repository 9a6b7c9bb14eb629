// SPDX-License-Identifier: MIT
//
// Puts the parts together: state, tasks, hark.core, engine, and ties them to the worker.
#include "script/host.h"

#include <string.h>

#include <lauxlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "io/loop.h"
#include "script/ask.h"
#include "script/bind.h"
#include "script/bind_admin.h"
#include "script/conn.h"
#include "script/dispatch.h"
#include "script/engine.h"
#include "script/library.h"
#include "script/look.h"
#include "script/request.h"
#include "script/retire.h"
#include "script/shared.h"
#include "script/state.h"
#include "script/transform.h"
#include "script/value.h"
#include "session/session.h"

#define TEXT_MAX    ((size_t)64 << 10)
#define PAYLOAD_MAX ((size_t)64 << 20)
#define WHY_MAX     ((size_t)64 << 10)

struct loading {
    struct hark_script *script;
    hark_script_loaded_fn *fn;
    void *ctx;
};

static int build(struct hark_script *script, const struct hark_script_options *options);
static int find_shared(struct hark_script *script);
static int build_parts(struct hark_script *script, const struct hark_script_options *options);
static int set_up(lua_State *L);
static int open_core(lua_State *L);
static int ask(lua_State *L);
static int look(lua_State *L);
static int configure(lua_State *L);
static void on_loaded(void *ctx, int status, struct hark_slice text, struct hark_slice result);

// --- making ---

int hark_script_new(const struct hark_script_options *options, struct hark_script **ret)
{
    struct hark_script *script = hark_mem_zalloc(sizeof(*script));
    if (script == NULL) {
        return HARK_ENOMEM;
    }
    int status = build(script, options);
    if (status != 0) {
        hark_script_free(script);
        return status;
    }
    options->server->request = hark_request_serve;
    options->server->request_ctx = script;
    options->server->sessions->handlers = &hark_dispatch_handlers;
    options->server->sessions->handlers_ctx = script;
    if (options->admin != NULL) {
        options->admin->request = hark_request_serve_admin;
        options->admin->request_ctx = script;
    }
    *ret = script;
    return 0;
}

static void init_limits(const struct hark_settings *settings, struct hark_vm_limits *ret)
{
    hark_vm_limits_init(ret);
    if (settings->vm_memory != 0) {
        ret->vm_memory = settings->vm_memory;
    }
    if (settings->run_cpu_ms != 0) {
        ret->run_cpu_ms = (uint32_t)settings->run_cpu_ms;
    }
    if (settings->load_cpu_ms != 0) {
        ret->load_cpu_ms = (uint32_t)settings->load_cpu_ms;
    }
}

static int build(struct hark_script *script, const struct hark_script_options *options)
{
    script->server = options->server;
    script->sessions = options->server->sessions;
    script->stats = options->server->stats;
    script->files = options->files;
    script->settings = options->settings;
    script->free_transforms = hark_transform_free_all;
    hark_list_init(&script->slots);
    hark_list_init(&script->retires);
    hark_buf_init(&script->text, TEXT_MAX);
    hark_buf_init(&script->payload, PAYLOAD_MAX);
    hark_dispatch_open(script);
    hark_request_open(script);
    init_limits(options->settings, &script->limits);

    int status = find_shared(script);
    if (status != 0) {
        return status;
    }
    struct hark_buf why;
    hark_buf_init(&why, WHY_MAX);
    const struct hark_vm_options vm = {.lua_dir = options->lua_dir,
                                       .limits = &script->limits,
                                       .open = hark_library_open,
                                       .owner = script};
    status = hark_vm_new(&vm, &script->vm, &why);
    if (status == 0) {
        status = build_parts(script, options);
    }
    if (status == 0) {
        status = hark_vm_call(script->vm, set_up, script, 0, "loading the engine", &why);
    }
    if (status != 0) {
        HARK_LOG(HARK_LOG_ERROR, "engine", HARK_F_TEXT("status", hark_strerror(status)),
                 HARK_F_SLICE("error", hark_buf_slice(&why)));
    }
    hark_buf_deinit(&why);
    return status;
}

// The dictionaries are those of the first worker.
static int find_shared(struct hark_script *script)
{
    const struct hark_server *server = script->server;
    const struct hark_server *first = server->worker == 0 ? NULL : server->workers[0];
    if (first != NULL) {
        script->shared = hark_shared_ref(((struct hark_script *)first->request_ctx)->shared);
        return 0;
    }
    return hark_shared_new(HARK_SHARED_BYTES_MAX, &script->shared);
}

static int build_parts(struct hark_script *script, const struct hark_script_options *options)
{
    const struct hark_settings *settings = options->settings;
    struct hark_server *server = script->server;
    const struct hark_tasks_options tasks = {
        .vm = script->vm,
        .wheel = script->sessions->wheel,
        .defer = script->sessions->defer,
        .now_ms = script->sessions->now_ms,
        .stats = script->stats,
        .wait_ms = settings->wait_ms != 0 ? settings->wait_ms : 10000,
        .total_ms = settings->run_total_ms != 0 ? settings->run_total_ms : 60000,
    };
    int status = hark_tasks_new(&tasks, &script->tasks);
    if (status != 0) {
        return status;
    }
    script->askers = hark_mem_array(server->worker_count, sizeof(struct hark_asker *));
    if (script->askers == NULL) {
        return HARK_ENOMEM;
    }
    const struct hark_asker_options asker = {
        .tasks = script->tasks,
        .mailbox = server->mailbox,
        .askers = script->askers,
        .worker = server->worker,
        .worker_count = server->worker_count,
    };
    status = hark_asker_new(&asker, &script->asker);
    if (status != 0) {
        return status;
    }
    const struct hark_look_options look_options = {
        .tasks = script->tasks,
        .mailbox = server->mailbox,
        .lua_dir = options->lua_dir,
        .limits = &script->limits,
    };
    return hark_look_new(&look_options, &script->look);
}

// Inside the state: core, the tables of connections, the engine and what is called all the time.
static int set_up(lua_State *L)
{
    struct hark_script *script = lua_touserdata(L, 1);
    hark_vm_preload(L, "hark.core", open_core);
    hark_conn_open(L, script);
    lua_pushliteral(L, "text");
    script->kinds_ref[0] = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushliteral(L, "binary");
    script->kinds_ref[1] = luaL_ref(L, LUA_REGISTRYINDEX);

    lua_getglobal(L, "require");
    lua_pushliteral(L, "hark.engine");
    lua_call(L, 1, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    if (lua_getfield(L, -1, "request") != LUA_TFUNCTION) {
        return luaL_error(L, "hark.engine has no function request");
    }
    script->request_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "admin");
    script->admin_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    script->engine_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int open_core(lua_State *L)
{
    struct hark_script *script = hark_script_of(L);
    lua_newtable(L);
    hark_bind_value(L);
    hark_bind_host(L);
    hark_bind_shared(L, script->shared);
    hark_bind_req(L);
    hark_bind_answer(L);
    hark_bind_accept(L);
    hark_bind_slot(L);
    hark_bind_sessions(L);
    hark_bind_hub(L);
    hark_bind_task(L);
    hark_bind_admin(L, script->server);
    hark_bind_conn_methods(L);
    lua_pushcfunction(L, ask);
    lua_setfield(L, -2, "ask");
    lua_pushcfunction(L, look);
    lua_setfield(L, -2, "look");
    return 1;
}

static int ask(lua_State *L)
{
    return hark_ask_run(L, hark_script_of(L)->asker);
}

static int look(lua_State *L)
{
    return hark_look_run(L, hark_script_of(L)->look);
}

void hark_script_free(struct hark_script *script)
{
    if (script == NULL) {
        return;
    }
    if (script->tasks != NULL) {
        hark_dispatch_free_all(script);
        hark_request_stop(script);
        hark_retire_free_all(script);
        hark_defer_cancel(&script->run_ready);
    }
    hark_look_free(script->look);
    hark_asker_free(script->asker);
    hark_tasks_free(script->tasks);
    hark_vm_free(script->vm);
    hark_shared_unref(script->shared);
    hark_mem_free(script->askers);
    hark_buf_deinit(&script->text);
    hark_buf_deinit(&script->payload);
    hark_mem_free(script);
}

// --- in the worker's thread ---

int hark_script_enter(struct hark_script *script)
{
    const struct hark_server *server = script->server;
    for (unsigned i = 0; i < server->worker_count; i++) { // all workers are there by now
        const struct hark_server *peer = i == server->worker ? server : server->workers[i];
        script->askers[i] = ((struct hark_script *)peer->request_ctx)->asker;
    }
    struct hark_buf why;
    hark_buf_init(&why, WHY_MAX);
    uint32_t cpu_ms = script->limits.load_cpu_ms;
    int status = hark_vm_call(script->vm, configure, script, cpu_ms, "configure", &why);
    if (status != 0) {
        HARK_LOG(HARK_LOG_ERROR, "engine", HARK_F_SLICE("error", hark_buf_slice(&why)));
    }
    hark_buf_deinit(&why);
    return status;
}

static int configure(lua_State *L)
{
    struct hark_script *script = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->engine_ref);
    if (lua_getfield(L, -1, "configure") != LUA_TFUNCTION) {
        return 0;
    }
    const struct hark_bytes *packed = script->settings->packed;
    struct hark_slice bytes = packed == NULL ? HARK_SLICE_NONE : hark_bytes_slice(packed);
    if (bytes.len == 0) {
        lua_newtable(L);
    } else if (hark_value_unpack(L, &bytes) != 0) {
        return luaL_error(L, "the settings are no value");
    }
    lua_call(L, 1, 0);
    return 0;
}

void hark_script_leave(struct hark_script *script)
{
    hark_watchdog_deinit(&script->vm->dog);
}

void hark_script_load(struct hark_script *script,
                      const char *directory,
                      hark_script_loaded_fn *fn,
                      void *ctx)
{
    struct loading *loading = hark_mem_alloc(sizeof(*loading));
    struct hark_buf argument;
    hark_buf_init(&argument, TEXT_MAX);
    int status = loading == NULL ? HARK_ENOMEM
                                 : hark_value_put_string(&argument, hark_slice_text(directory));
    if (status == 0) {
        *loading = (struct loading){script, fn, ctx};
        status = hark_engine_call(script, "start", hark_buf_slice(&argument), on_loaded, loading);
    }
    hark_buf_deinit(&argument);
    if (status != 0) {
        hark_mem_free(loading);
        fn(ctx, status, NULL);
    }
}

// The result is a list of problems.
static void on_loaded(void *ctx, int status, struct hark_slice text, struct hark_slice result)
{
    struct loading *loading = ctx;
    struct hark_buf why;
    uint32_t count = 0;
    hark_buf_init(&why, WHY_MAX);
    if (status != 0) {
        hark_vm_ignore(hark_buf_append_slice(&why, text)); // the status alone speaks then
    } else if (hark_value_take_array(&result, &count) == 0 && count > 0) {
        status = HARK_ESCRIPT;
        for (uint32_t i = 0; i < count; i++) {
            struct hark_slice problem = HARK_SLICE_NONE;
            if (hark_value_take_string(&result, &problem) == 0) {
                hark_vm_ignore(hark_buf_printf(&why, "%s%.*s", i == 0 ? "" : "\n", (int)problem.len,
                                               problem.ptr));
            }
        }
    }
    bool ended = hark_buf_append_char(&why, '\0') == 0;
    loading->fn(loading->ctx, status,
                ended && hark_buf_len(&why) > 1 ? hark_buf_slice(&why).ptr : NULL);
    hark_buf_deinit(&why);
    hark_mem_free(loading);
}

void hark_script_reload(struct hark_script *script)
{
    if (hark_engine_call(script, "reload", HARK_SLICE_NONE, NULL, NULL) != 0) {
        HARK_LOG(HARK_LOG_ERROR, "reload", HARK_F_TEXT("error", "out of memory"));
    }
}

int hark_script_publish(struct hark_script *script,
                        const struct hark_msg_draft *draft,
                        hark_hub_published_fn *fn,
                        void *ctx,
                        char *why)
{
    const struct hark_channel_entry *entry = hark_channels_find(script->channels, draft->channel);
    if (entry == NULL) {
        hark_channels_explain(script->channels, draft->channel, why, HARK_SCRIPT_WHY_MAX);
        return HARK_ENOENT;
    }
    return hark_hub_publish(script->server->hub, draft, &entry->options, fn, ctx);
}

static bool drain_session(void *ctx, struct hark_session *session)
{
    (void)ctx;
    hark_session_drain(session, HARK_LIT("shutdown"));
    return true;
}

void hark_script_drain(struct hark_script *script)
{
    if (hark_engine_call(script, "stop", HARK_SLICE_NONE, NULL, NULL) != 0) {
        HARK_LOG(HARK_LOG_WARN, "drain",
                 HARK_F_TEXT("error", "services were not told: out of memory"));
    }
    hark_session_each(script->sessions, drain_session, NULL);
}

void hark_script_stop(struct hark_script *script)
{
    hark_dispatch_stop(script);
    hark_request_stop(script);
    hark_asker_close(script->asker);
}
