// SPDX-License-Identifier: MIT
//
// One frame a table that is open; the tables and the keys at which they stand are on the Lua stack.
#include "script/walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hark.h"

const char hark_walk_mark = 0;

struct frame {
    int table; // its place on the Lua stack; the key of a named item is the next one
    bool array;
    size_t at; // items begun
    size_t count;
};

struct state {
    lua_State *L;
    struct hark_walk *walk;
    int depth;
    struct frame frames[HARK_WALK_DEPTH];
};

static int visit(struct state *state);
static int begin(struct state *state);
static int next_item(struct state *state);
static void describe(struct state *state);

int hark_walk_fail(struct hark_walk *walk, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(walk->why, sizeof(walk->why), format, args);
    va_end(args);
    return HARK_EINVAL;
}

int hark_walk(lua_State *L, int index, struct hark_walk *walk)
{
    struct state state;
    state.L = L;
    state.walk = walk;
    state.depth = 0;
    walk->why[0] = '\0';
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 8)) {
        return HARK_ENOMEM;
    }
    lua_pushvalue(L, index);
    int status = visit(&state);
    while (status == 0 && state.depth > 0) {
        status = next_item(&state);
    }
    if (status == HARK_EINVAL) {
        describe(&state);
    }
    lua_settop(L, top);
    return status;
}

// The value on top: a table becomes a frame and stays, all else is told and popped.
static int visit(struct state *state)
{
    int type = lua_type(state->L, -1);
    if (type == LUA_TTABLE) {
        return begin(state);
    }
    int status = state->walk->ops->scalar(state->walk, state->L, type);
    lua_pop(state->L, 1);
    return status;
}

// The mark of the table on top, whose metatable may be a foreign one (-1); proxies are replaced.
static int mark_of(lua_State *L)
{
    if (!lua_getmetatable(L, -1)) {
        return 0;
    }
    lua_rawgetp(L, -1, &hark_walk_mark);
    int mark = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : -1;
    lua_pop(L, 2);
    if (mark == HARK_WALK_PROXY) {
        lua_rawgetp(L, -1, &hark_walk_mark);
        lua_remove(L, -2);
    }
    return mark;
}

// Whether the table on top holds nothing but items 1 to n.
static bool is_sequence(lua_State *L, size_t count)
{
    if (count == 0) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, (lua_Integer)count);
    }
    if (lua_next(L, -2) == 0) {
        return true; // the usual case: in order, and nothing behind the last item
    }
    lua_pop(L, 2);
    size_t seen = 0;
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pop(L, 1);
        lua_Integer key = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (key < 1 || (lua_Unsigned)key > count) {
            lua_pop(L, 1);
            return false;
        }
        seen++;
    }
    return seen == count;
}

static int begin(struct state *state)
{
    lua_State *L = state->L;
    struct hark_walk *walk = state->walk;
    if (state->depth == HARK_WALK_DEPTH) {
        return hark_walk_fail(walk, "deeper than %d tables (or a table inside itself)",
                              HARK_WALK_DEPTH);
    }
    if (!lua_checkstack(L, 8)) {
        return HARK_ENOMEM;
    }
    int mark = mark_of(L);
    if (mark < 0 && !walk->any_metatable) {
        return hark_walk_fail(walk, "a table with a metatable; allowed: plain tables");
    }
    size_t count = lua_rawlen(L, -1);
    bool array = (count > 0 || mark == HARK_WALK_ARRAY) && is_sequence(L, count);
    struct frame *frame = &state->frames[state->depth++];
    *frame = (struct frame){lua_gettop(L), array, 0, count};
    if (!array) {
        lua_pushnil(L);
    }
    return walk->ops->open(walk, array, count, mark == HARK_WALK_ARRAY);
}

static int end(struct state *state)
{
    struct frame *frame = &state->frames[--state->depth];
    lua_settop(state->L, frame->table - 1);
    return state->walk->ops->close(state->walk, frame->array);
}

static int next_item(struct state *state)
{
    lua_State *L = state->L;
    struct hark_walk *walk = state->walk;
    struct frame *frame = &state->frames[state->depth - 1];
    if (frame->array) {
        if (frame->at == frame->count) {
            return end(state);
        }
        frame->at++;
        int status = walk->ops->item(walk, L, false);
        if (status != 0) {
            return status;
        }
        lua_rawgeti(L, frame->table, (lua_Integer)frame->at);
        return visit(state);
    }
    if (lua_next(L, frame->table) == 0) {
        return end(state);
    }
    frame->at++;
    lua_pushvalue(L, -2);
    int status = walk->ops->item(walk, L, true);
    lua_pop(L, 1);
    return status != 0 ? status : visit(state);
}

// --- errors ---

static size_t append(char *out, size_t len, size_t max, const char *format, ...) HARK_PRINTF(4, 5);

static size_t append(char *out, size_t len, size_t max, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out + len, max - len, format, args);
    va_end(args);
    size_t end_at = n < 0 ? len : len + (size_t)n;
    return end_at < max ? end_at : max - 1;
}

static size_t append_key(lua_State *L, int index, char *out, size_t len, size_t max)
{
    switch (lua_type(L, index)) {
    case LUA_TSTRING: return append(out, len, max, ".%.60s", lua_tostring(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            return append(out, len, max, "[%lld]", (long long)lua_tointeger(L, index));
        }
        return append(out, len, max, "[%g]", (double)lua_tonumber(L, index));
    default: return append(out, len, max, "[%s]", lua_typename(L, lua_type(L, index)));
    }
}

// Puts the path before the reason: "at .rooms[2].fn: a function".
static void describe(struct state *state)
{
    char path[HARK_WALK_WHY_MAX / 2] = "";
    size_t len = 0;
    for (int i = 0; i < state->depth && len + 1 < sizeof(path); i++) {
        const struct frame *frame = &state->frames[i];
        if (frame->at == 0) {
            continue; // the table itself is refused
        }
        if (frame->array) {
            len = append(path, len, sizeof(path), "[%zu]", frame->at);
        } else {
            len = append_key(state->L, frame->table + 1, path, len, sizeof(path));
        }
    }
    if (len > 0) {
        char why[HARK_WALK_WHY_MAX];
        memcpy(why, state->walk->why, sizeof(why));
        (void)hark_walk_fail(state->walk, "at %s: %.*s", path, HARK_WALK_WHY_MAX / 2 - 16, why);
    }
}
