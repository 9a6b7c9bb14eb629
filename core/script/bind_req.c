// SPDX-License-Identifier: MIT
//
// Requests in Lua: what they say. Tables (query, headers, ...) are made when a script first asks
// for them and then kept with the request. How they are answered is in bind_answer.c.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/codec.h"
#include "hark.h"
#include "script/args.h"
#include "script/json.h"
#include "script/request.h"
#include "transport/accept.h"
#include "transport/exchange.h"

enum field { METHOD, PATH, TARGET, HOST, IP, ID, BODY, LAST_TEXT = BODY, TABLES };

static int index_request(lua_State *L);
static int refuse_assignment(lua_State *L);
static void push_text_field(lua_State *L, struct hark_exchange *exchange, lua_Integer field);
static void push_table_field(lua_State *L, struct hark_exchange *exchange, int value);
static int bearer(lua_State *L);
static int json(lua_State *L);
static int set_params(lua_State *L);
static int set_user(lua_State *L);

static const struct {
    const char *name;
    int value;
} text_fields[] = {
    {"method", METHOD}, {"path", PATH}, {"target", TARGET}, {"host", HOST},
    {"ip", IP},         {"id", ID},     {"body", BODY},
};

static const struct {
    const char *name;
    int value;
} table_fields[] = {
    {"params", HARK_REQUEST_PARAMS},
    {"user", HARK_REQUEST_USER},
    {"query", HARK_REQUEST_QUERY},
    {"headers", HARK_REQUEST_HEADERS},
    {"cookies", HARK_REQUEST_COOKIES},
    {"offers", HARK_REQUEST_OFFERS},
    {"subprotocols", HARK_REQUEST_SUBPROTOCOLS},
};

void hark_bind_req(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"set_params", set_params},
        {"set_user", set_user},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, 0, 5);
    // One table says what a key is: a method, or the number of a field.
    lua_createtable(L, 0, 16);
    lua_pushcfunction(L, bearer);
    lua_setfield(L, -2, "bearer");
    lua_pushcfunction(L, json);
    lua_setfield(L, -2, "json");
    for (size_t i = 0; i < sizeof(text_fields) / sizeof(text_fields[0]); i++) {
        lua_pushinteger(L, text_fields[i].value);
        lua_setfield(L, -2, text_fields[i].name);
    }
    for (size_t i = 0; i < sizeof(table_fields) / sizeof(table_fields[0]); i++) {
        lua_pushinteger(L, TABLES + table_fields[i].value);
        lua_setfield(L, -2, table_fields[i].name);
    }
    lua_pushcclosure(L, index_request, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_assignment);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "hark.request");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hark_request_metatable);
}

// --- fields ---

static int index_request(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    int type = lua_rawget(L, lua_upvalueindex(1));
    if (type == LUA_TFUNCTION) {
        return 1;
    }
    if (type != LUA_TNUMBER) {
        return luaL_error(L,
                          "a request has no field %s; there are: method, path, target, host, ip, "
                          "id, body, query, "
                          "headers, cookies, params, user, offers, subprotocols, bearer(), json()",
                          luaL_tolstring(L, 2, NULL));
    }
    struct hark_exchange *exchange = hark_request_check(L, 1);
    lua_Integer field = lua_tointeger(L, -1);
    if (field <= LAST_TEXT) {
        push_text_field(L, exchange, field);
        return 1;
    }
    int value = (int)field - TABLES;
    if (lua_getiuservalue(L, 1, value) != LUA_TNIL || exchange == NULL) {
        return 1;
    }
    push_table_field(L, exchange, value);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, value);
    return 1;
}

static int refuse_assignment(lua_State *L)
{
    return luaL_error(L, "a request is read only: %s cannot be set", luaL_tolstring(L, 2, NULL));
}

static void push_slice(lua_State *L, struct hark_slice text)
{
    lua_pushlstring(L, text.len == 0 ? "" : text.ptr, text.len);
}

static void push_text_field(lua_State *L, struct hark_exchange *exchange, lua_Integer field)
{
    if (exchange == NULL) {
        lua_pushnil(L);
        return;
    }
    const struct hark_request *request = hark_exchange_request(exchange);
    switch (field) {
    case METHOD: push_slice(L, request->method); break;
    case PATH: push_slice(L, request->path); break;
    case TARGET: push_slice(L, request->target); break;
    case HOST: push_slice(L, request->host); break;
    case ID: push_slice(L, hark_exchange_id(exchange)); break;
    case BODY: push_slice(L, request->body); break;
    default: {
        char text[HARK_PEER_TEXT_MAX];
        struct hark_peer peer = hark_exchange_peer(exchange);
        size_t len = hark_peer_text(&peer, text);
        lua_pushlstring(L, text, len);
        break;
    }
    }
}

// Decoded as a form field; what is no valid percent coding stays as it is.
static void push_decoded(lua_State *L, struct hark_slice raw)
{
    struct hark_buf *buf = &hark_script_of(L)->text;
    hark_buf_clear(buf);
    push_slice(L, hark_codec_unpercent(buf, raw, true) == 0 ? hark_buf_slice(buf) : raw);
}

// Sets a field of the table on top unless there is one: the first wins.
static void set_first(lua_State *L, struct hark_slice name, struct hark_slice value)
{
    push_decoded(L, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) {
        lua_pop(L, 2);
        return;
    }
    lua_pop(L, 1);
    push_decoded(L, value);
    lua_rawset(L, -3);
}

