// SPDX-License-Identifier: MIT
//
// Messages to Lua and back.
#include "script/event.h"

#include <string.h>

#include <lauxlib.h>

#include "base/stats.h"
#include "hark.h"
#include "script/args.h"
#include "script/json.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/still.h"

static void set_text(lua_State *L, const char *name, struct hark_slice text)
{
    if (text.len > 0) {
        lua_pushlstring(L, text.ptr, text.len);
        lua_setfield(L, -2, name);
    }
}

void hark_event_push(lua_State *L, const struct hark_msg *msg)
{
    lua_createtable(L, 0, 7);
    lua_pushlstring(L, msg->payload.len == 0 ? "" : msg->payload.ptr, msg->payload.len);
    lua_setfield(L, -2, "data");
    set_text(L, "channel", msg->channel);
    set_text(L, "event", msg->event);
    set_text(L, "key", msg->key);
    if (hark_msg_is_logged(msg)) {
        hark_args_push_position(L, msg->position);
        lua_setfield(L, -2, "id");
    }
    lua_pushnumber(L, (lua_Number)msg->time_ms / 1000);
    lua_setfield(L, -2, "time");
    lua_pushboolean(L, (msg->flags & HARK_MSG_BINARY) != 0);
    lua_setfield(L, -2, "binary");
}

struct hark_slice hark_event_json(lua_State *L, int index, struct hark_buf *buf, const char *what)
{
    struct hark_json_error why;
    hark_buf_clear(buf);
    int status = hark_json_encode(L, index, buf, &why);
    if (status == HARK_EINVAL) {
        luaL_error(L, "%s: %s", what, why.text);
    } else if (status != 0) {
        luaL_error(L, "%s: the JSON text is %s", what, hark_strerror(status));
    }
    return hark_buf_slice(buf);
}

// codec.encode(value) -> string, and "binary" if it is no text.
static struct hark_slice
encode(lua_State *L, int index, const struct hark_slot *slot, uint32_t *flags)
{
    struct hark_vm *vm = hark_vm_of(L);
    const char *outer = vm->place;
    int value = lua_absindex(L, index);
    hark_stats_add(&slot->script->stats->encoder_runs, 1);
    hark_slot_push(L, slot, HARK_SLOT_ENCODE);
    lua_pushvalue(L, value);
    // An error goes out of the whole handler or delivery, or to a pcall of the script, for which
    // the place must be the old one: so it is caught on the way.
    vm->place = "codec.encode";
    int status = lua_pcall(L, 1, 2, 0);
    vm->place = outer;
    if (status != LUA_OK) {
        lua_error(L);
    }
    if (lua_type(L, -2) != LUA_TSTRING) {
        luaL_error(L, "codec.encode must return a string, not %s", luaL_typename(L, -2));
    }
    bool binary = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "binary") == 0;
    *flags |= binary ? HARK_MSG_BINARY : 0;
    lua_pop(L, 1);
    return hark_args_slice(L, -1);
}

struct hark_slice hark_event_payload(
    lua_State *L, int index, const struct hark_slot *slot, struct hark_buf *buf, uint32_t *flags)
{
    int type = lua_type(L, index);
    if (type != LUA_TSTRING && type != LUA_TTABLE) {
        luaL_error(L, "the data must be a string or a table, not %s", luaL_typename(L, index));
    }
    if (slot != NULL && hark_slot_has(slot, HARK_SLOT_ENCODE)) {
        return encode(L, index, slot, flags);
    }
    if (type == LUA_TSTRING) {
        return hark_args_slice(L, index);
    }
    *flags |= HARK_MSG_JSON;
    return hark_event_json(L, index, buf, "the data");
}

int hark_event_refuse(lua_State *L)
{
    lua_pushnil(L);
    lua_pushfstring(L,
                    "the event name must be at most %d bytes of UTF-8 without control characters, "
                    "and not begin with \"hark.\"",
                    HARK_MSG_EVENT_MAX);
    return 2;
}
