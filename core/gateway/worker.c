// SPDX-License-Identifier: MIT
//
// One worker: builds the layers on each other (loop, mailbox, hub, sessions, server, script), runs
// the tick, and turns orders from other threads into work on its own. Nothing here touches a
// message.
#include "gateway/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "broker/memory.h"
#include "hark.h"
#include "hub/hub.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/watch.h"
#include "script/host.h"
#include "session/session.h"
#include "transport/carriers.h"
#include "transport/exchange.h"
#include "transport/http1_conn.h"
#include "transport/server.h"
#include "transport/static.h"

#define LISTENERS_MAX 20
#define MAIL_A_TICK   4096
#define SLICE_NS      2000000ULL // long fan-outs let other work in after 2 ms
#define LAST_STEPS    4
#define DRAIN_LOOK_MS 50
#define SWEEP_MS      1000 // the hub's housekeeping

struct hark_worker {
    struct hark_worker_options options;
    pthread_t thread;
    struct hark_stats stats;
    struct hark_loop *loop;
    struct hark_mailbox *mailbox;
    struct hark_hub *hub;
    struct hark_session_env sessions;
    struct hark_server server; // public requests
    struct hark_server admin;  // requests of the admin address, same loop
    struct hark_static *files;
    struct hark_script *script;
    struct hark_watch *watch; // worker 0
    struct hark_listener *listeners[LISTENERS_MAX];
    unsigned listener_count;
    struct hark_listener *admin_listener; // serves on while the worker drains
    struct hark_timer sweep_timer;
    struct hark_timer drain_timer;
    uint64_t drain_deadline_ms; // 0: not draining
    bool is_finished;           // orders that come now are too late
};

// An order from another thread, which waits for its end.
struct order {
    struct hark_mail mail;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int status;
    const char *address; // listen
    bool admin;
    int port;
    int why_errno;
    char *why; // load
};

// An order nobody waits for.
struct notice {
    struct hark_mail mail;
    uint64_t deadline_ms;
};

static int build(struct hark_worker *worker);
static int build_server(struct hark_worker *worker);
static int build_script(struct hark_worker *worker);
static void *run(void *self);
static bool on_tick(void *self);
static void on_sweep(struct hark_timer *timer);
static void on_accept(void *server, int fd);
static int give_order(struct hark_worker *worker, struct order *order, hark_mail_fn *fn);
static void end_order(struct order *order, int status);
static void give_notice(struct hark_worker *worker, hark_mail_fn *fn, uint64_t deadline_ms);
static void do_load(struct hark_mail *mail, void *self);
static void on_loaded(void *ctx, int status, const char *why);
static void do_listen(struct hark_mail *mail, void *self);
static void do_reload(struct hark_mail *mail, void *self);
static void on_change(void *self);
static void do_drain(struct hark_mail *mail, void *self);
static void on_drain_look(struct hark_timer *timer);
static bool is_last(const struct hark_worker *worker);
static void finish(struct hark_worker *worker);
static void do_stop(struct hark_mail *mail, void *self);
static void close_listeners(struct hark_worker *worker);

int hark_worker_new(const struct hark_worker_options *options, struct hark_worker **ret)
{
    struct hark_worker *worker = hark_mem_zalloc(sizeof(*worker));
    if (worker == NULL) {
        return HARK_ENOMEM;
    }
    worker->options = *options;
    hark_timer_init(&worker->sweep_timer, on_sweep);
    hark_timer_init(&worker->drain_timer, on_drain_look);
    hark_list_init(&worker->server.conns);
    hark_list_init(&worker->admin.conns);
    int status = build(worker);
    if (status != 0) {
        hark_worker_free(worker);
        return status;
    }
    options->servers[options->worker] = &worker->server;
    *ret = worker;
    return 0;
}

