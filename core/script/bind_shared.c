// SPDX-License-Identifier: MIT
//
// core.shared(name): the process's dictionaries as scripts see them. Any plain Lua value goes in;
// what comes out is a copy. `update` runs the script's function without a lock and tries again when
// somebody else was faster.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "hark.h"
#include "script/args.h"
#include "script/buffer.h"
#include "script/shared.h"
#include "script/still.h"
#include "script/value.h"

#define METATABLE  "hark.shared"
#define UPDATE_MAX 100 // attempts

static const char store_key; // registry: the store as light userdata, or one of our own as userdata

struct dictionary {
    struct hark_shared *shared;
    size_t name_len;
    char name[HARK_SHARED_NAME_MAX];
};

static int open_dictionary(lua_State *L);
static int get(lua_State *L);
static int set(lua_State *L);
static int add(lua_State *L);
static int incr(lua_State *L);
static int update(lua_State *L);
static int ttl(lua_State *L);
static int delete_key(lua_State *L);
static int to_string(lua_State *L);
static int free_own_store(lua_State *L);

void hark_bind_shared(lua_State *L, struct hark_shared *shared)
{
    static const luaL_Reg methods[] = {
        {"get", get},       {"set", set}, {"add", add},           {"incr", incr},
        {"update", update}, {"ttl", ttl}, {"delete", delete_key}, {NULL, NULL},
    };
    luaL_newmetatable(L, METATABLE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, to_string);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);

    if (shared != NULL) {
        lua_pushlightuserdata(L, shared);
    } else { // a scratch state tries things out on a store of its own
        struct hark_shared **own = lua_newuserdatauv(L, sizeof(*own), 0);
        *own = NULL;
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, free_own_store);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        if (hark_shared_new(HARK_SHARED_BYTES_MAX, own) != 0) {
            luaL_error(L, "not enough memory");
        }
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &store_key);
    lua_pushcfunction(L, open_dictionary);
    lua_setfield(L, -2, "shared");
}

static int free_own_store(lua_State *L)
{
    hark_shared_unref(*(struct hark_shared **)lua_touserdata(L, 1));
    return 0;
}

static int open_dictionary(lua_State *L)
{
    size_t len = 0;
    const char *name = luaL_checklstring(L, 1, &len);
    if (len == 0 || len > HARK_SHARED_NAME_MAX || memchr(name, '\0', len) != NULL) {
        return luaL_error(L, "hark.shared: the name must have 1 to %d bytes, without NUL",
                          HARK_SHARED_NAME_MAX);
    }
    struct dictionary *dictionary = lua_newuserdatauv(L, sizeof(*dictionary), 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &store_key);
    dictionary->shared = lua_islightuserdata(L, -1) ? lua_touserdata(L, -1)
                                                    : *(struct hark_shared **)lua_touserdata(L, -1);
    lua_pop(L, 1);
    dictionary->name_len = len;
    memcpy(dictionary->name, name, len);
    luaL_setmetatable(L, METATABLE);
    return 1;
}

static int to_string(lua_State *L)
{
    const struct dictionary *dictionary = luaL_checkudata(L, 1, METATABLE);
    lua_pushliteral(L, "hark.shared: ");
    lua_pushlstring(L, dictionary->name, dictionary->name_len);
    lua_concat(L, 2);
    return 1;
}

// --- arguments ---

// Dictionary at 1, key at 2.
static struct hark_shared *check(lua_State *L, struct hark_shared_key *ret_key)
{
    const struct dictionary *dictionary = luaL_checkudata(L, 1, METATABLE);
    size_t len = 0;
    const char *key = luaL_checklstring(L, 2, &len);
    if (len > HARK_SHARED_KEY_MAX) {
        luaL_error(L, "hark.shared: the key has %d bytes; allowed: %d", (int)len,
                   HARK_SHARED_KEY_MAX);
    }
    ret_key->dictionary = hark_slice(dictionary->name, dictionary->name_len);
    ret_key->key = hark_slice(key, len);
    return dictionary->shared;
}

