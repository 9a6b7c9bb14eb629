// SPDX-License-Identifier: MIT
//
// Life of a session. What script may ask of one that lives is in calls.c, subscriptions in joins.c,
// output in output.c, input in input.c, transports in link.c.
#include "session/session.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "hark.h"
#include "session/backlog.h"
#include "session/epitaph.h"
#include "session/input.h"
#include "session/output.h"
#include "session/state.h"
#include "session/table.h"
#include "session/token.h"

#define FORM_MAX        ((size_t)1 << 30) // of the worker's buffers for wire forms: far above any message
#define SERVICE_RESTART 1012
#define LOST            1006
#define RETRY_MS        1000 // advice when the drain handler is not there to give one
#define RETRY_SPREAD_MS 4000

static int make(struct hark_session_env *env,
                const struct hark_session_options *options,
                struct hark_slice id,
                struct hark_session **ret);
static void set_state(struct hark_session *session, enum hark_session_state state);
static void free_aside(struct hark_session *session);
static void on_timer(struct hark_timer *timer);
static void on_work(struct hark_defer *item);
static void say_goodbye(struct hark_session *session);
static void keep_why(struct hark_session *session, struct hark_slice why);
static void clear_timers(struct hark_session *session);
static void clear_subs(struct hark_session *session);
static void abandon(struct hark_session *session);
static void destroy(struct hark_session *session);
static struct hark_session *from_key(struct hark_tabled *key);

const char *hark_transport_kind_name(enum hark_transport_kind kind)
{
    switch (kind) {
    case HARK_TRANSPORT_WEBSOCKET: return "websocket";
    case HARK_TRANSPORT_SSE: return "sse";
    case HARK_TRANSPORT_LONGPOLL: return "longpoll";
    }
    return "none";
}

void hark_session_policy_init(struct hark_session_policy *policy)
{
    *policy = (struct hark_session_policy){
        .message_bytes = (size_t)64 << 10,
        .queue_bytes = (size_t)1 << 20,
        .channels = 128,
        .poll_grace_ms = 30000,
        .poll_wait_ms = 45000,
        .poll_batch = 1,
        .ping_ms = 25000,
        .pong_ms = 10000,
        .comment_ms = 15000,
        .retry_ms = 2000,
    };
}

int hark_session_env_init(struct hark_session_env *env)
{
    hark_buf_init(&env->block, FORM_MAX);
    hark_buf_init(&env->body, FORM_MAX);
    env->table = hark_table_new(env->worker);
    env->epitaphs = hark_epitaphs_new(env->wheel);
    if (env->table == NULL || env->epitaphs == NULL) {
        hark_session_env_deinit(env);
        return HARK_ENOMEM;
    }
    return 0;
}

void hark_session_env_deinit(struct hark_session_env *env)
{
    size_t at = 0;
    struct hark_tabled *key = NULL;
    while (env->table != NULL && (key = hark_table_next(env->table, &at)) != NULL) {
        abandon(from_key(key));
    }
    hark_table_free(env->table);
    hark_epitaphs_free(env->epitaphs);
    hark_buf_deinit(&env->block);
    hark_buf_deinit(&env->body);
    env->table = NULL;
    env->epitaphs = NULL;
}

int hark_session_new(struct hark_session_env *env,
                     const struct hark_session_options *options,
                     struct hark_session **ret)
{
    if (options->id.len > 0) {
        return hark_token_is_chosen(options->id) ? make(env, options, options->id, ret)
                                                 : HARK_EINVAL;
    }
    char token[HARK_TOKEN_MAX];
    size_t len = 0;
    int status = hark_token_make(env->worker, token, &len);
    return status == 0 ? make(env, options, hark_slice(token, len), ret) : status;
}

