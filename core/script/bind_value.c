// SPDX-License-Identifier: MIT
//
// Values and bytes: pack, unpack, JSON, digests, MACs, comparison of secrets, random bytes, base64.
// No state and no server is needed for any of it.
#include "script/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/codec.h"
#include "base/digest.h"
#include "hark.h"
#include "script/buffer.h"
#include "script/json.h"
#include "script/value.h"

#define PACKED_MAX ((size_t)64 << 20)
#define CODED_MAX  ((size_t)64 << 20)
#define RANDOM_MAX 1024

static int pack(lua_State *L);
static int unpack(lua_State *L);
static int digest(lua_State *L);
static int hmac(lua_State *L);
static int equal(lua_State *L);
static int random_bytes(lua_State *L);
static int encode_base64(lua_State *L);
static int decode_base64(lua_State *L);

static const struct {
    const char *name;
    enum hark_digest_kind kind;
} kinds[] = {
    {"md5", HARK_DIGEST_MD5},
    {"sha1", HARK_DIGEST_SHA1},
    {"sha256", HARK_DIGEST_SHA256},
    {"sha512", HARK_DIGEST_SHA512},
};

// A table with one function for each kind of digest.
static void push_kinds(lua_State *L, lua_CFunction fn)
{
    lua_createtable(L, 0, 4);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        lua_pushinteger(L, kinds[i].kind);
        lua_pushcclosure(L, fn, 1);
        lua_setfield(L, -2, kinds[i].name);
    }
}

void hark_bind_value(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pack", pack},
                                         {"unpack", unpack},
                                         {"equal", equal},
                                         {"random", random_bytes},
                                         {NULL, NULL}};
    static const luaL_Reg base64[] = {
        {"encode", encode_base64}, {"decode", decode_base64}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    hark_json_open(L);
    lua_setfield(L, -2, "json");
    push_kinds(L, digest);
    lua_setfield(L, -2, "digest");
    push_kinds(L, hmac);
    lua_setfield(L, -2, "hmac");
    luaL_newlib(L, base64);
    lua_setfield(L, -2, "base64");
}

// --- values ---

static int pack_with(lua_State *L, struct hark_buf *buf)
{
    struct hark_value_error why;
    int status = hark_value_pack(L, 1, buf, &why);
    if (status != 0) {
        return luaL_error(L, "pack: %s", status == HARK_EINVAL ? why.text : hark_strerror(status));
    }
    return hark_buffer_push(L, buf);
}

static int pack(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    return hark_buffer_with(L, PACKED_MAX, pack_with);
}

static int unpack(lua_State *L)
{
    size_t len = 0;
    const char *bytes = luaL_checklstring(L, 1, &len);
    struct hark_slice data = hark_slice(bytes, len);
    if (hark_value_unpack(L, &data) != 0 || data.len > 0) {
        return luaL_error(L, "unpack: these bytes are no packed value");
    }
    return 1;
}

// --- digests ---

static int push_hex(lua_State *L, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[HARK_DIGEST_MAX * 2];
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    lua_pushlstring(L, text, len * 2);
    return 1;
}

static int refuse(lua_State *L, const char *what, int status)
{
    return luaL_error(L, "%s: %s", what,
                      status == HARK_EINVAL ? "not offered here" : hark_strerror(status));
}

static int digest(lua_State *L)
{
    enum hark_digest_kind kind = (enum hark_digest_kind)lua_tointeger(L, lua_upvalueindex(1));
    size_t len = 0;
    const char *data = luaL_checklstring(L, 1, &len);
    uint8_t out[HARK_DIGEST_MAX];
    size_t out_len = 0;
    int status = hark_digest(kind, hark_slice(data, len), out, &out_len);
    return status == 0 ? push_hex(L, out, out_len) : refuse(L, "digest", status);
}

static int hmac(lua_State *L)
{
    enum hark_digest_kind kind = (enum hark_digest_kind)lua_tointeger(L, lua_upvalueindex(1));
    size_t key_len = 0;
    size_t len = 0;
    const char *key = luaL_checklstring(L, 1, &key_len);
    const char *data = luaL_checklstring(L, 2, &len);
    uint8_t out[HARK_DIGEST_MAX];
    size_t out_len = 0;
    int status =
        hark_digest_hmac(kind, hark_slice(key, key_len), hark_slice(data, len), out, &out_len);
    return status == 0 ? push_hex(L, out, out_len) : refuse(L, "hmac", status);
}

static int equal(lua_State *L)
{
    size_t a_len = 0;
    size_t b_len = 0;
    const char *a = luaL_checklstring(L, 1, &a_len);
    const char *b = luaL_checklstring(L, 2, &b_len);
    lua_pushboolean(L, hark_digest_is_equal(hark_slice(a, a_len), hark_slice(b, b_len)));
    return 1;
}

static int random_bytes(lua_State *L)
{
    lua_Integer count = luaL_checkinteger(L, 1);
    char bytes[RANDOM_MAX];
    luaL_argcheck(L, count >= 1 && count <= RANDOM_MAX, 1, "1 to 1024 bytes");
    int status = hark_digest_random(bytes, (size_t)count);
    if (status != 0) {
        return luaL_error(L, "random: %s", hark_strerror(status));
    }
    lua_pushlstring(L, bytes, (size_t)count);
    return 1;
}

// --- base64 ---

static int encode_base64_with(lua_State *L, struct hark_buf *buf)
{
    size_t len = 0;
    const char *bytes = luaL_checklstring(L, 1, &len);
    struct hark_slice data = hark_slice(bytes, len);
    int status =
        lua_toboolean(L, 2) ? hark_codec_base64url(buf, data) : hark_codec_base64(buf, data);
    return status == 0 ? hark_buffer_push(L, buf)
                       : luaL_error(L, "base64.encode: %s", hark_strerror(status));
}

static int encode_base64(lua_State *L)
{
    return hark_buffer_with(L, CODED_MAX, encode_base64_with);
}

// Either alphabet.
static int decode_base64_with(lua_State *L, struct hark_buf *buf)
{
    size_t len = 0;
    const char *text = luaL_checklstring(L, 1, &len);
    int status = hark_codec_unbase64(buf, hark_slice(text, len));
    if (status == HARK_EINVAL) {
        status = hark_codec_unbase64url(buf, hark_slice(text, len));
    }
    if (status == HARK_EINVAL) {
        lua_pushnil(L);
        lua_pushliteral(L, "not base64");
        return 2;
    }
    return status == 0 ? hark_buffer_push(L, buf)
                       : luaL_error(L, "base64.decode: %s", hark_strerror(status));
}

static int decode_base64(lua_State *L)
{
    return hark_buffer_with(L, CODED_MAX, decode_base64_with);
}
