// SPDX-License-Identifier: MIT
//
// Slots and channel declarations for the engine's generations: what a commit calls.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "hark.h"
#include "hub/hub.h"
#include "script/channels.h"
#include "script/retire.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/transform.h"

#define NAMES_MAX ((size_t)256 << 20)

static int open_slot(lua_State *L);
static int set_slot(lua_State *L);
static int clear_slot(lua_State *L);
static int count_slot(lua_State *L);
static int retire_slot(lua_State *L);
static int set_channels(lua_State *L);
static void collect_name(void *ctx,
                         struct hark_slice name,
                         uint64_t subscribers,
                         struct hark_position top,
                         uint32_t held);
static void configure_all(const struct hark_script *script);

void hark_bind_slot(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"slot", open_slot},
        {"slot_set", set_slot},
        {"slot_clear", clear_slot},
        {"slot_count", count_slot},
        {"retire", retire_slot},
        {"channels_set", set_channels},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

static int open_slot(lua_State *L)
{
    struct hark_slot *slot = hark_slot_open(L, 1);
    if (hark_transform_open(slot) != 0) {
        return luaL_error(L, "not enough memory");
    }
    return 1;
}

static int set_slot(lua_State *L)
{
    struct hark_slot *slot = hark_slot_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    hark_slot_set(L, slot, 2);
    hark_transform_refresh(slot);
    return 0;
}

static int clear_slot(lua_State *L)
{
    struct hark_slot *slot = hark_slot_check(L, 1);
    hark_slot_clear(L, slot);
    hark_transform_refresh(slot);
    return 0;
}

static int count_slot(lua_State *L)
{
    lua_pushinteger(L, hark_slot_check(L, 1)->sessions);
    return 1;
}

static int retire_slot(lua_State *L)
{
    struct hark_slot *slot = hark_slot_check(L, 1);
    size_t len = 0;
    const char *why = luaL_checklstring(L, 2, &len);
    lua_Integer spread_ms = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, spread_ms >= 0 && spread_ms <= 3600000, 3, "0 to 3600000 ms");
    if (hark_retire_start(slot, hark_slice(why, len), (uint64_t)spread_ms) != 0) {
        return luaL_error(L, "not enough memory");
    }
    return 0;
}

// --- channels ---

static int set_channels(lua_State *L)
{
    struct hark_script *script = hark_script_of(L);
    script->channels = hark_channels_set(L, 1);
    // Options belong to the channel, which all workers share: one of them sees to it.
    if (script->server->worker == 0) {
        configure_all(script);
    }
    return 0;
}

static void collect_name(void *ctx,
                         struct hark_slice name,
                         uint64_t subscribers,
                         struct hark_position top,
                         uint32_t held)
{
    (void)subscribers;
    (void)top;
    (void)held;
    struct hark_buf *names = ctx;
    uint32_t len = (uint32_t)name.len;
    char *at = NULL;
    if (hark_buf_reserve(names, sizeof(len) + name.len, &at) ==
        0) { // without memory it keeps its options
        memcpy(at, &len, sizeof(len));
        memcpy(at + sizeof(len), name.ptr, name.len);
        hark_buf_commit(names, sizeof(len) + name.len);
    }
}

// Channels that are there already get the new options. One that is declared no more keeps what it
// has.
static void configure_all(const struct hark_script *script)
{
    struct hark_buf names;
    hark_buf_init(&names, NAMES_MAX);
    hark_vm_ignore(hark_hub_each_channel(script->server->hub, collect_name, &names));
    struct hark_slice rest = hark_buf_slice(&names);
    uint32_t len = 0;
    while (rest.len >= sizeof(len)) {
        memcpy(&len, rest.ptr, sizeof(len));
        rest = hark_slice_from(rest, sizeof(len));
        struct hark_slice name = hark_slice(rest.ptr, len);
        const struct hark_channel_entry *entry = hark_channels_find(script->channels, name);
        if (entry != NULL) {
            hark_vm_ignore(hark_hub_configure(script->server->hub, name, &entry->options));
        }
        rest = hark_slice_from(rest, len);
    }
    hark_buf_deinit(&names);
}
