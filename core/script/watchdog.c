// SPDX-License-Identifier: MIT
//
// The signal, the timer, the hook. What runs in the signal handler touches only the atomics of the
// watchdog and calls lua_sethook, which Lua allows there (ldebug.c says so, as its own interpreter
// does on Ctrl-C).
#include "script/watchdog.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lauxlib.h>

// glibc before 2.37 hides the member behind this name.
#ifndef sigev_notify_thread_id
#    define sigev_notify_thread_id _sigev_un._tid
#endif

#define WATCHDOG_SIGNAL SIGVTALRM
#define WATCHDOG_EVENTS (LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT)

#if defined(__SANITIZE_THREAD__)
#    define WATCHDOG_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define WATCHDOG_TSAN 1
#    endif
#endif

// ThreadSanitizer holds back asynchronous signals until the next call it intercepts; a loop inside
// Lua makes none. So under it the handler is installed by libc's other name and is not
// instrumented.
#ifdef WATCHDOG_TSAN
#    define WATCHDOG_HANDLER __attribute__((no_sanitize("thread")))
int __sigaction(int number, const struct sigaction *action, struct sigaction *old);
#    define install_action __sigaction
#else
#    define WATCHDOG_HANDLER
#    define install_action sigaction
#endif

static const char registry_key;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void install_handler(void);
static void attach_thread(struct hark_watchdog *dog);
static void detach_thread(struct hark_watchdog *dog);
static void on_signal(int number, siginfo_t *info, void *context);
static void on_hook(lua_State *L, lua_Debug *ar);
static void raise_limit(lua_State *L, lua_Debug *ar, uint32_t budget_ms);

static void set_running(struct hark_watchdog *dog, lua_State *L)
{
    atomic_store_explicit(&dog->running, L, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

void hark_watchdog_init(struct hark_watchdog *dog, lua_State *L)
{
    memset(dog, 0, sizeof(*dog));
    lua_pushlightuserdata(L, dog);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

void hark_watchdog_deinit(struct hark_watchdog *dog)
{
    set_running(dog, NULL);
    detach_thread(dog);
}

void hark_watchdog_enter(struct hark_watchdog *dog,
                         lua_State *L,
                         uint32_t budget_ms,
                         struct hark_watchdog_outer *ret_outer)
{
    if (HARK_UNLIKELY(!dog->has_timer || !pthread_equal(dog->thread, pthread_self()))) {
        attach_thread(dog);
    }
    uint32_t now = atomic_load_explicit(&dog->ticks, memory_order_relaxed);
    *ret_outer = (struct hark_watchdog_outer){
        .running = hark_watchdog_running(dog),
        .limit = atomic_load_explicit(&dog->limit, memory_order_relaxed),
        .entered = now,
        .budget_ms = dog->budget_ms,
        .stage = atomic_load_explicit(&dog->stage, memory_order_relaxed),
    };
    dog->budget_ms = budget_ms;
    // A tick may be due at once: one more, so that the budget is never cut short.
    uint32_t limit = budget_ms == 0 ? 0 : now + budget_ms / HARK_WATCHDOG_TICK_MS + 1;
    atomic_store_explicit(&dog->limit, limit, memory_order_relaxed);
    atomic_store_explicit(&dog->stage, HARK_WATCHDOG_CALM, memory_order_relaxed);
    set_running(dog, L);
}

bool hark_watchdog_leave(struct hark_watchdog *dog, const struct hark_watchdog_outer *outer)
{
    lua_State *L = hark_watchdog_running(dog);
    bool stopped = hark_watchdog_is_stopping(dog);
    set_running(dog, NULL);
    uint32_t now = atomic_load_explicit(&dog->ticks, memory_order_relaxed);
    uint32_t limit = outer->limit == 0 ? 0 : outer->limit + (now - outer->entered);
    atomic_store_explicit(&dog->limit, limit, memory_order_relaxed);
    atomic_store_explicit(&dog->stage, outer->stage, memory_order_relaxed);
    dog->budget_ms = outer->budget_ms;
    if (HARK_UNLIKELY(L != NULL && lua_gethook(L) != NULL)) {
        lua_sethook(L, NULL, 0, 0);
    }
    set_running(dog, outer->running);
    return stopped;
}

void hark_watchdog_switch(struct hark_watchdog *dog, lua_State *L)
{
    set_running(dog, L);
    if (HARK_UNLIKELY(atomic_load_explicit(&dog->stage, memory_order_relaxed) ==
                      HARK_WATCHDOG_FINAL)) {
        lua_sethook(L, on_hook, WATCHDOG_EVENTS, 1);
    } else if (HARK_UNLIKELY(lua_gethook(L) == on_hook)) {
        lua_sethook(L, NULL, 0, 0); // left over from a run that was stopped
    }
}

// --- timer ---

static void install_handler(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigemptyset(&action.sa_mask);
    (void)install_action(WATCHDOG_SIGNAL, &action, NULL); // cannot fail with these arguments
}

// Without a timer (no memory in the kernel) scripts run unwatched; the next run tries again.
static void attach_thread(struct hark_watchdog *dog)
{
    (void)pthread_once(&installed, install_handler);
    detach_thread(dog);
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, WATCHDOG_SIGNAL);
    (void)pthread_sigmask(SIG_UNBLOCK, &ours, NULL);

    struct sigevent event;
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = WATCHDOG_SIGNAL;
    event.sigev_value.sival_ptr = dog;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &dog->timer) != 0) {
        return;
    }
    const struct timespec tick = {0, HARK_WATCHDOG_TICK_MS * 1000000L};
    const struct itimerspec period = {tick, tick};
    if (timer_settime(dog->timer, 0, &period, NULL) != 0) {
        (void)timer_delete(dog->timer);
        return;
    }
    dog->thread = pthread_self();
    dog->has_timer = true;
}

