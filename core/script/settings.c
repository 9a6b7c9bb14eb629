// SPDX-License-Identifier: MIT
//
// Reads DIR/hark.conf.lua, lets engine/config.lua judge it together with the environment and the
// command line, and copies what C needs out of the table.
#include "script/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/digest.h"
#include "base/mem.h"
#include "hark.h"
#include "script/scratch.h"
#include "script/value.h"
#include "script/vm.h"

#define CONF_MAX      (256UL * 1024)
#define WHY_MAX       (64UL * 1024)
#define PACKED_MAX    (1024UL * 1024)
#define PATH_TEXT_MAX 4096
#define WORKERS_MAX   64
#define KEY_BYTES     18

struct reading {
    const struct hark_settings_flags *flags;
    struct hark_buf conf;
    bool has_conf;
    struct hark_settings *settings;
    struct hark_buf *refused; // the text of every problem
};

static int read_conf(const char *directory, struct reading *reading, struct hark_buf *why);
static int read_all(int fd, struct hark_buf *buf);
static int call_engine(lua_State *L);
static void push_flags(lua_State *L, const struct hark_settings_flags *flags);
static void take_settings(lua_State *L, struct hark_settings *settings);
static void take_limits(lua_State *L, struct hark_settings *settings);
static void take_key(lua_State *L);
static char *text_field(lua_State *L, const char *name);
static uint64_t number_field(lua_State *L, const char *name);

int hark_settings_load(const char *directory,
                       const char *lua_dir,
                       const struct hark_settings_flags *flags,
                       struct hark_settings *ret,
                       char **ret_why)
{
    struct hark_buf why;
    struct reading reading = {.flags = flags, .settings = ret, .refused = &why};
    struct hark_vm *vm = NULL;
    hark_buf_init(&why, WHY_MAX);
    hark_buf_init(&reading.conf, CONF_MAX);
    *ret = (struct hark_settings){0};
    int status = read_conf(directory, &reading, &why);
    if (status == 0) {
        status = hark_scratch_new(lua_dir, NULL, &vm, &why);
    }
    if (status == 0) {
        status = hark_vm_call(vm, call_engine, &reading, 0, NULL, &why);
        bool is_refused = status == HARK_ESCRIPT || (status == 0 && ret->packed == NULL);
        status = is_refused ? HARK_EINVAL : status;
    }
    hark_vm_free(vm);
    hark_buf_deinit(&reading.conf);
    if (status != 0) {
        struct hark_slice text = hark_buf_slice(&why);
        *ret_why = text.len > 0 ? hark_mem_dup(text.ptr, text.len) : NULL;
        hark_settings_deinit(ret);
    }
    hark_buf_deinit(&why);
    return status;
}

static int read_conf(const char *directory, struct reading *reading, struct hark_buf *why)
{
    char path[PATH_TEXT_MAX];
    struct stat about;
    if (stat(directory, &about) != 0 || !S_ISDIR(about.st_mode)) {
        int status = hark_buf_printf(
            why, "%s: %s; hark run wants a directory of scripts", directory,
            errno == 0 || errno == ENOTDIR ? "not a directory" : strerrordesc_np(errno));
        return status != 0 ? status : HARK_ENOENT;
    }
    if (snprintf(path, sizeof(path), "%s/hark.conf.lua", directory) >= (int)sizeof(path)) {
        return HARK_ETOOBIG;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : HARK_EIO;
    }
    int status = read_all(fd, &reading->conf);
    (void)close(fd);
    reading->has_conf = status == 0;
    return status;
}

static int read_all(int fd, struct hark_buf *buf)
{
    for (;;) {
        char *at = NULL;
        int status = hark_buf_reserve(buf, 4096, &at);
        if (status != 0) {
            return status;
        }
        ssize_t got = read(fd, at, 4096);
        if (got < 0 && errno != EINTR) {
            return HARK_EIO;
        }
        if (got == 0) {
            return 0;
        }
        hark_buf_commit(buf, got > 0 ? (size_t)got : 0);
    }
}

static int call_engine(lua_State *L)
{
    struct reading *reading = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "hark.engine");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "settings");
    if (reading->has_conf) {
        struct hark_slice text = hark_buf_slice(&reading->conf);
        lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    } else {
        lua_pushnil(L);
    }
    push_flags(L, reading->flags);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) { // not raised: a traceback behind it would help nobody
        hark_vm_error_text(hark_vm_of(L), L, LUA_ERRRUN, reading->refused);
        return 0;
    }
    lua_pop(L, 1);
    take_settings(L, reading->settings);
    return 0;
}

