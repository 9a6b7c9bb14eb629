// SPDX-License-Identifier: MIT
//
// The JSON reader (RFC 8259): straight into Lua values, no tree between, so that its memory is the
// state's own and bounded with it. Iterative; one frame an open array or object, whose table lies
// on the Lua stack. Strict: no comments, no trailing commas, no lone surrogates, UTF-8 only.
#include "script/json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/utf8.h"
#include "hark.h"

#define NUMBER_MAX 400 // characters; longer ones are refused

struct frame {
    bool array;
    lua_Integer count;
};

struct reader {
    lua_State *L;
    const char *begin;
    const char *at;
    const char *end;
    const char *error; // text, and `at` is its place
    bool opened;       // the frame on top is still to get its first item
    int depth;
    struct frame frames[HARK_JSON_DEPTH];
};

static bool read_value(struct reader *reader);
static bool read_string(struct reader *reader);
static bool read_number(struct reader *reader);
static bool read_word(struct reader *reader);
static bool open_frame(struct reader *reader);
static bool read_item(struct reader *reader);
static bool after_value(struct reader *reader);
static bool read_key(struct reader *reader);

static bool fail(struct reader *reader, const char *error)
{
    reader->error = error;
    return false;
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\t' || *reader->at == '\r')) {
        reader->at++;
    }
}

static bool is_at(const struct reader *reader, char c)
{
    return reader->at < reader->end && *reader->at == c;
}

int hark_json_decode(lua_State *L, struct hark_slice text, struct hark_json_error *ret_why)
{
    struct reader reader;
    reader.L = L;
    reader.begin = text.len == 0 ? "" : text.ptr;
    reader.at = reader.begin;
    reader.end = reader.begin + text.len;
    reader.error = NULL;
    reader.opened = false;
    reader.depth = 0;
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "json.decode");
    bool ok = read_value(&reader);
    while (ok && reader.depth > 0) {
        ok = reader.opened ? read_item(&reader) : after_value(&reader);
    }
    if (ok) {
        skip_space(&reader);
        ok = reader.at == reader.end || fail(&reader, "something behind the value");
    }
    if (!ok) {
        (void)snprintf(ret_why->text, sizeof(ret_why->text), "not JSON: %s at byte %zu",
                       reader.error, (size_t)(reader.at - reader.begin) + 1);
        lua_settop(L, top);
        return HARK_EINVAL;
    }
    return 0;
}

// One value, or the opening of one: leaves it on top of the stack.
static bool read_value(struct reader *reader)
{
    skip_space(reader);
    if (reader->at == reader->end) {
        return fail(reader, "the text ends where a value is expected");
    }
    switch (*reader->at) {
    case '"': return read_string(reader);
    case '{':
    case '[': return open_frame(reader);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': return read_number(reader);
    default: return read_word(reader);
    }
}

static bool open_frame(struct reader *reader)
{
    lua_State *L = reader->L;
    if (reader->depth == HARK_JSON_DEPTH) {
        return fail(reader, "nested too deeply");
    }
    luaL_checkstack(L, 8, "json.decode");
    bool array = *reader->at++ == '[';
    lua_newtable(L);
    skip_space(reader);
    if (is_at(reader, array ? ']' : '}')) {
        reader->at++;
        if (array) {
            hark_json_mark_array(L); // so that it is written as [] again
        }
        return true;
    }
    reader->frames[reader->depth++] = (struct frame){array, 0};
    reader->opened = true;
    return true;
}

static bool read_item(struct reader *reader)
{
    bool array = reader->frames[reader->depth - 1].array;
    reader->opened = false;
    return (array || read_key(reader)) && read_value(reader);
}

// A value inside an array or object lies on top: puts it into place and goes on to the next.
static bool after_value(struct reader *reader)
{
    lua_State *L = reader->L;
    struct frame *frame = &reader->frames[reader->depth - 1];
    if (frame->array) {
        lua_rawseti(L, -2, ++frame->count);
    } else {
        lua_rawset(L, -3);
    }
    skip_space(reader);
    if (is_at(reader, ',')) {
        reader->at++;
        return read_item(reader);
    }
    if (!is_at(reader, frame->array ? ']' : '}')) {
        return fail(reader, frame->array ? "expected ',' or ']'" : "expected ',' or '}'");
    }
    reader->at++;
    reader->depth--;
    return true;
}

static bool read_key(struct reader *reader)
{
    skip_space(reader);
    if (!is_at(reader, '"')) {
        return fail(reader, "expected a name in double quotes");
    }
    if (!read_string(reader)) {
        return false;
    }
    skip_space(reader);
    if (!is_at(reader, ':')) {
        return fail(reader, "expected ':' behind the name");
    }
    reader->at++;
    return true;
}

static bool read_word(struct reader *reader)
{
    size_t left = (size_t)(reader->end - reader->at);
    struct hark_slice rest = hark_slice(reader->at, left);
    if (hark_slice_starts(rest, HARK_LIT("true"))) {
        lua_pushboolean(reader->L, 1);
        reader->at += 4;
    } else if (hark_slice_starts(rest, HARK_LIT("false"))) {
        lua_pushboolean(reader->L, 0);
        reader->at += 5;
    } else if (hark_slice_starts(rest, HARK_LIT("null"))) {
        hark_json_push_null(reader->L);
        reader->at += 4;
    } else {
        return fail(reader, "unexpected character");
    }
    return true;
}

// --- numbers ---

static bool skip_digits(struct reader *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        reader->at++;
    }
    return reader->at > from;
}

