// SPDX-License-Identifier: MIT
//
// Patterns are few and names short: they are compared in the order of exactness, and most are told
// apart by the text in front of the first `:name`.
#include "script/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "hub/msg.h"
#include "script/args.h"

static const char list_key; // registry: the list that was set
static const char set_key;  // registry: struct hark_channels

enum field { PATTERN, HISTORY, BYTES, TTL, PRESENCE, SLOW, JOIN, PUBLISH, FIELDS };

static void read_item(lua_State *L, int list, uint32_t at, struct hark_channel_entry *entry);
static int by_exactness(const void *a, const void *b);
static void check_pattern(lua_State *L, struct hark_slice pattern);
static bool matches(const struct hark_channel_entry *entry, struct hark_slice name);

struct hark_channels *hark_channels_set(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    size_t count = lua_rawlen(L, index);
    if (count > HARK_CHANNELS_MAX) {
        luaL_error(L, "channels: %d patterns; allowed: %d", (int)count, HARK_CHANNELS_MAX);
    }
    int list = lua_absindex(L, index);
    struct hark_channels *made =
        lua_newuserdatauv(L, sizeof(*made) + count * sizeof(struct hark_channel_entry), 0);
    made->count = count;
    for (uint32_t i = 0; i < count; i++) {
        read_item(L, list, i + 1, &made->entries[i]);
    }
    qsort(made->entries, count, sizeof(struct hark_channel_entry), by_exactness);
    for (size_t i = 1; i < count; i++) {
        if (hark_slice_is(made->entries[i - 1].pattern, made->entries[i].pattern)) {
            luaL_error(L, "channels: %s stands twice", made->entries[i].pattern.ptr);
        }
    }
    // The slices point into strings of the list: a copy of it, so that nobody changes it, stays
    // too.
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 1; i <= count; i++) {
        lua_createtable(L, 2, 0);
        lua_rawgeti(L, list, i);
        lua_getfield(L, -1, "pattern");
        lua_rawseti(L, -3, 1);
        lua_getfield(L, -1, "join");
        lua_rawseti(L, -3, 2);
        lua_pop(L, 1);
        lua_rawseti(L, -2, i);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX,
                &list_key);                      // a failure from here on leaves the old set whole:
    lua_rawsetp(L, LUA_REGISTRYINDEX, &set_key); // both keys are there from the first set on
    return made;
}

static enum hark_slow slow_of(lua_State *L, int index)
{
    static const char *const names[] = {"close", "oldest", "latest", NULL};

    static const enum hark_slow kinds[] = {HARK_SLOW_CLOSE, HARK_SLOW_OLDEST, HARK_SLOW_LATEST};

    const char *name = lua_isnil(L, index) ? "close" : lua_tostring(L, index);
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(name, names[i]) == 0) {
            return kinds[i];
        }
    }
    luaL_error(L, "channels: slow is %s; allowed: close, oldest, latest", name);
    return HARK_SLOW_CLOSE;
}

static void read_item(lua_State *L, int list, uint32_t at, struct hark_channel_entry *entry)
{
    static const struct hark_arg fields[FIELDS] = {
        [PATTERN] = {"pattern", HARK_ARG_STRING},    [HISTORY] = {"history", HARK_ARG_INTEGER},
        [BYTES] = {"bytes", HARK_ARG_INTEGER},       [TTL] = {"ttl_ms", HARK_ARG_INTEGER},
        [PRESENCE] = {"presence", HARK_ARG_BOOLEAN}, [SLOW] = {"slow", HARK_ARG_STRING},
        [JOIN] = {"join", HARK_ARG_FUNCTION},        [PUBLISH] = {"publish", HARK_ARG_FUNCTION},
    };
    int top = lua_gettop(L);
    lua_rawgeti(L, list, at);
    int first = hark_args_read(L, top + 1, "channels", fields, FIELDS);
    struct hark_slice pattern = hark_args_slice(L, first + PATTERN);
    check_pattern(L, pattern);
    *entry = (struct hark_channel_entry){
        .pattern = pattern,
        .options =
            {
                .history_count = hark_args_count(L, first + HISTORY, 0),
                .history_bytes = (size_t)lua_tointeger(L, first + BYTES),
                .ttl_ms = (uint64_t)lua_tointeger(L, first + TTL),
                .presence = lua_toboolean(L, first + PRESENCE),
                .slow = slow_of(L, first + SLOW),
            },
        .has_join = !lua_isnil(L, first + JOIN),
        .item = at,
    };
    uint32_t prefix = 0;
    while (prefix < pattern.len && pattern.ptr[prefix] != ':' && pattern.ptr[prefix] != '*') {
        prefix++;
    }
    entry->prefix = prefix;
    entry->is_literal = prefix == pattern.len;
    lua_settop(L, top);
}

