// SPDX-License-Identifier: MIT
//
// Composition root behind hark.h: settings, the memory broker, N workers, their listeners. No
// traffic passes here; after start everything happens in the workers' threads.
#include "hark.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/memory.h"
#include "gateway/worker.h"
#include "io/listener.h"
#include "script/settings.h"

#define SETTLE_ROUNDS    3
#define ADDRESSES_MAX    16
#define ADDRESS_TEXT_MAX 128

struct hark_gateway {
    char *directory;
    char *lua_dir;
    bool degraded;
    struct hark_settings settings;
    struct hark_broker *broker;
    struct hark_server **servers;
    struct hark_worker **workers;
    unsigned started; // workers whose threads run
    _Atomic unsigned finished;
    bool is_joined; // their threads have ended
    unsigned address_count;
    char addresses[ADDRESSES_MAX][ADDRESS_TEXT_MAX];
    char admin[ADDRESS_TEXT_MAX];
};

static int
read_settings(struct hark_gateway *gateway, const struct hark_options *options, char **ret_why);
static int make_workers(struct hark_gateway *gateway);
static int start_workers(struct hark_gateway *gateway);
static int load_scripts(struct hark_gateway *gateway, char **ret_why);
static int open_listeners(struct hark_gateway *gateway, char **ret_why);
static int open_everywhere(struct hark_gateway *gateway, struct hark_slice address, char **ret_why);
static int open_admin(struct hark_gateway *gateway, char **ret_why);
static void stop_workers(struct hark_gateway *gateway);
static void explain(char **ret_why, const char *what, const char *detail);
static void
explain_address(char **ret_why, const char *what, const char *address, int status, int why_errno);
static void address_text(char *out, struct hark_slice address, int port);

int hark_gateway_new(const struct hark_options *options, struct hark_gateway **ret, char **ret_why)
{
    struct hark_gateway *gateway = hark_mem_zalloc(sizeof(*gateway));
    if (ret_why != NULL) {
        *ret_why = NULL;
    }
    if (gateway == NULL) {
        return HARK_ENOMEM;
    }
    const char *lua_dir = options->lua_path;
    gateway->directory = hark_mem_dup(options->directory, strlen(options->directory));
    gateway->lua_dir = hark_mem_dup(lua_dir, strlen(lua_dir));
    gateway->degraded = options->degraded != 0;
    int status = HARK_ENOMEM;
    if (gateway->directory != NULL && gateway->lua_dir != NULL) {
        status = read_settings(gateway, options, ret_why);
    }
    if (status == 0) {
        hark_log_set_level(gateway->settings.log_level);
        status = make_workers(gateway);
    }
    if (status != 0) {
        explain(ret_why, "start", hark_strerror(status));
        hark_gateway_free(gateway);
        return status;
    }
    *ret = gateway;
    return 0;
}

static int
read_settings(struct hark_gateway *gateway, const struct hark_options *options, char **ret_why)
{
    const struct hark_settings_flags flags = {options->listen, options->admin, options->workers};
    char *why = NULL;
    int status =
        hark_settings_load(gateway->directory, gateway->lua_dir, &flags, &gateway->settings, &why);
    if (status != 0) {
        explain(ret_why, "settings", why != NULL ? why : hark_strerror(status));
    }
    hark_mem_free(why);
    return status;
}

static int make_workers(struct hark_gateway *gateway)
{
    unsigned count = gateway->settings.workers;
    gateway->servers = hark_mem_array(count, sizeof(struct hark_server *));
    gateway->workers = hark_mem_array(count, sizeof(struct hark_worker *));
    if (gateway->servers == NULL || gateway->workers == NULL) {
        return HARK_ENOMEM;
    }
    int status = hark_memory_new(count, &gateway->broker);
    for (unsigned i = 0; status == 0 && i < count; i++) {
        const struct hark_worker_options options = {
            .settings = &gateway->settings,
            .directory = gateway->directory,
            .lua_dir = gateway->lua_dir,
            .broker = gateway->broker,
            .servers = gateway->servers,
            .finished = &gateway->finished,
            .worker = i,
            .worker_count = count,
        };
        status = hark_worker_new(&options, &gateway->workers[i]);
    }
    return status;
}