static uint64_t check_ttl(lua_State *L, int index, const char *what)
{
    if (lua_isnoneornil(L, index)) {
        return 0;
    }
    uint64_t ms = hark_args_ms(L, index, what);
    if (ms == 0) {
        luaL_error(L, "%s: the time to live must be more than 0", what);
    }
    return ms;
}

static int refuse(lua_State *L, int status)
{
    lua_pushnil(L);
    lua_pushstring(L, status == HARK_EFULL ? "full" : hark_strerror(status));
    return 2;
}

// Packs the value at index for the call `what`; raises when it cannot be.
static void pack(lua_State *L, int index, struct hark_buf *buf, const char *what)
{
    struct hark_value_error why;
    int status = hark_value_pack(L, index, buf, &why);
    if (status == HARK_EINVAL) {
        luaL_error(L, "%s: %s", what, why.text);
    } else if (status == HARK_ETOOBIG) {
        luaL_error(L, "%s: the value is larger than %d KiB", what,
                   (int)(HARK_SHARED_VALUE_MAX >> 10));
    } else if (status != 0) {
        luaL_error(L, "not enough memory");
    }
}

// --- methods ---

static int push_value(lua_State *L, struct hark_buf *buf)
{
    struct hark_slice data = hark_buf_slice(buf);
    return hark_value_unpack(L, &data) == 0 ? 1
                                            : luaL_error(L, "hark.shared: the value is damaged");
}

static int get_with(lua_State *L, struct hark_buf *buf)
{
    struct hark_shared_key key;
    struct hark_shared *shared = check(L, &key);
    uint64_t version = 0;
    int status = hark_shared_get(shared, &key, buf, &version);
    if (status == HARK_ENOENT) {
        lua_pushnil(L);
        return 1;
    }
    return status == 0 ? push_value(L, buf)
                       : luaL_error(L, "hark.shared: %s", hark_strerror(status));
}

static int get(lua_State *L)
{
    return hark_buffer_with(L, HARK_SHARED_VALUE_MAX, get_with);
}

static int
put_with(lua_State *L, struct hark_buf *buf, enum hark_shared_mode mode, const char *what)
{
    struct hark_shared_key key;
    struct hark_shared *shared = check(L, &key);
    luaL_checkany(L, 3);
    uint64_t ttl_ms = check_ttl(L, 4, what);
    int status = 0;
    if (lua_isnil(L, 3) && mode == HARK_SHARED_SET) {
        status = hark_shared_delete(shared, &key, HARK_SHARED_SET, 0);
        status = status == HARK_ENOENT ? 0 : status;
    } else {
        pack(L, 3, buf, what);
        status = hark_shared_put(shared, &key, hark_buf_slice(buf), ttl_ms, mode, 0);
    }
    if (status == HARK_EEXIST) {
        lua_pushboolean(L, 0);
        return 1;
    } else if (status != 0) {
        return refuse(L, status);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int set_with(lua_State *L, struct hark_buf *buf)
{
    return put_with(L, buf, HARK_SHARED_SET, "shared:set");
}

static int set(lua_State *L)
{
    return hark_buffer_with(L, HARK_SHARED_VALUE_MAX, set_with);
}

static int add_with(lua_State *L, struct hark_buf *buf)
{
    luaL_argcheck(L, !lua_isnil(L, 3), 3, "a value expected");
    return put_with(L, buf, HARK_SHARED_ADD, "shared:add");
}

static int add(lua_State *L)
{
    return hark_buffer_with(L, HARK_SHARED_VALUE_MAX, add_with);
}

static int delete_key(lua_State *L)
{
    struct hark_shared_key key;
    struct hark_shared *shared = check(L, &key);
    lua_pushboolean(L, hark_shared_delete(shared, &key, HARK_SHARED_SET, 0) == 0);
    return 1;
}

static int ttl(lua_State *L)
{
    struct hark_shared_key key;
    struct hark_shared *shared = check(L, &key);
    uint64_t left_ms = 0;
    if (!lua_isnoneornil(L, 3)) {
        uint64_t ms = check_ttl(L, 3, "shared:ttl");
        lua_pushboolean(L, hark_shared_expire(shared, &key, ms) == 0);
        return 1;
    }
    if (hark_shared_ttl(shared, &key, &left_ms) != 0 || left_ms == UINT64_MAX) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, (lua_Number)left_ms / 1000);
    }
    return 1;
}

