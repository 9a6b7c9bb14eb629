// SPDX-License-Identifier: MIT
//
// The writer (a visitor of script/walk) and what the json module of scripts is made of. The reader
// is in script/json_read.
#include "script/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/codec.h"
#include "hark.h"
#include "script/buffer.h"

#define ENCODED_MAX ((size_t)16 << 20)

static const char null_value = 0;
static const char array_key = 0; // registry: the metatable of marked arrays

struct writer {
    struct hark_buf *buf;
    bool first;  // no comma before the next item
    bool inside; // an array or object
};

static int write_scalar(struct hark_walk *walk, lua_State *L, int type);
static int write_number(struct hark_walk *walk, lua_State *L);
static int write_open(struct hark_walk *walk, bool array, size_t count, bool marked);
static int write_item(struct hark_walk *walk, lua_State *L, bool named);
static int write_close(struct hark_walk *walk, bool array);
static void push_empty_array(lua_State *L);
static int encode(lua_State *L);
static int decode(lua_State *L);
static int array(lua_State *L);

// --- module ---

int hark_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", encode},
        {"decode", decode},
        {"array", array},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    hark_json_push_null(L);
    lua_setfield(L, -2, "null");
    push_empty_array(L);
    lua_setfield(L, -2, "empty_array");
    return 1;
}

static int refuse_item(lua_State *L)
{
    return luaL_error(L, "json.empty_array cannot be changed; use json.array {}");
}

// One table for all: nobody may put anything into it.
static void push_empty_array(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, HARK_WALK_ARRAY);
    lua_rawsetp(L, -2, &hark_walk_mark);
    lua_pushcfunction(L, refuse_item);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
}

void hark_json_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&null_value);
}

bool hark_json_is_null(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == &null_value;
}

void hark_json_mark_array(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, HARK_WALK_ARRAY);
        lua_rawsetp(L, -2, &hark_walk_mark);
        lua_pushliteral(L, "json.array");
        lua_setfield(L, -2, "__name");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    }
    lua_setmetatable(L, -2);
}

static int array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    hark_json_mark_array(L);
    return 1;
}

static int decode(lua_State *L)
{
    size_t len = 0;
    const char *text = luaL_checklstring(L, 1, &len);
    struct hark_json_error why;
    if (hark_json_decode(L, hark_slice(text, len), &why) != 0) {
        lua_pushnil(L);
        lua_pushstring(L, why.text);
        return 2;
    }
    return 1;
}

static int encode_with(lua_State *L, struct hark_buf *buf)
{
    struct hark_json_error why;
    int status = hark_json_encode(L, 1, buf, &why);
    if (status != 0) {
        return luaL_error(L, "json.encode: %s",
                          status == HARK_EINVAL ? why.text : hark_strerror(status));
    }
    return hark_buffer_push(L, buf);
}

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    return hark_buffer_with(L, ENCODED_MAX, encode_with);
}

// --- writer ---

int hark_json_encode(lua_State *L, int index, struct hark_buf *buf, struct hark_json_error *ret_why)
{
    static const struct hark_walk_ops ops = {
        .scalar = write_scalar,
        .open = write_open,
        .item = write_item,
        .close = write_close,
    };
    struct writer writer = {buf, true, false};
    struct hark_walk walk = {.ops = &ops, .ctx = &writer, .any_metatable = true};
    int status = hark_walk(L, lua_absindex(L, index), &walk);
    if (status == HARK_EINVAL) {
        memcpy(ret_why->text, walk.why, sizeof(ret_why->text));
    }
    return status;
}

static int write_scalar(struct hark_walk *walk, lua_State *L, int type)
{
    struct hark_buf *buf = ((struct writer *)walk->ctx)->buf;
    size_t len = 0;
    switch (type) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, -1, &len);
        return hark_codec_quote(buf, hark_slice(text, len));
    }
    case LUA_TNUMBER: return write_number(walk, L);
    case LUA_TBOOLEAN: return hark_buf_append_text(buf, lua_toboolean(L, -1) ? "true" : "false");
    case LUA_TNIL:
        if (((struct writer *)walk->ctx)->inside) {
            return hark_walk_fail(walk, "nil, a hole in the array; write json.null");
        }
        return hark_buf_append_text(buf, "null");
    default:
        if (hark_json_is_null(L, -1)) {
            return hark_buf_append_text(buf, "null");
        }
        return hark_walk_fail(walk, "a %s; allowed: string, number, boolean, table, json.null",
                              lua_typename(L, type));
    }
}

// The shortest text of a float that reads back as the same; a point or exponent keeps it a float.
static int write_float(struct hark_buf *buf, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) == value) {
            break;
        }
    }
    if (strpbrk(text, ".e") == NULL) {
        size_t len = strlen(text);
        memcpy(text + len, ".0", 3);
    }
    return hark_buf_append_text(buf, text);
}

static int write_number(struct hark_walk *walk, lua_State *L)
{
    struct hark_buf *buf = ((struct writer *)walk->ctx)->buf;
    if (!lua_isinteger(L, -1)) {
        double value = lua_tonumber(L, -1);
        if (!isfinite(value)) {
            return hark_walk_fail(walk, "%s; JSON has no such number",
                                  isnan(value) ? "not a number" : "infinite");
        }
        return write_float(buf, value);
    }
    lua_Integer value = lua_tointeger(L, -1);
    char text[24];
    char *at = text + sizeof(text);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    return hark_buf_append(buf, at, (size_t)(text + sizeof(text) - at));
}

static int write_open(struct hark_walk *walk, bool is_array, size_t count, bool marked)
{
    struct writer *writer = walk->ctx;
    if (!is_array && (count > 0 || marked)) {
        return hark_walk_fail(walk, "a table that is neither 1 to n nor all names%s",
                              marked ? ", and is marked as an array" : "");
    }
    writer->first = true;
    writer->inside = true;
    return hark_buf_append_char(writer->buf, is_array ? '[' : '{');
}

static int write_item(struct hark_walk *walk, lua_State *L, bool named)
{
    struct writer *writer = walk->ctx;
    if (!writer->first) {
        int status = hark_buf_append_char(writer->buf, ',');
        if (status != 0) {
            return status;
        }
    }
    writer->first = false;
    if (!named) {
        return 0;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        return hark_walk_fail(walk, "a key that is a %s; allowed: names, or 1 to n without a hole",
                              lua_typename(L, lua_type(L, -1)));
    }
    size_t len = 0;
    const char *text = lua_tolstring(L, -1, &len);
    int status = hark_codec_quote(writer->buf, hark_slice(text, len));
    return status != 0 ? status : hark_buf_append_char(writer->buf, ':');
}

static int write_close(struct hark_walk *walk, bool is_array)
{
    struct writer *writer = walk->ctx;
    writer->first = false;
    return hark_buf_append_char(writer->buf, is_array ? ']' : '}');
}
