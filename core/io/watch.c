// SPDX-License-Identifier: MIT
//
// Directory watch: when to say "look". Events are waited out (quiet_ms after the last, max_ms after
// the first), and every poll_ms one look comes by itself. The watches are brought up to date just
// before each look, so that a change which the look does not see any more is told by an event.
#include "io/watch.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "hark.h"
#include "io/watch_set.h"

struct hark_watch {
    struct hark_timer settle; // armed while events are waited out
    struct hark_timer poll;
    uint64_t first_ms; // first event since the last look
    struct hark_loop *loop;
    struct hark_watch_set *set;
    struct hark_watch_options options;
    hark_watch_fn *fn;
    void *ctx;
    char root[PATH_MAX]; // absolute
};

static int make_absolute(struct hark_slice directory, char out[PATH_MAX]);
static void on_event(void *ctx);
static void on_settled(struct hark_timer *timer);
static void on_poll(struct hark_timer *timer);
static void arm_poll(struct hark_watch *watch);
static void look(struct hark_watch *watch);
static uint64_t later(uint64_t now_ms, uint64_t delay_ms);

int hark_watch_open(struct hark_loop *loop,
                    struct hark_slice directory,
                    const struct hark_watch_options *options,
                    hark_watch_fn *fn,
                    void *ctx,
                    struct hark_watch **ret)
{
    struct hark_watch *watch = hark_mem_zalloc(sizeof(*watch));
    if (watch == NULL) {
        return HARK_ENOMEM;
    }
    int status = make_absolute(directory, watch->root);
    if (status != 0) {
        hark_mem_free(watch);
        return status;
    }
    watch->set = hark_watch_set_new(loop, on_event, watch);
    if (watch->set == NULL) {
        hark_mem_free(watch);
        return HARK_ENOMEM;
    }
    watch->loop = loop;
    watch->options = *options;
    watch->fn = fn;
    watch->ctx = ctx;
    hark_timer_init(&watch->settle, on_settled);
    hark_timer_init(&watch->poll, on_poll);
    hark_watch_set_update(watch->set, watch->root);
    arm_poll(watch);
    *ret = watch;
    return 0;
}

void hark_watch_close(struct hark_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    hark_wheel_cancel(hark_loop_wheel(watch->loop), &watch->settle);
    hark_wheel_cancel(hark_loop_wheel(watch->loop), &watch->poll);
    hark_watch_set_close(watch->set);
    hark_mem_free(watch);
}

// 0 or EINVAL.
static int make_absolute(struct hark_slice directory, char out[PATH_MAX])
{
    size_t len = 0;
    if (directory.len == 0 || memchr(directory.ptr, '\0', directory.len) != NULL) {
        return HARK_EINVAL;
    }
    if (directory.ptr[0] != '/') {
        if (getcwd(out, PATH_MAX - 1) == NULL) {
            return HARK_EINVAL;
        }
        len = strlen(out);
        out[len++] = '/';
    }
    if (directory.len >= PATH_MAX - len) {
        return HARK_EINVAL;
    }
    memcpy(out + len, directory.ptr, directory.len);
    out[len + directory.len] = '\0';
    return 0;
}

static void on_event(void *ctx)
{
    struct hark_watch *watch = ctx;
    uint64_t now = hark_loop_now_ms(watch->loop);
    if (!hark_timer_is_armed(&watch->settle)) {
        watch->first_ms = now;
    }
    uint64_t quiet = later(now, watch->options.quiet_ms);
    uint64_t latest = later(watch->first_ms, watch->options.max_ms);
    hark_wheel_arm(hark_loop_wheel(watch->loop), &watch->settle, quiet < latest ? quiet : latest);
}

static void on_settled(struct hark_timer *timer)
{
    look(HARK_CONTAINER_OF(timer, struct hark_watch, settle));
}

static void on_poll(struct hark_timer *timer)
{
    look(HARK_CONTAINER_OF(timer, struct hark_watch, poll));
}

static void arm_poll(struct hark_watch *watch)
{
    hark_wheel_arm(hark_loop_wheel(watch->loop), &watch->poll,
                   later(hark_loop_now_ms(watch->loop), watch->options.poll_ms));
}

// The callback comes last: it may close the watch.
static void look(struct hark_watch *watch)
{
    hark_wheel_cancel(hark_loop_wheel(watch->loop), &watch->settle);
    hark_watch_set_update(watch->set, watch->root);
    arm_poll(watch);
    watch->fn(watch->ctx);
}

static uint64_t later(uint64_t now_ms, uint64_t delay_ms)
{
    return delay_ms < UINT64_MAX - now_ms ? now_ms + delay_ms : UINT64_MAX;
}
