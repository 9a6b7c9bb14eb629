// SPDX-License-Identifier: MIT
//
// How requests are answered from Lua: a whole answer, a refusal, a file. What a script gets wrong
// (status, names, control characters) is an error that says so, before anything is sent.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "hark.h"
#include "script/args.h"
#include "script/event.h"
#include "script/request.h"
#include "transport/exchange.h"
#include "transport/static.h"

#define FIELDS_MAX 64 // of one answer

static int respond(lua_State *L);
static int refuse(lua_State *L);
static int add_header(lua_State *L);
static int serve_static(lua_State *L);

void hark_bind_answer(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"respond", respond},     {"refuse", refuse}, {"add_header", add_header},
        {"static", serve_static}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

// Header fields of one answer; their texts lie on the Lua stack or in the table.
struct fields {
    struct hark_header list[FIELDS_MAX];
    size_t count;
    bool has_type;
};

// RFC 9110 section 5.6.2.
static bool is_token(struct hark_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alpha && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_field_value(struct hark_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return false;
        }
    }
    return true;
}

// The value on top becomes a field; it stays there.
static void add_field(lua_State *L, struct fields *fields, struct hark_slice name)
{
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) {
        luaL_error(L, "header %s must be a string, a number or a list of them, not %s", name.ptr,
                   luaL_typename(L, -1));
    }
    size_t len = 0;
    const char *text = lua_tolstring(L, -1, &len);
    if (!is_field_value(hark_slice(text, len))) {
        luaL_error(L, "header %s holds a control character", name.ptr);
    }
    if (fields->count == FIELDS_MAX) {
        luaL_error(L, "more than %d header fields", FIELDS_MAX);
    }
    fields->list[fields->count++] = (struct hark_header){name, hark_slice(text, len)};
    fields->has_type = fields->has_type || hark_slice_is_nocase(name, HARK_LIT("content-type"));
}

static void read_fields(lua_State *L, int index, struct fields *fields)
{
    if (lua_isnoneornil(L, index)) {
        return;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        luaL_checkstack(L, 8, "headers");
        struct hark_slice name = hark_args_slice(L, -2);
        if (!is_token(name)) {
            luaL_error(L, "%s is no name of a header field", luaL_tolstring(L, -2, NULL));
        }
        int value = lua_gettop(L);
        if (lua_istable(L, value)) {
            lua_Integer count = (lua_Integer)lua_rawlen(L, value);
            for (lua_Integer i = 1; i <= count; i++) {
                luaL_checkstack(L, 8, "headers");
                lua_rawgeti(L, value, i);
                add_field(L, fields, name);
            }
        } else {
            add_field(L, fields, name);
        }
        lua_pushvalue(L, value - 1); // the key again, above what must stay
    }
}

// respond(req, status, body, headers)
static int respond(lua_State *L)
{
    lua_Integer status = luaL_checkinteger(L, 2);
    struct fields fields = {.count = 0};
    struct hark_slice body = HARK_SLICE_NONE;
    lua_settop(L, 4);
    if (status < 200 || status > 599) {
        return luaL_error(L, "respond: the status is %d; allowed: 200 to 599", (int)status);
    }
    read_fields(L, 4, &fields);
    struct hark_slice type = HARK_LIT("text/plain; charset=utf-8");
    if (lua_istable(L, 3)) {
        body = hark_event_json(L, 3, &hark_script_of(L)->payload, "respond");
        type = HARK_LIT("application/json");
    } else if (lua_type(L, 3) == LUA_TSTRING) {
        body = hark_args_slice(L, 3);
    } else if (!lua_isnil(L, 3)) {
        return luaL_error(L, "respond: the body must be a string, a table or nil, not %s",
                          luaL_typename(L, 3));
    }
    struct hark_exchange *exchange = hark_request_take(L, 1);
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    if (body.len > 0 && !fields.has_type && fields.count < FIELDS_MAX) {
        fields.list[fields.count++] = (struct hark_header){HARK_LIT("Content-Type"), type};
    }
    const struct hark_response response = {
        .status = (int)status, .headers = fields.list, .header_count = fields.count, .body = body};
    hark_exchange_respond(exchange, &response);
    lua_pushboolean(L, 1);
    return 1;
}

static int refuse(lua_State *L)
{
    lua_Integer status = luaL_checkinteger(L, 2);
    size_t len = 0;
    const char *text = luaL_optlstring(L, 3, "", &len);
    if (status < 400 || status > 599) {
        return luaL_error(L, "refuse: the status is %d; allowed: 400 to 599", (int)status);
    }
    struct hark_exchange *exchange = hark_request_take(L, 1);
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    hark_exchange_refuse(exchange, (int)status, hark_slice(text, len));
    lua_pushboolean(L, 1);
    return 1;
}

static int add_header(lua_State *L)
{
    struct hark_exchange *exchange = hark_request_check(L, 1);
    size_t name_len = 0;
    size_t value_len = 0;
    const char *name = luaL_checklstring(L, 2, &name_len);
    const char *value = luaL_checklstring(L, 3, &value_len);
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    int status = hark_exchange_add_header(exchange, hark_slice(name, name_len),
                                          hark_slice(value, value_len));
    if (status == HARK_EINVAL) {
        return luaL_error(
            L, "add_header: %s: not a header field, or a value with control characters", name);
    } else if (status != 0) {
        return luaL_error(L, "add_header: %s", hark_strerror(status));
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int serve_static(lua_State *L)
{
    struct hark_static *files = hark_script_of(L)->files;
    struct hark_exchange *exchange = hark_request_take(L, 1);
    bool served = exchange == NULL || (files != NULL && hark_static_serve(files, exchange));
    if (!served) {
        hark_request_give_back(L, 1, exchange);
    }
    lua_pushboolean(L, served);
    return 1;
}
