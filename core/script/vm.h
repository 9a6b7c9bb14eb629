// SPDX-License-Identifier: MIT
//
// One Lua state: its memory (a ceiling, and an allowance for each run), its libraries, where its
// modules come from, and the one protected door through which C enters it. It knows nothing of
// tasks, sessions or the engine; those are put on top by task, host and the bindings.
//
// Rule: the Lua API is never called bare. Everything that may raise (any push may run out of
// memory) happens inside a function entered by hark_vm_call or by a task.
#ifndef HARK_SCRIPT_VM_H
#define HARK_SCRIPT_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/pool.h"
#include "script/watchdog.h"

#if LUA_VERSION_NUM < 504
#    error "hark needs Lua 5.4"
#endif
#if LUA_VERSION_RELEASE_NUM == 50405
#    error "Lua 5.4.5 changed lua_resetthread for this one release; build against another 5.4"
#endif

struct hark_task;

struct hark_vm_limits {
    size_t vm_memory;     // the state as a whole
    size_t run_memory;    // what one run may add
    uint32_t run_cpu_ms;  // one run of a handler, between two waits
    uint32_t load_cpu_ms; // running a script file, engine procedures
};

void hark_vm_limits_init(struct hark_vm_limits *limits); // 512 MiB, 16 MiB, 50 ms, 500 ms

struct hark_vm {
    lua_State *L;           // the main thread
    void *owner;            // who made it (struct hark_script)
    struct hark_task *task; // the task that runs now, or NULL
    const char *place;      // why waiting is refused now ("deliver"), or NULL
    bool passing;           // a wait is on its way out through coroutines that a script made
    bool scratch;           // no server: only declarations
    struct hark_vm_limits limits;
    size_t used; // bytes held now
    struct hark_watchdog dog;
    /* private */
    struct hark_pool pool; // Lua's small blocks
    size_t allowed;        // `used` may not grow over this
    bool starved;          // the allocator refused something in this run
    unsigned closing;      // coroutines closing one another (script/coroutine)
    size_t warned;         // bytes in `warning`
    char warning[256];
};

// The VM of any thread of its state.
#define HARK_VM_TAGS ((uintptr_t)3)

enum hark_vm_tag {
    HARK_VM_TAG_ENGINE = 1,  // a task's own coroutine: not for scripts to resume
    HARK_VM_TAG_WAITING = 2, // a script's coroutine through which a wait has passed
};

static inline uintptr_t *hark_vm_space(lua_State *L)
{
    return (uintptr_t *)lua_getextraspace(L);
}

static inline struct hark_vm *hark_vm_of(lua_State *L)
{
    return (struct hark_vm *)(*hark_vm_space(L) &
                              ~HARK_VM_TAGS); // NOLINT(performance-no-int-to-ptr)
}

struct hark_vm_options {
    const char *lua_dir;                 // holds hark/*.lua
    const struct hark_vm_limits *limits; // NULL: the defaults
    void (*open)(lua_State *L);          // puts functions in the place of Lua's own; NULL: none
    void *owner;
    bool scratch;
};

// ENOMEM, or ESCRIPT with the reason appended to ret_why.
HARK_MUSTCHECK int
hark_vm_new(const struct hark_vm_options *options, struct hark_vm **ret, struct hark_buf *ret_why);
// No call may be on its way. In the thread that ran it, or after that thread has ended. Accepts
// NULL.
void hark_vm_free(struct hark_vm *vm);

// Makes `require name` call `open`. Inside a protected call.
void hark_vm_preload(lua_State *L, const char *name, lua_CFunction open);

// Calls fn(L) with light userdata `arg` at index 1, protected, with a budget of cpu_ms (0: none;
// inside a run the outer budget goes on). Waiting is refused with `place` as the reason (NULL:
// unchanged). 0, ENOMEM, or ESCRIPT; the error text with its traceback is appended to ret_why
// (NULL: dropped).
HARK_MUSTCHECK int hark_vm_call(struct hark_vm *vm,
                                lua_CFunction fn,
                                void *arg,
                                uint32_t cpu_ms,
                                const char *place,
                                struct hark_buf *ret_why);

// The beginning and end of a run of coroutine L from C: budget, allowance, running state.
struct hark_vm_run {
    struct hark_watchdog_outer outer;
    size_t allowed;
};

// cpu_ms 0: no limit. memory: what it may add to the state, up to the ceiling (SIZE_MAX: that
// alone).
void hark_vm_enter(
    struct hark_vm *vm, lua_State *L, uint32_t cpu_ms, size_t memory, struct hark_vm_run *ret_run);
// true: the watchdog stopped it (even if the script swallowed the error).
bool hark_vm_leave(struct hark_vm *vm, const struct hark_vm_run *run);

// What `used` may not grow over when `memory` more bytes are allowed.
size_t hark_vm_allowance(const struct hark_vm *vm, size_t memory);

static inline bool hark_vm_is_running(const struct hark_vm *vm)
{
    return hark_watchdog_running(&vm->dog) != NULL;
}

// For a call whose failure changes nothing; say why beside it.
static inline void hark_vm_ignore(int status)
{
    (void)status;
}

// HARK_E* of a Lua status.
int hark_vm_status(int lua_status);
// Text of the error on top of L without raising: "limit: memory" when the allowance was the cause.
void hark_vm_error_text(struct hark_vm *vm, lua_State *L, int lua_status, struct hark_buf *ret_why);
// Appends a text where there is room for it; NULL is fine.
void hark_vm_add_text(struct hark_buf *ret_why, const char *text);

// Message handler: the error as a string with a traceback behind it (once).
int hark_vm_traceback(lua_State *L);

// Closes what is pending in a coroutine that will not go on (its `<close>` variables run now) and
// leaves it empty; a Lua status, with the error on its stack if not LUA_OK.
int hark_vm_reset_thread(lua_State *L, lua_State *co);

#endif
