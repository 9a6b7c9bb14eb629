// SPDX-License-Identifier: MIT
//
// One tag byte a value; numbers and lengths in the machine's own order.
#include "script/value.h"

#include <math.h>
#include <string.h>

#include <lauxlib.h>

#include "hark.h"
#include "script/json.h"

enum tag {
    NIL = 'n',
    FALSE = 'f',
    TRUE = 't',
    INTEGER = 'i',
    FLOAT = 'd',
    STRING = 's',
    NONE = '0',   // json.null
    ARRAY = 'a',  // count, then as many values
    MARKED = 'A', // the same, with the array mark
    MAP = 'm',    // keys and values, then END
    END = 'e',
};

static int pack_scalar(struct hark_walk *walk, lua_State *L, int type);
static int pack_open(struct hark_walk *walk, bool array, size_t count, bool marked);
static int pack_item(struct hark_walk *walk, lua_State *L, bool named);
static int pack_close(struct hark_walk *walk, bool array);

// --- packing ---

static int put(struct hark_buf *buf, enum tag tag, const void *data, size_t len)
{
    if (buf == NULL) {
        return 0; // only a check
    }
    char *at = NULL;
    int status = hark_buf_reserve(buf, len + 1, &at);
    if (status != 0) {
        return status;
    }
    *at = (char)tag;
    if (len > 0) {
        memcpy(at + 1, data, len);
    }
    hark_buf_commit(buf, len + 1);
    return 0;
}

static int put_text(struct hark_buf *buf, struct hark_slice text)
{
    if (text.len > UINT32_MAX) {
        return HARK_ETOOBIG;
    }
    uint32_t len = (uint32_t)text.len;
    int status = put(buf, STRING, &len, sizeof(len));
    return status != 0 || buf == NULL ? status : hark_buf_append_slice(buf, text);
}

static int put_table(struct hark_buf *buf, enum tag tag, size_t count)
{
    if (count > UINT32_MAX) {
        return HARK_ETOOBIG;
    }
    uint32_t length = (uint32_t)count;
    return put(buf, tag, &length, sizeof(length));
}

int hark_value_pack(lua_State *L, int index, struct hark_buf *buf, struct hark_value_error *ret_why)
{
    static const struct hark_walk_ops ops = {
        .scalar = pack_scalar,
        .open = pack_open,
        .item = pack_item,
        .close = pack_close,
    };
    struct hark_walk walk = {.ops = &ops, .ctx = buf};
    size_t before = buf == NULL ? 0 : hark_buf_len(buf);
    int status = hark_walk(L, lua_absindex(L, index), &walk);
    if (status != 0 && buf != NULL) {
        hark_buf_truncate(buf, before);
    }
    if (status == HARK_EINVAL) {
        memcpy(ret_why->text, walk.why, sizeof(ret_why->text));
    }
    return status;
}

int hark_value_check(lua_State *L, int index, struct hark_value_error *ret_why)
{
    return hark_value_pack(L, index, NULL, ret_why);
}

static int pack_scalar(struct hark_walk *walk, lua_State *L, int type)
{
    struct hark_buf *buf = walk->ctx;
    switch (type) {
    case LUA_TNIL: return put(buf, NIL, NULL, 0);
    case LUA_TBOOLEAN: return put(buf, lua_toboolean(L, -1) ? TRUE : FALSE, NULL, 0);
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1)) {
            lua_Integer integer = lua_tointeger(L, -1);
            return put(buf, INTEGER, &integer, sizeof(integer));
        } else {
            lua_Number number = lua_tonumber(L, -1);
            return put(buf, FLOAT, &number, sizeof(number));
        }
    case LUA_TSTRING: {
        size_t len = 0;
        const char *text = lua_tolstring(L, -1, &len);
        return put_text(buf, hark_slice(text, len));
    }
    default:
        if (hark_json_is_null(L, -1)) {
            return put(buf, NONE, NULL, 0);
        }
        return hark_walk_fail(walk, "a %s; allowed: nil, boolean, number, string, plain table",
                              lua_typename(L, type));
    }
}

static int pack_open(struct hark_walk *walk, bool array, size_t count, bool marked)
{
    if (!array) {
        return put(walk->ctx, MAP, NULL, 0);
    }
    return put_table(walk->ctx, marked ? MARKED : ARRAY, count);
}