int hark_gateway_start(struct hark_gateway *gateway, char **ret_why)
{
    if (ret_why != NULL) {
        *ret_why = NULL;
    }
    unsigned long descriptors = hark_listener_raise_limit();
    int status = start_workers(gateway);
    if (status == 0) {
        status = load_scripts(gateway, ret_why);
    }
    if (status == 0) {
        status = open_listeners(gateway, ret_why);
    }
    if (status != 0) {
        stop_workers(gateway);
        return status;
    }
    HARK_LOG(HARK_LOG_INFO, "start", HARK_F_TEXT("version", hark_version()),
             HARK_F_UINT("workers", gateway->settings.workers),
             HARK_F_UINT("descriptors", descriptors));
    return 0;
}

static int start_workers(struct hark_gateway *gateway)
{
    for (unsigned i = 0; i < gateway->settings.workers; i++) {
        int status = hark_worker_start(gateway->workers[i]);
        if (status != 0) {
            return status;
        }
        gateway->started++;
    }
    return 0;
}

static int load_scripts(struct hark_gateway *gateway, char **ret_why)
{
    char *why = NULL;
    int status = hark_worker_load(gateway->workers[0], &why);
    if (status == HARK_ESCRIPT && gateway->degraded) {
        status = 0;
    } else if (status != 0) {
        explain(ret_why, "scripts", why != NULL ? why : hark_strerror(status));
    }
    hark_mem_free(why);
    return status;
}

static int open_listeners(struct hark_gateway *gateway, char **ret_why)
{
    struct hark_slice rest = hark_slice_text(gateway->settings.listen);
    while (rest.ptr != NULL) {
        int status =
            open_everywhere(gateway, hark_slice_trim(hark_slice_next(&rest, ',')), ret_why);
        if (status != 0) {
            return status;
        }
    }
    return open_admin(gateway, ret_why);
}