static int make(struct hark_session_env *env,
                const struct hark_session_options *options,
                struct hark_slice id,
                struct hark_session **ret)
{
    size_t peer_len = options->peer_family == 4 ? 4 : options->peer_family == 6 ? 16 : 0;
    size_t size = offsetof(struct hark_session, id) + id.len + peer_len;
    struct hark_session *session =
        hark_mem_zalloc(size < sizeof(*session) ? sizeof(*session) : size);
    if (session == NULL) {
        return HARK_ENOMEM;
    }
    session->env = env;
    session->view = options->view;
    session->policy = options->policy;
    session->endpoint = options->endpoint;
    session->peer_family = options->peer_family;
    memcpy(session->id, id.ptr, id.len);
    memcpy(session->id + id.len, options->peer, peer_len);
    hark_timer_init(&session->timer, on_timer);
    hark_defer_init(&session->defer, on_work);
    int status = 0;
    if (options->cursor != NULL && options->cursor->count > 0) {
        struct hark_session_aside *aside = hark_session_need_aside(session);
        status = aside == NULL ? HARK_ENOMEM : hark_places_copy(&aside->resume, options->cursor);
    }
    if (status == 0) {
        status = hark_table_add(env->table, &session->key, hark_slice(session->id, id.len));
    }
    if (status != 0) {
        free_aside(session);
        hark_mem_free(session);
        return status;
    }
    *ret = session;
    return 0;
}

void hark_session_start(struct hark_session *session)
{
    if (session->state != HARK_SESSION_NEW) {
        return; // closed before it began: the close handler is on its way
    }
    struct hark_session_env *env = session->env;
    hark_stats_add(&env->stats->sessions_opened, 1);
    set_state(session, HARK_SESSION_OPENING);
    env->handlers->open(env->handlers_ctx, session);
    hark_session_post(session, HARK_SESSION_RESUME); // what came with the handshake
}

void hark_session_discard(struct hark_session *session)
{
    assert(session->state == HARK_SESSION_NEW && session->transport == NULL);
    destroy(session);
}

void hark_session_opened(struct hark_session *session)
{
    if (session->state != HARK_SESSION_OPENING) {
        return;
    }
    set_state(session, HARK_SESSION_OPEN);
    const struct hark_session_aside *aside = session->aside;
    if (aside != NULL && aside->has_recovered && !aside->has_missed) {
        hark_stats_add(&session->env->stats->sessions_resumed, 1);
    }
    bool is_empty = aside != NULL && aside->joins == NULL && aside->posts == NULL &&
                    aside->timers.first == NULL;
    if (is_empty) {
        free_aside(session);
    } else if (aside != NULL) {
        hark_places_deinit(&session->aside->resume);
    }
    hark_output_greet(session);
}

static void free_aside(struct hark_session *session)
{
    struct hark_session_aside *aside = session->aside;
    if (aside != NULL) {
        hark_places_deinit(&aside->resume);
        hark_mem_free(aside->why);
        hark_mem_free(aside);
        session->aside = NULL;
    }
}

static void set_state(struct hark_session *session, enum hark_session_state state)
{
    static const uint8_t next[] = {
        [HARK_SESSION_NEW] = 1 << HARK_SESSION_OPENING | 1 << HARK_SESSION_ENDING,
        [HARK_SESSION_OPENING] = 1 << HARK_SESSION_OPEN | 1 << HARK_SESSION_ENDING,
        [HARK_SESSION_OPEN] = 1 << HARK_SESSION_ENDING,
        [HARK_SESSION_ENDING] = 1 << HARK_SESSION_RELEASED,
        [HARK_SESSION_RELEASED] = 0,
    };
    static const char *const names[] = {"new", "opening", "open", "ending", "released"};
    assert((next[session->state] >> state & 1) != 0);
    (void)next; // without assertions
    if (HARK_UNLIKELY(hark_log_is_on(HARK_LOG_DEBUG))) {
        HARK_LOG(HARK_LOG_DEBUG, "session", HARK_F_UINT("serial", session->key.serial),
                 HARK_F_TEXT("from", names[session->state]), HARK_F_TEXT("to", names[state]));
    }
    session->state = (uint8_t)state;
    hark_session_refresh(session);
}

static void on_timer(struct hark_timer *timer)
{
    struct hark_session *session = HARK_CONTAINER_OF(timer, struct hark_session, timer);
    struct hark_transport *transport = session->transport;
    if (transport == NULL) {
        const struct hark_ending ending = {.code = LOST, .why = HARK_LIT("did not come back")};
        hark_session_end(session, &ending, true);
        return;
    }
    uint64_t delay_ms = session->ops->beat(transport);
    if (session->transport == transport) {
        hark_session_arm(session, delay_ms);
        hark_backlog_pump(session); // one that was refused without memory tries again
    }
}

