// SPDX-License-Identifier: MIT
//
// Walks through a Lua value made of tables and tells a visitor what it meets: json writes text from
// it, value packs bytes, conn checks what a script keeps. Iterative, bounded in depth, raises
// nothing and needs no memory but Lua stack. A failure is described with the path to the bad value.
#ifndef HARK_SCRIPT_WALK_H
#define HARK_SCRIPT_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "base/attr.h"

#define HARK_WALK_DEPTH   100
#define HARK_WALK_WHY_MAX 240

// Metatables of the engine's own tables hold one of these under the key &hark_walk_mark.
extern const char hark_walk_mark;

enum hark_walk_mark_kind {
    HARK_WALK_ARRAY = 1, // a JSON array, also when it is empty
    HARK_WALK_PLAIN = 2, // plain content in spite of its metatable (read-only tables)
    HARK_WALK_PROXY = 3, // stands for the table under its own key &hark_walk_mark
};

struct hark_walk;

struct hark_walk_ops {
    // Each returns 0 or HARK_E*; EINVAL after hark_walk_fail. The value or key is on top of L.
    int (*scalar)(struct hark_walk *walk, lua_State *L, int type);
    // `array`: `count` items follow without keys. `marked`: it carries the array mark.
    int (*open)(struct hark_walk *walk, bool array, size_t count, bool marked);
    int (*item)(struct hark_walk *walk,
                lua_State *L,
                bool named); // before each item; named: its key
    int (*close)(struct hark_walk *walk, bool array);
};

struct hark_walk {
    const struct hark_walk_ops *ops;
    void *ctx;
    bool any_metatable;          // foreign metatables are looked through, else refused
    char why[HARK_WALK_WHY_MAX]; // of EINVAL: "at .a[3]: ..."
};

// Walks through the value at index (absolute). 0; EINVAL (why is set); what the visitor returned.
HARK_MUSTCHECK int hark_walk(lua_State *L, int index, struct hark_walk *walk);

// For visitors: notes what is wrong with the value, returns EINVAL.
int hark_walk_fail(struct hark_walk *walk, const char *format, ...) HARK_PRINTF(2, 3);

#endif
