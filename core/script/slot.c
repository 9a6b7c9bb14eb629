// SPDX-License-Identifier: MIT
//
// Slots and the swap of their code. Two tables in the registry: key -> slot (weak), and address ->
// slot for those that must stay.
#include "script/slot.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/args.h"
#include "script/state.h"
#include "script/vm.h"
#include "session/session.h"

#define METATABLE "hark.slot"

static const char keys_key;
static const char anchors_key;

enum field {
    // the handlers, in the order of enum hark_slot_fn
    OPEN,
    MESSAGE,
    CLOSE,
    ATTACH,
    DETACH,
    GAP,
    DRAIN,
    DELIVER,
    UPGRADE,
    TIMERS,
    VARIANT,
    CODEC,
    VERSION,
    POLICY,
    APP,
    GENERATION,
    PATH,
    RUN_CPU,
    FIELDS,
};

struct limit {
    const char *name;
    size_t offset;
    bool is_count; // uint32_t, else 64 bits
};

static int free_slot(lua_State *L);
static void build_code(lua_State *L, int first, uint32_t *ret_has, uint8_t *ret_codec);
static void read_codec(lua_State *L, int at, int code, uint32_t *has, uint8_t *ret_codec);
static void read_variant(lua_State *L, int at, int code, uint32_t *has);
static struct hark_session_policy *read_policy(lua_State *L, int at);
static void swap_policy(struct hark_slot *slot, struct hark_session_policy *policy);
static int drop_anchor(lua_State *L);
static void remove_anchor(lua_State *L, struct hark_slot *slot);

// Pushes a table of the registry, made when it is not there.
static void push_table(lua_State *L, const void *key, const char *mode)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) {
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    if (mode != NULL) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

struct hark_slot *hark_slot_open(lua_State *L, int index)
{
    int key = lua_absindex(L, index);
    luaL_checktype(L, key, LUA_TSTRING);
    push_table(L, &keys_key, "v");
    lua_pushvalue(L, key);
    if (lua_rawget(L, -2) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    struct hark_script *script = hark_script_of(L);
    struct hark_slot *slot = lua_newuserdatauv(L, sizeof(*slot), 0);
    memset(slot, 0, sizeof(*slot));
    slot->script = script;
    slot->serial = ++script->slot_serial;
    slot->code_ref = LUA_NOREF;
    hark_list_init(&slot->node);
    hark_list_init(&slot->variants);
    if (luaL_newmetatable(L, METATABLE)) {
        lua_pushcfunction(L, free_slot);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    push_table(L, &anchors_key, NULL);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, slot);
    lua_pop(L, 1);
    lua_pushvalue(L, key);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_remove(L, -2);
    hark_list_push(&script->slots, &slot->node);
    return slot;
}

void hark_slot_push_self(lua_State *L, const struct hark_slot *slot)
{
    push_table(L, &anchors_key, NULL);
    lua_rawgetp(L, -1, slot);
    lua_remove(L, -2);
}

struct hark_slot *hark_slot_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, METATABLE);
}

static int free_slot(lua_State *L)
{
    struct hark_slot *slot = lua_touserdata(L, 1);
    hark_list_remove(&slot->node);
    slot->script->free_transforms(slot);
    hark_mem_free((void *)(uintptr_t)slot->policy);
    return 0;
}

// --- code ---

void hark_slot_set(lua_State *L, struct hark_slot *slot, int index)
{
    static const struct hark_arg fields[FIELDS] = {
        [OPEN] = {"open", HARK_ARG_FUNCTION},       [MESSAGE] = {"message", HARK_ARG_FUNCTION},
        [CLOSE] = {"close", HARK_ARG_FUNCTION},     [ATTACH] = {"attach", HARK_ARG_FUNCTION},
        [DETACH] = {"detach", HARK_ARG_FUNCTION},   [GAP] = {"gap", HARK_ARG_FUNCTION},
        [DRAIN] = {"drain", HARK_ARG_FUNCTION},     [DELIVER] = {"deliver", HARK_ARG_FUNCTION},
        [UPGRADE] = {"upgrade", HARK_ARG_FUNCTION}, [TIMERS] = {"timers", HARK_ARG_TABLE},
        [VARIANT] = {"variant", HARK_ARG_TABLE},    [CODEC] = {"codec", HARK_ARG_ANY},
        [VERSION] = {"version", HARK_ARG_INTEGER},  [POLICY] = {"policy", HARK_ARG_TABLE},
        [APP] = {"app", HARK_ARG_STRING},           [GENERATION] = {"generation", HARK_ARG_INTEGER},
        [PATH] = {"path", HARK_ARG_STRING},         [RUN_CPU] = {"run_cpu_ms", HARK_ARG_INTEGER},
    };
    int top = lua_gettop(L);
    uint32_t has = 0;
    uint8_t codec = HARK_SLOT_PLAIN;
    int first = hark_args_read(L, lua_absindex(L, index), "slot_set", fields, FIELDS);
    build_code(L, first, &has, &codec);
    int code_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct hark_session_policy *policy = read_policy(L, first + POLICY);
    // Nothing raises from here on.
    luaL_unref(L, LUA_REGISTRYINDEX, slot->code_ref);
    slot->code_ref = code_ref;
    slot->has = has;
    slot->codec = codec;
    slot->cleared = false;
    slot->retiring++;
    slot->version = hark_args_count(L, first + VERSION, 0);
    slot->cpu_ms = hark_args_count(L, first + RUN_CPU, 0);
    slot->generation = (uint64_t)lua_tointeger(L, first + GENERATION);
    const char *app = lua_tostring(L, first + APP);
    const char *path = lua_tostring(L, first + PATH);
    memset(slot->app, 0, sizeof(slot->app));
    memset(slot->path, 0, sizeof(slot->path));
    memcpy(slot->app, app == NULL ? "" : app,
           app == NULL ? 0 : strnlen(app, sizeof(slot->app) - 1));
    memcpy(slot->path, path == NULL ? "" : path,
           path == NULL ? 0 : strnlen(path, sizeof(slot->path) - 1));
    swap_policy(slot, policy);
    lua_settop(L, top);
}

