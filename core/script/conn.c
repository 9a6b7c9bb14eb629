// SPDX-License-Identifier: MIT
//
// Records and handles. The tables of handles are keyed by the session's serial.
#include "script/conn.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/value.h"
#include "script/vm.h"
#include "script/walk.h"
#include "session/session.h"

const char hark_conn_metatable = 0;
static const char read_only_key;

static lua_Integer key_of(const struct hark_conn *conn);
static int forget(lua_State *L);
static void push_read_only(lua_State *L);
static int refuse_new_key(lua_State *L);

struct hark_conn *
hark_conn_new(struct hark_slot *slot, struct hark_session *session, struct hark_slice packed)
{
    if (packed.len > UINT16_MAX) {
        return NULL;
    }
    struct hark_conn *conn = hark_mem_zalloc(sizeof(*conn) + packed.len);
    if (conn == NULL) {
        return NULL;
    }
    conn->session = session;
    conn->version = slot->version;
    conn->packed_len = (uint16_t)packed.len;
    if (packed.len > 0) {
        memcpy(conn->packed, packed.ptr, packed.len);
    }
    hark_list_init(&conn->ready);
    hark_slot_enter(slot);
    return conn;
}

void hark_conn_free(struct hark_script *script, struct hark_conn *conn)
{
    if (conn->has_handle) {
        // Forgetting allocates nothing: it cannot fail but for the Lua stack.
        hark_vm_ignore(hark_vm_call(script->vm, forget, conn, 0, NULL, NULL));
    }
    hark_list_remove(&conn->ready);
    hark_slot_leave(hark_conn_slot(conn));
    hark_mem_free(conn);
}

struct hark_slot *hark_conn_slot(const struct hark_conn *conn)
{
    return hark_session_endpoint(conn->session);
}

static lua_Integer key_of(const struct hark_conn *conn)
{
    return (lua_Integer)hark_session_serial(conn->session);
}

static int forget(lua_State *L)
{
    struct hark_conn *conn = lua_touserdata(L, 1);
    struct hark_script *script = hark_script_of(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->weak_ref);
    if (lua_rawgeti(L, -1, key_of(conn)) == LUA_TUSERDATA) {
        struct hark_conn_handle *handle = lua_touserdata(L, -1);
        handle->conn = NULL;
        lua_pushnil(L);
        lua_rawseti(L, -3, key_of(conn));
    }
    if (conn->is_strong) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, script->strong_ref);
        lua_pushnil(L);
        lua_rawseti(L, -2, key_of(conn));
    }
    return 0;
}

// --- handles ---

void hark_conn_open(lua_State *L, struct hark_script *script)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    script->weak_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    script->strong_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void hark_conn_push(lua_State *L, struct hark_conn *conn)
{
    const struct hark_script *script = hark_script_of(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->weak_ref);
    if (HARK_LIKELY(conn->has_handle)) {
        if (lua_rawgeti(L, -1, key_of(conn)) == LUA_TUSERDATA) {
            lua_replace(L, -2);
            return;
        }
        lua_pop(L, 1);
    }
    struct hark_conn_handle *handle = lua_newuserdatauv(L, sizeof(*handle), HARK_CONN_VALUES);
    handle->conn = conn;
    handle->serial = hark_session_serial(conn->session);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hark_conn_metatable);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, key_of(conn));
    conn->has_handle = true;
    lua_replace(L, -2);
}

struct hark_conn_handle *hark_conn_test(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) {
        return NULL;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hark_conn_metatable);
    bool is_handle = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_handle ? lua_touserdata(L, index) : NULL;
}

struct hark_conn_handle *hark_conn_check(lua_State *L, int index)
{
    struct hark_conn_handle *handle = hark_conn_test(L, index);
    if (HARK_UNLIKELY(handle == NULL)) {
        luaL_typeerror(L, index, "connection");
    }
    return handle;
}

void hark_conn_hold(lua_State *L, struct hark_conn *conn)
{
    if (conn->is_strong) {
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, hark_script_of(L)->strong_ref);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, key_of(conn));
    lua_pop(L, 1);
    conn->is_strong = true;
}

// --- what belongs to it ---

void hark_conn_push_user(lua_State *L, int index)
{
    lua_getiuservalue(L, index, HARK_CONN_USER);
}

void hark_conn_push_packed(lua_State *L, int index, enum hark_conn_value which)
{
    int at = lua_absindex(L, index);
    if (lua_getiuservalue(L, at, (int)which) == LUA_TTABLE) {
        return;
    }
    const struct hark_conn *conn = ((struct hark_conn_handle *)lua_touserdata(L, at))->conn;
    if (conn == NULL) {
        return; // nil
    }
    lua_pop(L, 1);
    struct hark_slice packed = hark_slice(conn->packed, conn->packed_len);
    if ((which == HARK_CONN_QUERY && hark_value_skip(&packed) != 0) || packed.len == 0 ||
        hark_value_unpack(L, &packed) != 0) {
        lua_newtable(L);
    }
    if (lua_istable(L, -1)) {
        push_read_only(L);
        lua_setmetatable(L, -2);
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, at, (int)which);
}

// Changes would last only as long as the handle: better say so at once.
static void push_read_only(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &read_only_key) == LUA_TTABLE) {
        return;
    }
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, HARK_WALK_PLAIN);
    lua_rawsetp(L, -2, &hark_walk_mark);
    lua_pushcfunction(L, refuse_new_key);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &read_only_key);
}

static int refuse_new_key(lua_State *L)
{
    return luaL_error(L, "conn.params and conn.query are read only; keep %s in conn.data",
                      luaL_tolstring(L, 2, NULL));
}

// An odd number and its inverse modulo 2^64: a permutation, so that names look alike by nothing.
#define NAME_FACTOR                 UINT64_C(0x9E3779B97F4A7C15)
#define NAME_0xF1DE83E19937733DERSE UINT64_C(0xF1DE83E19937733D)

void hark_conn_name(uint64_t serial, char *out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t mixed = serial * NAME_FACTOR;
    for (int i = 0; i < HARK_CONN_NAME_LEN; i++) {
        out[i] = digits[mixed >> 60];
        mixed <<= 4;
    }
    out[HARK_CONN_NAME_LEN] = '\0';
}

uint64_t hark_conn_serial(struct hark_slice name)
{
    uint64_t mixed = 0;
    if (name.len != HARK_CONN_NAME_LEN) {
        return 0;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f')) {
            return 0;
        }
        mixed = mixed << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    return mixed * NAME_0xF1DE83E19937733DERSE;
}