// --- incr: under the lock, in C ---

struct increment {
    bool integer;
    lua_Integer by;
    lua_Number by_float;
    lua_Integer result;
    lua_Number result_float;
};

static int increment(void *ctx, struct hark_slice old, struct hark_buf *buf)
{
    struct increment *step = ctx;
    int64_t integer = 0;
    double number = 0;
    bool was_float = false;
    if (old.len > 0 && hark_value_take_integer(&old, &integer) != 0) {
        if (hark_value_take_float(&old, &number) != 0) {
            return HARK_EINVAL;
        }
        was_float = true;
    }
    step->integer = step->integer && !was_float;
    if (step->integer) {
        step->result = (lua_Integer)((uint64_t)integer + (uint64_t)step->by); // wraps, as Lua's own
        return hark_value_put_integer(buf, step->result);
    }
    step->result_float = (was_float ? number : (double)integer) + step->by_float;
    return hark_value_put_float(buf, step->result_float);
}

static int incr(lua_State *L)
{
    struct hark_shared_key key;
    struct hark_shared *shared = check(L, &key);
    lua_Number by = luaL_optnumber(L, 3, 1);
    struct increment step = {.integer = lua_isnoneornil(L, 3) || lua_isinteger(L, 3),
                             .by_float = by};
    step.by = step.integer ? luaL_optinteger(L, 3, 1) : 0;
    uint64_t ttl_ms = check_ttl(L, 4, "shared:incr");
    int status = hark_shared_change(shared, &key, ttl_ms, increment, &step);
    if (status == HARK_EINVAL) {
        return luaL_error(L, "shared:incr: the value of %s is no number", lua_tostring(L, 2));
    } else if (status != 0) {
        return refuse(L, status);
    }
    if (step.integer) {
        lua_pushinteger(L, step.result);
    } else {
        lua_pushnumber(L, step.result_float);
    }
    return 1;
}

// --- update: copy out, call, compare and swap ---

// One attempt: fn at 3; leaves the new value on top. EAGAIN: somebody else was faster.
static int attempt(lua_State *L, struct hark_buf *buf, uint64_t ttl_ms)
{
    struct hark_shared_key key;
    struct hark_shared *shared = check(L, &key);
    uint64_t version = 0;
    hark_buf_clear(buf);
    int status = hark_shared_get(shared, &key, buf, &version);
    lua_pushvalue(L, 3);
    if (status == HARK_ENOENT) {
        lua_pushnil(L);
    } else if (status == 0) {
        push_value(L, buf);
    } else {
        return status;
    }
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        status = hark_shared_delete(shared, &key, HARK_SHARED_SWAP, version);
        return status == HARK_ENOENT ? 0 : status;
    }
    hark_buf_clear(buf);
    pack(L, -1, buf, "shared:update");
    return hark_shared_put(shared, &key, hark_buf_slice(buf), ttl_ms, HARK_SHARED_SWAP, version);
}

static int update_with(lua_State *L, struct hark_buf *buf)
{
    luaL_checktype(L, 3, LUA_TFUNCTION);
    uint64_t ttl_ms = check_ttl(L, 4, "shared:update");
    hark_still_enter(L, "the function of shared:update");
    int top = lua_gettop(L);
    for (int i = 0; i < UPDATE_MAX; i++) {
        int status = attempt(L, buf, ttl_ms);
        if (status == 0) {
            return 1;
        } else if (status != HARK_EAGAIN) {
            return refuse(L, status);
        }
        lua_settop(L, top);
    }
    lua_pushnil(L);
    lua_pushliteral(L, "busy");
    return 2;
}

static int update(lua_State *L)
{
    return hark_buffer_with(L, HARK_SHARED_VALUE_MAX, update_with);
}
