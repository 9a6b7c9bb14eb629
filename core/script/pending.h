// SPDX-License-Identifier: MIT
//
// One asynchronous result on its way to a task: made before a call that takes a callback, completed
// by that callback (maybe inside the call), consumed by the task that waits for it. The task may
// have ended before the result comes; the record stays until both sides have let go of it.
#ifndef HARK_SCRIPT_PENDING_H
#define HARK_SCRIPT_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/attr.h"
#include "base/slice.h"
#include "hub/hub.h"
#include "script/task.h"

struct hark_pending;
typedef int hark_pending_push_fn(lua_State *L, struct hark_pending *pending);

struct hark_pending {
    struct hark_pending *next; // private: among the recycled ones
    struct hark_position position;
    struct hark_joined joined;
    struct hark_msg **msgs; // references
    size_t msg_count;
    char *bytes; // owned; what else the callback brought
    size_t len;
    bool flag;
    int status;
    void (*abandon)(
        struct hark_pending *pending); // nobody waits any more; it may call done. May be NULL
    void *owner;                       // for its use
    /* private */
    hark_pending_push_fn *push;
    struct hark_tasks *tasks;
    uint32_t task_index;
    uint64_t task_serial; // 0: nobody waits yet
    bool called;          // the callback is still to come
    bool held;            // the task still wants it
};

// Raises when there is no memory. The callback is still to come and the caller holds it.
struct hark_pending *hark_pending_new(lua_State *L, struct hark_tasks *tasks);
// The callback's end: from inside the call or later.
void hark_pending_done(struct hark_pending *pending, int status);
// Copies bytes into it; for callbacks. ENOMEM.
HARK_MUSTCHECK int hark_pending_keep(struct hark_pending *pending, struct hark_slice bytes);
// The call failed at once: there will be no callback.
void hark_pending_cancel(struct hark_pending *pending);

// To be returned from a C function: pushes the results if they are there, else waits for them. A
// status but 0 gives nil and its text.
int hark_pending_wait(lua_State *L,
                      struct hark_pending *pending,
                      const char *what,
                      hark_pending_push_fn *push);
// With a time-out of its own; 0: the default.
int hark_pending_wait_for(lua_State *L,
                          struct hark_pending *pending,
                          const char *what,
                          hark_pending_push_fn *push,
                          uint64_t timeout_ms);

// nil and the short text that scripts see for a status: "full", "closed", ...
int hark_pending_refuse(lua_State *L, int status);

#endif