// Moves behind a number of the grammar of RFC 8259 section 6.
static bool skip_number(struct reader *reader, bool *ret_integer)
{
    *ret_integer = true;
    if (is_at(reader, '-')) {
        reader->at++;
    }
    if (is_at(reader, '0')) {
        reader->at++;
    } else if (!skip_digits(reader)) {
        return fail(reader, "expected a digit");
    }
    if (is_at(reader, '.')) {
        *ret_integer = false;
        reader->at++;
        if (!skip_digits(reader)) {
            return fail(reader, "expected a digit behind the point");
        }
    }
    if (is_at(reader, 'e') || is_at(reader, 'E')) {
        *ret_integer = false;
        reader->at++;
        if (is_at(reader, '+') || is_at(reader, '-')) {
            reader->at++;
        }
        if (!skip_digits(reader)) {
            return fail(reader, "expected a digit in the exponent");
        }
    }
    return true;
}

// false: not within 64 bits.
static bool to_integer(const char *at, const char *end, lua_Integer *ret)
{
    bool negative = *at == '-';
    at += negative ? 1 : 0;
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t value = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = negative ? (lua_Integer)(0 - value) : (lua_Integer)value;
    return true;
}

static bool read_number(struct reader *reader)
{
    const char *from = reader->at;
    bool is_integer = false;
    if (!skip_number(reader, &is_integer)) {
        return false;
    }
    lua_Integer integer = 0;
    if (is_integer && to_integer(from, reader->at, &integer)) {
        lua_pushinteger(reader->L, integer);
        return true;
    }
    char text[NUMBER_MAX + 1];
    size_t len = (size_t)(reader->at - from);
    if (len > NUMBER_MAX) {
        reader->at = from;
        return fail(reader, "a number of more than 400 characters");
    }
    memcpy(text, from, len);
    text[len] = '\0';
    double value = strtod(text, NULL);
    if (!isfinite(value)) {
        reader->at = from;
        return fail(reader, "a number beyond the range of a float");
    }
    lua_pushnumber(reader->L, value);
    return true;
}

// --- strings ---

static bool read_escapes(struct reader *reader, const char *from, const char *close);

// Where the string that begins at `at` ends; NULL: it does not, or holds a control character.
static const char *
find_close(struct reader *reader, const char *at, bool *ret_escapes, bool *ret_ascii)
{
    unsigned char bits = 0;
    bool escapes = false;
    for (; at < reader->end && *at != '"'; at++) {
        unsigned char c = (unsigned char)*at;
        bits |= c;
        if (c < 0x20) {
            reader->at = at;
            (void)fail(reader, "a control character in a string");
            return NULL;
        }
        if (c == '\\') {
            escapes = true;
            at++; // whatever follows; read_escapes judges it
            if (at == reader->end) {
                break;
            }
            bits |= (unsigned char)*at;
        }
    }
    if (at >= reader->end) {
        (void)fail(reader, "a string without its end");
        return NULL;
    }
    *ret_escapes = escapes;
    *ret_ascii = bits < 0x80;
    return at;
}

static bool read_string(struct reader *reader)
{
    const char *from = reader->at + 1;
    bool escapes = false;
    bool ascii = false;
    const char *close = find_close(reader, from, &escapes, &ascii);
    if (close == NULL) {
        return false;
    }
    size_t len = (size_t)(close - from);
    if (!ascii && !hark_utf8_is_valid(hark_slice(from, len))) {
        return fail(reader, "a string that is not UTF-8");
    }
    if (escapes) {
        return read_escapes(reader, from, close);
    }
    lua_pushlstring(reader->L, from, len);
    reader->at = close + 1;
    return true;
}

static bool read_hex(struct reader *reader, const char *at, const char *close, unsigned *ret)
{
    unsigned value = 0;
    if (close - at < 4) {
        return fail(reader, "expected four hexadecimal digits behind \\u");
    }
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit = 0;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (unsigned)((c | 0x20) - 'a') + 10;
        } else {
            return fail(reader, "expected four hexadecimal digits behind \\u");
        }
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

static char *put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

// A \u escape at *at (behind the u), with the second half of a pair where one is due.
static bool read_code(struct reader *reader, const char **at, const char *close, unsigned *ret)
{
    unsigned code = 0;
    if (!read_hex(reader, *at, close, &code)) {
        return false;
    }
    *at += 4;
    if (code >= 0xDC00 && code <= 0xDFFF) {
        return fail(reader, "half of a surrogate pair");
    }
    if (code >= 0xD800 && code <= 0xDBFF) {
        unsigned low = 0;
        if (close - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' ||
            !read_hex(reader, *at + 2, close, &low) || low < 0xDC00 || low > 0xDFFF) {
            return fail(reader, "half of a surrogate pair");
        }
        *at += 6;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    *ret = code;
    return true;
}

static char simple_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return '\0';
    }
}

// The string is never longer than its escaped form, so one buffer of that size will do.
static bool read_escapes(struct reader *reader, const char *from, const char *close)
{
    luaL_Buffer buffer;
    luaL_checkstack(reader->L, 4, "json.decode");
    char *begin = luaL_buffinitsize(reader->L, &buffer, (size_t)(close - from));
    char *out = begin;
    const char *at = from;
    bool ok = true;
    while (ok && at < close) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at++;
        unsigned code = 0;
        if (*at == 'u') {
            at++;
            ok = read_code(reader, &at, close, &code);
            out = ok ? put_utf8(out, code) : out;
        } else {
            *out = simple_escape(*at++);
            ok = *out++ != '\0' || fail(reader, "an unknown escape in a string");
        }
    }
    luaL_pushresultsize(&buffer, ok ? (size_t)(out - begin) : 0);
    reader->at = ok ? close + 1 : at;
    return ok;
}