// Literal, `:name` or a final `*` in each part between slashes.
static void check_pattern(lua_State *L, struct hark_slice pattern)
{
    bool good = hark_msg_is_channel(pattern);
    struct hark_slice rest = pattern;
    while (good && rest.ptr != NULL) {
        struct hark_slice part = hark_slice_next(&rest, '/');
        bool named = part.len > 0 && part.ptr[0] == ':';
        struct hark_slice text = named ? hark_slice_from(part, 1) : part;
        bool special = text.len > 0 && (memchr(text.ptr, ':', text.len) != NULL ||
                                        memchr(text.ptr, '*', text.len) != NULL);
        bool is_rest = hark_slice_is(part, HARK_LIT("*"));
        good = is_rest ? rest.ptr == NULL : !special && !(named && text.len == 0);
    }
    if (!good) {
        luaL_error(L,
                   "channels: \"%s\" is no pattern; allowed in each part: text, \":name\", \"*\" "
                   "at the end",
                   pattern.len == 0 ? "" : pattern.ptr);
    }
}

static int rank(struct hark_slice part)
{
    if (part.ptr == NULL) {
        return 0; // the shorter one first
    }
    char first = part.len > 0 ? part.ptr[0] : '\0';
    return first == '*' ? 3 : first == ':' ? 2 : 1;
}

static int by_exactness(const void *a, const void *b)
{
    struct hark_slice left = ((const struct hark_channel_entry *)a)->pattern;
    struct hark_slice right = ((const struct hark_channel_entry *)b)->pattern;
    struct hark_slice whole_left = left;
    struct hark_slice whole_right = right;
    while (left.ptr != NULL || right.ptr != NULL) {
        struct hark_slice part_left = hark_slice_next(&left, '/');
        struct hark_slice part_right = hark_slice_next(&right, '/');
        int order = rank(part_left) - rank(part_right);
        if (order != 0) {
            return order;
        }
    }
    size_t len = whole_left.len < whole_right.len ? whole_left.len : whole_right.len;
    int order = memcmp(whole_left.ptr, whole_right.ptr, len);
    return order != 0 ? order
                      : (whole_left.len > whole_right.len) - (whole_left.len < whole_right.len);
}

// --- resolving ---

// Walks over the parts behind the common prefix; calls fn (may be NULL) for what is captured.
typedef void capture_fn(lua_State *L, struct hark_slice name, struct hark_slice value);

static bool
walk(const struct hark_channel_entry *entry, struct hark_slice name, capture_fn *fn, lua_State *L)
{
    struct hark_slice pattern = hark_slice_from(entry->pattern, entry->prefix);
    struct hark_slice rest = hark_slice_from(name, entry->prefix);
    while (pattern.ptr != NULL && rest.ptr != NULL) {
        struct hark_slice whole = rest;
        struct hark_slice part = hark_slice_next(&pattern, '/');
        struct hark_slice value = hark_slice_next(&rest, '/');
        if (hark_slice_is(part, HARK_LIT("*"))) {
            value = whole;
            rest = HARK_SLICE_NONE;
        } else if (part.len > 0 && part.ptr[0] == ':') {
            part = hark_slice_from(part, 1);
        } else if (hark_slice_is(part, value)) {
            continue;
        } else {
            return false;
        }
        if (value.len == 0) {
            return false;
        }
        if (fn != NULL) {
            fn(L, part, value);
        }
    }
    return pattern.ptr == NULL && rest.ptr == NULL;
}

