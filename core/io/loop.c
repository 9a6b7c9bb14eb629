// SPDX-License-Identifier: MIT
//
// A worker's event loop on libuv. Everything of ours hangs on two handles: the prepare handle,
// before the poll, decides how long it may sleep; the check handle, behind it, runs the rest of the
// tick. The uv timer and the uv idle handle have empty callbacks: they only bound the sleep.
#include "io/loop.h"

#include <assert.h>
#include <stdatomic.h>
#include <time.h>

#include <uv.h>

#include "base/mem.h"
#include "hark.h"
#include "io/loop_inner.h"

#define BUFFER_SLACK 64 // behind the buffer: readers that look ahead stay inside
#define NEVER        UINT64_MAX
#define FREE_ROUNDS  8

struct hark_loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    uv_idle_t idle;
    uv_async_t async;
    struct hark_wheel *wheel;
    struct hark_flush *flush;
    struct hark_stats *stats;
    char *buffer;
    struct hark_defer_queue defer;
    hark_loop_tick_fn *tick;
    void *tick_ctx;
    uint64_t timer_due_ms;  // what the uv timer is set to; NEVER: not running
    uint64_t step_until_ms; // hark_loop_step sleeps no longer; NEVER: hark_loop_run
    bool again;
    _Atomic bool stopping;
    bool is_freeing;              // no timer fires any more
    _Atomic(const void *) thread; // marks the thread that runs the loop; NULL: none
};

static _Thread_local char thread_mark; // its address tells threads apart

static int open_handles(struct hark_loop *loop);
static void on_prepare(uv_prepare_t *handle);
static void set_timer(struct hark_loop *loop);
static void on_timer(uv_timer_t *handle);
static void on_idle(uv_idle_t *handle);
static void on_async(uv_async_t *handle);
static void on_check(uv_check_t *handle);
static void enter(struct hark_loop *loop);
static void leave(struct hark_loop *loop);
static void close_handles(struct hark_loop *loop);
static void free_parts(struct hark_loop *loop);

int hark_loop_new(struct hark_stats *stats, struct hark_loop **ret)
{
    struct hark_loop *loop = hark_mem_zalloc(sizeof(*loop));
    if (loop == NULL) {
        return HARK_ENOMEM;
    }
    loop->stats = stats;
    loop->timer_due_ms = NEVER;
    loop->step_until_ms = NEVER;
    hark_defer_queue_init(&loop->defer);
    int status = uv_loop_init(&loop->uv);
    if (status != 0) {
        hark_mem_free(loop);
        return hark_loop_status(status);
    }
    loop->uv.data = loop;
    loop->wheel = hark_wheel_new(uv_now(&loop->uv));
    loop->flush = hark_flush_new(stats);
    loop->buffer = hark_mem_alloc(HARK_LOOP_BUFFER_LEN + BUFFER_SLACK);
    bool has_parts = loop->wheel != NULL && loop->flush != NULL && loop->buffer != NULL;
    status = has_parts ? open_handles(loop) : UV_ENOMEM;
    if (status != 0) {
        (void)uv_loop_close(&loop->uv); // no handle was opened
        free_parts(loop);
        return hark_loop_status(status);
    }
    *ret = loop;
    return 0;
}

void hark_loop_free(struct hark_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    // Streams and listeners closed a moment ago still have their last event to come, which may post
    // more work and close more: a few rounds without waiting.
    loop->tick = NULL;
    loop->is_freeing = true;
    enter(loop);
    for (int round = 0; round < FREE_ROUNDS; round++) {
        if (round == FREE_ROUNDS / 2) {
            close_handles(loop);
        }
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT); // says only whether handles are left
        hark_defer_run(&loop->defer);
    }
    leave(loop);
    int status = uv_loop_close(&loop->uv);
    assert(status == 0 && "a stream or listener was still open");
    if (status == 0) { // else losing the memory is better than leaving pointers into it
        free_parts(loop);
    }
}

int hark_loop_run(struct hark_loop *loop)
{
    enter(loop);
    // A stop that came before the run counts.
    if (!atomic_load(&loop->stopping)) {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); // the async handle keeps it alive until uv_stop
    }
    atomic_store(&loop->stopping, false);
    leave(loop);
    return 0;
}

int hark_loop_step(struct hark_loop *loop, uint64_t timeout_ms)
{
    enter(loop);
    uv_update_time(&loop->uv);
    uint64_t now = uv_now(&loop->uv);
    loop->step_until_ms = timeout_ms < NEVER - now ? now + timeout_ms : NEVER;
    (void)uv_run(&loop->uv, UV_RUN_ONCE); // says only whether handles are left
    loop->step_until_ms = NEVER;
    leave(loop);
    return 0;
}

void hark_loop_stop(struct hark_loop *loop)
{
    atomic_store(&loop->stopping, true);
    hark_loop_wake(loop);
}

void hark_loop_wake(struct hark_loop *loop)
{
    (void)uv_async_send(&loop->async); // fails only for a handle of another type
}

