// SPDX-License-Identifier: MIT
//
// Views. The calls into Lua happen in a protected call of their own: a transform is asked for from
// deep inside a walk over sessions, maybe below another run (history that a join replays).
#include "script/transform.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "hark.h"
#include "script/args.h"
#include "script/conn.h"
#include "script/event.h"
#include "script/json.h"
#include "script/report.h"
#include "script/slot.h"
#include "script/state.h"
#include "script/still.h"
#include "session/session.h"

#define KEPT_MAX   32                // messages a view remembers
#define KEPT_BYTES ((size_t)1 << 18) // and their payloads together
#define WHY_MAX    16384

struct kept {
    struct hark_msg *from; // a reference; NULL: empty
    struct hark_msg *to;   // a reference; NULL: not for this view
};

struct hark_transform {
    struct hark_view view;
    struct hark_slot *slot;
    struct hark_list node; // in slot->variants; unlinked: the slot's own
    int key_ref;           // registry: the variant's key
    uint32_t users;        // sessions on a variant's view
    uint32_t at;           // place of the next message to keep
    size_t kept_bytes;
    struct kept *kept; // KEPT_MAX; NULL: none yet
};

// One call into Lua.
struct call {
    struct hark_transform *transform;
    struct hark_session *session;
    struct hark_msg *msg;
    struct hark_msg *made; // result: a reference
};

static int transform(struct hark_view *view,
                     struct hark_session *session,
                     struct hark_msg *msg,
                     struct hark_msg **ret);
static int shared(struct hark_transform *at,
                  struct hark_session *session,
                  struct hark_msg *msg,
                  struct hark_msg **ret);
static int call_lua(struct call *call, lua_CFunction fn, const char *place);
static int run_deliver(lua_State *L);
static int run_variant(lua_State *L);
static int run_encode(lua_State *L);
static int run_keyed(lua_State *L);
static void forget_kept(struct hark_transform *at);

static struct hark_transform *of_view(struct hark_view *view)
{
    return HARK_CONTAINER_OF(view, struct hark_transform, view);
}

static bool is_variant(const struct hark_transform *at)
{
    return !hark_list_is_empty(&at->node);
}

// --- life ---

static struct hark_transform *make(struct hark_slot *slot)
{
    struct hark_transform *at = hark_mem_zalloc(sizeof(*at));
    if (at == NULL) {
        return NULL;
    }
    hark_view_init(&at->view);
    at->view.transform = transform;
    at->slot = slot;
    at->key_ref = LUA_NOREF;
    hark_list_init(&at->node);
    return at;
}

static void destroy(struct hark_transform *at)
{
    hark_list_remove(&at->node);
    forget_kept(at);
    hark_mem_free(at->kept);
    hark_view_deinit(&at->view);
    hark_mem_free(at);
}

int hark_transform_open(struct hark_slot *slot)
{
    if (slot->transform == NULL) {
        slot->transform = make(slot);
    }
    return slot->transform == NULL ? HARK_ENOMEM : 0;
}

void hark_transform_free_all(struct hark_slot *slot)
{
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&slot->variants)) != NULL) {
        destroy(HARK_CONTAINER_OF(node, struct hark_transform, node)); // keys go with the state
    }
    if (slot->transform != NULL) {
        destroy(slot->transform);
        slot->transform = NULL;
    }
    slot->variant_count = 0;
}

static enum hark_view_mode mode_of(const struct hark_transform *at)
{
    const struct hark_slot *slot = at->slot;
    if (hark_slot_has(slot, HARK_SLOT_VARIANT)) {
        // A session that has no key yet gets one with its first message.
        return is_variant(at) ? HARK_VIEW_SHARED : HARK_VIEW_PRIVATE;
    }
    if (hark_slot_has(slot, HARK_SLOT_DELIVER)) {
        return HARK_VIEW_PRIVATE;
    }
    return hark_slot_has(slot, HARK_SLOT_ENCODE) ? HARK_VIEW_SHARED : HARK_VIEW_PLAIN;
}

static void refresh(struct hark_transform *at)
{
    forget_kept(at);
    hark_view_deinit(&at->view); // drops the wire forms of the old code
    at->view.transform = transform;
    at->view.mode = mode_of(at);
}