// Leaves the table of functions on top.
static void build_code(lua_State *L, int first, uint32_t *ret_has, uint8_t *ret_codec)
{
    static const uint8_t places[] = {
        [OPEN] = HARK_SLOT_OPEN,     [MESSAGE] = HARK_SLOT_MESSAGE, [CLOSE] = HARK_SLOT_CLOSE,
        [ATTACH] = HARK_SLOT_ATTACH, [DETACH] = HARK_SLOT_DETACH,   [GAP] = HARK_SLOT_GAP,
        [DRAIN] = HARK_SLOT_DRAIN,   [DELIVER] = HARK_SLOT_DELIVER, [UPGRADE] = HARK_SLOT_UPGRADE,
        [TIMERS] = HARK_SLOT_TIMERS,
    };
    uint32_t has = 0;
    lua_createtable(L, HARK_SLOT_FNS, 0);
    int code = lua_gettop(L);
    for (int field = OPEN; field <= TIMERS; field++) {
        if (!lua_isnil(L, first + field)) {
            lua_pushvalue(L, first + field);
            lua_rawseti(L, code, places[field]);
            has |= 1u << places[field];
        }
    }
    read_variant(L, first + VARIANT, code, &has);
    read_codec(L, first + CODEC, code, &has, ret_codec);
    *ret_has = has;
}

static void take_function(
    lua_State *L, int table, const char *name, int code, enum hark_slot_fn fn, uint32_t *has)
{
    if (lua_getfield(L, table, name) == LUA_TFUNCTION) {
        lua_rawseti(L, code, fn);
        *has |= 1u << fn;
    } else {
        lua_pop(L, 1);
    }
}

static void read_variant(lua_State *L, int at, int code, uint32_t *has)
{
    if (lua_isnil(L, at)) {
        return;
    }
    take_function(L, at, "key", code, HARK_SLOT_KEY, has);
    take_function(L, at, "fn", code, HARK_SLOT_VARIANT, has);
    if ((*has >> HARK_SLOT_KEY & 1) == 0 || (*has >> HARK_SLOT_VARIANT & 1) == 0) {
        luaL_error(L, "slot_set: variant wants two functions, key and fn");
    }
}

static void read_codec(lua_State *L, int at, int code, uint32_t *has, uint8_t *ret_codec)
{
    if (lua_isnil(L, at)) {
        return;
    }
    if (lua_type(L, at) == LUA_TSTRING && strcmp(lua_tostring(L, at), "json") == 0) {
        *ret_codec = HARK_SLOT_JSON;
    } else if (lua_istable(L, at)) {
        take_function(L, at, "decode", code, HARK_SLOT_DECODE, has);
        take_function(L, at, "encode", code, HARK_SLOT_ENCODE, has);
        *ret_codec = HARK_SLOT_CUSTOM;
    } else {
        luaL_error(L, "slot_set: codec must be \"json\" or a table with decode and encode");
    }
}

// --- policy ---

static const struct limit limits[] = {
    {"message_bytes", offsetof(struct hark_session_policy, message_bytes), false},
    {"queue_bytes", offsetof(struct hark_session_policy, queue_bytes), false},
    {"channels", offsetof(struct hark_session_policy, channels), true},
    {"grace_ms", offsetof(struct hark_session_policy, grace_ms), false},
    {"poll_grace_ms", offsetof(struct hark_session_policy, poll_grace_ms), false},
    {"poll_wait_ms", offsetof(struct hark_session_policy, poll_wait_ms), false},
    {"poll_batch", offsetof(struct hark_session_policy, poll_batch), true},
    {"ping_ms", offsetof(struct hark_session_policy, ping_ms), false},
    {"pong_ms", offsetof(struct hark_session_policy, pong_ms), false},
    {"comment_ms", offsetof(struct hark_session_policy, comment_ms), false},
    {"retry_ms", offsetof(struct hark_session_policy, retry_ms), false},
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "limits are read as 64 bits");