// The first worker finds the port when 0 was asked for; the others take the same one.
static int open_everywhere(struct hark_gateway *gateway, struct hark_slice address, char **ret_why)
{
    if (gateway->address_count == ADDRESSES_MAX || address.len >= ADDRESS_TEXT_MAX - 16) {
        explain(ret_why, "listen", "too many addresses, or one too long");
        return HARK_EINVAL;
    }
    char text[ADDRESS_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%.*s", (int)address.len, address.ptr);
    int taken = 0;
    int status = hark_listener_probe(hark_slice_text(text), &taken);
    if (status != 0) {
        explain_address(ret_why, "listen", text, status, taken);
        return status;
    }
    bool is_unix = hark_slice_starts(address, HARK_LIT("unix:"));
    unsigned count = is_unix ? 1 : gateway->settings.workers;
    int port = 0;
    for (unsigned i = 0; i < count; i++) {
        int why_errno = 0;
        status = hark_worker_listen(gateway->workers[i], text, false, &port, &why_errno);
        if (status != 0) {
            explain_address(ret_why, "listen", text, status, why_errno);
            return status;
        }
        if (i == 0 && !is_unix) {
            const char *colon = strrchr(text, ':');
            (void)snprintf(text, sizeof(text), "%.*s:%d", (int)(colon - text), address.ptr, port);
        }
    }
    address_text(gateway->addresses[gateway->address_count], hark_slice_text(text), port);
    gateway->address_count++;
    return 0;
}

static int open_admin(struct hark_gateway *gateway, char **ret_why)
{
    const char *address = gateway->settings.admin;
    if (strcmp(address, "off") == 0) {
        return 0;
    }
    int port = 0;
    int why_errno = 0;
    int status = hark_listener_probe(hark_slice_text(address), &why_errno);
    if (status == 0) {
        status = hark_worker_listen(gateway->workers[0], address, true, &port, &why_errno);
    }
    if (status != 0) {
        explain_address(ret_why, "admin", address, status, why_errno);
        return status;
    }
    address_text(gateway->admin, hark_slice_text(address), port);
    return 0;
}

static void
explain_address(char **ret_why, const char *what, const char *address, int status, int why_errno)
{
    char detail[256];
    (void)snprintf(detail, sizeof(detail), "%s: %s", address,
                   why_errno != 0 ? strerrordesc_np(why_errno) : hark_strerror(status));
    explain(ret_why, what, detail);
}

// "http://HOST:PORT" with the real port; a Unix socket as it was written.
static void address_text(char *out, struct hark_slice address, int port)
{
    if (hark_slice_starts(address, HARK_LIT("unix:"))) {
        (void)snprintf(out, ADDRESS_TEXT_MAX, "%.*s", (int)address.len, address.ptr);
        return;
    }
    size_t host = address.len;
    while (host > 0 && address.ptr[host - 1] != ':') {
        host--;
    }
    int host_len = host > 0 ? (int)host - 1 : 0;
    (void)snprintf(out, ADDRESS_TEXT_MAX, "http://%.*s:%d", host_len > 0 ? host_len : 7,
                   host_len > 0 ? address.ptr : "0.0.0.0", port);
}

const char *hark_gateway_address(const struct hark_gateway *gateway, unsigned index)
{
    return index < gateway->address_count ? gateway->addresses[index] : NULL;
}

const char *hark_gateway_admin(const struct hark_gateway *gateway)
{
    return gateway->admin[0] != '\0' ? gateway->admin : NULL;
}

const char *hark_gateway_admin_key(const struct hark_gateway *gateway)
{
    return gateway->settings.admin_key;
}

void hark_gateway_reload(struct hark_gateway *gateway)
{
    hark_worker_reload(gateway->workers[0]);
}

void hark_gateway_drain(struct hark_gateway *gateway, uint64_t deadline_ms)
{
    uint64_t wait_ms = deadline_ms != 0 ? deadline_ms : gateway->settings.drain_ms;
    for (unsigned i = 0; i < gateway->started; i++) {
        hark_worker_drain(gateway->workers[i], wait_ms);
    }
}

void hark_gateway_join(struct hark_gateway *gateway)
{
    for (unsigned i = 0; i < gateway->started; i++) { // other threads may still give orders to all
        if (!gateway->is_joined) {
            hark_worker_join(gateway->workers[i]);
        }
    }
    gateway->is_joined = true;
}

static void stop_workers(struct hark_gateway *gateway)
{
    for (unsigned i = 0; i < gateway->started && !gateway->is_joined; i++) {
        hark_worker_stop(gateway->workers[i]);
    }
    hark_gateway_join(gateway);
}

void hark_gateway_free(struct hark_gateway *gateway)
{
    if (gateway == NULL) {
        return;
    }
    stop_workers(gateway);
    unsigned count = gateway->workers != NULL ? gateway->settings.workers : 0;
    for (unsigned i = 0; i < SETTLE_ROUNDS * count; i++) { // questions between workers go home
        hark_worker_settle(gateway->workers[i % count]);
    }
    for (unsigned i = 0; i < count; i++) {
        hark_worker_free(gateway->workers[i]);
    }
    hark_mem_free(gateway->workers);
    hark_mem_free(gateway->servers);
    hark_memory_free(gateway->broker);
    hark_settings_deinit(&gateway->settings);
    hark_mem_free(gateway->directory);
    hark_mem_free(gateway->lua_dir);
    hark_mem_free(gateway);
}

// The text is for free(): what hark.h promises to programs outside.
static void explain(char **ret_why, const char *what, const char *detail)
{
    if (ret_why == NULL || *ret_why != NULL) { // the first reason stands
        return;
    }
    struct hark_buf text;
    hark_buf_init(&text, 1024UL * 1024);
    if (hark_buf_printf(&text, "%s: %s", what, detail) == 0) {
        struct hark_slice made = hark_buf_slice(&text);
        *ret_why = hark_mem_dup(made.ptr, made.len);
    }
    hark_buf_deinit(&text);
}
