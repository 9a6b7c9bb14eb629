// SPDX-License-Identifier: MIT
//
// The exchange lies in the room of the task, so it can be answered when Lua is over, whatever
// happened there.
#include "script/request.h"

#include <string.h>

#include <lauxlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"
#include "script/report.h"
#include "script/task.h"
#include "transport/exchange.h"

const char hark_request_metatable = 0;

struct serving {
    struct hark_script *script;
    struct hark_exchange *exchange; // NULL: answered, passed on, or gone
    bool admin;
};

_Static_assert(sizeof(struct serving) <= HARK_TASK_ROOM, "it fits into its task");

struct handle {
    uint64_t serial;
    uint32_t index;
};

// A request that came from inside Lua: it starts when that is over.
struct waiting {
    struct hark_list node;
    struct hark_exchange *exchange; // NULL: its client has gone
    bool admin;
};

static void serve(struct hark_script *script, struct hark_exchange *exchange, bool admin);
static void put_off(struct hark_script *script, struct hark_exchange *exchange, bool admin);
static void start_waiting(struct hark_script *script);
static void on_gone_waiting(void *ctx, struct hark_exchange *exchange);
static void on_gone(void *ctx, struct hark_exchange *exchange);
static int enter(lua_State *L, struct hark_task *task);
static void ended(struct hark_task *task, int status, struct hark_slice text);

static const struct hark_task_ops ops = {.enter = enter, .ended = ended};

void hark_request_open(struct hark_script *script)
{
    hark_list_init(&script->requests);
    script->start_requests = start_waiting;
}

void hark_request_serve(void *ctx, struct hark_exchange *exchange)
{
    serve(ctx, exchange, false);
}

void hark_request_serve_admin(void *ctx, struct hark_exchange *exchange)
{
    serve(ctx, exchange, true);
}

static void serve(struct hark_script *script, struct hark_exchange *exchange, bool admin)
{
    if (script->stopping) {
        hark_exchange_refuse(exchange, 503, HARK_LIT("draining"));
        return;
    }
    if (hark_vm_is_running(script->vm)) {
        put_off(script, exchange, admin);
        return;
    }
    struct hark_task *task = hark_task_new(script->tasks, &ops);
    if (task == NULL) {
        hark_exchange_refuse(exchange, 503, HARK_LIT("busy"));
        return;
    }
    struct serving *serving = hark_task_room(task);
    *serving = (struct serving){.script = script, .exchange = exchange, .admin = admin};
    hark_exchange_on_gone(exchange, on_gone, serving);
    hark_task_start(task);
}

static void put_off(struct hark_script *script, struct hark_exchange *exchange, bool admin)
{
    struct waiting *waiting = hark_mem_alloc(sizeof(*waiting));
    if (waiting == NULL) {
        hark_exchange_refuse(exchange, 503, HARK_LIT("busy"));
        return;
    }
    waiting->exchange = exchange;
    waiting->admin = admin;
    hark_list_init(&waiting->node);
    hark_list_push(&script->requests, &waiting->node);
    hark_exchange_on_gone(exchange, on_gone_waiting, waiting);
    hark_defer_post(script->sessions->defer, &script->run_ready);
}

static void on_gone_waiting(void *ctx, struct hark_exchange *exchange)
{
    (void)exchange;
    ((struct waiting *)ctx)->exchange = NULL;
}

static void start_waiting(struct hark_script *script)
{
    struct hark_list now;
    hark_list_init(&now);
    hark_list_splice(&now, &script->requests);
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&now)) != NULL) {
        struct waiting *waiting = HARK_CONTAINER_OF(node, struct waiting, node);
        if (waiting->exchange != NULL) {
            hark_exchange_on_gone(waiting->exchange, NULL, NULL);
            serve(script, waiting->exchange, waiting->admin);
        }
        hark_mem_free(waiting);
    }
}

void hark_request_stop(struct hark_script *script)
{
    start_waiting(script); // refuses them: the script is stopping
}

// --- the task ---

static void on_gone(void *ctx, struct hark_exchange *exchange)
{
    (void)exchange;
    struct serving *serving = ctx;
    serving->exchange = NULL;
}

static int enter(lua_State *L, struct hark_task *task)
{
    const struct serving *serving = hark_task_room(task);
    lua_rawgeti(L, LUA_REGISTRYINDEX,
                serving->admin ? serving->script->admin_ref : serving->script->request_ref);
    struct handle *handle = lua_newuserdatauv(L, sizeof(*handle), HARK_REQUEST_VALUES);
    handle->index = task->index;
    handle->serial = task->serial;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hark_request_metatable);
    lua_setmetatable(L, -2);
    return 1;
}

static void ended(struct hark_task *task, int status, struct hark_slice text)
{
    struct serving *serving = hark_task_room(task);
    char reference[HARK_REPORT_REFERENCE_MAX] = "";
    if (status != 0) {
        const struct hark_report_error error = {.place = serving->admin ? "admin" : "request",
                                                .text = text};
        hark_report_error(&serving->script->report, &error, *serving->script->sessions->now_ms,
                          reference);
    } else if (serving->exchange != NULL) {
        const struct hark_report_error error = {
            .place = "request", .text = HARK_LIT("the request was left without an answer")};
        hark_report_error(&serving->script->report, &error, *serving->script->sessions->now_ms,
                          reference);
    }
    struct hark_exchange *exchange = serving->exchange;
    serving->exchange = NULL;
    if (exchange != NULL) {
        hark_exchange_on_gone(exchange, NULL, NULL);
        hark_exchange_fail(exchange, reference);
    }
}

// --- handles ---

static struct serving *find(lua_State *L, int index)
{
    const struct handle *handle = NULL;
    if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &hark_request_metatable);
        handle = lua_rawequal(L, -1, -2) ? lua_touserdata(L, index) : NULL;
        lua_pop(L, 2);
    }
    if (handle == NULL) {
        luaL_typeerror(L, index, "request");
        return NULL; // not reached
    }
    struct hark_task *task =
        hark_task_find(hark_script_of(L)->tasks, handle->index, handle->serial);
    return task == NULL ? NULL : hark_task_room(task);
}

struct hark_exchange *hark_request_check(lua_State *L, int index)
{
    const struct serving *serving = find(L, index);
    return serving == NULL ? NULL : serving->exchange;
}

struct hark_exchange *hark_request_take(lua_State *L, int index)
{
    struct serving *serving = find(L, index);
    if (serving == NULL || serving->exchange == NULL) {
        return NULL;
    }
    struct hark_exchange *exchange = serving->exchange;
    hark_exchange_on_gone(exchange, NULL, NULL);
    serving->exchange = NULL;
    return exchange;
}

void hark_request_give_back(lua_State *L, int index, struct hark_exchange *exchange)
{
    struct serving *serving = find(L, index);
    serving->exchange = exchange;
    hark_exchange_on_gone(exchange, on_gone, serving);
}

int hark_request_closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    return 2;
}
