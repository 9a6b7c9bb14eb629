// SPDX-License-Identifier: MIT
//
// A connection as the script layer keeps it: one small record a session, and a handle for Lua that
// is made when a handler first sees the connection. The handle is held by a weak table only; it is
// strong while the connection lives if the script keeps something with it (user, data). Path
// parameters and query lie in the record as bytes and become tables on first use. So an idle
// session whose script stores nothing holds no Lua object.
#ifndef HARK_SCRIPT_CONN_H
#define HARK_SCRIPT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/slice.h"

struct hark_pending;
struct hark_queue;
struct hark_run;
struct hark_script;
struct hark_session;
struct hark_slot;

// What an idle session costs in this layer. Its slot and its serial are found by its session, which
// outlives it.
struct hark_conn {
    struct hark_session *session;
    struct hark_run *run;        // the handler that runs or waits; NULL: none
    struct hark_queue *queue;    // events behind it; NULL: none
    struct hark_pending *asking; // conn:request waits for the next message
    struct hark_list ready;      // in hark_script.ready
    uint32_t version;            // of the code its data is for
    uint16_t packed_len;
    uint8_t todo;         // set of enum hark_conn_todo: what is still to be called
    bool is_held : 1;     // the session hands over no message
    bool is_stepping : 1; // dispatch is at work on it
    bool is_opened : 1;   // open has begun: close will be called
    bool is_over : 1;     // closed: the record goes when dispatch has let go of it
    bool has_handle : 1;  // a Lua handle was made (it may be gone again)
    bool is_strong : 1;
    char packed[]; // params and query, packed values
};

_Static_assert(offsetof(struct hark_conn, packed) == 56, "an idle session stays small");

enum hark_conn_todo { HARK_CONN_OPEN = 1, HARK_CONN_DRAIN = 2, HARK_CONN_CLOSE = 4 };

// User values of a handle.
enum hark_conn_value {
    HARK_CONN_DATA = 1,
    HARK_CONN_USER,
    HARK_CONN_PARAMS,
    HARK_CONN_QUERY,
    HARK_CONN_VALUES = 4
};

struct hark_conn_handle {
    struct hark_conn *conn; // NULL: the session is gone
    uint64_t serial;
};

// `packed` holds two values: params and query. NULL: no memory, or more than 64 KiB of them.
HARK_MUSTCHECK struct hark_conn *
hark_conn_new(struct hark_slot *slot, struct hark_session *session, struct hark_slice packed);
// The session goes at the end of this turn: handles learn of it. Not from inside a run of this
// connection.
void hark_conn_free(struct hark_script *script, struct hark_conn *conn);

struct hark_slot *hark_conn_slot(const struct hark_conn *conn);

// --- inside Lua ---
// What scripts, logs and operators call a connection: 16 hex digits made of the serial, never the
// token, which is the client's secret. A NUL stands behind it.
#define HARK_CONN_NAME_LEN 16
void hark_conn_name(uint64_t serial, char *out);
uint64_t hark_conn_serial(struct hark_slice name); // 0: not such a name

void hark_conn_open(lua_State *L, struct hark_script *script); // makes the tables; once
void hark_conn_push(lua_State *L, struct hark_conn *conn);
// The handle at index; raises for anything else.
struct hark_conn_handle *hark_conn_check(lua_State *L, int index);
// NULL for anything else.
struct hark_conn_handle *hark_conn_test(lua_State *L, int index);
// The handle on top is kept as long as the session lives.
void hark_conn_hold(lua_State *L, struct hark_conn *conn);
// Pushes user (nil: none), params or query of the handle at index.
void hark_conn_push_user(lua_State *L, int index);
void hark_conn_push_packed(lua_State *L, int index, enum hark_conn_value which);
// Pushes the metatable of handles; made by script/bind_conn.
extern const char hark_conn_metatable;

#endif
