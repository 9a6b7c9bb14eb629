// SPDX-License-Identifier: MIT
//
// One `ask` has a leg for each worker: mail to it with the question, the same mail back with the
// answer. The ask lives in the asking thread until all legs are home, also when nobody waits any
// more.
#include "script/ask.h"

#include <stdbool.h>
#include <stdint.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "hark.h"
#include "io/mailbox.h"
#include "script/task.h"
#include "script/value.h"
#include "script/vm.h"

#define VALUE_MAX    (64UL * 1024 * 1024)
#define NAME_MAX_LEN 32

struct hark_asker {
    struct hark_asker_options options;
    bool is_closed;
};

struct ask;

struct leg {
    struct hark_mail mail;
    struct ask *ask;
    struct hark_asker *target;
    int status;
    struct hark_buf answer; // packed value, or the error text
};

struct ask {
    struct hark_asker *asker;
    struct hark_bytes *value; // shared by the legs
    char name[NAME_MAX_LEN];
    uint32_t task_index;
    uint64_t task_serial;
    unsigned away;  // legs not home
    bool abandoned; // nobody waits: free with the last leg
    unsigned leg_count;
    struct leg legs[];
};

// In the room of the answering task.
struct answering {
    struct leg *leg;
};

static struct ask *make(lua_State *L, struct hark_asker *asker, const char *name);
static void on_question(struct hark_mail *mail, void *worker);
static int enter(lua_State *L, struct hark_task *task);
static void leave(lua_State *L, struct hark_task *task, int first);
static void ended(struct hark_task *task, int status, struct hark_slice text);
static void go_home(struct leg *leg);
static void on_answer(struct hark_mail *mail, void *worker);
static int push_answers(lua_State *L, void *self);
static void abandon(void *self);
static void free_ask(struct ask *ask);

static const struct hark_task_ops ANSWER_OPS = {.enter = enter, .leave = leave, .ended = ended};

int hark_asker_new(const struct hark_asker_options *options, struct hark_asker **ret)
{
    struct hark_asker *asker = hark_mem_zalloc(sizeof(*asker));
    if (asker == NULL) {
        return HARK_ENOMEM;
    }
    asker->options = *options;
    options->askers[options->worker] = asker;
    *ret = asker;
    return 0;
}

void hark_asker_close(struct hark_asker *asker)
{
    asker->is_closed = true;
}

void hark_asker_free(struct hark_asker *asker)
{
    hark_mem_free(asker);
}

// --- in the asking worker ---

int hark_ask_run(lua_State *L, struct hark_asker *asker)
{
    const char *name = luaL_checkstring(L, 1);
    lua_Number seconds = luaL_checknumber(L, 3);
    struct hark_task *task = hark_task_check_wait(L, "core.ask");
    struct ask *ask = make(L, asker, name);
    ask->task_index = task->index;
    ask->task_serial = task->serial;
    for (unsigned i = 0; i < ask->leg_count; i++) {
        hark_mailbox_post(ask->legs[i].target->options.mailbox, &ask->legs[i].mail);
    }
    const struct hark_wait wait = {
        .what = "core.ask",
        .timeout_ms = (uint64_t)(seconds * 1000),
        .due_status = HARK_ETIMEOUT,
        .push = push_answers,
        .drop = abandon,
        .ctx = ask,
    };
    return hark_task_wait(L, &wait);
}

static struct ask *make(lua_State *L, struct hark_asker *asker, const char *name)
{
    struct hark_buf packed;
    hark_buf_init(&packed, VALUE_MAX);
    struct hark_value_error unfit;
    if (hark_value_pack(L, 2, &packed, &unfit) != 0) {
        hark_buf_deinit(&packed);
        luaL_error(L, "core.ask: %s", unfit.text);
    }
    unsigned count = asker->options.worker_count;
    struct ask *ask = hark_mem_zalloc(sizeof(*ask) + count * sizeof(struct leg));
    struct hark_bytes *value = hark_bytes_copy(hark_buf_slice(&packed));
    hark_buf_deinit(&packed);
    size_t len = strnlen(name, NAME_MAX_LEN);
    if (ask == NULL || value == NULL || len == NAME_MAX_LEN) {
        hark_mem_free(ask);
        hark_bytes_unref(value);
        luaL_error(L, "core.ask: out of memory");
    }
    memcpy(ask->name, name, len);
    ask->asker = asker;
    ask->value = value;
    ask->leg_count = count;
    ask->away = count;
    for (unsigned i = 0; i < count; i++) {
        struct leg *leg = &ask->legs[i];
        leg->mail.fn = on_question;
        leg->ask = ask;
        leg->target = asker->options.askers[i];
        hark_buf_init(&leg->answer, VALUE_MAX);
    }
    return ask;
}