static int pack_item(struct hark_walk *walk, lua_State *L, bool named)
{
    if (!named) {
        return 0;
    }
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE) {
        return hark_walk_fail(walk, "a key that is a table; allowed: boolean, number, string");
    }
    return pack_scalar(walk, L, type);
}

static int pack_close(struct hark_walk *walk, bool array)
{
    return array ? 0 : put(walk->ctx, END, NULL, 0);
}

int hark_value_put_nil(struct hark_buf *buf)
{
    return put(buf, NIL, NULL, 0);
}

int hark_value_put_boolean(struct hark_buf *buf, bool value)
{
    return put(buf, value ? TRUE : FALSE, NULL, 0);
}

int hark_value_put_integer(struct hark_buf *buf, int64_t value)
{
    return put(buf, INTEGER, &value, sizeof(value));
}

int hark_value_put_float(struct hark_buf *buf, double value)
{
    return put(buf, FLOAT, &value, sizeof(value));
}

int hark_value_put_string(struct hark_buf *buf, struct hark_slice value)
{
    return put_text(buf, value);
}

int hark_value_put_array(struct hark_buf *buf, uint32_t count)
{
    return put_table(buf, ARRAY, count);
}

int hark_value_put_map(struct hark_buf *buf)
{
    return put(buf, MAP, NULL, 0);
}

int hark_value_put_map_end(struct hark_buf *buf)
{
    return put(buf, END, NULL, 0);
}

// --- unpacking ---

static bool take(struct hark_slice *data, void *out, size_t len)
{
    if (data->len < len) {
        return false;
    }
    memcpy(out, data->ptr, len);
    *data = hark_slice_from(*data, len);
    return true;
}

static bool take_text(struct hark_slice *data, struct hark_slice *ret)
{
    uint32_t len = 0;
    if (!take(data, &len, sizeof(len)) || data->len < len) {
        return false;
    }
    *ret = hark_slice(data->ptr, len);
    *data = hark_slice_from(*data, len);
    return true;
}

struct piece {
    char tag;
    uint32_t count;
    int64_t integer;
    double number;
    struct hark_slice text;
};

// One tag with what belongs to it.
static bool read_piece(struct hark_slice *data, struct piece *ret)
{
    if (!take(data, &ret->tag, 1)) {
        return false;
    }
    switch (ret->tag) {
    case ARRAY:
    case MARKED: return take(data, &ret->count, sizeof(ret->count));
    case INTEGER: return take(data, &ret->integer, sizeof(ret->integer));
    case FLOAT: return take(data, &ret->number, sizeof(ret->number));
    case STRING: return take_text(data, &ret->text);
    case MAP:
    case END:
    case NIL:
    case FALSE:
    case TRUE:
    case NONE: return true;
    default: return false;
    }
}

static bool is_scalar(const struct piece *piece)
{
    return piece->tag != ARRAY && piece->tag != MARKED && piece->tag != MAP && piece->tag != END;
}

static void push_scalar(lua_State *L, const struct piece *piece)
{
    switch (piece->tag) {
    case INTEGER: lua_pushinteger(L, piece->integer); break;
    case FLOAT: lua_pushnumber(L, piece->number); break;
    case STRING: lua_pushlstring(L, piece->text.ptr, piece->text.len); break;
    case NONE: hark_json_push_null(L); break;
    case NIL: lua_pushnil(L); break;
    default: lua_pushboolean(L, piece->tag == TRUE); break;
    }
}

// nil and NaN are values but no keys: Lua would raise.
static bool can_be_key(const struct piece *piece)
{
    return piece->tag != NIL && !(piece->tag == FLOAT && isnan(piece->number));
}

struct frame {
    bool array;
    bool has_key; // map: its key lies on the stack
    uint32_t at;
    uint32_t count;
};

struct unpacker {
    lua_State *L; // NULL: only moves over the bytes
    struct hark_slice data;
    int depth;
    struct frame frames[HARK_WALK_DEPTH];
};

static int open_table(struct unpacker *unpacker, bool array, uint32_t count, bool marked)
{
    if (unpacker->depth == HARK_WALK_DEPTH || (array && count > unpacker->data.len)) {
        return HARK_EINVAL;
    }
    unpacker->frames[unpacker->depth++] = (struct frame){array, false, 0, count};
    if (unpacker->L != NULL) {
        luaL_checkstack(unpacker->L, 8, "unpack");
        lua_createtable(unpacker->L, array ? (int)count : 0, array ? 0 : 4);
        if (marked) {
            hark_json_mark_array(unpacker->L);
        }
    }
    return 0;
}

