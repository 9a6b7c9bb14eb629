// SPDX-License-Identifier: MIT
//
// An endpoint's stable place in one worker. Sessions point to it for life; a reload swaps the code
// in it between two runs, so the next event of a connection finds the new code. The slot itself is
// a userdata: the table of slots holds it while the endpoint is there or a session is left.
#ifndef HARK_SCRIPT_SLOT_H
#define HARK_SCRIPT_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/list.h"
#include "base/slice.h"
#include "session/env.h"

struct hark_script;
struct hark_session;
struct hark_transform;

// Functions of an endpoint, by their place in the slot's table of code.
enum hark_slot_fn {
    HARK_SLOT_OPEN = 1,
    HARK_SLOT_MESSAGE,
    HARK_SLOT_CLOSE,
    HARK_SLOT_ATTACH,
    HARK_SLOT_DETACH,
    HARK_SLOT_GAP,
    HARK_SLOT_DRAIN,
    HARK_SLOT_DELIVER,
    HARK_SLOT_UPGRADE,
    HARK_SLOT_TIMERS, // a table of functions by name
    HARK_SLOT_KEY,    // of variant
    HARK_SLOT_VARIANT,
    HARK_SLOT_DECODE,
    HARK_SLOT_ENCODE,
    HARK_SLOT_FNS,
};

enum hark_slot_codec { HARK_SLOT_PLAIN, HARK_SLOT_JSON, HARK_SLOT_CUSTOM };

struct hark_slot {
    struct hark_list node; // in hark_script.slots
    struct hark_script *script;
    uint64_t serial; // unique in the worker
    int code_ref;    // registry: the table of code; LUA_NOREF: none
    uint32_t has;    // set of 1 << enum hark_slot_fn
    uint8_t codec;   // enum hark_slot_codec
    bool cleared;    // the endpoint is gone
    uint32_t version;
    uint32_t cpu_ms; // budget of a run; 0: the worker's
    uint64_t generation;
    uint32_t sessions;
    uint32_t retiring; // counts up when its sessions are told to go, or to stay after all
    const struct hark_session_policy *policy; // owned; of all its sessions
    struct hark_transform *transform;         // the view of sessions without a variant
    struct hark_list variants;                // struct hark_transform, one a key
    uint32_t variant_count;
    char app[64]; // for the log, cut if need be
    char path[128];
};

// Pushes the slot of the key at `index`, made when new (without code; its transform is NULL then).
struct hark_slot *hark_slot_open(lua_State *L, int index);
// Pushes a slot that is there.
void hark_slot_push_self(lua_State *L, const struct hark_slot *slot);
// The slot at `index`; raises when it is none.
struct hark_slot *hark_slot_check(lua_State *L, int index);

// Swaps the code for what the table at `index` says; its live sessions get the new policy. Raises
// when it is wrong, and nothing has changed then.
void hark_slot_set(lua_State *L, struct hark_slot *slot, int index);
// The endpoint is gone; the slot goes with its last session.
void hark_slot_clear(lua_State *L, struct hark_slot *slot);
// A session came or went.
void hark_slot_enter(struct hark_slot *slot);
void hark_slot_leave(struct hark_slot *slot);

// Calls fn for each live session of the slot; it may close the session.
typedef void hark_slot_each_fn(void *ctx, struct hark_session *session);
void hark_slot_each(struct hark_slot *slot, hark_slot_each_fn *fn, void *ctx);

// Logs an error in code of this slot; HARK_REPORT_REFERENCE_MAX.
struct hark_slot_error {
    const char *place;
    uint64_t session; // serial; 0: none
    struct hark_slice text;
};

void hark_slot_report(struct hark_slot *slot,
                      const struct hark_slot_error *error,
                      char *ret_reference);

static inline bool hark_slot_has(const struct hark_slot *slot, enum hark_slot_fn fn)
{
    return (slot->has >> fn & 1) != 0;
}

// Pushes a function the slot has.
static inline void hark_slot_push(lua_State *L, const struct hark_slot *slot, enum hark_slot_fn fn)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot->code_ref);
    lua_rawgeti(L, -1, fn);
    lua_replace(L, -2);
}

#endif
