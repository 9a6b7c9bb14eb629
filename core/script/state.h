// SPDX-License-Identifier: MIT
//
// One worker's script side as the files of this folder share it: the state, its tasks, what it
// serves. Made and freed by host.c; hark_script_of finds it from any thread of the Lua state.
#ifndef HARK_SCRIPT_STATE_H
#define HARK_SCRIPT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/buf.h"
#include "base/list.h"
#include "script/channels.h"
#include "script/report.h"
#include "script/task.h"
#include "script/vm.h"
#include "session/env.h"
#include "transport/server.h"

struct hark_asker;
struct hark_conn;
struct hark_look;
struct hark_run;
struct hark_settings;
struct hark_shared;
struct hark_slot;
struct hark_static;

struct hark_script {
    struct hark_vm *vm;
    struct hark_tasks *tasks;
    struct hark_server *server;
    struct hark_static *files; // may be NULL
    struct hark_session_env *sessions;
    struct hark_stats *stats;
    struct hark_shared *shared;
    const struct hark_settings *settings;
    struct hark_vm_limits limits;
    struct hark_asker *asker;
    struct hark_asker **askers; // of all workers
    struct hark_look *look;
    struct hark_channels *channels; // in Lua's memory; NULL: none declared
    struct hark_report report;
    struct hark_list slots;                          // struct hark_slot
    void (*free_transforms)(struct hark_slot *slot); // script/transform: of a slot that goes
    void (*run_ended)(struct hark_conn *conn, const struct hark_run *run); // script/dispatch
    void (*start_requests)(struct hark_script *script);                    // script/request
    struct hark_list retires;                                              // script/retire
    struct hark_list ready;    // struct hark_conn with work that could not start inside Lua
    struct hark_list requests; // struct hark_request_run waiting for the same
    struct hark_defer run_ready;
    struct hark_buf text;    // scratch: an answer's text
    struct hark_buf payload; // scratch: the payload of a message on its way out
    uint64_t slot_serial;    // of the newest slot
    uint32_t spawned;        // tasks of core.spawn that have not ended
    bool stopping;           // no handler starts any more
    // Registry references of what is called and looked up on every message.
    int engine_ref;   // the table hark.engine
    int request_ref;  // engine.request
    int admin_ref;    // engine.admin
    int weak_ref;     // serial -> handle of a connection, weak
    int strong_ref;   // the same for those with Lua data
    int kinds_ref[2]; // "text", "binary"
};

static inline struct hark_script *hark_script_of(lua_State *L)
{
    return hark_vm_of(L)->owner;
}

#endif
