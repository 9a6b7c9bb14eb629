// SPDX-License-Identifier: MIT
//
// The Lua state: allocator, libraries, protected calls. Mode of the collector: incremental, because
// Lua 5.4.4 sets a wrong pause when it enters generational mode.
#include "script/vm.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hark.h"

#define TRACEBACK_MARK "\nstack traceback:\n"

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size);
static void *resize(struct hark_vm *vm, void *ptr, size_t held, size_t size);
static void free_block(struct hark_vm *vm, void *ptr, size_t held);
static int set_up(lua_State *L);
static int panic(lua_State *L);
static void warn(void *ud, const char *message, int to_be_continued);

void hark_vm_limits_init(struct hark_vm_limits *limits)
{
    limits->vm_memory = (size_t)512 << 20;
    limits->run_memory = (size_t)16 << 20;
    limits->run_cpu_ms = 50;
    limits->load_cpu_ms = 500;
}

int hark_vm_new(const struct hark_vm_options *options,
                struct hark_vm **ret,
                struct hark_buf *ret_why)
{
    struct hark_vm *vm = hark_mem_zalloc(sizeof(*vm));
    if (vm == NULL) {
        return HARK_ENOMEM;
    }
    if (options->limits != NULL) {
        vm->limits = *options->limits;
    } else {
        hark_vm_limits_init(&vm->limits);
    }
    vm->owner = options->owner;
    vm->scratch = options->scratch;
    vm->allowed = vm->limits.vm_memory;
    hark_pool_init(&vm->pool);
    vm->L = lua_newstate(allocate, vm);
    if (vm->L == NULL) {
        hark_pool_deinit(&vm->pool);
        hark_mem_free(vm);
        return HARK_ENOMEM;
    }
    lua_atpanic(vm->L, panic);
    *hark_vm_space(vm->L) = (uintptr_t)vm;
    lua_pushcfunction(vm->L, set_up);
    lua_pushlightuserdata(vm->L, (void *)(uintptr_t)options);
    int status = lua_pcall(vm->L, 1, 0, 0);
    if (status != LUA_OK) {
        hark_vm_error_text(vm, vm->L, status, ret_why);
        hark_vm_free(vm);
        return hark_vm_status(status);
    }
    *ret = vm;
    return 0;
}

void hark_vm_free(struct hark_vm *vm)
{
    if (vm == NULL) {
        return;
    }
    hark_watchdog_deinit(&vm->dog);
    vm->allowed = SIZE_MAX;
    lua_close(vm->L);
    hark_pool_deinit(&vm->pool);
    hark_mem_free(vm);
}

void hark_vm_preload(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

// --- set-up ---

static int set_up(lua_State *L)
{
    struct hark_vm *vm = hark_vm_of(L);
    const struct hark_vm_options *options = lua_touserdata(L, 1);
    hark_watchdog_init(&vm->dog, L);
    lua_setwarnf(L, warn, vm);
    luaL_openlibs(L);
    if (options->open != NULL) {
        options->open(L);
    }
    // Modules come from one directory; C modules from nowhere.
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", options->lua_dir, options->lua_dir);
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_gc(L, LUA_GCINC, 0, 0, 0);
    return 0;
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct hark_vm *vm = ud;
    size_t held = ptr == NULL ? 0 : old_size; // for a new block old_size tells its type
    if (new_size == 0) {
        vm->used -= held;
        free_block(vm, ptr, held);
        return NULL;
    }
    if (new_size > held) {
        size_t more = new_size - held;
        if (vm->used > vm->allowed || more > vm->allowed - vm->used) {
            vm->starved = true;
            return NULL;
        }
    }
    void *block = resize(vm, ptr, held, new_size);
    if (block == NULL) {
        bool stays = held <= HARK_POOL_MAX || new_size > HARK_POOL_MAX; // where it came from
        if (new_size > held || !stays) {
            return NULL;
        }
        block = ptr; // Lua hardly expects that a block cannot shrink
    }
    vm->used = vm->used - held + new_size;
    return block;
}

static void *resize(struct hark_vm *vm, void *ptr, size_t held, size_t size)
{
    if (held > HARK_POOL_MAX && size > HARK_POOL_MAX) {
        return hark_mem_realloc(ptr, size);
    }
    if (held > 0 && hark_pool_is_same(held, size)) {
        return ptr;
    }
    void *block = size > HARK_POOL_MAX ? hark_mem_alloc(size) : hark_pool_alloc(&vm->pool, size);
    if (block != NULL && held > 0) {
        memcpy(block, ptr, held < size ? held : size);
        free_block(vm, ptr, held);
    }
    return block;
}

static void free_block(struct hark_vm *vm, void *ptr, size_t held)
{
    if (held > HARK_POOL_MAX) {
        hark_mem_free(ptr);
    } else if (held > 0) {
        hark_pool_free(&vm->pool, ptr, held);
    }
}

// Lua reports errors in __close and __gc only here.
static void warn(void *ud, const char *message, int to_be_continued)
{
    struct hark_vm *vm = ud;
    if (vm->warned == 0 && !to_be_continued && message[0] == '@') {
        return; // control message
    }
    size_t add = strlen(message);
    size_t room = sizeof(vm->warning) - vm->warned;
    add = add < room ? add : room;
    memcpy(vm->warning + vm->warned, message, add);
    vm->warned += add;
    if (!to_be_continued) {
        HARK_LOG(HARK_LOG_WARN, "lua_warning",
                 HARK_F_SLICE("text", hark_slice(vm->warning, vm->warned)));
        vm->warned = 0;
    }
}

// Only a call of the API outside any protection ends here: our bug. Lua aborts when it returns.
static int panic(lua_State *L)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(no text)";
    HARK_LOG(HARK_LOG_ERROR, "lua_panic", HARK_F_TEXT("error", text));
    return 0;
}

