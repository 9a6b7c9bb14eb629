// SPDX-License-Identifier: MIT
//
// Channels in Lua: publish, history, presence. They may need a remote broker, so all of them are
// waiting calls; the memory broker answers inside the call.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "hark.h"
#include "hub/hub.h"
#include "script/args.h"
#include "script/channels.h"
#include "script/conn.h"
#include "script/event.h"
#include "script/json.h"
#include "script/pending.h"
#include "script/state.h"
#include "script/value.h"
#include "session/place.h"

#define HISTORY_DEFAULT 100
#define HISTORY_MAX     10000
#define MEMBERS_BYTES   ((size_t)64 << 20)

static int publish(lua_State *L);
static void on_published(void *ctx, int status, struct hark_position position);
static int push_position(lua_State *L, struct hark_pending *pending);
static int history(lua_State *L);
static void on_history(
    void *ctx, int status, struct hark_msg *const *msgs, size_t count, struct hark_position top);
static int push_events(lua_State *L, struct hark_pending *pending);
static void on_members(void *ctx, int status, const struct hark_member *list, size_t count);
static int push_members(lua_State *L, struct hark_pending *pending);

void hark_bind_hub(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"publish", publish}, {"history", history}, {"presence", hark_bind_presence}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

static struct hark_slice check_channel(lua_State *L)
{
    size_t len = 0;
    const char *name = luaL_checklstring(L, 1, &len);
    return hark_slice(name, len);
}

// --- publish(channel, data, opts) -> position, or nil and why ---

static void read_publish_options(lua_State *L, int index, struct hark_msg_draft *draft)
{
    enum { EVENT, KEY, ONCE, HISTORY, EXCEPT, BINARY, FIELDS };
    static const struct hark_arg fields[FIELDS] = {
        [EVENT] = {"event", HARK_ARG_STRING}, [KEY] = {"key", HARK_ARG_STRING},
        [ONCE] = {"once", HARK_ARG_STRING},   [HISTORY] = {"history", HARK_ARG_BOOLEAN},
        [EXCEPT] = {"except", HARK_ARG_ANY},  [BINARY] = {"binary", HARK_ARG_BOOLEAN},
    };
    int first = hark_args_read(L, index, "publish", fields, FIELDS);
    draft->event = hark_args_slice(L, first + EVENT);
    draft->key = hark_args_slice(L, first + KEY);
    draft->once = hark_args_slice(L, first + ONCE);
    if (!lua_isnil(L, first + HISTORY) && !lua_toboolean(L, first + HISTORY)) {
        draft->flags |= HARK_MSG_OUTSIDE;
    }
    draft->flags |= lua_toboolean(L, first + BINARY) ? HARK_MSG_BINARY : 0;
    if (!lua_isnil(L, first + EXCEPT)) {
        const struct hark_conn_handle *handle = hark_conn_test(L, first + EXCEPT);
        if (handle == NULL) {
            luaL_error(L, "publish: except must be a connection, not %s",
                       luaL_typename(L, first + EXCEPT));
            return; // not reached
        }
        draft->except = handle->serial;
    }
}

static int refuse_draft(lua_State *L, int status)
{
    return status == HARK_EINVAL ? hark_event_refuse(L) : hark_pending_refuse(L, status);
}

static int publish(lua_State *L)
{
    struct hark_slice channel = check_channel(L);
    struct hark_script *script = hark_script_of(L);
    (void)hark_task_check_wait(L, "publish");
    if (HARK_UNLIKELY(!hark_msg_is_channel(channel))) {
        return hark_channels_refuse(L);
    }
    const struct hark_channel_entry *entry =
        hark_channels_need(L, script->channels, channel, "publish");
    struct hark_msg_draft draft = {.channel = channel};
    if (!lua_isnoneornil(L, 3)) {
        read_publish_options(L, 3, &draft);
    }
    if (HARK_UNLIKELY(hark_slice_starts(draft.event, HARK_LIT("hark.")))) {
        return refuse_draft(L, HARK_EINVAL); // nothing shall pass for a notice of the engine
    }
    draft.payload = hark_event_payload(L, 2, NULL, &script->payload, &draft.flags);
    struct hark_pending *pending = hark_pending_new(L, script->tasks);
    int status =
        hark_hub_publish(script->server->hub, &draft, &entry->options, on_published, pending);
    if (HARK_UNLIKELY(status != 0)) {
        hark_pending_cancel(pending);
        return refuse_draft(L, status);
    }
    return hark_pending_wait(L, pending, "publish", push_position);
}

static void on_published(void *ctx, int status, struct hark_position position)
{
    struct hark_pending *pending = ctx;
    pending->position = position;
    hark_pending_done(pending, status);
}

