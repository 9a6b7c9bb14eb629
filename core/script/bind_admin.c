// SPDX-License-Identifier: MIT
//
// Reads what the engine knows about itself. Counters of other workers are read in place (they are
// atomic); everything else here is this worker's or the broker's.
#include "script/bind_admin.h"

#include <stdbool.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/metrics.h"
#include "hark.h"
#include "hub/hub.h"
#include "script/args.h"
#include "transport/server.h"

#define METRICS_MAX  (64UL * 1024)
#define CHANNELS_MAX 10000 // listed in one answer
#define WORKERS_MAX  64

// What hark_hub_each_channel brings, kept outside Lua: its callback must not raise.
struct listed {
    uint64_t subscribers;
    uint64_t epoch;
    uint64_t offset;
    uint32_t held;
    uint32_t len;
};

static struct hark_server *server_of(lua_State *L);
static size_t all_stats(const struct hark_server *server, const struct hark_stats **ret);
static int metrics(lua_State *L);
static int stats(lua_State *L);
static void
collect_stat(void *ctx, const char *name, const char *type, const char *help, uint64_t value);
static int channels(lua_State *L);
static void collect_channel(void *ctx,
                            struct hark_slice name,
                            uint64_t subscribers,
                            struct hark_position top,
                            uint32_t held);
static void push_channels(lua_State *L, struct hark_slice rest);
static int clear(lua_State *L);
static int draining(lua_State *L);

void hark_bind_admin(lua_State *L, struct hark_server *server)
{
    static const luaL_Reg FUNCTIONS[] = {
        {"metrics", metrics}, {"stats", stats},       {"channels", channels},
        {"clear", clear},     {"draining", draining}, {NULL, NULL},
    };
    lua_pushlightuserdata(L, server);
    luaL_setfuncs(L, FUNCTIONS, 1);
}

static struct hark_server *server_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static size_t all_stats(const struct hark_server *server, const struct hark_stats **ret)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        ret[i] = server->workers[i]->stats;
    }
    return server->worker_count;
}

// core.metrics() -> Prometheus text
static int metrics(lua_State *L)
{
    const struct hark_stats *workers[WORKERS_MAX];
    size_t count = all_stats(server_of(L), workers);
    char *area = lua_newuserdatauv(L, METRICS_MAX, 0); // Lua's own, so that an error leaks nothing
    struct hark_buf text;
    hark_buf_init(&text, METRICS_MAX);
    int status = hark_metrics_render(&text, workers, count);
    size_t len = hark_buf_len(&text);
    if (status == 0) {
        memcpy(area, hark_buf_slice(&text).ptr, len);
    }
    hark_buf_deinit(&text);
    if (status != 0) {
        return luaL_error(L, "core.metrics: %s", hark_strerror(status));
    }
    lua_pushlstring(L, area, len);
    return 1;
}

struct stat_list {
    size_t count;

    struct {
        const char *name;
        uint64_t value;
    } items[128];
};

// core.stats() -> { name = sum over workers }
static int stats(lua_State *L)
{
    const struct hark_stats *workers[WORKERS_MAX];
    size_t count = all_stats(server_of(L), workers);
    struct stat_list list = {0};
    hark_metrics_each(workers, count, collect_stat, &list);
    lua_createtable(L, 0, (int)list.count);
    for (size_t i = 0; i < list.count; i++) {
        lua_pushinteger(L, (lua_Integer)list.items[i].value);
        lua_setfield(L, -2, list.items[i].name);
    }
    return 1;
}

static void
collect_stat(void *ctx, const char *name, const char *type, const char *help, uint64_t value)
{
    (void)type;
    (void)help;
    struct stat_list *list = ctx;
    if (list->count < HARK_ARRAY_LEN(list->items)) {
        list->items[list->count].name = name;
        list->items[list->count].value = value;
        list->count++;
    }
}

// core.channels() -> list of { name, subscribers, position, messages }
static int channels(lua_State *L)
{
    struct hark_buf *list = lua_newuserdatauv(L, sizeof(*list), 0);
    hark_buf_init(list, CHANNELS_MAX * (sizeof(struct listed) + HARK_MSG_CHANNEL_MAX));
    hark_hub_each_channel(server_of(L)->hub, collect_channel, list);
    // An error below (no memory for the table) would leave the list behind: copy it into Lua first.
    struct hark_slice all = hark_buf_slice(list);
    void *copy = lua_newuserdatauv(L, all.len + 1, 0);
    if (all.len > 0) {
        memcpy(copy, all.ptr, all.len);
    }
    size_t len = all.len;
    hark_buf_deinit(list);
    push_channels(L, hark_slice(copy, len));
    return 1;
}

static void collect_channel(void *ctx,
                            struct hark_slice name,
                            uint64_t subscribers,
                            struct hark_position top,
                            uint32_t held)
{
    struct hark_buf *list = ctx;
    const struct listed item = {subscribers, top.epoch, top.offset, held, (uint32_t)name.len};
    char *at = NULL;
    if (hark_buf_reserve(list, sizeof(item) + name.len, &at) != 0) {
        return; // the list is cut at its bound
    }
    memcpy(at, &item, sizeof(item));
    memcpy(at + sizeof(item), name.ptr, name.len);
    hark_buf_commit(list, sizeof(item) + name.len);
}

static void push_channels(lua_State *L, struct hark_slice rest)
{
    lua_newtable(L);
    for (lua_Integer i = 1; rest.len > sizeof(struct listed); i++) {
        struct listed item;
        memcpy(&item, rest.ptr, sizeof(item));
        lua_createtable(L, 0, 4);
        lua_pushlstring(L, rest.ptr + sizeof(item), item.len);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, (lua_Integer)item.subscribers);
        lua_setfield(L, -2, "subscribers");
        hark_args_push_position(L, (struct hark_position){item.epoch, item.offset});
        lua_setfield(L, -2, "position");
        lua_pushinteger(L, (lua_Integer)item.held);
        lua_setfield(L, -2, "messages");
        lua_rawseti(L, -2, i);
        rest = hark_slice_from(rest, sizeof(item) + item.len);
    }
}

// core.clear(channel) -> true, or nil and why
static int clear(lua_State *L)
{
    size_t len = 0;
    const char *name = luaL_checklstring(L, 1, &len);
    int status = hark_hub_clear(server_of(L)->hub, hark_slice(name, len));
    if (status != 0) {
        lua_pushnil(L);
        lua_pushstring(L, status == HARK_ENOENT ? "channel_unknown" : hark_strerror(status));
        return 2;
    }
    lua_pushboolean(L, true);
    return 1;
}

// core.draining() -> boolean
static int draining(lua_State *L)
{
    lua_pushboolean(L, server_of(L)->draining);
    return 1;
}