static void refresh_session(void *ctx, struct hark_session *session)
{
    (void)ctx;
    hark_session_set_view(session, hark_session_view(session)); // its fast path depends on the mode
}

void hark_transform_refresh(struct hark_slot *slot)
{
    enum hark_view_mode before = slot->transform->view.mode;
    refresh(slot->transform);
    hark_list_for_each (node, &slot->variants) {
        refresh(HARK_CONTAINER_OF(node, struct hark_transform, node));
    }
    if (slot->sessions > 0 && (before != slot->transform->view.mode || slot->variant_count > 0)) {
        hark_slot_each(slot, refresh_session, NULL);
    }
}

struct hark_view *hark_transform_view(struct hark_slot *slot)
{
    return &slot->transform->view;
}

void hark_transform_leave(struct hark_conn *conn)
{
    struct hark_transform *at = of_view(hark_session_view(conn->session));
    if (is_variant(at)) {
        at->users--; // stays for the next one with that key, until the place is needed
    }
}

// --- what a view made of a message before ---

static void drop_kept(struct hark_transform *at, struct kept *kept)
{
    if (kept->from != NULL) {
        at->kept_bytes -= kept->to == NULL ? 0 : kept->to->payload.len;
        hark_msg_unref(kept->from);
        hark_msg_unref(kept->to);
        *kept = (struct kept){NULL, NULL};
    }
}

static void forget_kept(struct hark_transform *at)
{
    for (size_t i = 0; at->kept != NULL && i < KEPT_MAX; i++) {
        drop_kept(at, &at->kept[i]);
    }
}

static struct kept *find_kept(const struct hark_transform *at, const struct hark_msg *msg)
{
    for (uint32_t i = 1; at->kept != NULL && i <= KEPT_MAX; i++) {
        struct kept *kept = &at->kept[(at->at + KEPT_MAX - i) % KEPT_MAX];
        if (kept->from == msg) {
            return kept;
        }
    }
    return NULL;
}

static void keep(struct hark_transform *at, struct hark_msg *from, struct hark_msg *to)
{
    if (at->kept == NULL) {
        at->kept = hark_mem_array(KEPT_MAX, sizeof(struct kept));
        if (at->kept == NULL) {
            return; // it is made again when asked for again
        }
    }
    size_t bytes = to == NULL ? 0 : to->payload.len;
    uint32_t oldest = at->at;
    for (uint32_t i = 0; i < KEPT_MAX && at->kept_bytes + bytes > KEPT_BYTES; i++) {
        drop_kept(at, &at->kept[(oldest + i) % KEPT_MAX]);
    }
    struct kept *place = &at->kept[at->at];
    drop_kept(at, place);
    place->from = hark_msg_ref(from);
    place->to = to == NULL ? NULL : hark_msg_ref(to);
    at->kept_bytes += bytes;
    at->at = (at->at + 1) % KEPT_MAX;
}

// --- transforming ---

static int transform(struct hark_view *view,
                     struct hark_session *session,
                     struct hark_msg *msg,
                     struct hark_msg **ret)
{
    struct hark_transform *at = of_view(view);
    const struct hark_slot *slot = at->slot;
    struct call call = {.transform = at, .session = session, .msg = msg};
    if (hark_slot_has(slot, HARK_SLOT_VARIANT)) {
        if (!is_variant(at)) {
            int status = call_lua(&call, run_keyed, "variant");
            if (status != 0 || !is_variant(call.transform)) {
                *ret = call.made;
                return status;
            }
            at = call.transform;
        }
        return shared(at, session, msg, ret);
    }
    if (!hark_slot_has(slot, HARK_SLOT_DELIVER)) {
        return shared(at, session, msg, ret);
    }
    int status = call_lua(&call, run_deliver, "deliver");
    if (status == 0) {
        *ret = call.made;
    }
    return status;
}