static void push_query(lua_State *L, struct hark_slice rest)
{
    lua_newtable(L);
    while (rest.len > 0) {
        struct hark_slice value = hark_slice_next(&rest, '&');
        struct hark_slice name = hark_slice_next(&value, '=');
        if (name.len > 0) {
            set_first(L, name, value);
        }
    }
}

// Fields of one name are joined (RFC 9110 section 5.3).
static void push_headers(lua_State *L, const struct hark_request *request)
{
    lua_createtable(L, 0, (int)request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct hark_header *header = &request->headers[i];
        luaL_Buffer name;
        char *at = luaL_buffinitsize(L, &name, header->name.len);
        for (size_t j = 0; j < header->name.len; j++) {
            char c = header->name.ptr[j];
            at[j] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        luaL_pushresultsize(&name, header->name.len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            bool cookie = hark_slice_is_nocase(header->name, HARK_LIT("cookie"));
            lua_pushstring(L, cookie ? "; " : ", ");
            push_slice(L, header->value);
            lua_concat(L, 3);
        } else {
            lua_pop(L, 1);
            push_slice(L, header->value);
        }
        lua_rawset(L, -3);
    }
}

static void add_cookie(lua_State *L, struct hark_slice pair)
{
    struct hark_slice value = hark_slice_trim(pair);
    struct hark_slice name = hark_slice_next(&value, '=');
    if (name.len == 0 || value.ptr == NULL) {
        return;
    }
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
        value = hark_slice(value.ptr + 1, value.len - 2);
    }
    push_slice(L, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) {
        lua_pop(L, 2);
        return;
    }
    lua_pop(L, 1);
    push_slice(L, value);
    lua_rawset(L, -3);
}

// Cookies as they are sent (RFC 6265 section 5.4): the more exact path comes first, and wins.
static void push_cookies(lua_State *L, const struct hark_request *request)
{
    lua_newtable(L);
    for (size_t i = 0; i < request->header_count; i++) {
        struct hark_slice rest = request->headers[i].value;
        while (hark_slice_is_nocase(request->headers[i].name, HARK_LIT("cookie")) && rest.len > 0) {
            add_cookie(L, hark_slice_next(&rest, ';'));
        }
    }
}

static void push_subprotocols(lua_State *L, const struct hark_request *request)
{
    lua_Integer count = 0;
    lua_newtable(L);
    for (size_t i = 0; i < request->header_count; i++) {
        struct hark_slice rest = request->headers[i].value;
        if (!hark_slice_is_nocase(request->headers[i].name, HARK_LIT("sec-websocket-protocol"))) {
            continue;
        }
        while (rest.len > 0) {
            struct hark_slice item = hark_slice_trim(hark_slice_next(&rest, ','));
            if (item.len > 0) {
                push_slice(L, item);
                lua_rawseti(L, -2, ++count);
            }
        }
    }
}

static void push_offers(lua_State *L, const struct hark_exchange *exchange)
{
    static const enum hark_transport_kind kinds[] = {HARK_TRANSPORT_WEBSOCKET, HARK_TRANSPORT_SSE,
                                                     HARK_TRANSPORT_LONGPOLL};

    unsigned offers = hark_accept_offers(exchange);
    lua_createtable(L, 0, 3);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if ((offers & kinds[i]) != 0) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, hark_transport_kind_name(kinds[i]));
        }
    }
}

static void push_table_field(lua_State *L, struct hark_exchange *exchange, int value)
{
    const struct hark_request *request = hark_exchange_request(exchange);
    switch (value) {
    case HARK_REQUEST_QUERY: push_query(L, request->query); break;
    case HARK_REQUEST_HEADERS: push_headers(L, request); break;
    case HARK_REQUEST_COOKIES: push_cookies(L, request); break;
    case HARK_REQUEST_OFFERS: push_offers(L, exchange); break;
    case HARK_REQUEST_SUBPROTOCOLS: push_subprotocols(L, request); break;
    case HARK_REQUEST_PARAMS: lua_newtable(L); break;
    default: lua_pushnil(L); break;
    }
}

// --- methods ---

// The token of "Authorization: Bearer" (RFC 6750 section 2.1).
static int bearer(lua_State *L)
{
    struct hark_exchange *exchange = hark_request_check(L, 1);
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    struct hark_slice value =
        hark_request_value(hark_exchange_request(exchange), HARK_LIT("authorization"));
    struct hark_slice scheme = hark_slice_next(&value, ' ');
    value = hark_slice_trim(value);
    if (!hark_slice_is_nocase(scheme, HARK_LIT("bearer")) || value.len == 0) {
        lua_pushnil(L);
    } else {
        push_slice(L, value);
    }
    return 1;
}

static int json(lua_State *L)
{
    struct hark_exchange *exchange = hark_request_check(L, 1);
    struct hark_json_error why;
    if (exchange == NULL) {
        return hark_request_closed(L);
    }
    if (hark_json_decode(L, hark_exchange_request(exchange)->body, &why) != 0) {
        lua_pushnil(L);
        lua_pushstring(L, why.text);
        return 2;
    }
    return 1;
}

static int set_params(lua_State *L)
{
    (void)hark_request_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_setiuservalue(L, 1, HARK_REQUEST_PARAMS);
    return 0;
}

static int set_user(lua_State *L)
{
    (void)hark_request_check(L, 1);
    lua_settop(L, 2);
    lua_setiuservalue(L, 1, HARK_REQUEST_USER);
    return 0;
}
