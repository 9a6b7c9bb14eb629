// SPDX-License-Identifier: MIT
//
// The hot path of a message: no allocation but Lua's own string, the user's function is called
// directly from the task's trampoline. Upgrade and a script's own decode are functions put in
// between when they are needed.
#include "script/run.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "hark.h"
#include "script/args.h"
#include "script/conn.h"
#include "script/conn_data.h"
#include "script/json.h"
#include "script/report.h"
#include "script/state.h"
#include "script/task.h"
#include "session/session.h"

#define SAVED_MAX ((size_t)16 << 20)

static int enter(lua_State *L, struct hark_task *task);
static int enter_message(lua_State *L, struct hark_run *run);
static int enter_timer(lua_State *L, struct hark_run *run);
static int decode_first(lua_State *L);
static int upgrade_first(lua_State *L);
static int pass(lua_State *L, int status, lua_KContext context);
static void leave(lua_State *L, struct hark_task *task, int first);
static void ended(struct hark_task *task, int status, struct hark_slice text);
static void dropped(struct hark_task *task);

_Static_assert(sizeof(struct hark_run) <= HARK_TASK_ROOM, "a run fits into its task");

static const struct hark_task_ops ops = {
    .enter = enter, .leave = leave, .ended = ended, .dropped = dropped};

static struct hark_run *run_of(lua_State *L)
{
    return hark_task_room(hark_vm_of(L)->task);
}

struct hark_conn *hark_run_conn(struct hark_task *task)
{
    return task->ops == &ops ? ((struct hark_run *)hark_task_room(task))->conn : NULL;
}

int hark_run_start(struct hark_conn *conn, const struct hark_run_input *input, void *owned)
{
    struct hark_slot *slot = hark_conn_slot(conn);
    struct hark_task *task = hark_task_new(slot->script->tasks, &ops);
    if (task == NULL) {
        return HARK_ENOMEM;
    }
    if (slot->cpu_ms != 0) {
        task->cpu_ms = slot->cpu_ms;
    }
    struct hark_run *run = hark_task_room(task);
    *run = (struct hark_run){
        .conn = conn,
        .slot = slot,
        .generation = slot->generation,
        .owned = owned,
        .input = *input,
        .result = {.outcome = HARK_OUTCOME_OK},
    };
    conn->run = run;
    hark_task_start(task);
    return 0;
}

// --- what the handler gets ---

static void push_slice(lua_State *L, struct hark_slice text)
{
    lua_pushlstring(L, text.len == 0 ? "" : text.ptr, text.len);
}

// Pushes the handler and what all handlers get first.
static void push_handler(lua_State *L, const struct hark_run *run)
{
    hark_slot_push(L, run->slot, run->input.kind);
    hark_conn_push(L, run->conn);
}

static int enter(lua_State *L, struct hark_task *task)
{
    struct hark_run *run = hark_task_room(task);
    const struct hark_run_input *input = &run->input;
    int base = lua_gettop(L) + 1;
    if (HARK_LIKELY(input->kind == HARK_SLOT_MESSAGE)) {
        if (enter_message(L, run) < 0) {
            return -1;
        }
    } else if (input->kind == HARK_SLOT_TIMERS) {
        if (enter_timer(L, run) < 0) {
            return -1;
        }
    } else {
        push_handler(L, run);
        if (input->kind == HARK_SLOT_ATTACH) {
            lua_pushstring(L, hark_transport_kind_name(hark_session_kind(run->conn->session)));
        } else if (input->kind != HARK_SLOT_OPEN) {
            push_slice(L, input->data);
        }
        if (input->kind == HARK_SLOT_GAP) {
            hark_args_push_position(L, input->from);
            hark_args_push_position(L, input->to);
        } else if (input->kind == HARK_SLOT_DETACH) {
            lua_pushboolean(L, input->flag);
        } else if (input->kind == HARK_SLOT_CLOSE) {
            lua_pushinteger(L, input->code);
        }
    }
    if (HARK_UNLIKELY(run->conn->version != run->slot->version)) {
        lua_pushcfunction(L, upgrade_first);
        lua_insert(L, base);
    }
    return lua_gettop(L) - base;
}

static int enter_message(lua_State *L, struct hark_run *run)
{
    const struct hark_slot *slot = run->slot;
    const struct hark_run_input *input = &run->input;
    struct hark_script *script = slot->script;
    if (hark_slot_has(slot, HARK_SLOT_DECODE)) {
        lua_pushcfunction(L, decode_first);
    }
    push_handler(L, run);
    if (slot->codec == HARK_SLOT_JSON) {
        struct hark_json_error why;
        if (hark_json_decode(L, input->data, &why) != 0) {
            hark_buf_clear(&script->text);
            hark_vm_add_text(&script->text, why.text);
            run->result.outcome = HARK_OUTCOME_INVALID;
            return -1;
        }
    } else {
        push_slice(L, input->data);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->kinds_ref[input->flag]);
    return 0;
}

// The name is looked up when the timer is due; a reload may have taken it away.
static int enter_timer(lua_State *L, struct hark_run *run)
{
    hark_slot_push(L, run->slot, HARK_SLOT_TIMERS);
    push_slice(L, run->input.data);
    if (lua_rawget(L, -2) != LUA_TFUNCTION) {
        hark_stats_add(&run->slot->script->stats->timers_dropped, 1);
        return -1;
    }
    lua_replace(L, -2);
    hark_conn_push(L, run->conn);
    return 0;
}

// --- between the trampoline and the handler: handler, connection, ... are the arguments ---