static int shared(struct hark_transform *at,
                  struct hark_session *session,
                  struct hark_msg *msg,
                  struct hark_msg **ret)
{
    const struct kept *kept = find_kept(at, msg);
    if (kept != NULL) {
        *ret = kept->to == NULL ? NULL : hark_msg_ref(kept->to);
        return 0;
    }
    struct call call = {.transform = at, .session = session, .msg = msg};
    bool variant = hark_slot_has(at->slot, HARK_SLOT_VARIANT);
    int status = 0;
    if (variant || hark_slot_has(at->slot, HARK_SLOT_ENCODE)) {
        hark_stats_add(&at->slot->script->stats->encoder_runs, 1);
        status = call_lua(&call, variant ? run_variant : run_encode,
                          variant ? "variant" : "codec.encode");
    } else {
        call.made = hark_msg_ref(msg);
    }
    // What failed would fail again for each session: it is kept as nothing.
    if (status != HARK_ENOMEM) {
        keep(at, msg, call.made);
    }
    if (status == 0) {
        *ret = call.made;
    }
    return status;
}

static int call_lua(struct call *call, lua_CFunction fn, const char *place)
{
    struct hark_slot *slot = call->transform->slot;
    struct hark_script *script = slot->script;
    uint32_t cpu_ms = slot->cpu_ms != 0 ? slot->cpu_ms : script->vm->limits.run_cpu_ms;
    struct hark_buf why;
    hark_buf_init(&why, WHY_MAX);
    int status = hark_vm_call(script->vm, fn, call, cpu_ms, place, &why);
    if (status != 0) {
        char reference[HARK_REPORT_REFERENCE_MAX];
        const struct hark_slot_error error = {
            .place = place,
            .session = hark_session_serial(call->session),
            .text = hark_buf_slice(&why),
        };
        hark_slot_report(slot, &error, reference);
        hark_stats_add(&script->stats->handler_errors, 1);
        hark_msg_unref(call->made);
        call->made = NULL;
    }
    hark_buf_deinit(&why);
    return status;
}

// The event that a function returned lies on top, the data it was given at `given`: makes the
// message.
static void take_event(lua_State *L, struct call *call, int given)
{
    struct hark_msg *msg = call->msg;
    const struct hark_slot *slot = call->transform->slot;
    struct hark_script *script = slot->script;
    if (!lua_toboolean(L, -1)) {
        return; // not for this client
    }
    if (!lua_istable(L, -1)) {
        luaL_error(L, "must return the event (a table) or nil, not %s", luaL_typename(L, -1));
    }
    int event = lua_gettop(L);
    lua_getfield(L, event, "event");
    struct hark_slice name = hark_args_slice(L, -1);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING) {
        luaL_error(L, "event.event must be a string or nil, not %s", luaL_typename(L, -1));
    }
    lua_getfield(L, event, "binary");
    uint32_t flags = msg->flags & ~(uint32_t)(HARK_MSG_BINARY | HARK_MSG_JSON);
    flags |= lua_toboolean(L, -1) ? HARK_MSG_BINARY : 0;
    lua_getfield(L, event, "data");
    bool same = lua_rawequal(L, -1, given) && hark_slice_is(name, msg->event);
    if (same && !hark_slot_has(slot, HARK_SLOT_ENCODE)) {
        call->made = hark_msg_ref(msg);
        return;
    }
    struct hark_slice payload = hark_event_payload(L, -1, slot, &script->payload, &flags);
    int status = hark_msg_derive(msg, name, payload, flags, &call->made);
    if (status != 0) {
        luaL_error(L, "the event it returned: %s", hark_strerror(status));
    }
}

// Pushes the event and, below it, its data.
static void push_event(lua_State *L, const struct hark_msg *msg)
{
    hark_event_push(L, msg);
    lua_getfield(L, -1, "data");
    lua_insert(L, -2);
}

static int run_deliver(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    push_event(L, call->msg);
    hark_slot_push(L, call->transform->slot, HARK_SLOT_DELIVER);
    hark_conn_push(L, hark_session_data(call->session));
    lua_pushvalue(L, 3);
    lua_call(L, 2, 1);
    take_event(L, call, 2);
    return 0;
}

static int run_variant(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    push_event(L, call->msg);
    hark_slot_push(L, call->transform->slot, HARK_SLOT_VARIANT);
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->transform->key_ref);
    lua_pushvalue(L, 3);
    lua_call(L, 2, 1);
    take_event(L, call, 2);
    return 0;
}