// A new policy: the defaults, and what the table at `at` says (nil: nothing).
static struct hark_session_policy *read_policy(lua_State *L, int at)
{
    struct hark_arg fields[LIMITS];
    struct hark_session_policy policy;
    for (size_t i = 0; i < LIMITS; i++) {
        fields[i] = (struct hark_arg){limits[i].name, HARK_ARG_INTEGER};
    }
    hark_session_policy_init(&policy);
    int first = hark_args_read(L, at, "slot_set: policy", fields, LIMITS);
    for (size_t i = 0; i < LIMITS; i++) {
        void *place = (char *)&policy + limits[i].offset;
        if (lua_isnil(L, first + (int)i)) {
            continue;
        } else if (limits[i].is_count) {
            *(uint32_t *)place = hark_args_count(L, first + (int)i, 0);
        } else {
            *(uint64_t *)place = (uint64_t)lua_tointeger(L, first + (int)i);
        }
    }
    struct hark_session_policy *made = hark_mem_alloc(sizeof(*made));
    if (made == NULL) {
        luaL_error(L, "not enough memory");
        return NULL; // not reached
    }
    *made = policy;
    return made;
}

static bool is_equal(const struct hark_session_policy *a, const struct hark_session_policy *b)
{
    for (size_t i = 0; i < LIMITS; i++) {
        size_t size = limits[i].is_count ? sizeof(uint32_t) : sizeof(uint64_t);
        if (memcmp((const char *)a + limits[i].offset, (const char *)b + limits[i].offset, size) !=
            0) {
            return false;
        }
    }
    return true;
}

static void use_policy(void *ctx, struct hark_session *session)
{
    hark_session_set_policy(session, ctx);
}

static void swap_policy(struct hark_slot *slot, struct hark_session_policy *policy)
{
    const struct hark_session_policy *old = slot->policy;
    if (old != NULL && is_equal(old, policy)) {
        hark_mem_free(policy);
        return;
    }
    slot->policy = policy;
    if (slot->sessions > 0) {
        hark_slot_each(slot, use_policy, policy);
    }
    hark_mem_free((void *)(uintptr_t)old);
}

// --- life ---

struct each {
    struct hark_slot *slot;
    hark_slot_each_fn *fn;
    void *ctx;
};

static bool each_session(void *ctx, struct hark_session *session)
{
    const struct each *each = ctx;
    if (hark_session_endpoint(session) == each->slot) {
        each->fn(each->ctx, session);
    }
    return true;
}

void hark_slot_each(struct hark_slot *slot, hark_slot_each_fn *fn, void *ctx)
{
    struct each each = {slot, fn, ctx};
    hark_session_each(slot->script->sessions, each_session, &each);
}

void hark_slot_clear(lua_State *L, struct hark_slot *slot)
{
    luaL_unref(L, LUA_REGISTRYINDEX, slot->code_ref);
    slot->code_ref = LUA_NOREF;
    slot->has = 0;
    slot->codec = HARK_SLOT_PLAIN;
    slot->cleared = true;
    if (slot->sessions == 0) {
        remove_anchor(L, slot);
    }
}

void hark_slot_enter(struct hark_slot *slot)
{
    slot->sessions++;
}

void hark_slot_leave(struct hark_slot *slot)
{
    slot->sessions--;
    if (slot->sessions == 0 && slot->cleared && !slot->script->stopping) {
        // Without memory it stays until the state is closed.
        hark_vm_ignore(hark_vm_call(slot->script->vm, drop_anchor, slot, 0, NULL, NULL));
    }
}

static int drop_anchor(lua_State *L)
{
    remove_anchor(L, lua_touserdata(L, 1));
    return 0;
}

static void remove_anchor(lua_State *L, struct hark_slot *slot)
{
    push_table(L, &anchors_key, NULL);
    lua_pushnil(L);
    lua_rawsetp(L, -2, slot);
    lua_pop(L, 1);
}

void hark_slot_report(struct hark_slot *slot,
                      const struct hark_slot_error *error,
                      char *ret_reference)
{
    struct hark_script *script = slot->script;
    const struct hark_report_error report = {
        .place = error->place,
        .app = slot->app,
        .path = slot->path,
        .generation = slot->generation,
        .session = error->session,
        .text = error->text,
    };
    hark_report_error(&script->report, &report, *script->sessions->now_ms, ret_reference);
}
