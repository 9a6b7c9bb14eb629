// SPDX-License-Identifier: MIT
//
// Connections in Lua: fields, sending, closing, timers, and asking the client. Joins are in
// bind_join.c. Each method looks whether the session still lives: a dead one gives nil, "closed".
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/utf8.h"
#include "hark.h"
#include "io/stream.h"
#include "script/args.h"
#include "script/conn.h"
#include "script/conn_data.h"
#include "script/dispatch.h"
#include "script/event.h"
#include "script/json.h"
#include "script/pending.h"
#include "script/run.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/transform.h"
#include "session/session.h"

#define REASON_MAX 123 // RFC 6455 section 5.5: a control frame holds 125 bytes, two are the code

enum field { ID, USER, PARAMS, QUERY, DATA, TRANSPORT, IP, BACKLOG };

static int index_conn(lua_State *L);
static int assign(lua_State *L);
static int to_string(lua_State *L);
static int send_message(lua_State *L);
static int close_conn(lua_State *L);
static int after(lua_State *L);
static int cancel(lua_State *L);
static int refresh(lua_State *L);
static int request(lua_State *L);

void hark_bind_conn_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"send", send_message}, {"close", close_conn}, {"after", after}, {"cancel", cancel},
        {"refresh", refresh},   {"request", request},  {NULL, NULL},
    };

    static const struct {
        const char *name;
        enum field field;
    } fields[] = {
        {"id", ID},     {"user", USER},           {"params", PARAMS}, {"query", QUERY},
        {"data", DATA}, {"transport", TRANSPORT}, {"ip", IP},         {"backlog", BACKLOG},
    };

    lua_createtable(L, 0, 5);
    // One table says what a key is: a method, or the number of a field.
    lua_createtable(L, 0, 24);
    luaL_setfuncs(L, methods, 0);
    hark_bind_join(L);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        lua_pushinteger(L, fields[i].field);
        lua_setfield(L, -2, fields[i].name);
    }
    lua_pushcclosure(L, index_conn, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, assign);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, to_string);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "hark.conn");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hark_conn_metatable);
}

// --- fields ---

static int push_live_field(lua_State *L, const struct hark_session *session, lua_Integer field)
{
    switch (field) {
    case ID: {
        char name[HARK_CONN_NAME_LEN + 1];
        hark_conn_name(hark_session_serial(session), name);
        lua_pushlstring(L, name, HARK_CONN_NAME_LEN);
        break;
    }
    case TRANSPORT: lua_pushstring(L, hark_transport_kind_name(hark_session_kind(session))); break;
    case IP: {
        char text[HARK_PEER_TEXT_MAX];
        size_t len = hark_session_peer_text(session, text);
        lua_pushlstring(L, text, len);
        break;
    }
    case BACKLOG: lua_pushinteger(L, (lua_Integer)hark_session_backlog(session)); break;
    default: lua_pushnil(L); break;
    }
    return 1;
}

static int index_conn(lua_State *L)
{
    lua_pushvalue(L, 2);
    int type = lua_rawget(L, lua_upvalueindex(1));
    if (HARK_LIKELY(type == LUA_TFUNCTION)) {
        return 1;
    }
    if (type != LUA_TNUMBER) {
        return luaL_error(
            L,
            "a connection has no field %s; there are: id, user, params, query, data, transport, "
            "ip, "
            "backlog, send(), close(), join(), leave(), joined(), request(), after(), cancel(), "
            "refresh()",
            luaL_tolstring(L, 2, NULL));
    }
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    lua_Integer field = lua_tointeger(L, -1);
    switch (field) {
    case USER: hark_conn_push_user(L, 1); return 1;
    case PARAMS: hark_conn_push_packed(L, 1, HARK_CONN_PARAMS); return 1;
    case QUERY: hark_conn_push_packed(L, 1, HARK_CONN_QUERY); return 1;
    case DATA: hark_conn_data_push(L, 1); return 1;
    default: break;
    }
    if (handle->conn == NULL) {
        lua_pushnil(L);
        return 1;
    }
    return push_live_field(L, handle->conn->session, field);
}

