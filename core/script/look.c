// SPDX-License-Identifier: MIT
//
// The thread gets bytes and gives bytes: nothing but the order passes between the two states. Most
// looks find what the last one left (the watch looks every few seconds): then the bytes of the tree
// are all that is read, and no state is made.
#include "script/look.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "hark.h"
#include "io/mailbox.h"
#include "script/scratch.h"
#include "script/task.h"
#include "script/tree.h"
#include "script/value.h"

#define BUNDLE_MAX (64UL * 1024 * 1024)
#define WHY_MAX    (64UL * 1024)
#define WAIT_MS    30000
#define NICE       10 // less than a worker's, whose CPU it may have to share

struct hark_look {
    struct hark_mail mail; // the result on its way back
    struct hark_look_options options;
    pthread_t thread;
    bool started;   // the thread has to be joined
    bool under_way; // and its result is still to come
    uint32_t task_index;
    uint64_t task_serial;
    char *directory;
    uint64_t tree;       // hash of the tree before the last look; 0: none
    bool is_settled;     // that look left nothing to be done
    bool is_unchanged;   // the result: so it has not been looked at
    struct hark_buf in;  // packed known
    struct hark_buf out; // packed result
    struct hark_buf why;
    int status;
};

static void *run(void *self);
static bool has_changed(struct hark_look *look);
static uint64_t hash_tree(const struct hark_tree *tree);
static int call_engine(lua_State *L);
static void on_result(struct hark_mail *mail, void *worker);
static int push_result(lua_State *L, void *self);
static void join(struct hark_look *look);

int hark_look_new(const struct hark_look_options *options, struct hark_look **ret)
{
    struct hark_look *look = hark_mem_zalloc(sizeof(*look));
    if (look == NULL) {
        return HARK_ENOMEM;
    }
    look->options = *options;
    look->mail.fn = on_result;
    hark_buf_init(&look->in, BUNDLE_MAX);
    hark_buf_init(&look->out, BUNDLE_MAX);
    hark_buf_init(&look->why, WHY_MAX);
    *ret = look;
    return 0;
}

int hark_look_run(lua_State *L, struct hark_look *look)
{
    const char *directory = luaL_checkstring(L, 1);
    struct hark_task *task = hark_task_check_wait(L, "core.look");
    if (look->under_way) {
        return luaL_error(L, "core.look: a look is under way already");
    }
    join(look);
    hark_buf_clear(&look->in);
    hark_buf_clear(&look->out);
    hark_buf_clear(&look->why);
    struct hark_value_error unfit;
    if (hark_value_pack(L, 2, &look->in, &unfit) != 0) {
        return luaL_error(L, "core.look: %s", unfit.text);
    }
    look->is_settled = lua_toboolean(L, 3);
    hark_mem_free(look->directory);
    look->directory = hark_mem_dup(directory, strlen(directory));
    if (look->directory == NULL) {
        return luaL_error(L, "core.look: out of memory");
    }
    look->task_index = task->index;
    look->task_serial = task->serial;
    int failed = pthread_create(&look->thread, NULL, run, look);
    if (failed != 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerrordesc_np(failed));
        return 2;
    }
    look->started = true;
    look->under_way = true;
    const struct hark_wait wait = {
        .what = "core.look",
        .timeout_ms = WAIT_MS,
        .due_status = HARK_ETIMEOUT,
        .push = push_result,
        .ctx = look,
    };
    return hark_task_wait(L, &wait);
}

// In the thread: a fresh state, one call, and the result is mail.
static void *run(void *self)
{
    struct hark_look *look = self;
    (void)pthread_setname_np(pthread_self(), "hark-look");
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); // in Linux of this thread alone
    look->is_unchanged = !has_changed(look);
    look->status = 0;
    if (!look->is_unchanged) {
        struct hark_vm *vm = NULL;
        const struct hark_look_options *options = &look->options;
        look->status = hark_scratch_new(options->lua_dir, options->limits, &vm, &look->why);
        if (look->status == 0) {
            look->status = hark_vm_call(vm, call_engine, look, 0, NULL, &look->why);
        }
        hark_vm_free(vm);
    }
    hark_mailbox_post(look->options.mailbox, &look->mail);
    return NULL;
}

// Whether a look could find anything that the last one has not. The engine reads the tree again
// after this: what changes in between is found by the next look, which compares with the older
// hash.
static bool has_changed(struct hark_look *look)
{
    struct hark_tree tree = {0};
    uint64_t before = look->tree;
    look->tree = 0;
    if (hark_tree_read(look->directory, &tree, &look->why) != 0) {
        hark_buf_clear(&look->why); // the engine will say so
        return true;
    }
    look->tree = hash_tree(&tree);
    hark_tree_deinit(&tree);
    return !look->is_settled || look->tree != before;
}

// Of paths and bytes; never 0.
static uint64_t hash_tree(const struct hark_tree *tree)
{
    uint64_t sum = tree->count;
    for (size_t i = 0; i < tree->count; i++) {
        const struct hark_tree_file *file = &tree->files[i];
        const uint64_t parts[] = {sum, hark_hash_keyed(file->path, strlen(file->path)),
                                  hark_hash_keyed(file->data, file->len)};
        sum = hark_hash_keyed(parts, sizeof(parts));
    }
    return sum == 0 ? 1 : sum;
}

static int call_engine(lua_State *L)
{
    struct hark_look *look = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "hark.engine");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "look");
    lua_pushstring(L, look->directory);
    struct hark_slice known = hark_buf_slice(&look->in);
    if (hark_value_unpack(L, &known) != 0) {
        return luaL_error(L, "the look was given bytes that are no value");
    }
    lua_call(L, 2, 1);
    struct hark_value_error unfit;
    if (hark_value_pack(L, -1, &look->out, &unfit) != 0) {
        return luaL_error(L, "the look's result cannot be passed on: %s", unfit.text);
    }
    return 0;
}

static void on_result(struct hark_mail *mail, void *worker)
{
    (void)worker;
    struct hark_look *look = HARK_CONTAINER_OF(mail, struct hark_look, mail);
    look->under_way = false;
    struct hark_task *task =
        hark_task_find(look->options.tasks, look->task_index, look->task_serial);
    if (task != NULL) {
        hark_task_wake(task, 0);
    }
}

static int push_result(lua_State *L, void *self)
{
    struct hark_look *look = self;
    if (look->status != 0) {
        struct hark_slice why = hark_buf_slice(&look->why);
        lua_pushnil(L);
        if (why.len > 0) {
            lua_pushlstring(L, why.ptr, why.len);
        } else {
            lua_pushstring(L, hark_strerror(look->status));
        }
        return 2;
    }
    if (look->is_unchanged) {
        lua_pushboolean(L, 0);
        return 1;
    }
    struct hark_slice out = hark_buf_slice(&look->out);
    return hark_value_unpack(L, &out) == 0 ? 1 : luaL_error(L, "core.look: the result is no value");
}

static void join(struct hark_look *look)
{
    if (look->started) {
        (void)pthread_join(look->thread, NULL);
        look->started = false;
    }
}

void hark_look_free(struct hark_look *look)
{
    if (look == NULL) {
        return;
    }
    join(look);
    while (look->under_way) { // its mail is in the box by now
        (void)hark_mailbox_drain(look->options.mailbox, SIZE_MAX);
    }
    hark_buf_deinit(&look->in);
    hark_buf_deinit(&look->out);
    hark_buf_deinit(&look->why);
    hark_mem_free(look->directory);
    hark_mem_free(look);
}