// Upward, layer by layer.
static int build(struct hark_worker *worker)
{
    int status = hark_loop_new(&worker->stats, &worker->loop);
    if (status == 0) {
        status = hark_mailbox_new(worker->loop, worker, &worker->mailbox);
    }
    if (status == 0) {
        const struct hark_hub_options hub = {
            .broker = worker->options.broker,
            .stats = &worker->stats,
            .worker = worker->options.worker,
        };
        status = hark_hub_new(&hub, &worker->hub);
    }
    if (status == 0) {
        hark_memory_attach(worker->options.broker, worker->options.worker, worker->mailbox);
    }
    if (status == 0) {
        status = build_server(worker);
    }
    if (status == 0) {
        status = build_script(worker);
    }
    if (status == 0) {
        hark_loop_on_tick(worker->loop, on_tick, worker);
    }
    return status;
}

static int build_server(struct hark_worker *worker)
{
    worker->sessions = (struct hark_session_env){
        .hub = worker->hub,
        .stats = &worker->stats,
        .wheel = hark_loop_wheel(worker->loop),
        .defer = hark_loop_defer(worker->loop),
        .now_ms = hark_loop_now_ref(worker->loop),
        .worker = worker->options.worker,
        .worker_count = worker->options.worker_count,
    };
    int status = hark_session_env_init(&worker->sessions);
    if (status != 0) {
        return status;
    }
    worker->server = (struct hark_server){
        .loop = worker->loop,
        .mailbox = worker->mailbox,
        .stats = &worker->stats,
        .limits = &worker->options.settings->http,
        .hub = worker->hub,
        .sessions = &worker->sessions,
        .workers = worker->options.servers,
        .worker_count = worker->options.worker_count,
        .worker = worker->options.worker,
        .access_log = worker->options.settings->access_log,
    };
    worker->admin = worker->server;
    hark_list_init(&worker->server.conns);
    hark_list_init(&worker->admin.conns);
    if (!worker->options.settings->serve_public) {
        return 0;
    }
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/public", worker->options.directory);
    status = hark_static_open(path, &worker->files);
    return status == HARK_ENOENT ? 0 : status; // no public/: nothing to serve from it
}

static int build_script(struct hark_worker *worker)
{
    const struct hark_settings *settings = worker->options.settings;
    const struct hark_script_options options = {
        .server = &worker->server,
        .admin = &worker->admin,
        .files = worker->files,
        .lua_dir = worker->options.lua_dir,
        .settings = settings,
    };
    return hark_script_new(&options, &worker->script);
}

int hark_worker_start(struct hark_worker *worker)
{
    int failed = pthread_create(&worker->thread, NULL, run, worker);
    return failed != 0 ? HARK_ENOMEM : 0;
}

static void *run(void *self)
{
    struct hark_worker *worker = self;
    char name[16];
    (void)snprintf(name, sizeof(name), "hark-%u", worker->options.worker);
    (void)pthread_setname_np(pthread_self(), name);
    int status = hark_script_enter(worker->script);
    if (status != 0) {
        HARK_LOG(HARK_LOG_ERROR, "worker", HARK_F_TEXT("error", hark_strerror(status)));
    }
    on_sweep(&worker->sweep_timer);
    status = hark_loop_run(worker->loop);
    if (status != 0) {
        HARK_LOG(HARK_LOG_ERROR, "worker", HARK_F_TEXT("error", hark_strerror(status)));
    }
    // What finish closed has its last events still to come, while all they touch is there.
    for (int i = 0; i < LAST_STEPS; i++) {
        (void)hark_loop_step(worker->loop, 0); // as above: nothing to be done about it
    }
    hark_script_leave(worker->script);
    return NULL;
}

// Mail first (it holds what other threads published), then the passes, whose output the loop
// flushes.
static bool on_tick(void *self)
{
    struct hark_worker *worker = self;
    bool more = hark_mailbox_drain(worker->mailbox, MAIL_A_TICK);
    return hark_hub_flush(worker->hub, hark_loop_clock_ns() + SLICE_NS) || more;
}

static void on_sweep(struct hark_timer *timer)
{
    struct hark_worker *worker = HARK_CONTAINER_OF(timer, struct hark_worker, sweep_timer);
    hark_hub_sweep(worker->hub);
    hark_wheel_arm(hark_loop_wheel(worker->loop), timer, hark_loop_now_ms(worker->loop) + SWEEP_MS);
}