static int push_position(lua_State *L, struct hark_pending *pending)
{
    hark_args_push_position(L, pending->position);
    return 1;
}

// --- history(channel, opts) -> list of events; "gap" behind it when `since` is no longer held ---

static int history(lua_State *L)
{
    enum { LIMIT, SINCE, FIELDS };
    static const struct hark_arg fields[FIELDS] = {
        [LIMIT] = {"limit", HARK_ARG_INTEGER}, [SINCE] = {"since", HARK_ARG_STRING}};
    struct hark_slice channel = check_channel(L);
    struct hark_script *script = hark_script_of(L);
    (void)hark_task_check_wait(L, "history");
    (void)hark_channels_need(L, script->channels, channel, "history");
    int first = hark_args_read(L, 2, "history", fields, FIELDS);
    uint32_t limit = hark_args_count(L, first + LIMIT, HISTORY_DEFAULT);
    struct hark_position since = {0, 0};
    bool has_since = !lua_isnil(L, first + SINCE);
    if (has_since && hark_place_parse(hark_args_slice(L, first + SINCE), &since) != 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "since is no position");
        return 2;
    }
    struct hark_pending *pending = hark_pending_new(L, script->tasks);
    int status = hark_hub_history(script->server->hub, channel, has_since ? &since : NULL,
                                  limit < HISTORY_MAX ? limit : HISTORY_MAX, on_history, pending);
    if (status != 0) {
        hark_pending_cancel(pending);
        return hark_pending_refuse(L, status);
    }
    return hark_pending_wait(L, pending, "history", push_events);
}

static void on_history(
    void *ctx, int status, struct hark_msg *const *msgs, size_t count, struct hark_position top)
{
    (void)top;
    struct hark_pending *pending = ctx;
    pending->flag = status == HARK_EGAP;
    status = pending->flag ? 0 : status;
    if (status == 0 && count > 0) {
        pending->msgs = hark_mem_array(count, sizeof(struct hark_msg *));
        if (pending->msgs == NULL) {
            hark_pending_done(pending, HARK_ENOMEM);
            return;
        }
        for (size_t i = 0; i < count; i++) {
            pending->msgs[i] = hark_msg_ref(msgs[i]);
        }
        pending->msg_count = count;
    }
    hark_pending_done(pending, status);
}

static int push_events(lua_State *L, struct hark_pending *pending)
{
    lua_createtable(L, (int)pending->msg_count, 0);
    for (size_t i = 0; i < pending->msg_count; i++) {
        hark_event_push(L, pending->msgs[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    if (pending->flag) {
        lua_pushliteral(L, "gap");
        return 2;
    }
    return 1;
}

// --- presence(channel) -> list of {id, info} ---

int hark_bind_presence(lua_State *L)
{
    struct hark_slice channel = check_channel(L);
    struct hark_script *script = hark_script_of(L);
    (void)hark_task_check_wait(L, "presence");
    (void)hark_channels_need(L, script->channels, channel, "presence");
    struct hark_pending *pending = hark_pending_new(L, script->tasks);
    int status = hark_hub_members(script->server->hub, channel, on_members, pending);
    if (status != 0) {
        hark_pending_cancel(pending);
        return hark_pending_refuse(L, status);
    }
    return hark_pending_wait(L, pending, "presence", push_members);
}

// The members are borrowed: they are kept as packed strings, id and info by turns.
static void on_members(void *ctx, int status, const struct hark_member *list, size_t count)
{
    struct hark_pending *pending = ctx;
    struct hark_buf buf;
    hark_buf_init(&buf, MEMBERS_BYTES);
    for (size_t i = 0; i < count && status == 0; i++) {
        status = hark_value_put_string(&buf, list[i].id);
        status = status == 0 ? hark_value_put_string(&buf, list[i].info) : status;
    }
    status = status == 0 ? hark_pending_keep(pending, hark_buf_slice(&buf)) : status;
    hark_buf_deinit(&buf);
    hark_pending_done(pending, status);
}

static int push_members(lua_State *L, struct hark_pending *pending)
{
    struct hark_slice rest = hark_slice(pending->bytes, pending->len);
    struct hark_slice id;
    struct hark_slice info;
    struct hark_json_error why;
    lua_newtable(L);
    hark_json_mark_array(L);
    for (lua_Integer i = 1;
         hark_value_take_string(&rest, &id) == 0 && hark_value_take_string(&rest, &info) == 0;
         i++) {
        lua_createtable(L, 0, 2);
        lua_pushlstring(L, id.ptr, id.len);
        lua_setfield(L, -2, "id");
        if (info.len > 0 && hark_json_decode(L, info, &why) == 0) {
            lua_setfield(L, -2, "info");
        }
        lua_rawseti(L, -2, i);
    }
    return 1;
}
