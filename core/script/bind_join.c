// SPDX-License-Identifier: MIT
//
// Joining channels from Lua: the script's own check first (which may wait), then the atomic join of
// history and live; what comes of it is a table that says where the connection stands.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "hark.h"
#include "hub/hub.h"
#include "script/args.h"
#include "script/channels.h"
#include "script/conn.h"
#include "script/event.h"
#include "script/pending.h"
#include "script/state.h"
#include "script/transform.h"
#include "session/place.h"
#include "session/session.h"

static const char subscription_key; // registry: the metatable of subscriptions

enum option { REWIND, SINCE, AS, INFO, OPTIONS };

static int join(lua_State *L);
static int checked(lua_State *L, int status, lua_KContext context);
static int join_now(lua_State *L);
static void
on_joined(void *ctx, struct hark_session *session, int status, const struct hark_joined *joined);
static int push_subscription(lua_State *L, struct hark_pending *pending);
static int leave(lua_State *L);
static int joined_channel(lua_State *L);
static int members(lua_State *L);

void hark_bind_join(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"join", join}, {"leave", leave}, {"joined", joined_channel}, {NULL, NULL}};
    luaL_setfuncs(L, methods, 0);
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, members);
    lua_setfield(L, -2, "members");
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "hark.subscription");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &subscription_key);
}

static struct hark_slice check_channel(lua_State *L, int index)
{
    size_t len = 0;
    const char *name = luaL_checklstring(L, index, &len);
    return hark_slice(name, len);
}

// join(conn, channel, opts): the check, then join_now. The three arguments stay at 1 to 3.
static int join(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    struct hark_slice name = check_channel(L, 2);
    struct hark_script *script = hark_script_of(L);
    lua_settop(L, 3);
    (void)hark_task_check_wait(L, "conn:join");
    if (!hark_msg_is_channel(name)) {
        return hark_channels_refuse(L);
    }
    const struct hark_channel_entry *entry =
        hark_channels_need(L, script->channels, name, "conn:join");
    if (memchr(name.ptr, '*', name.len) != NULL) {
        return luaL_error(L, "conn:join: \"%s\" names many channels; join them one by one",
                          name.ptr);
    }
    if (handle->conn == NULL || !hark_session_is_open(handle->conn->session)) {
        return hark_pending_refuse(L, HARK_ECLOSED);
    }
    if (!entry->has_join) {
        return join_now(L);
    }
    hark_channels_push_join(L, entry);
    lua_pushvalue(L, 1);
    hark_channels_push_ref(L, entry, name);
    lua_callk(L, 2, 2, 0, checked);
    return checked(L, LUA_OK, 0);
}

static int checked(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (!lua_toboolean(L, -2)) {
        if (lua_isnil(L, -1)) {
            return hark_pending_refuse(L, HARK_EDENIED);
        }
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_settop(L, 3);
    return join_now(L);
}

// Where it starts, as the options at 3 say; false: nil and why are on top.
static bool read_start(lua_State *L, int first, struct hark_start *ret)
{
    ret->rewind = hark_args_count(L, first + REWIND, 0);
    if (lua_isnil(L, first + SINCE)) {
        return true;
    }
    if (hark_place_parse(hark_args_slice(L, first + SINCE), &ret->position) != 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "since is no position");
        return false;
    }
    ret->has_position = true;
    return true;
}

static int join_now(lua_State *L)
{
    static const struct hark_arg fields[OPTIONS] = {
        [REWIND] = {"rewind", HARK_ARG_INTEGER},
        [SINCE] = {"since", HARK_ARG_STRING},
        [AS] = {"as", HARK_ARG_STRING},
        [INFO] = {"info", HARK_ARG_ANY},
    };
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    struct hark_script *script = hark_script_of(L);
    struct hark_slice name = check_channel(L, 2);
    int first = hark_args_read(L, 3, "conn:join", fields, OPTIONS);
    struct hark_start start = {.rewind = 0};
    if (!read_start(L, first, &start)) {
        return 2;
    }
    struct hark_conn *conn = handle->conn; // the check may have waited
    if (conn == NULL) {
        return hark_pending_refuse(L, HARK_ECLOSED);
    }
    hark_transform_assign(L, conn);
    const struct hark_channel_entry *entry =
        hark_channels_need(L, script->channels, name, "conn:join");
    struct hark_member member = {.id = hark_args_slice(L, first + AS)};
    bool is_member = !lua_isnil(L, first + AS);
    if (!lua_isnil(L, first + INFO)) {
        if (!is_member) {
            return luaL_error(L, "conn:join: info needs a member id: as = ...");
        }
        member.info = hark_event_json(L, first + INFO, &script->payload, "conn:join: info");
    }
    struct hark_pending *pending = hark_pending_new(L, script->tasks);
    int status = hark_session_join(conn->session, name, &entry->options, &start,
                                   is_member ? &member : NULL, on_joined, pending);
    if (status != 0) {
        hark_pending_cancel(pending);
        return status == HARK_EINVAL
                   ? luaL_error(L, "conn:join: as must have 1 to %d bytes, info at most %d",
                                HARK_MEMBER_ID_MAX, HARK_MEMBER_INFO_MAX)
                   : hark_pending_refuse(L, status);
    }
    return hark_pending_wait(L, pending, "conn:join", push_subscription);
}

static void
on_joined(void *ctx, struct hark_session *session, int status, const struct hark_joined *joined)
{
    (void)session;
    struct hark_pending *pending = ctx;
    if (joined != NULL) {
        pending->joined = *joined;
    }
    hark_pending_done(pending, status);
}

// The channel is the second argument of the function that waited.
static void push_table(lua_State *L, int channel, const struct hark_joined *joined)
{
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, channel);
    lua_setfield(L, -2, "channel");
    lua_pushboolean(L, joined->recovered);
    lua_setfield(L, -2, "recovered");
    lua_pushinteger(L, (lua_Integer)joined->missed);
    lua_setfield(L, -2, "missed");
    hark_args_push_position(L, joined->position);
    lua_setfield(L, -2, "position");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &subscription_key);
    lua_setmetatable(L, -2);
}

static int push_subscription(lua_State *L, struct hark_pending *pending)
{
    push_table(L, 2, &pending->joined);
    return 1;
}

static int leave(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    struct hark_slice name = check_channel(L, 2);
    if (handle->conn == NULL) {
        return hark_pending_refuse(L, HARK_ECLOSED);
    }
    lua_pushboolean(L, hark_session_leave(handle->conn->session, name));
    return 1;
}

static int joined_channel(lua_State *L)
{
    const struct hark_conn_handle *handle = hark_conn_check(L, 1);
    struct hark_slice name = check_channel(L, 2);
    if (handle->conn == NULL) {
        return hark_pending_refuse(L, HARK_ECLOSED);
    }
    const struct hark_sub *sub = hark_session_find(handle->conn->session, name);
    if (sub == NULL) {
        lua_pushnil(L);
        return 1;
    }
    const struct hark_joined joined = {.position = sub->position, .recovered = true};
    push_table(L, 2, &joined);
    return 1;
}

// sub:members()
static int members(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "channel");
    lua_replace(L, 1);
    lua_settop(L, 1);
    return hark_bind_presence(L);
}