// --- in the asked worker ---

static void on_question(struct hark_mail *mail, void *worker)
{
    (void)worker;
    struct leg *leg = HARK_CONTAINER_OF(mail, struct leg, mail);
    if (leg->target->is_closed) {
        leg->status = HARK_ECLOSED;
        go_home(leg);
        return;
    }
    struct hark_task *task = hark_task_new(leg->target->options.tasks, &ANSWER_OPS);
    if (task == NULL) {
        leg->status = HARK_ENOMEM;
        go_home(leg);
        return;
    }
    task->cpu_ms = hark_tasks_vm(leg->target->options.tasks)->limits.load_cpu_ms;
    task->memory = SIZE_MAX; // it loads whole apps
    ((struct answering *)hark_task_room(task))->leg = leg;
    hark_task_post(task);
}

static int enter(lua_State *L, struct hark_task *task)
{
    const struct leg *leg = ((struct answering *)hark_task_room(task))->leg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "hark.engine");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "answer");
    lua_getfield(L, -1, leg->ask->name);
    lua_replace(L, -3);
    lua_pop(L, 1);
    struct hark_slice value = hark_bytes_slice(leg->ask->value);
    if (hark_value_unpack(L, &value) != 0) {
        return luaL_error(L, "core.ask: the value is broken");
    }
    return 1;
}

static void leave(lua_State *L, struct hark_task *task, int first)
{
    struct leg *leg = ((struct answering *)hark_task_room(task))->leg;
    lua_settop(L, first); // one result, nil when there is none
    struct hark_value_error unfit;
    if (hark_value_pack(L, first, &leg->answer, &unfit) != 0) {
        luaL_error(L, "core.ask: the answer to %s: %s", leg->ask->name, unfit.text);
    }
}

static void ended(struct hark_task *task, int status, struct hark_slice text)
{
    struct leg *leg = ((struct answering *)hark_task_room(task))->leg;
    leg->status = status;
    if (status != 0) {
        hark_buf_clear(&leg->answer);
        if (hark_buf_append_slice(&leg->answer, text) != 0) {
            hark_buf_clear(&leg->answer); // the status alone speaks
        }
    }
    go_home(leg);
}

static void go_home(struct leg *leg)
{
    leg->mail.fn = on_answer;
    hark_mailbox_post(leg->ask->asker->options.mailbox, &leg->mail);
}

// --- back in the asking worker ---

static void on_answer(struct hark_mail *mail, void *worker)
{
    (void)worker;
    struct ask *ask = HARK_CONTAINER_OF(mail, struct leg, mail)->ask;
    ask->away--;
    if (ask->away > 0) {
        return;
    }
    if (ask->abandoned) {
        free_ask(ask);
        return;
    }
    struct hark_task *task =
        hark_task_find(ask->asker->options.tasks, ask->task_index, ask->task_serial);
    if (task != NULL) {
        hark_task_wake(task, 0);
    }
}

static int push_answers(lua_State *L, void *self)
{
    struct ask *ask = self;
    lua_createtable(L, (int)ask->leg_count, 0);
    for (unsigned i = 0; i < ask->leg_count; i++) {
        struct leg *leg = &ask->legs[i];
        struct hark_slice answer = hark_buf_slice(&leg->answer);
        if (leg->status != 0) {
            lua_pushnil(L);
            lua_pushlstring(L, answer.len > 0 ? answer.ptr : "", answer.len);
            lua_pushfstring(L, "worker %d: %s", (int)i,
                            answer.len > 0 ? lua_tostring(L, -1) : hark_strerror(leg->status));
            lua_remove(L, -2);
            return 2;
        }
        if (hark_value_unpack(L, &answer) != 0) {
            return luaL_error(L, "core.ask: the answer is broken");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// The waiting task has its results or waits no more.
static void abandon(void *self)
{
    struct ask *ask = self;
    ask->abandoned = true;
    if (ask->away == 0) {
        free_ask(ask);
    }
}

static void free_ask(struct ask *ask)
{
    for (unsigned i = 0; i < ask->leg_count; i++) {
        hark_buf_deinit(&ask->legs[i].answer);
    }
    hark_bytes_unref(ask->value);
    hark_mem_free(ask);
}