static void on_accept(void *server, int fd)
{
    hark_http1_conn_accept(server, fd);
}

void hark_worker_join(struct hark_worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
}

void hark_worker_settle(struct hark_worker *worker)
{
    if (worker != NULL && worker->mailbox != NULL) {
        (void)hark_mailbox_drain(worker->mailbox, SIZE_MAX);
    }
}

void hark_worker_free(struct hark_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    hark_script_free(worker->script);
    hark_static_free(worker->files);
    hark_session_env_deinit(&worker->sessions);
    hark_carriers_stop(&worker->server);
    hark_hub_free(worker->hub);
    hark_mailbox_free(worker->mailbox);
    hark_loop_free(worker->loop);
    hark_mem_free(worker);
}

static int give_order(struct hark_worker *worker, struct order *order, hark_mail_fn *fn)
{
    order->mail.fn = fn;
    order->done = false;
    pthread_mutex_init(&order->lock, NULL);
    pthread_cond_init(&order->cond, NULL);
    hark_mailbox_post(worker->mailbox, &order->mail);
    pthread_mutex_lock(&order->lock);
    while (!order->done) {
        pthread_cond_wait(&order->cond, &order->lock);
    }
    pthread_mutex_unlock(&order->lock);
    pthread_cond_destroy(&order->cond);
    pthread_mutex_destroy(&order->lock);
    return order->status;
}

static void end_order(struct order *order, int status)
{
    pthread_mutex_lock(&order->lock);
    order->status = status;
    order->done = true;
    pthread_cond_signal(&order->cond);
    pthread_mutex_unlock(&order->lock);
}

static void give_notice(struct hark_worker *worker, hark_mail_fn *fn, uint64_t deadline_ms)
{
    struct notice *notice = hark_mem_zalloc(sizeof(*notice));
    if (notice == NULL) {
        HARK_LOG(HARK_LOG_ERROR, "worker",
                 HARK_F_TEXT("error", "an order was lost: out of memory"));
        return;
    }
    notice->mail.fn = fn;
    notice->deadline_ms = deadline_ms;
    hark_mailbox_post(worker->mailbox, &notice->mail);
}

int hark_worker_load(struct hark_worker *worker, char **ret_why)
{
    struct order order = {.status = 0};
    int status = give_order(worker, &order, do_load);
    *ret_why = order.why;
    return status;
}

static void do_load(struct hark_mail *mail, void *self)
{
    struct hark_worker *worker = self;
    struct order *order = HARK_CONTAINER_OF(mail, struct order, mail);
    const struct hark_watch_options watch = {.quiet_ms = 150, .max_ms = 2000, .poll_ms = 2000};
    int status = hark_watch_open(worker->loop, hark_slice_text(worker->options.directory), &watch,
                                 on_change, worker, &worker->watch);
    if (status != 0) {
        HARK_LOG(HARK_LOG_WARN, "watch", HARK_F_TEXT("error", hark_strerror(status)));
    }
    hark_script_load(worker->script, worker->options.directory, on_loaded, order);
}

static void on_loaded(void *ctx, int status, const char *why)
{
    struct order *order = ctx;
    order->why = why != NULL ? hark_mem_dup(why, strlen(why)) : NULL;
    end_order(order, status);
}

int hark_worker_listen(
    struct hark_worker *worker, const char *address, bool admin, int *ret_port, int *ret_errno)
{
    struct order order = {.address = address, .admin = admin};
    int status = give_order(worker, &order, do_listen);
    *ret_port = order.port;
    *ret_errno = order.why_errno;
    return status;
}

static void do_listen(struct hark_mail *mail, void *self)
{
    struct hark_worker *worker = self;
    struct order *order = HARK_CONTAINER_OF(mail, struct order, mail);
    if (worker->listener_count == LISTENERS_MAX) {
        end_order(order, HARK_EFULL);
        return;
    }
    struct hark_listener **place =
        order->admin ? &worker->admin_listener : &worker->listeners[worker->listener_count];
    int status = hark_listener_open(worker->loop, hark_slice_text(order->address), on_accept,
                                    order->admin ? &worker->admin : &worker->server, place,
                                    &order->why_errno);
    if (status == 0) {
        worker->listener_count += order->admin ? 0 : 1;
        order->port = hark_listener_port(*place);
    }
    end_order(order, status);
}