static void detach_thread(struct hark_watchdog *dog)
{
    if (dog->has_timer) {
        // A signal that is pending for this thread arrives before the call returns.
        (void)timer_delete(dog->timer);
        dog->has_timer = false;
    }
}

// --- time is up ---

WATCHDOG_HANDLER static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (info->si_code != SI_TIMER) {
        return;
    }
    struct hark_watchdog *dog = info->si_value.sival_ptr;
    uint32_t now = atomic_load_explicit(&dog->ticks, memory_order_relaxed) + 1;
    atomic_store_explicit(&dog->ticks, now, memory_order_relaxed);
    lua_State *L = atomic_load_explicit(&dog->running, memory_order_relaxed);
    uint32_t limit = atomic_load_explicit(&dog->limit, memory_order_relaxed);
    if (L != NULL && limit != 0 && (int32_t)(now - limit) >= 0) {
        lua_sethook(L, on_hook, WATCHDOG_EVENTS, 1);
    }
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    struct hark_watchdog *dog = lua_touserdata(L, -1);
    lua_pop(L, 1);
    uint32_t now = atomic_load_explicit(&dog->ticks, memory_order_relaxed);
    uint32_t limit = atomic_load_explicit(&dog->limit, memory_order_relaxed);
    if (limit == 0 || (int32_t)(now - limit) < 0) {
        lua_sethook(L, NULL, 0, 0); // set for a run that is over
        return;
    }
    if (atomic_load_explicit(&dog->stage, memory_order_relaxed) == HARK_WATCHDOG_CALM) {
        atomic_store_explicit(&dog->limit, now + HARK_WATCHDOG_GRACE, memory_order_relaxed);
        atomic_store_explicit(&dog->stage, HARK_WATCHDOG_STOPPED, memory_order_relaxed);
        lua_sethook(L, NULL, 0, 0);
    } else {
        atomic_store_explicit(&dog->stage, HARK_WATCHDOG_FINAL, memory_order_relaxed);
    }
    raise_limit(L, ar, dog->budget_ms);
}

// "limit: cpu, 50 ms, file:line", the line of the nearest Lua function.
static void raise_limit(lua_State *L, lua_Debug *ar, uint32_t budget_ms)
{
    lua_Debug at = *ar;
    int level = 0;
    lua_getinfo(L, "Sl", &at);
    while (at.currentline < 0 && lua_getstack(L, ++level, &at) != 0) {
        lua_getinfo(L, "Sl", &at);
    }
    lua_pushfstring(L, "limit: cpu, %d ms, %s:%d", (int)budget_ms, at.short_src, at.currentline);
    lua_error(L);
}
