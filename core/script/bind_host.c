// SPDX-License-Identifier: MIT
//
// The host as Lua sees it: log, time, version, which worker this is, a directory of scripts, places
// that cannot wait, and (in a scratch state, on a thread of its own) real waiting.
#include "script/bind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "base/log.h"
#include "hark.h"
#include "script/buffer.h"
#include "script/state.h"
#include "script/still.h"
#include "script/tree.h"
#include "script/vm.h"

#define FIELDS_MAX 32
#define BLOCK_MAX  60
#define WHY_MAX    4096

static int log_line(lua_State *L);
static int now(lua_State *L);
static int worker(lua_State *L);
static int read_tree(lua_State *L);
static int block(lua_State *L);

void hark_bind_host(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", now},
        {"worker", worker},
        {"read_tree", read_tree},
        {"no_wait", hark_still_no_wait},
        {"limited", hark_still_limited},
        {NULL, NULL},
    };
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, 0, 4);
    for (int level = HARK_LOG_DEBUG; level <= HARK_LOG_ERROR; level++) {
        lua_pushinteger(L, level);
        lua_pushcclosure(L, log_line, 1);
        lua_setfield(L, -2, levels[level]);
    }
    lua_setfield(L, -2, "log");
    lua_pushstring(L, hark_version());
    lua_setfield(L, -2, "version");
    lua_pushboolean(L, hark_vm_of(L)->scratch);
    lua_setfield(L, -2, "scratch");
    if (hark_vm_of(L)->scratch) {
        lua_pushcfunction(L, block);
        lua_setfield(L, -2, "block");
    }
}

// --- log.info(text, fields) ---

// The field of key and value, which lie at -2 and -1; text is made in place.
static struct hark_log_field field_of(lua_State *L)
{
    const char *key = lua_tostring(L, -2);
    if (lua_isinteger(L, -1)) {
        return HARK_F_INT(key, lua_tointeger(L, -1));
    }
    size_t len = 0;
    const char *text = luaL_tolstring(L, -1, &len);
    lua_replace(L, -2);
    return HARK_F_SLICE(key, hark_slice(text, len));
}

// The same line for the same fields, whatever order a table has.
static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct hark_log_field *)a)->key, ((const struct hark_log_field *)b)->key);
}

static int log_line(lua_State *L)
{
    enum hark_log_level level = (enum hark_log_level)lua_tointeger(L, lua_upvalueindex(1));
    const char *event = luaL_checkstring(L, 1);
    if (!hark_log_is_on(level)) {
        return 0;
    }
    struct hark_log_field fields[FIELDS_MAX + 1];
    size_t count = 0;
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        luaL_checkstack(L, 2 * FIELDS_MAX + 8, "log");
        lua_pushnil(L);
        while (lua_next(L, 2) != 0 && count < FIELDS_MAX) {
            if (lua_type(L, -2) != LUA_TSTRING) {
                return luaL_error(L, "log: the name of a field must be a string, not %s",
                                  luaL_typename(L, -2));
            }
            fields[count++] = field_of(L);
            lua_pushvalue(L, -2); // what the field points to stays below
        }
    }
    qsort(fields, count, sizeof(fields[0]), by_key);
    fields[count] = (struct hark_log_field){NULL, HARK_LOG_END, {.u = 0}};
    hark_log_write(level, event, fields);
    return 0;
}

// --- time, place ---

static int now(lua_State *L)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    lua_pushnumber(L, (lua_Number)time.tv_sec + (lua_Number)time.tv_nsec / 1e9);
    return 1;
}

static int worker(lua_State *L)
{
    const struct hark_script *script = hark_script_of(L); // NULL in a scratch state
    lua_pushinteger(L, script == NULL ? 0 : script->server->worker);
    lua_pushinteger(L, script == NULL ? 1 : script->server->worker_count);
    return 2;
}

static int block(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= BLOCK_MAX, 1, "0 to 60 seconds");
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (lua_Number)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    return 0;
}

// --- read_tree(directory) -> { [path] = bytes }, or nil and why ---

static int push_tree(lua_State *L)
{
    const struct hark_tree *tree = lua_touserdata(L, 1);
    lua_createtable(L, 0, (int)tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        lua_pushlstring(L, tree->files[i].data, tree->files[i].len);
        lua_setfield(L, -2, tree->files[i].path);
    }
    return 1;
}

static int read_tree_with(lua_State *L, struct hark_buf *why)
{
    const char *directory = luaL_checkstring(L, 1);
    struct hark_tree tree;
    memset(&tree, 0, sizeof(tree));
    int status = hark_tree_read(directory, &tree, why);
    if (status != 0) {
        lua_pushnil(L);
        if (hark_buf_len(why) == 0) {
            lua_pushfstring(L, "%s: %s", directory, hark_strerror(status));
        } else {
            hark_buffer_push(L, why);
        }
        return 2;
    }
    lua_pushcfunction(L, push_tree);
    lua_pushlightuserdata(L, &tree);
    int failed = lua_pcall(L, 1, 1, 0);
    hark_tree_deinit(&tree);
    return failed == LUA_OK ? 1 : lua_error(L);
}

static int read_tree(lua_State *L)
{
    return hark_buffer_with(L, WHY_MAX, read_tree_with);
}
