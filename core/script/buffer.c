// SPDX-License-Identifier: MIT
//
// A protected call of its own around the function.
#include "script/buffer.h"

struct call {
    hark_buffer_fn *fn;
    struct hark_buf *buf;
};

static int run(lua_State *L)
{
    const struct call *call = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return call->fn(L, call->buf);
}

int hark_buffer_with(lua_State *L, size_t max, hark_buffer_fn *fn)
{
    struct hark_buf buf;
    struct call call = {fn, &buf};
    hark_buf_init(&buf, max);
    lua_pushcfunction(L, run);
    lua_insert(L, 1);
    lua_pushlightuserdata(L, &call);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    hark_buf_deinit(&buf);
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

int hark_buffer_push(lua_State *L, const struct hark_buf *buf)
{
    struct hark_slice text = hark_buf_slice(buf);
    lua_pushlstring(L, text.len == 0 ? "" : text.ptr, text.len);
    return 1;
}