// --- calls ---

size_t hark_vm_allowance(const struct hark_vm *vm, size_t memory)
{
    size_t ceiling = vm->limits.vm_memory;
    return vm->used < ceiling && ceiling - vm->used > memory ? vm->used + memory : ceiling;
}

void hark_vm_enter(
    struct hark_vm *vm, lua_State *L, uint32_t cpu_ms, size_t memory, struct hark_vm_run *ret_run)
{
    ret_run->allowed = vm->allowed;
    vm->allowed = hark_vm_allowance(vm, memory);
    vm->starved = false;
    hark_watchdog_enter(&vm->dog, L, cpu_ms, &ret_run->outer);
}

bool hark_vm_leave(struct hark_vm *vm, const struct hark_vm_run *run)
{
    vm->allowed = run->allowed;
    return hark_watchdog_leave(&vm->dog, &run->outer);
}

int hark_vm_call(struct hark_vm *vm,
                 lua_CFunction fn,
                 void *arg,
                 uint32_t cpu_ms,
                 const char *place,
                 struct hark_buf *ret_why)
{
    lua_State *running = hark_watchdog_running(&vm->dog);
    lua_State *L = running != NULL ? running : vm->L;
    if (!lua_checkstack(L, 8)) {
        return HARK_ENOMEM;
    }
    const char *outer_place = vm->place;
    struct hark_vm_run run;
    if (place != NULL) {
        vm->place = place;
    }
    if (running == NULL) {
        hark_vm_enter(vm, L, cpu_ms, cpu_ms == 0 ? SIZE_MAX : vm->limits.run_memory, &run);
    }
    lua_pushcfunction(L, hark_vm_traceback);
    int handler = lua_gettop(L);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, handler);
    bool stopped = running == NULL && hark_vm_leave(vm, &run);
    vm->place = outer_place;
    if (status != LUA_OK) {
        hark_vm_error_text(vm, L, status, ret_why);
        lua_pop(L, 1);
    } else if (stopped) {
        status = LUA_ERRRUN;
        hark_vm_add_text(ret_why, "limit: cpu (the script caught the error)");
    }
    lua_remove(L, handler);
    return hark_vm_status(status);
}

int hark_vm_status(int lua_status)
{
    if (lua_status == LUA_OK || lua_status == LUA_YIELD) {
        return 0;
    }
    return lua_status == LUA_ERRMEM ? HARK_ENOMEM : HARK_ESCRIPT;
}

void hark_vm_error_text(struct hark_vm *vm, lua_State *L, int lua_status, struct hark_buf *ret_why)
{
    if (ret_why == NULL) {
        return;
    }
    if (lua_status == LUA_ERRMEM && vm->starved) {
        hark_vm_ignore(hark_buf_printf(ret_why, "limit: memory, %zu KiB a run, %zu MiB in all",
                                       vm->limits.run_memory >> 10, vm->limits.vm_memory >> 20));
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        size_t len = 0;
        const char *text = lua_tolstring(L, -1, &len);
        size_t room = ret_why->max - hark_buf_len(ret_why);
        hark_vm_ignore(hark_buf_append(ret_why, text, len < room ? len : room));
    } else {
        hark_vm_add_text(ret_why, "error without a text");
    }
}

void hark_vm_add_text(struct hark_buf *ret_why, const char *text)
{
    if (ret_why != NULL) {
        hark_vm_ignore(hark_buf_append_text(ret_why, text)); // the status tells enough
    }
}

int hark_vm_traceback(lua_State *L)
{
    lua_checkstack(L, 20); // luaL_traceback of 5.4.4 may need more than a function's own slots
    size_t len = 0;
    const char *text = luaL_tolstring(L, 1, &len);
    if (len >= sizeof(TRACEBACK_MARK) - 1 && strstr(text, TRACEBACK_MARK) != NULL) {
        return 1;
    }
    luaL_traceback(L, L, text, 1);
    return 1;
}

int hark_vm_reset_thread(lua_State *L, lua_State *co)
{
#if LUA_VERSION_RELEASE_NUM >= 50406
    return lua_closethread(co, L);
#else
    (void)L;
    return lua_resetthread(co);
#endif
}