// Only an encoder: it gets what was published, a table if it was one.
static int run_encode(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    const struct hark_msg *msg = call->msg;
    const struct hark_slot *slot = call->transform->slot;
    struct hark_json_error why;
    uint32_t flags = msg->flags & ~(uint32_t)(HARK_MSG_BINARY | HARK_MSG_JSON);
    if ((msg->flags & (HARK_MSG_JSON | HARK_MSG_NOTICE)) == 0 ||
        hark_json_decode(L, msg->payload, &why) != 0) {
        lua_pushlstring(L, msg->payload.len == 0 ? "" : msg->payload.ptr, msg->payload.len);
    }
    struct hark_slice payload = hark_event_payload(L, -1, slot, &slot->script->payload, &flags);
    int status = hark_msg_derive(msg, msg->event, payload, flags, &call->made);
    return status == 0 ? 0 : luaL_error(L, "codec.encode: %s", hark_strerror(status));
}

// --- variants ---

// The view of the key on top, made if there is room; else NULL.
static struct hark_transform *find_variant(lua_State *L, struct hark_slot *slot)
{
    struct hark_transform *idle = NULL;
    hark_list_for_each (node, &slot->variants) {
        struct hark_transform *at = HARK_CONTAINER_OF(node, struct hark_transform, node);
        lua_rawgeti(L, LUA_REGISTRYINDEX, at->key_ref);
        bool found = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
        if (found) {
            return at;
        }
        idle = at->users == 0 ? at : idle;
    }
    bool full = slot->variant_count >= HARK_TRANSFORM_VARIANTS_MAX;
    if (full && idle == NULL) {
        return NULL;
    }
    lua_pushvalue(L, -1);
    int key_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct hark_transform *at = full ? idle : make(slot);
    if (at == NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, key_ref);
        return NULL;
    }
    luaL_unref(L, LUA_REGISTRYINDEX, at->key_ref);
    at->key_ref = key_ref;
    if (!full) {
        hark_list_push(&slot->variants, &at->node);
        slot->variant_count++;
    }
    refresh(at);
    return at;
}

// Asks the script for the connection's key, which it leaves on top, and puts the session on the
// view of that key; on the slot's own when there is no room for another.
static struct hark_transform *assign(lua_State *L, struct hark_conn *conn)
{
    struct hark_slot *slot = hark_conn_slot(conn);
    hark_slot_push(L, slot, HARK_SLOT_KEY);
    hark_conn_push(L, conn);
    lua_call(L, 1, 1);
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN) {
        luaL_error(L, "variant: the key must be a string, number or boolean, not %s",
                   luaL_typename(L, -1));
    }
    struct hark_transform *before = of_view(hark_session_view(conn->session));
    struct hark_transform *after = find_variant(L, slot);
    after = after == NULL ? slot->transform : after;
    if (before != after) {
        before->users -= is_variant(before) ? 1 : 0;
        after->users += is_variant(after) ? 1 : 0;
        hark_session_set_view(conn->session, &after->view);
    }
    return after;
}

// The first message for a session without a key. Without room for its view it is computed here.
static int run_keyed(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    push_event(L, call->msg);
    call->transform = assign(L, hark_session_data(call->session));
    if (is_variant(call->transform)) {
        return 0;
    }
    hark_slot_push(L, call->transform->slot, HARK_SLOT_VARIANT);
    lua_insert(L, -2);
    lua_pushvalue(L, 3);
    lua_call(L, 2, 1);
    take_event(L, call, 2);
    return 0;
}

static int assign_still(lua_State *L)
{
    hark_still_enter(L, "variant's key");
    (void)assign(L, lua_touserdata(L, 1));
    return 0;
}

void hark_transform_assign(lua_State *L, struct hark_conn *conn)
{
    if (hark_slot_has(hark_conn_slot(conn), HARK_SLOT_KEY)) {
        lua_pushcfunction(L, assign_still);
        lua_pushlightuserdata(L, conn);
        lua_call(L, 1, 0);
    }
}
