// SPDX-License-Identifier: MIT
//
// Checks of arguments. Everything here may raise, so it runs in functions that Lua called.
#include "script/args.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "session/place.h"

#define MS_MAX ((uint64_t)100 * 365 * 86400 * 1000)

static bool fits(lua_State *L, int index, enum hark_arg_type type);
static const char *wanted(enum hark_arg_type type);
static void refuse_key(lua_State *L, const char *what, const struct hark_arg *args, size_t count);

static size_t find(const char *name, const struct hark_arg *args, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(args[i].name, name) == 0) {
            return i;
        }
    }
    return count;
}

int hark_args_read(
    lua_State *L, int index, const char *what, const struct hark_arg *args, size_t count)
{
    luaL_checkstack(L, (int)count + 8, what);
    int first = lua_gettop(L) + 1;
    lua_settop(L, first + (int)count - 1);
    if (lua_isnoneornil(L, index)) {
        return first;
    }
    if (lua_type(L, index) != LUA_TTABLE) {
        luaL_error(L, "%s: options must be a table, not %s", what, luaL_typename(L, index));
    }
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        size_t at = find(name, args, count);
        if (at == count) {
            lua_pop(L, 1);
            refuse_key(L, what, args, count);
        }
        if (!fits(L, -1, args[at].type)) {
            luaL_error(L, "%s: %s must be %s, not %s", what, name, wanted(args[at].type),
                       luaL_tolstring(L, -1, NULL));
        }
        lua_replace(L, first + (int)at);
    }
    return first;
}

static bool fits(lua_State *L, int index, enum hark_arg_type type)
{
    uint64_t ms = 0;
    switch (type) {
    case HARK_ARG_STRING: return lua_type(L, index) == LUA_TSTRING;
    case HARK_ARG_INTEGER:
        return lua_isinteger(L, index) && lua_tointeger(L, index) >= 0 &&
               lua_tointeger(L, index) <= (lua_Integer)1 << 53;
    case HARK_ARG_BOOLEAN: return lua_isboolean(L, index);
    case HARK_ARG_FUNCTION: return lua_isfunction(L, index);
    case HARK_ARG_TABLE: return lua_istable(L, index);
    case HARK_ARG_DURATION: return hark_args_to_ms(L, index, &ms);
    case HARK_ARG_ANY: return true;
    }
    return false;
}

static const char *wanted(enum hark_arg_type type)
{
    switch (type) {
    case HARK_ARG_STRING: return "a string";
    case HARK_ARG_INTEGER: return "a whole number from 0";
    case HARK_ARG_BOOLEAN: return "true or false";
    case HARK_ARG_FUNCTION: return "a function";
    case HARK_ARG_TABLE: return "a table";
    case HARK_ARG_DURATION: return "a duration (seconds, or \"150ms\", \"25s\", \"5m\", \"24h\")";
    case HARK_ARG_ANY: return "a value";
    }
    return "";
}

// The unknown key is on top.
static void refuse_key(lua_State *L, const char *what, const struct hark_arg *args, size_t count)
{
    const char *name = luaL_tolstring(L, -1, NULL);
    lua_pushfstring(L, "%s: %s is no option; allowed:", what, name);
    for (size_t i = 0; i < count; i++) {
        lua_pushfstring(L, "%s %s", i == 0 ? "" : ",", args[i].name);
        lua_concat(L, 2);
    }
    luaL_error(L, "%s", lua_tostring(L, -1));
}

struct hark_slice hark_args_slice(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        return HARK_SLICE_NONE;
    }
    size_t len = 0;
    const char *text = lua_tolstring(L, index, &len);
    return hark_slice(text, len);
}

// --- durations ---

static bool unit_ms(const char *unit, double *ret)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].name, unit) == 0) {
            *ret = units[i].ms;
            return true;
        }
    }
    return false;
}

bool hark_args_to_ms(lua_State *L, int index, uint64_t *ret_ms)
{
    double value = 0;
    double unit = 1000;
    if (lua_type(L, index) == LUA_TNUMBER) {
        value = lua_tonumber(L, index);
    } else if (lua_type(L, index) == LUA_TSTRING) {
        const char *text = lua_tostring(L, index);
        char *end = NULL;
        if (text[0] < '0' || text[0] > '9') {
            return false;
        }
        value = strtod(text, &end);
        end += strspn(end, " ");
        if (!unit_ms(end, &unit)) {
            return false;
        }
    } else {
        return false;
    }
    value = value * unit + 0.5;
    if (!(value >= 0 && value <= (double)MS_MAX)) { // also NaN
        return false;
    }
    *ret_ms = (uint64_t)value;
    return true;
}

uint32_t hark_args_count(lua_State *L, int index, uint32_t absent)
{
    if (lua_isnil(L, index)) {
        return absent;
    }
    lua_Integer value = lua_tointeger(L, index);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

uint64_t hark_args_ms(lua_State *L, int index, const char *what)
{
    uint64_t ms = 0;
    if (!hark_args_to_ms(L, index, &ms)) {
        luaL_error(L,
                   "%s: %s is no duration; allowed: seconds as a number, or \"150ms\", \"25s\", "
                   "\"5m\", \"24h\"",
                   what, luaL_tolstring(L, index, NULL));
    }
    return ms;
}

void hark_args_push_position(lua_State *L, struct hark_position position)
{
    char text[HARK_PLACE_TEXT_MAX];
    size_t len = hark_place_text(position, text);
    lua_pushlstring(L, text, len);
}
