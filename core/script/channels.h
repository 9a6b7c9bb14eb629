// SPDX-License-Identifier: MIT
//
// What the scripts have declared about channels: patterns (`chat/:room`, `feed/*`) with their
// options and join checks. Resolves the name of a channel to the most exact pattern: literal text
// goes before
// `:name`, that before `*`. A name that no pattern fits is a mistake of the script.
#ifndef HARK_SCRIPT_CHANNELS_H
#define HARK_SCRIPT_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/slice.h"
#include "hub/options.h"

#define HARK_CHANNELS_MAX 10000

struct hark_channel_entry {
    struct hark_slice pattern;
    struct hark_channel_options options;
    bool has_join;
    /* private */
    bool is_literal;
    uint32_t prefix; // bytes before the first `:name` or `*`
    uint32_t item;   // place in the list that was set
};

// Lies in Lua's memory; the registry holds it until the next set.
struct hark_channels {
    size_t count;
    struct hark_channel_entry entries[]; // most exact first
};

// Takes the list at `index` ({pattern, history, bytes, ttl_ms, presence, slow, join, publish} each)
// and makes it the one in force. Raises when an item is wrong, and nothing has changed then.
struct hark_channels *hark_channels_set(lua_State *L, int index);

// NULL: not declared. channels may be NULL: nothing is.
const struct hark_channel_entry *hark_channels_find(const struct hark_channels *channels,
                                                    struct hark_slice name);

// As find, but raises with `what`, the name, and what is declared. Also for what is no channel's
// name.
const struct hark_channel_entry *hark_channels_need(lua_State *L,
                                                    const struct hark_channels *channels,
                                                    struct hark_slice name,
                                                    const char *what);

// nil and why: what was given is no channel's name at all (names often come from clients).
int hark_channels_refuse(lua_State *L);
// Appends the text of that error; for callers without a state.
void hark_channels_explain(const struct hark_channels *channels,
                           struct hark_slice name,
                           char *out,
                           size_t max);

// Pushes the join check of an entry, and the table it gets as its second argument: what the pattern
// captured by name (the rest of a `*` under "*"), and `name`.
void hark_channels_push_join(lua_State *L, const struct hark_channel_entry *entry);
void hark_channels_push_ref(lua_State *L,
                            const struct hark_channel_entry *entry,
                            struct hark_slice name);

#endif