static int assign(lua_State *L)
{
    (void)hark_conn_check(L, 1);
    const char *name =
        lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_tolstring(L, 2, NULL);
    if (strcmp(name, "data") != 0) {
        return luaL_error(L, "conn.%s cannot be set; keep your own values in conn.data", name);
    }
    hark_conn_data_assign(L, 1, 3);
    return 0;
}

static int to_string(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    lua_pushfstring(L, "hark.conn %I%s", (LUAI_UACINT)handle->serial,
                    handle->conn == NULL ? " (closed)" : "");
    return 1;
}

// --- out ---

static int closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    return 2;
}

// true, or nil and why.
static int answer(lua_State *L, int status)
{
    if (HARK_LIKELY(status == 0)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return status == HARK_EINVAL ? hark_event_refuse(L) : hark_pending_refuse(L, status);
}

static void read_send_options(lua_State *L, int index, struct hark_msg_draft *draft)
{
    enum { EVENT, BINARY, KEY, FIELDS };
    static const struct hark_arg fields[FIELDS] = {[EVENT] = {"event", HARK_ARG_STRING},
                                                   [BINARY] = {"binary", HARK_ARG_BOOLEAN},
                                                   [KEY] = {"key", HARK_ARG_STRING}};
    int first = hark_args_read(L, index, "conn:send", fields, FIELDS);
    draft->event = hark_args_slice(L, first + EVENT);
    draft->key = hark_args_slice(L, first + KEY);
    draft->flags |= lua_toboolean(L, first + BINARY) ? HARK_MSG_BINARY : 0;
}

// The message at index 2 with options at 3 (a number above the top: none).
static int send_to(lua_State *L, struct hark_conn *conn, int options)
{
    struct hark_msg_draft draft = {.flags = 0};
    if (HARK_UNLIKELY(!lua_isnoneornil(L, options))) {
        read_send_options(L, options, &draft);
    }
    if (HARK_UNLIKELY(hark_slice_starts(draft.event, HARK_LIT("hark.")))) {
        return HARK_EINVAL; // nothing shall pass for a notice of the engine
    }
    draft.payload = hark_event_payload(L, 2, hark_conn_slot(conn),
                                       &hark_conn_slot(conn)->script->payload, &draft.flags);
    return hark_session_send(conn->session, &draft);
}

static int send_message(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    if (HARK_UNLIKELY(handle->conn == NULL)) {
        return closed(L);
    }
    return answer(L, send_to(L, handle->conn, 3));
}

// A reason that is too long is cut between two characters.
static struct hark_slice cut_reason(struct hark_slice why)
{
    size_t len = 0;
    while (len < why.len) {
        bool valid = false;
        size_t step = hark_utf8_next(hark_slice_from(why, len), &valid);
        if (len + step > REASON_MAX || !valid) {
            break;
        }
        len += step;
    }
    return hark_slice(why.ptr, len);
}

// What may stand in a close frame that a server sends (RFC 6455 section 7.4 and its registry).
static bool is_close_code(lua_Integer code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014 && code != 1010) ||
           (code >= 3000 && code <= 4999);
}

static int close_conn(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    lua_Integer code = luaL_optinteger(L, 2, 1000);
    size_t len = 0;
    const char *why = luaL_optlstring(L, 3, "", &len);
    if (!is_close_code(code)) {
        return luaL_error(L,
                          "conn:close: the code is %I; allowed: 1000 to 1003, 1007 to 1009, "
                          "1011 to 1014, 3000 to 4999",
                          (LUAI_UACINT)code);
    }
    if (handle->conn == NULL || !hark_session_is_open(handle->conn->session)) {
        return closed(L);
    }
    hark_session_close(handle->conn->session, (uint16_t)code, cut_reason(hark_slice(why, len)));
    lua_pushboolean(L, 1);
    return 1;
}

// --- timers ---