static bool matches(const struct hark_channel_entry *entry, struct hark_slice name)
{
    if (name.len < entry->prefix || memcmp(name.ptr, entry->pattern.ptr, entry->prefix) != 0) {
        return false;
    }
    return entry->is_literal ? name.len == entry->pattern.len : walk(entry, name, NULL, NULL);
}

const struct hark_channel_entry *hark_channels_find(const struct hark_channels *channels,
                                                    struct hark_slice name)
{
    if (channels == NULL || name.len == 0) {
        return NULL;
    }
    for (size_t i = 0; i < channels->count; i++) {
        if (matches(&channels->entries[i], name)) {
            return &channels->entries[i];
        }
    }
    return NULL;
}

int hark_channels_refuse(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "a channel name has 1 to 255 bytes of UTF-8 without control characters");
    return 2;
}

const struct hark_channel_entry *hark_channels_need(lua_State *L,
                                                    const struct hark_channels *channels,
                                                    struct hark_slice name,
                                                    const char *what)
{
    const struct hark_channel_entry *entry = hark_channels_find(channels, name);
    if (HARK_LIKELY(entry != NULL && name.len <= HARK_MSG_CHANNEL_MAX)) {
        return entry;
    }
    char why[512];
    hark_channels_explain(channels, name, why, sizeof(why));
    luaL_error(L, "%s: %s", what, why);
    return NULL;
}

void hark_channels_explain(const struct hark_channels *channels,
                           struct hark_slice name,
                           char *out,
                           size_t max)
{
    if (!hark_msg_is_channel(name)) {
        (void)snprintf(
            out, max,
            "\"%.*s\" is no channel name; allowed: 1 to %d bytes of UTF-8 without control "
            "characters",
            (int)(name.len < 60 ? name.len : 60), name.len == 0 ? "" : name.ptr,
            HARK_MSG_CHANNEL_MAX);
        return;
    }
    int used = snprintf(out, max, "channel \"%.*s\" is not declared; declared are:",
                        (int)(name.len < 100 ? name.len : 100), name.ptr);
    size_t len = (size_t)used;
    size_t count = channels == NULL ? 0 : channels->count;
    for (size_t i = 0; i < count && len + 80 < max; i++) {
        struct hark_slice pattern = channels->entries[i].pattern;
        used = snprintf(out + len, max - len, "%s \"%.*s\"", i == 0 ? "" : ",",
                        (int)(pattern.len < 60 ? pattern.len : 60), pattern.ptr);
        len += (size_t)used;
    }
    if (count == 0) {
        (void)snprintf(out + len, max - len, " none");
    }
}

// --- for join checks ---

void hark_channels_push_join(lua_State *L, const struct hark_channel_entry *entry)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key);
    lua_rawgeti(L, -1, entry->item);
    lua_rawgeti(L, -1, 2);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void set_capture(lua_State *L, struct hark_slice name, struct hark_slice value)
{
    lua_pushlstring(L, name.ptr, name.len);
    lua_pushlstring(L, value.ptr, value.len);
    lua_rawset(L, -3);
}

void hark_channels_push_ref(lua_State *L,
                            const struct hark_channel_entry *entry,
                            struct hark_slice name)
{
    lua_createtable(L, 0, 2);
    set_capture(L, HARK_LIT("name"), name);
    if (!entry->is_literal) {
        (void)walk(entry, name, set_capture, L);
    }
}
