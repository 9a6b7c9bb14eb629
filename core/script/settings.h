// SPDX-License-Identifier: MIT
//
// Settings of the host: read by lua/hark/engine/config.lua in a scratch state from
// DIR/hark.conf.lua, the environment and the command line, given here as a C struct and, packed, to
// every worker's Lua.
#ifndef HARK_SCRIPT_SETTINGS_H
#define HARK_SCRIPT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/log.h"
#include "transport/server.h"

struct hark_settings {
    char *listen; // addresses, separated by commas
    char *admin;  // one address, or "off"
    char *admin_key;
    unsigned workers;
    enum hark_log_level log_level;
    bool access_log;
    bool serve_public;
    uint64_t drain_ms;
    struct hark_http_limits http;
    uint64_t run_cpu_ms;
    uint64_t load_cpu_ms;
    uint64_t run_total_ms;
    uint64_t wait_ms;
    size_t vm_memory;
    struct hark_bytes *packed; // the Lua table, for engine.configure
};

// What the command line says; NULL or 0: nothing.
struct hark_settings_flags {
    const char *listen;
    const char *admin;
    unsigned workers;
};

// EINVAL with *ret_why (allocated text, hark_mem_free) naming key, value and what is allowed;
// ENOENT when the directory is missing; ENOMEM.
HARK_MUSTCHECK int hark_settings_load(const char *directory,
                                      const char *lua_dir,
                                      const struct hark_settings_flags *flags,
                                      struct hark_settings *ret,
                                      char **ret_why);
void hark_settings_deinit(struct hark_settings *settings);

#endif
