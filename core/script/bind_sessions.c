// SPDX-License-Identifier: MIT
//
// This worker's sessions for the engine: found by id, listed, ended, by id or by user.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "hark.h"
#include "io/stream.h"
#include "script/conn.h"
#include "script/json.h"
#include "script/slot.h"
#include "script/state.h"
#include "session/session.h"

#define LIST_MAX 10000

struct list {
    struct hark_conn **conns;
    size_t count;
    size_t max;
};

static int session(lua_State *L);
static int sessions(lua_State *L);
static int close_session(lua_State *L);
static int disconnect(lua_State *L);
static int conn_user(lua_State *L);
static int conn_slot(lua_State *L);

void hark_bind_sessions(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"session", session},
        {"sessions", sessions},
        {"close_session", close_session},
        {"disconnect", disconnect},
        {"conn_user", conn_user},
        {"conn_slot", conn_slot},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

static struct hark_session *find(lua_State *L, int index)
{
    size_t len = 0;
    const char *id = luaL_checklstring(L, index, &len);
    return hark_session_find_id(hark_script_of(L)->sessions, hark_slice(id, len));
}

static int session(lua_State *L)
{
    const struct hark_session *found = find(L, 1);
    struct hark_conn *conn = found == NULL ? NULL : hark_session_data(found);
    if (conn == NULL) {
        lua_pushnil(L);
    } else {
        hark_conn_push(L, conn);
    }
    return 1;
}

static int conn_user(lua_State *L)
{
    (void)hark_conn_check(L, 1);
    hark_conn_push_user(L, 1);
    return 1;
}

static int conn_slot(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    if (handle->conn == NULL) {
        lua_pushnil(L);
    } else {
        hark_slot_push_self(L, hark_conn_slot(handle->conn));
    }
    return 1;
}

// --- lists ---

static bool collect(void *ctx, struct hark_session *found)
{
    struct list *list = ctx;
    struct hark_conn *conn = hark_session_data(found);
    if (conn != NULL && hark_session_is_open(found)) {
        list->conns[list->count++] = conn;
    }
    return list->count < list->max;
}

// The connections as they are now, in memory of Lua's that lies on top: nothing is raised in the
// walk.
static struct list collect_all(lua_State *L, size_t max)
{
    struct hark_session_env *env = hark_script_of(L)->sessions;
    size_t count = hark_session_count(env);
    struct list list = {.max = count < max ? count : max};
    list.conns = lua_newuserdatauv(L, (list.max + 1) * sizeof(struct hark_conn *), 0);
    if (list.max > 0) {
        hark_session_each(env, collect, &list);
    }
    return list;
}

// Pushes user.id of a connection, or nil.
static void push_user_id(lua_State *L, struct hark_conn *conn)
{
    if (!conn->is_strong) { // nothing was kept with it
        lua_pushnil(L);
        return;
    }
    hark_conn_push(L, conn);
    hark_conn_push_user(L, -1);
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "id");
        lua_rawget(L, -2);
        lua_replace(L, -2);
    } else {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_replace(L, -2);
}

static void push_about(lua_State *L, struct hark_conn *conn)
{
    char ip[HARK_PEER_TEXT_MAX];
    char name[HARK_CONN_NAME_LEN + 1];
    hark_conn_name(hark_session_serial(conn->session), name);
    lua_createtable(L, 0, 6);
    lua_pushlstring(L, name, HARK_CONN_NAME_LEN);
    lua_setfield(L, -2, "id");
    push_user_id(L, conn);
    if (lua_type(L, -1) != LUA_TSTRING &&
        !lua_isinteger(L, -1)) { // what crosses workers must be plain
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_setfield(L, -2, "user");
    lua_pushstring(L, hark_transport_kind_name(hark_session_kind(conn->session)));
    lua_setfield(L, -2, "transport");
    lua_pushlstring(L, ip, hark_session_peer_text(conn->session, ip));
    lua_setfield(L, -2, "ip");
    lua_pushstring(L, hark_conn_slot(conn)->app);
    lua_setfield(L, -2, "app");
    lua_pushstring(L, hark_conn_slot(conn)->path);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, (lua_Integer)hark_session_backlog(conn->session));
    lua_setfield(L, -2, "backlog");
}

static int sessions(lua_State *L)
{
    struct list list = collect_all(L, LIST_MAX);
    lua_createtable(L, (int)list.count, 0);
    hark_json_mark_array(L);
    for (size_t i = 0; i < list.count; i++) {
        push_about(L, list.conns[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// --- ending ---

static uint16_t check_code(lua_State *L, int index)
{
    lua_Integer code = luaL_optinteger(L, index, 1000);
    luaL_argcheck(L, code >= 1000 && code <= 4999, index, "a close code from 1000 to 4999");
    return (uint16_t)code;
}

static int close_session(lua_State *L)
{
    size_t name_len = 0;
    const char *name = luaL_checklstring(L, 1, &name_len);
    uint64_t serial = hark_conn_serial(hark_slice(name, name_len));
    struct hark_session *found = hark_session_find_serial(hark_script_of(L)->sessions, serial);
    uint16_t code = check_code(L, 2);
    size_t len = 0;
    const char *why = luaL_optlstring(L, 3, "", &len);
    if (found != NULL) {
        hark_session_close(found, code, hark_slice(why, len));
    }
    lua_pushboolean(L, found != NULL);
    return 1;
}

// disconnect(user, code, why) -> how many
static int disconnect(lua_State *L)
{
    uint16_t code = check_code(L, 2);
    size_t len = 0;
    const char *why = luaL_optlstring(L, 3, "", &len);
    struct list list = collect_all(L, SIZE_MAX);
    lua_Integer count = 0;
    for (size_t i = 0; i < list.count; i++) {
        push_user_id(L, list.conns[i]);
        if (!lua_isnil(L, -1) && lua_rawequal(L, -1, 1)) {
            hark_session_close(list.conns[i]->session, code, hark_slice(why, len));
            count++;
        }
        lua_pop(L, 1);
    }
    lua_pushinteger(L, count);
    return 1;
}
