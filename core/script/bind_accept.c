// SPDX-License-Identifier: MIT
//
// How a request becomes a session, or a further request of one; and how it gets to the worker where
// its session lives. Each of these ends the request.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "hark.h"
#include "script/args.h"
#include "script/conn.h"
#include "script/request.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/transform.h"
#include "script/value.h"
#include "session/session.h"
#include "session/token.h"
#include "transport/accept.h"
#include "transport/exchange.h"

#define CLOSE_INTERNAL 1011

enum field { TRANSPORT, SUBPROTOCOL, ENVELOPE, ID, USER, PARAMS, QUERY, FIELDS };

static int session_id(lua_State *L);
static int owner(lua_State *L);
static int move(lua_State *L);
static int was_moved(lua_State *L);
static int accept_session(lua_State *L);
static int reject(lua_State *L);
static int attach(lua_State *L);
static int poll(lua_State *L);
static int post(lua_State *L);
static int delete_session(lua_State *L);

void hark_bind_accept(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"session_id", session_id},
        {"owner", owner},
        {"move", move},
        {"was_moved", was_moved},
        {"accept", accept_session},
        {"reject", reject},
        {"attach", attach},
        {"poll", poll},
        {"post", post},
        {"delete", delete_session},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

// --- where it belongs ---

static int session_id(lua_State *L)
{
    struct hark_exchange *exchange = hark_request_check(L, 1);
    struct hark_slice id = HARK_SLICE_NONE;
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    if (hark_accept_session_id(exchange, &id)) {
        lua_pushlstring(L, id.len == 0 ? "" : id.ptr, id.len);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int owner(lua_State *L)
{
    size_t len = 0;
    const char *id = luaL_checklstring(L, 1, &len);
    unsigned worker = 0;
    if (hark_session_owner(hark_script_of(L)->sessions, hark_slice(id, len), &worker) != 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, worker);
    lua_pushstring(L, hark_token_is_chosen(hark_slice(id, len)) ? "chosen" : "token");
    return 2;
}

static int move(lua_State *L)
{
    lua_Integer worker = luaL_checkinteger(L, 2);
    unsigned count = hark_script_of(L)->server->worker_count;
    luaL_argcheck(L, worker >= 0 && worker < (lua_Integer)count, 2, "no such worker");
    struct hark_exchange *exchange = hark_request_take(L, 1);
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    int status = hark_exchange_move(exchange, (unsigned)worker);
    if (status != 0) {
        hark_request_give_back(L, 1, exchange);
        lua_pushnil(L);
        lua_pushstring(L, hark_strerror(status));
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int was_moved(lua_State *L)
{
    const struct hark_exchange *exchange = hark_request_check(L, 1);
    lua_pushboolean(L, exchange != NULL && hark_exchange_was_moved(exchange));
    return 1;
}

// --- a new session ---

static enum hark_transport_kind check_transport(lua_State *L, int index)
{
    static const enum hark_transport_kind kinds[] = {HARK_TRANSPORT_WEBSOCKET, HARK_TRANSPORT_SSE,
                                                     HARK_TRANSPORT_LONGPOLL};

    const char *name = lua_isnil(L, index) ? "" : lua_tostring(L, index);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(name, hark_transport_kind_name(kinds[i])) == 0) {
            return kinds[i];
        }
    }
    luaL_error(L, "transport is \"%s\"; allowed: websocket, sse, longpoll", name);
    return HARK_TRANSPORT_LONGPOLL;
}

// Reads the options at index 3; their values lie from the returned index on.
static int
read_options(lua_State *L, const char *what, struct hark_slot *slot, struct hark_accept *ret)
{
    static const struct hark_arg fields[FIELDS] = {
        [TRANSPORT] = {"transport", HARK_ARG_STRING},
        [SUBPROTOCOL] = {"subprotocol", HARK_ARG_STRING},
        [ENVELOPE] = {"envelope", HARK_ARG_BOOLEAN},
        [ID] = {"id", HARK_ARG_STRING},
        [USER] = {"user", HARK_ARG_ANY},
        [PARAMS] = {"params", HARK_ARG_TABLE},
        [QUERY] = {"query", HARK_ARG_TABLE},
    };
    lua_settop(L, 3);
    int first = hark_args_read(L, 3, what, fields, FIELDS);
    *ret = (struct hark_accept){
        .kind = check_transport(L, first + TRANSPORT),
        .subprotocol = hark_args_slice(L, first + SUBPROTOCOL),
        .envelope = lua_toboolean(L, first + ENVELOPE),
        .id = hark_args_slice(L, first + ID),
        .endpoint = slot,
        .view = hark_transform_view(slot),
        .policy = slot->policy,
    };
    return first;
}

static bool is_empty(lua_State *L, int index)
{
    if (!lua_istable(L, index)) {
        return true;
    }
    lua_pushnil(L);
    if (lua_next(L, index) == 0) {
        return true;
    }
    lua_pop(L, 2);
    return false;
}

// Path parameters and query as bytes; none when both are empty.
static struct hark_slice pack(lua_State *L, int first)
{
    struct hark_buf *buf = &hark_script_of(L)->payload;
    struct hark_value_error why;
    hark_buf_clear(buf);
    if (is_empty(L, first + PARAMS) && is_empty(L, first + QUERY)) {
        return HARK_SLICE_NONE;
    }
    int status = hark_value_pack(L, first + PARAMS, buf, &why);
    if (status == 0 && !is_empty(L, first + QUERY)) {
        status = hark_value_pack(L, first + QUERY, buf, &why);
    }
    if (status != 0) {
        luaL_error(L, "accept: %s", status == HARK_EINVAL ? why.text : hark_strerror(status));
    }
    return hark_buf_slice(buf);
}

// Makes the handle, with its user: connection, user -> handle. The part of an accept that may raise
// when the session is there already.
static int make_handle(lua_State *L)
{
    struct hark_conn *conn = lua_touserdata(L, 1);
    hark_conn_push(L, conn);
    if (!lua_isnil(L, 2)) {
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, -2, HARK_CONN_USER);
        hark_conn_hold(L, conn);
    }
    return 1;
}

static int accept_session(lua_State *L)
{
    struct hark_slot *slot = hark_slot_check(L, 2);
    struct hark_accept accept;
    int first = read_options(L, "accept", slot, &accept);
    struct hark_slice packed = pack(L, first);
    struct hark_exchange *exchange = hark_request_take(L, 1);
    struct hark_session *session = NULL;
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    if (slot->cleared) {
        hark_exchange_refuse(exchange, 404, HARK_LIT("not_found"));
        return 0;
    }
    if (hark_accept_session(exchange, &accept, &session) != 0) {
        return 0; // it has been answered
    }
    struct hark_conn *conn = hark_conn_new(slot, session, packed);
    int status = LUA_ERRMEM;
    if (conn != NULL) {
        hark_session_set_data(session, conn);
        lua_pushcfunction(L, make_handle);
        lua_pushlightuserdata(L, conn);
        lua_pushvalue(L, first + USER);
        status = lua_pcall(L, 2, 1, 0);
    }
    if (status != LUA_OK) {
        hark_session_close(session, CLOSE_INTERNAL, HARK_LIT("out of memory"));
        lua_pushnil(L);
    }
    hark_session_start(session);
    return 1;
}

static int reject(lua_State *L)
{
    lua_Integer code = luaL_checkinteger(L, 2);
    size_t len = 0;
    const char *why = luaL_optlstring(L, 3, "", &len);
    luaL_argcheck(L, code >= 3000 && code <= 4999, 2, "the code must be 3000 to 4999");
    struct hark_exchange *exchange = hark_request_take(L, 1);
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    hark_accept_reject(exchange, (uint16_t)code, hark_slice(why, len));
    lua_pushboolean(L, 1);
    return 1;
}

// --- a further request ---

// The exchange and the living session of the two arguments; NULL: the request is over.
static struct hark_exchange *take_for(lua_State *L, struct hark_session **ret_session)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 2);
    struct hark_exchange *exchange = hark_request_take(L, 1);
    if (exchange != NULL && handle->conn == NULL) {
        hark_exchange_refuse(exchange, 404, HARK_LIT("session_unknown"));
        return NULL;
    }
    *ret_session = exchange == NULL ? NULL : handle->conn->session;
    return exchange;
}

static int attach(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 2);
    struct hark_accept accept = {.kind = HARK_TRANSPORT_LONGPOLL};
    if (handle->conn != NULL) {
        (void)read_options(L, "attach", hark_conn_slot(handle->conn), &accept);
    }
    struct hark_session *session = NULL;
    struct hark_exchange *exchange = take_for(L, &session);
    if (exchange != NULL && hark_accept_attach(exchange, session, &accept) != 0) {
        hark_exchange_refuse(exchange, 404, HARK_LIT("session_unknown"));
    }
    return 0;
}

static int poll(lua_State *L)
{
    struct hark_session *session = NULL;
    struct hark_exchange *exchange = take_for(L, &session);
    if (exchange != NULL) {
        hark_accept_poll(exchange, session);
    }
    return 0;
}

static int post(lua_State *L)
{
    struct hark_session *session = NULL;
    struct hark_exchange *exchange = take_for(L, &session);
    if (exchange != NULL) {
        hark_accept_post(exchange, session);
    }
    return 0;
}

static int delete_session(lua_State *L)
{
    struct hark_session *session = NULL;
    struct hark_exchange *exchange = take_for(L, &session);
    if (exchange != NULL) {
        hark_accept_delete(exchange, session);
    }
    return 0;
}