static void push_flags(lua_State *L, const struct hark_settings_flags *flags)
{
    lua_newtable(L);
    if (flags->listen != NULL) {
        lua_pushstring(L, flags->listen);
        lua_setfield(L, -2, "listen");
    }
    if (flags->admin != NULL) {
        lua_pushstring(L, flags->admin);
        lua_setfield(L, -2, "admin");
    }
    if (flags->workers != 0) {
        lua_pushinteger(L, flags->workers);
        lua_setfield(L, -2, "workers");
    }
}

// The table is on top.
static void take_settings(lua_State *L, struct hark_settings *settings)
{
    take_key(L);
    settings->listen = text_field(L, "listen");
    settings->admin = text_field(L, "admin");
    settings->admin_key = text_field(L, "admin_key");
    settings->workers = (unsigned)number_field(L, "workers");
    if (settings->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        settings->workers = cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (unsigned)cores;
    }
    lua_getfield(L, -1, "log_level");
    settings->log_level = HARK_LOG_INFO;
    if (!hark_log_parse_level(hark_slice_text(lua_tostring(L, -1)), &settings->log_level)) {
        settings->log_level = HARK_LOG_INFO;
    }
    lua_getfield(L, -2, "access_log");
    settings->access_log = lua_toboolean(L, -1);
    lua_getfield(L, -3, "public");
    settings->serve_public = lua_toboolean(L, -1);
    lua_pop(L, 3);
    settings->drain_ms = number_field(L, "drain");
    take_limits(L, settings);

    struct hark_buf packed;
    struct hark_value_error unfit;
    hark_buf_init(&packed, PACKED_MAX);
    int status = hark_value_pack(L, -1, &packed, &unfit);
    settings->packed = status == 0 ? hark_bytes_copy(hark_buf_slice(&packed)) : NULL;
    hark_buf_deinit(&packed);
    if (settings->packed == NULL) {
        luaL_error(L, "settings: %s", status == HARK_EINVAL ? unfit.text : "out of memory");
    }
}

static void take_limits(lua_State *L, struct hark_settings *settings)
{
    lua_getfield(L, -1, "limits");
    settings->http = (struct hark_http_limits){
        .head_bytes = (size_t)number_field(L, "head"),
        .body_bytes = (size_t)number_field(L, "body"),
        .head_timeout_ms = number_field(L, "head_timeout"),
        .body_timeout_ms = number_field(L, "body_timeout"),
        .idle_timeout_ms = number_field(L, "idle_timeout"),
        .pipeline_bytes = (size_t)number_field(L, "pipeline"),
    };
    settings->run_cpu_ms = number_field(L, "run_cpu");
    settings->load_cpu_ms = number_field(L, "load_cpu");
    settings->run_total_ms = number_field(L, "run_total");
    settings->wait_ms = number_field(L, "wait");
    settings->vm_memory = (size_t)number_field(L, "vm_memory");
    lua_pop(L, 1);
}

// A key of our own making unless one is set: printed at the start.
static void take_key(lua_State *L)
{
    lua_getfield(L, -1, "admin_key");
    bool given = lua_isstring(L, -1);
    lua_pop(L, 1);
    if (given) {
        return;
    }
    unsigned char random[KEY_BYTES];
    struct hark_buf text;
    hark_buf_init(&text, 64);
    if (hark_digest_random(random, sizeof(random)) != 0 ||
        hark_codec_base64url(&text, hark_slice(random, sizeof(random))) != 0) {
        hark_buf_deinit(&text);
        luaL_error(L, "settings: no random bytes for the admin key");
    }
    char key[64] = "";
    struct hark_slice made = hark_buf_slice(&text);
    memcpy(key, made.ptr, made.len);
    hark_buf_deinit(&text);
    lua_pushstring(L, key);
    lua_setfield(L, -2, "admin_key");
}

static char *text_field(lua_State *L, const char *name)
{
    size_t len = 0;
    lua_getfield(L, -1, name);
    const char *text = lua_tolstring(L, -1, &len);
    char *copy = text == NULL ? NULL : hark_mem_dup(text, len);
    lua_pop(L, 1);
    if (copy == NULL) {
        luaL_error(L, "settings: %s: out of memory", name);
    }
    return copy;
}

static uint64_t number_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value < 0 ? 0 : (uint64_t)value;
}

void hark_settings_deinit(struct hark_settings *settings)
{
    hark_mem_free(settings->listen);
    hark_mem_free(settings->admin);
    hark_mem_free(settings->admin_key);
    hark_bytes_unref(settings->packed);
    *settings = (struct hark_settings){0};
}