void hark_loop_on_tick(struct hark_loop *loop, hark_loop_tick_fn *fn, void *ctx)
{
    loop->tick = fn;
    loop->tick_ctx = ctx;
}

uint64_t hark_loop_now_ms(const struct hark_loop *loop)
{
    return uv_now(&loop->uv);
}

const uint64_t *hark_loop_now_ref(const struct hark_loop *loop)
{
    return &loop->uv.time; // what uv_now reads
}

uint64_t hark_loop_clock_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); // the clock exists
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

struct hark_wheel *hark_loop_wheel(struct hark_loop *loop)
{
    return loop->wheel;
}

struct hark_defer_queue *hark_loop_defer(struct hark_loop *loop)
{
    return &loop->defer;
}

struct hark_stats *hark_loop_stats(struct hark_loop *loop)
{
    return loop->stats;
}

uv_loop_t *hark_loop_uv(struct hark_loop *loop)
{
    return &loop->uv;
}

struct hark_flush *hark_loop_flush(struct hark_loop *loop)
{
    return loop->flush;
}

char *hark_loop_buffer(struct hark_loop *loop)
{
    return loop->buffer;
}

void hark_loop_again(struct hark_loop *loop)
{
    loop->again = true;
}

bool hark_loop_is_own(const struct hark_loop *loop)
{
    return atomic_load_explicit(&loop->thread, memory_order_relaxed) == &thread_mark;
}

int hark_loop_status(int uv_error)
{
    switch (uv_error) {
    case 0: return 0;
    case UV_ENOMEM: return HARK_ENOMEM;
    case UV_EINVAL: return HARK_EINVAL;
    case UV_ENOENT: return HARK_ENOENT;
    case UV_EEXIST: return HARK_EEXIST;
    case UV_EACCES:
    case UV_EPERM: return HARK_EDENIED;
    default: return HARK_EIO;
    }
}

// 0 or an error of libuv, then no handle is open. Only the async handle can fail, so it goes first.
static int open_handles(struct hark_loop *loop)
{
    int status = uv_async_init(&loop->uv, &loop->async, on_async);
    if (status != 0) {
        return status;
    }
    (void)uv_prepare_init(&loop->uv, &loop->prepare); // this and what follows cannot fail
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_timer_init(&loop->uv, &loop->timer);
    (void)uv_idle_init(&loop->uv, &loop->idle);
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_check_start(&loop->check, on_check);
    return 0;
}

// Before the poll: how long may it sleep?
static void on_prepare(uv_prepare_t *handle)
{
    struct hark_loop *loop = handle->loop->data;
    bool is_busy = loop->again || !hark_list_is_empty(&loop->defer.items) ||
                   !hark_flush_is_empty(loop->flush) || atomic_load(&loop->stopping);
    if (is_busy) {
        (void)uv_idle_start(&loop->idle, on_idle); // libuv polls without waiting while it is active
    }
    set_timer(loop);
}

static void set_timer(struct hark_loop *loop)
{
    uint64_t now = uv_now(&loop->uv);
    uint64_t next = hark_wheel_next(loop->wheel, now);
    uint64_t due = next < NEVER - now ? now + next : NEVER;
    due = loop->step_until_ms < due ? loop->step_until_ms : due;
    if (due == loop->timer_due_ms) {
        return;
    }
    loop->timer_due_ms = due;
    if (due == NEVER) {
        (void)uv_timer_stop(&loop->timer);
    } else {
        (void)uv_timer_start(&loop->timer, on_timer, due > now ? due - now : 0, 0);
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct hark_loop *loop = handle->loop->data;
    loop->timer_due_ms = NEVER;
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; // being active is all it does
}

static void on_async(uv_async_t *handle)
{
    (void)handle; // the poll has returned, the check phase does the rest
}

// Behind the poll: the rest of the tick, in the order that loop.h promises.
static void on_check(uv_check_t *handle)
{
    struct hark_loop *loop = handle->loop->data;
    loop->again = false;
    (void)uv_idle_stop(&loop->idle); // here: uv_run looks at it before the prepare phase
    uv_update_time(&loop->uv);
    if (!loop->is_freeing) { // what its timers point to may be gone already
        hark_wheel_advance(loop->wheel, uv_now(&loop->uv));
    }
    if (loop->tick != NULL && loop->tick(loop->tick_ctx)) {
        loop->again = true;
    }
    hark_defer_run(&loop->defer);
    hark_flush_run(loop->flush);
    hark_defer_run(&loop->defer);
    if (atomic_load(&loop->stopping)) {
        uv_stop(&loop->uv);
    }
}

static void enter(struct hark_loop *loop)
{
    atomic_store_explicit(&loop->thread, &thread_mark, memory_order_relaxed);
}

static void leave(struct hark_loop *loop)
{
    atomic_store_explicit(&loop->thread, NULL, memory_order_relaxed);
}

static void close_handles(struct hark_loop *loop)
{
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->async, NULL);
}

static void free_parts(struct hark_loop *loop)
{
    hark_mem_free(loop->buffer);
    hark_flush_free(loop->flush);
    hark_wheel_free(loop->wheel);
    hark_mem_free(loop);
}
