// SPDX-License-Identifier: MIT
//
// Stops a script that has used up its CPU time. A periodic timer on the thread's own CPU clock
// sends a signal every 10 ms of CPU; its handler compares a tick count with the limit that the run
// was given and only then sets a hook, which raises. No hook is set while all is well: on Lua 5.4
// any hook slows down every instruction.
//
// The first time the hook raises once, so that `<close>` variables get a little time of their own;
// HARK_WATCHDOG_GRACE ticks later it raises at every call, return, line and instruction until the
// run is over, whatever pcall swallows. One watchdog belongs to one Lua state; all calls come from
// the thread that runs it (the thread may change between runs).
#ifndef HARK_SCRIPT_WATCHDOG_H
#define HARK_SCRIPT_WATCHDOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <lua.h>

#include "base/attr.h"

#define HARK_WATCHDOG_TICK_MS 10
#define HARK_WATCHDOG_GRACE   2

enum hark_watchdog_stage {
    HARK_WATCHDOG_CALM,    // within the budget
    HARK_WATCHDOG_STOPPED, // raised once; the grace time runs
    HARK_WATCHDOG_FINAL,   // raises at every step
};

struct hark_watchdog {
    _Atomic(lua_State *) running; // whose hook is to be set; NULL: no script runs
    _Atomic uint32_t ticks;
    _Atomic uint32_t limit; // tick at which the hook is set; 0: never
    _Atomic int stage;
    uint32_t budget_ms; // of the run, for the message
    /* private */
    timer_t timer;
    pthread_t thread; // whose clock the timer counts
    bool has_timer;
};

// What an outer run stood at, kept by the caller of enter.
struct hark_watchdog_outer {
    lua_State *running;
    uint32_t limit;
    uint32_t entered; // tick of enter
    uint32_t budget_ms;
    int stage;
};

// Ties the watchdog to the state. May raise (Lua's memory): call it protected.
void hark_watchdog_init(struct hark_watchdog *dog, lua_State *L);
// Before the state is closed; in the thread that ran it, or after that thread has ended.
void hark_watchdog_deinit(struct hark_watchdog *dog);

// Begins a run (or a part of one with a budget of its own) of L. budget_ms 0: no limit.
void hark_watchdog_enter(struct hark_watchdog *dog,
                         lua_State *L,
                         uint32_t budget_ms,
                         struct hark_watchdog_outer *ret_outer);
// Ends it; the time it took does not count for the outer one. true: it was stopped.
bool hark_watchdog_leave(struct hark_watchdog *dog, const struct hark_watchdog_outer *outer);

// The running coroutine changes to L (resume of, or return from, a coroutine that a script made).
void hark_watchdog_switch(struct hark_watchdog *dog, lua_State *L);

// The run is over its budget and being stopped.
static inline bool hark_watchdog_is_stopping(const struct hark_watchdog *dog)
{
    return atomic_load_explicit(&dog->stage, memory_order_relaxed) != HARK_WATCHDOG_CALM;
}

static inline lua_State *hark_watchdog_running(const struct hark_watchdog *dog)
{
    return atomic_load_explicit(&dog->running, memory_order_relaxed);
}

#endif