static int pass(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

static int call_handler(lua_State *L)
{
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, pass);
    return pass(L, LUA_OK, 0);
}

// codec.decode(data, kind) -> value, or nil and why.
static int decode_first(lua_State *L)
{
    struct hark_run *run = run_of(L);
    struct hark_vm *vm = hark_vm_of(L);
    hark_slot_push(L, run->slot, HARK_SLOT_DECODE);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 4);
    vm->place = "codec.decode"; // an error ends the run, and with it this
    lua_call(L, 2, 2);
    vm->place = NULL;
    if (lua_isnil(L, -2)) {
        size_t len = 0;
        const char *why = lua_isnil(L, -1) ? "" : luaL_tolstring(L, -1, &len);
        hark_buf_clear(&run->slot->script->text);
        hark_vm_ignore(hark_buf_append(&run->slot->script->text, why, len)); // too long: without it
        run->result.outcome = HARK_OUTCOME_INVALID;
        return 0;
    }
    lua_pop(L, 1);
    lua_replace(L, 3);
    return call_handler(L);
}

// The code expects other data than this connection was left with.
static int upgrade_first(lua_State *L)
{
    struct hark_run *run = run_of(L);
    struct hark_vm *vm = hark_vm_of(L);
    struct hark_slot *slot = run->slot;
    uint32_t from = run->conn->version;
    run->conn->version = slot->version;
    if (slot->version < from || !hark_slot_has(slot, HARK_SLOT_UPGRADE)) {
        return call_handler(L);
    }
    struct hark_buf saved;
    hark_buf_init(&saved, SAVED_MAX);
    int status = LUA_ERRRUN;
    hark_conn_push(L, run->conn);
    int handle = lua_gettop(L);
    if (hark_conn_data_save(L, handle, &saved) == 0) {
        lua_pushcfunction(L, hark_vm_traceback);
        hark_slot_push(L, slot, HARK_SLOT_UPGRADE);
        lua_pushvalue(L, handle);
        lua_pushinteger(L, from);
        vm->place = "upgrade";
        status = lua_pcall(L, 2, 0, handle + 1);
        vm->place = NULL;
    } else {
        lua_pushliteral(L, "upgrade: the data holds values that are not plain");
    }
    if (status != LUA_OK) {
        char reference[HARK_REPORT_REFERENCE_MAX];
        const struct hark_slot_error error = {.place = "upgrade",
                                              .session = hark_session_serial(run->conn->session),
                                              .text = hark_args_slice(L, -1)};
        hark_slot_report(slot, &error, reference);
        hark_stats_add(&slot->script->stats->handler_errors, 1);
        hark_conn_data_restore(L, handle, &saved);
    }
    hark_buf_deinit(&saved);
    lua_settop(L, handle - 1);
    return call_handler(L);
}

// --- what came of it ---

static void leave(lua_State *L, struct hark_task *task, int first)
{
    struct hark_run *run = hark_task_room(task);
    struct hark_run_result *result = &run->result;
    if (result->outcome != HARK_OUTCOME_OK || lua_gettop(L) < first) {
        return;
    }
    int type = lua_type(L, first); // a string must not be tried as a number: that is slow
    if (type == LUA_TNUMBER && lua_tonumber(L, first) >= 0 && lua_tonumber(L, first) < 86400) {
        result->has_seconds = true;
        result->seconds = (uint64_t)lua_tonumber(L, first);
    }
    result->told = type == LUA_TBOOLEAN && lua_toboolean(L, first);
    if (lua_toboolean(L, first) || lua_isnoneornil(L, first + 1)) {
        return;
    }
    struct hark_buf *text = &run->slot->script->text;
    size_t len = 0;
    const char *why = luaL_tolstring(L, first + 1, &len);
    hark_buf_clear(text);
    hark_vm_ignore(hark_buf_append(text, why, len < text->max ? len : text->max));
    result->refused = true;
    result->outcome = HARK_OUTCOME_REFUSED;
}

static const char *place_of(enum hark_slot_fn kind)
{
    static const char *const names[HARK_SLOT_FNS] = {
        [HARK_SLOT_OPEN] = "open",     [HARK_SLOT_MESSAGE] = "message", [HARK_SLOT_CLOSE] = "close",
        [HARK_SLOT_ATTACH] = "attach", [HARK_SLOT_DETACH] = "detach",   [HARK_SLOT_GAP] = "gap",
        [HARK_SLOT_DRAIN] = "drain",   [HARK_SLOT_TIMERS] = "timers",
    };
    return names[kind] != NULL ? names[kind] : "handler";
}

static void ended(struct hark_task *task, int status, struct hark_slice text)
{
    struct hark_run *run = hark_task_room(task);
    struct hark_conn *conn = run->conn;
    struct hark_script *script = run->slot->script;
    char reference[HARK_REPORT_REFERENCE_MAX];
    run->result.status = status;
    if (status != 0) {
        const struct hark_slot_error error = {.place = place_of(run->input.kind),
                                              .session = hark_session_serial(conn->session),
                                              .text = text};
        hark_slot_report(run->slot, &error, reference);
        run->result.outcome = HARK_OUTCOME_FAILED;
        run->result.text = hark_slice_text(reference);
    } else if (run->result.outcome != HARK_OUTCOME_OK) {
        run->result.text = hark_buf_slice(&script->text);
    }
    conn->run = NULL;
    script->run_ended(conn, run);
    hark_mem_free(run->owned);
}

static void dropped(struct hark_task *task)
{
    hark_mem_free(((struct hark_run *)hark_task_room(task))->owned);
}