static void on_work(struct hark_defer *item)
{
    struct hark_session *session = HARK_CONTAINER_OF(item, struct hark_session, defer);
    unsigned work = session->work;
    session->work = 0;
    if ((work & HARK_SESSION_FREE) != 0) {
        destroy(session);
        return;
    }
    if ((work & HARK_SESSION_LOST) != 0) {
        const struct hark_ending ending = {
            .code = session->code, .why = HARK_LIT("connection lost"), .is_by_client = true};
        hark_session_end(session, &ending, true);
    }
    if ((work & HARK_SESSION_WAKE) != 0 && session->transport != NULL &&
        session->ops->wake != NULL) {
        session->ops->wake(session->transport);
    }
    if ((work & HARK_SESSION_RESUME) != 0 && hark_session_is_alive(session)) {
        hark_input_resume(session);
    }
    if ((work & HARK_SESSION_GOODBYE) != 0) {
        say_goodbye(session);
    }
}

static void say_goodbye(struct hark_session *session)
{
    struct hark_session_aside *aside = session->aside;
    session->aside = NULL; // the handler may release the session inside
    struct hark_slice why =
        aside == NULL ? HARK_SLICE_NONE : hark_slice(aside->why, aside->why_len);
    const struct hark_session_env *env = session->env;
    env->handlers->close(env->handlers_ctx, session, session->code, why);
    if (aside != NULL) {
        hark_places_deinit(&aside->resume);
        hark_mem_free(aside->why);
        hark_mem_free(aside);
    }
}

void hark_session_close(struct hark_session *session, uint16_t code, struct hark_slice why)
{
    const struct hark_ending ending = {.code = code, .why = why};
    hark_session_end(session, &ending, false);
}

void hark_session_retire(struct hark_session *session,
                         uint16_t code,
                         struct hark_slice why,
                         uint64_t retry_ms)
{
    const struct hark_ending ending = {
        .code = code, .why = why, .is_retiring = true, .retry_ms = retry_ms};
    hark_session_end(session, &ending, false);
}

void hark_session_end(struct hark_session *session, const struct hark_ending *ending, bool is_lost)
{
    if (!hark_session_is_alive(session)) {
        return;
    }
    set_state(session, HARK_SESSION_ENDING);
    session->code = ending->code;
    keep_why(session, ending->why);
    hark_table_forget_id(session->env->table, &session->key);
    clear_timers(session);
    hark_session_arm(session, 0);
    clear_subs(session);
    hark_backlog_finish(session, is_lost);
    hark_session_part(session, ending);
    hark_input_drop(session);
    hark_session_post(session, HARK_SESSION_GOODBYE);
}

void hark_session_part(struct hark_session *session, const struct hark_ending *ending)
{
    struct hark_transport *transport = session->transport;
    const struct hark_transport_ops *ops = session->ops;
    if (transport == NULL) {
        return;
    }
    hark_session_count_kind(session, false);
    session->transport = NULL;
    session->ops = NULL;
    session->output = NULL;
    transport->session = NULL;
    hark_session_refresh(session);
    ops->end(transport, session, ending);
}

void hark_session_count_kind(struct hark_session *session, bool is_coming)
{
    struct hark_stats *stats = session->env->stats;
    _Atomic uint64_t *gauge = NULL;
    switch ((enum hark_transport_kind)session->kind) {
    case HARK_TRANSPORT_WEBSOCKET: gauge = &stats->sessions_websocket; break;
    case HARK_TRANSPORT_SSE: gauge = &stats->sessions_sse; break;
    case HARK_TRANSPORT_LONGPOLL: gauge = &stats->sessions_longpoll; break;
    }
    if (gauge != NULL && is_coming) {
        hark_stats_add(gauge, 1);
    } else if (gauge != NULL) {
        hark_stats_sub(gauge, 1);
    }
}