// A name that the code which runs does not know is a slip of the pen.
static void check_timer(lua_State *L, const struct hark_conn *conn, int name)
{
    const struct hark_slot *slot = hark_conn_slot(conn);
    if (conn->run == NULL || conn->run->generation != slot->generation) {
        return;
    }
    if (hark_slot_has(slot, HARK_SLOT_TIMERS)) {
        hark_slot_push(L, slot, HARK_SLOT_TIMERS);
        lua_pushvalue(L, name);
        bool known = lua_rawget(L, -2) == LUA_TFUNCTION;
        lua_pop(L, 2);
        if (known) {
            return;
        }
    }
    luaL_error(L, "conn:after: there is no function \"%s\" in timers of %s", lua_tostring(L, name),
               slot->path);
}

static int after(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    uint64_t delay_ms = hark_args_ms(L, 2, "conn:after");
    size_t len = 0;
    const char *name = luaL_checklstring(L, 3, &len);
    if (handle->conn == NULL) {
        return closed(L);
    }
    check_timer(L, handle->conn, 3);
    int status = hark_session_after(handle->conn->session, delay_ms, hark_slice(name, len));
    if (status == HARK_EINVAL) {
        return luaL_error(L, "conn:after: \"%s\" is no name of a timer", name);
    }
    return answer(L, status);
}

static int cancel(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    size_t len = 0;
    const char *name = luaL_checklstring(L, 2, &len);
    if (handle->conn == NULL) {
        return closed(L);
    }
    lua_pushboolean(L, hark_session_cancel(handle->conn->session, hark_slice(name, len)));
    return 1;
}

static int refresh(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    if (handle->conn == NULL || !hark_session_is_open(handle->conn->session)) {
        return closed(L);
    }
    hark_transform_assign(L, handle->conn);
    lua_pushboolean(L, 1);
    return 1;
}

// --- request: the client's next message is the answer ---

static void give_up(struct hark_pending *pending)
{
    struct hark_conn *conn = pending->owner;
    conn->asking = NULL;
    hark_dispatch_expect(conn, false);
    hark_pending_done(pending, HARK_ECANCELED);
}

static int push_answer(lua_State *L, struct hark_pending *pending)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    if (handle->conn == NULL) {
        return closed(L);
    }
    const struct hark_slot *slot = hark_conn_slot(handle->conn);
    struct hark_slice data = hark_slice(pending->bytes, pending->len);
    struct hark_json_error why;
    if (slot->codec == HARK_SLOT_JSON) {
        if (hark_json_decode(L, data, &why) != 0) {
            lua_pushnil(L);
            lua_pushstring(L, why.text);
            return 2;
        }
        return 1;
    }
    if (hark_slot_has(slot, HARK_SLOT_DECODE)) {
        hark_slot_push(L, slot, HARK_SLOT_DECODE);
        lua_pushlstring(L, data.ptr, data.len);
        lua_rawgeti(L, LUA_REGISTRYINDEX, slot->script->kinds_ref[pending->flag]);
        lua_call(L, 2, 2);
        return 2;
    }
    lua_pushlstring(L, data.ptr, data.len);
    return 1;
}

static int request(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    struct hark_task *task = hark_task_check_wait(L, "conn:request");
    uint64_t timeout_ms = lua_isnoneornil(L, 3) ? 0 : hark_args_ms(L, 3, "conn:request");
    struct hark_conn *conn = handle->conn;
    if (conn == NULL || !hark_session_is_open(conn->session)) {
        return closed(L);
    }
    if (conn->asking != NULL) {
        return luaL_error(L, "conn:request: a request of this connection waits already");
    }
    int status = send_to(L, conn, 4);
    if (status != 0) {
        return answer(L, status);
    }
    struct hark_pending *pending = hark_pending_new(L, task->tasks);
    pending->owner = conn;
    pending->abandon = give_up;
    conn->asking = pending;
    hark_dispatch_expect(conn, true);
    return hark_pending_wait_for(L, pending, "conn:request", push_answer, timeout_ms);
}