void hark_worker_reload(struct hark_worker *worker)
{
    give_notice(worker, do_reload, 0);
}

static void do_reload(struct hark_mail *mail, void *self)
{
    hark_mem_free(HARK_CONTAINER_OF(mail, struct notice, mail));
    on_change(self);
}

static void on_change(void *self)
{
    struct hark_worker *worker = self;
    if (worker->drain_deadline_ms == 0 && !worker->is_finished) {
        hark_script_reload(worker->script);
    }
}

void hark_worker_drain(struct hark_worker *worker, uint64_t deadline_ms)
{
    give_notice(worker, do_drain, deadline_ms);
}

// Stop accepting, say goodbye to every session, then look until all are gone or time is up.
static void do_drain(struct hark_mail *mail, void *self)
{
    struct hark_worker *worker = self;
    struct notice *notice = HARK_CONTAINER_OF(mail, struct notice, mail);
    uint64_t deadline_ms = hark_loop_now_ms(worker->loop) + notice->deadline_ms;
    hark_mem_free(notice);
    if (worker->is_finished) {
        return;
    }
    bool first = worker->drain_deadline_ms == 0;
    worker->drain_deadline_ms = deadline_ms;
    if (first) {
        worker->server.draining = true;
        hark_watch_close(worker->watch);
        worker->watch = NULL;
        for (unsigned i = 0; i < worker->listener_count; i++) {
            hark_listener_pause(worker->listeners[i]);
        }
        hark_script_drain(worker->script);
        hark_http1_conn_drain_all(&worker->server);
    }
    on_drain_look(&worker->drain_timer);
}

static void on_drain_look(struct hark_timer *timer)
{
    struct hark_worker *worker = HARK_CONTAINER_OF(timer, struct hark_worker, drain_timer);
    uint64_t now_ms = hark_loop_now_ms(worker->loop);
    bool empty = hark_session_count(&worker->sessions) == 0 &&
                 hark_list_is_empty(&worker->server.conns) &&
                 !hark_carriers_are_leaving(&worker->server) && is_last(worker);
    if (empty || now_ms >= worker->drain_deadline_ms) {
        finish(worker);
        return;
    }
    hark_wheel_arm(hark_loop_wheel(worker->loop), timer, now_ms + DRAIN_LOOK_MS);
}

// The worker that serves the admin address ends behind the others, so that /readyz can be asked.
static bool is_last(const struct hark_worker *worker)
{
    return worker->admin_listener == NULL ||
           atomic_load(worker->options.finished) + 1 >= worker->options.worker_count;
}

void hark_worker_stop(struct hark_worker *worker)
{
    give_notice(worker, do_stop, 0);
}

static void do_stop(struct hark_mail *mail, void *self)
{
    hark_mem_free(HARK_CONTAINER_OF(mail, struct notice, mail));
    finish(self);
}

static void finish(struct hark_worker *worker)
{
    if (worker->is_finished) {
        return;
    }
    worker->is_finished = true;
    (void)atomic_fetch_add(worker->options.finished, 1); // only counted
    hark_wheel_cancel(hark_loop_wheel(worker->loop), &worker->drain_timer);
    hark_watch_close(worker->watch);
    worker->watch = NULL;
    close_listeners(worker);
    hark_script_stop(worker->script);
    hark_http1_conn_close_all(&worker->server);
    hark_http1_conn_close_all(&worker->admin);
    hark_loop_stop(worker->loop);
}

static void close_listeners(struct hark_worker *worker)
{
    for (unsigned i = 0; i < worker->listener_count; i++) {
        hark_listener_close(worker->listeners[i]);
    }
    worker->listener_count = 0;
    hark_listener_close(worker->admin_listener);
    worker->admin_listener = NULL;
}