// A value is complete and lies on top: puts it where it belongs.
static void place(struct unpacker *unpacker)
{
    if (unpacker->depth == 0) {
        return;
    }
    struct frame *frame = &unpacker->frames[unpacker->depth - 1];
    if (frame->array) {
        frame->at++;
        if (unpacker->L != NULL) {
            lua_rawseti(unpacker->L, -2, frame->at);
        }
    } else if (!frame->has_key) {
        frame->has_key = true;
    } else {
        frame->has_key = false;
        if (unpacker->L != NULL) {
            lua_rawset(unpacker->L, -3);
        }
    }
}

// Closes arrays that are full (a closed table is a value of the one around it).
static void close_full(struct unpacker *unpacker)
{
    while (unpacker->depth > 0) {
        const struct frame *frame = &unpacker->frames[unpacker->depth - 1];
        if (!frame->array || frame->at < frame->count) {
            return;
        }
        unpacker->depth--;
        place(unpacker);
    }
}

static int take_piece(struct unpacker *unpacker, const struct piece *piece)
{
    const struct frame *frame = unpacker->depth > 0 ? &unpacker->frames[unpacker->depth - 1] : NULL;
    bool wants_key = frame != NULL && !frame->array && !frame->has_key;
    if (piece->tag == END) {
        if (!wants_key) {
            return HARK_EINVAL;
        }
        unpacker->depth--;
        place(unpacker);
        return 0;
    }
    if (!is_scalar(piece)) {
        return wants_key
                   ? HARK_EINVAL
                   : open_table(unpacker, piece->tag != MAP, piece->count, piece->tag == MARKED);
    }
    if (wants_key && !can_be_key(piece)) {
        return HARK_EINVAL;
    }
    if (unpacker->L != NULL) {
        push_scalar(unpacker->L, piece);
    }
    place(unpacker);
    return 0;
}

static int run(struct unpacker *unpacker)
{
    do {
        struct piece piece;
        memset(&piece, 0, sizeof(piece));
        if (!read_piece(&unpacker->data, &piece) || take_piece(unpacker, &piece) != 0) {
            return HARK_EINVAL;
        }
        close_full(unpacker);
    } while (unpacker->depth > 0);
    return 0;
}

int hark_value_unpack(lua_State *L, struct hark_slice *data)
{
    struct unpacker unpacker;
    unpacker.L = L;
    unpacker.data = *data;
    unpacker.depth = 0;
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "unpack");
    if (run(&unpacker) != 0) {
        lua_settop(L, top);
        return HARK_EINVAL;
    }
    *data = unpacker.data;
    return 0;
}

int hark_value_skip(struct hark_slice *data)
{
    struct unpacker unpacker;
    unpacker.L = NULL;
    unpacker.data = *data;
    unpacker.depth = 0;
    if (run(&unpacker) != 0) {
        return HARK_EINVAL;
    }
    *data = unpacker.data;
    return 0;
}

bool hark_value_is_nil(struct hark_slice data)
{
    return data.len == 0 || data.ptr[0] == NIL;
}

int hark_value_take_string(struct hark_slice *data, struct hark_slice *ret)
{
    struct hark_slice rest = hark_slice_from(*data, 1);
    if (data->len == 0 || data->ptr[0] != STRING || !take_text(&rest, ret)) {
        return HARK_EINVAL;
    }
    *data = rest;
    return 0;
}

int hark_value_take_integer(struct hark_slice *data, int64_t *ret)
{
    struct hark_slice rest = hark_slice_from(*data, 1);
    if (data->len == 0 || data->ptr[0] != INTEGER || !take(&rest, ret, sizeof(*ret))) {
        return HARK_EINVAL;
    }
    *data = rest;
    return 0;
}

int hark_value_take_float(struct hark_slice *data, double *ret)
{
    struct hark_slice rest = hark_slice_from(*data, 1);
    if (data->len == 0 || data->ptr[0] != FLOAT || !take(&rest, ret, sizeof(*ret))) {
        return HARK_EINVAL;
    }
    *data = rest;
    return 0;
}

int hark_value_take_array(struct hark_slice *data, uint32_t *ret_count)
{
    struct hark_slice rest = hark_slice_from(*data, 1);
    if (data->len == 0 || (data->ptr[0] != ARRAY && data->ptr[0] != MARKED) ||
        !take(&rest, ret_count, sizeof(*ret_count))) {
        return HARK_EINVAL;
    }
    *data = rest;
    return 0;
}