static void keep_why(struct hark_session *session, struct hark_slice why)
{
    struct hark_session_aside *aside = hark_session_need_aside(session);
    if (aside != NULL && why.len > 0) {
        aside->why = hark_mem_dup(why.ptr, why.len);
        aside->why_len = aside->why == NULL ? 0 : why.len;
    }
}

static void clear_timers(struct hark_session *session)
{
    if (session->aside != NULL) {
        hark_timers_clear(&session->aside->timers, session->env->wheel);
    }
}

// A join under way is told ECLOSED by the hub.
static void clear_subs(struct hark_session *session)
{
    while (session->subs != NULL) {
        struct hark_session_sub *item = session->subs;
        hark_hub_unsubscribe(session->env->hub, &item->sub);
        session->subs = item->next;
        session->sub_count--;
        hark_mem_free(item);
    }
}

void hark_session_drain(struct hark_session *session, struct hark_slice why)
{
    if (!hark_session_is_alive(session) || session->is_drained) {
        return;
    }
    session->is_drained = true;
    const struct hark_session_env *env = session->env;
    if (env->handlers->drain != NULL) {
        env->handlers->drain(env->handlers_ctx, session, why);
    } else {
        hark_session_drained(session, RETRY_MS + hark_session_phase(session, RETRY_SPREAD_MS));
    }
}

void hark_session_drained(struct hark_session *session, uint64_t retry_ms)
{
    hark_session_retire(session, SERVICE_RESTART, HARK_LIT("draining"), retry_ms);
}

void hark_session_release(struct hark_session *session)
{
    if (session->state == HARK_SESSION_ENDING) {
        set_state(session, HARK_SESSION_RELEASED);
        hark_session_post(session, HARK_SESSION_FREE);
    }
}

// The worker stops: as hark_session_end, but nobody is told.
static void abandon(struct hark_session *session)
{
    if (hark_session_is_alive(session)) {
        set_state(session, HARK_SESSION_ENDING);
    }
    clear_timers(session);
    clear_subs(session);
    hark_backlog_finish(session, true);
    if (session->transport != NULL) {
        struct hark_transport *transport = session->transport;
        const struct hark_transport_ops *ops = session->ops;
        session->transport = NULL;
        transport->session = NULL;
        ops->abort(transport);
    }
    hark_input_drop(session);
    destroy(session);
}

static void destroy(struct hark_session *session)
{
    struct hark_session_env *env = session->env;
    hark_defer_cancel(&session->defer);
    hark_wheel_cancel(env->wheel, &session->timer);
    hark_table_remove(env->table, &session->key);
    free_aside(session);
    hark_mem_free(session);
}

struct hark_session *hark_session_find_serial(struct hark_session_env *env, uint64_t serial)
{
    struct hark_tabled *key = hark_table_find_serial(env->table, serial);
    struct hark_session *session = key == NULL ? NULL : from_key(key);
    return session != NULL && session->state < HARK_SESSION_RELEASED ? session : NULL;
}

struct hark_session *hark_session_find_id(struct hark_session_env *env, struct hark_slice id)
{
    struct hark_tabled *key = hark_table_find_id(env->table, id);
    return key == NULL ? NULL : from_key(key);
}

int hark_session_owner(const struct hark_session_env *env,
                       struct hark_slice id,
                       unsigned *ret_worker)
{
    return hark_token_owner(id, env->worker_count, ret_worker);
}

bool hark_session_is_token(struct hark_slice id)
{
    return hark_token_is_token(id);
}

void hark_session_each(struct hark_session_env *env, hark_session_each_fn *fn, void *ctx)
{
    size_t at = 0;
    struct hark_tabled *key = NULL;
    while ((key = hark_table_next(env->table, &at)) != NULL) {
        struct hark_session *session = from_key(key);
        if (hark_session_is_alive(session) && !fn(ctx, session)) {
            return;
        }
    }
}

size_t hark_session_count(const struct hark_session_env *env)
{
    return hark_table_count(env->table);
}

static struct hark_session *from_key(struct hark_tabled *key)
{
    return HARK_CONTAINER_OF(key, struct hark_session, key);
}
