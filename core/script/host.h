// SPDX-License-Identifier: MIT
//
// One worker's script side as the gateway sees it: a Lua state with the engine in it, the hook for
// requests, the handlers of sessions. Made and freed by any thread while the worker does not run;
// all else in the worker's thread.
#ifndef HARK_SCRIPT_HOST_H
#define HARK_SCRIPT_HOST_H

#include "base/attr.h"
#include "base/slice.h"
#include "hub/hub.h"
#include "script/settings.h"

struct hark_script;
struct hark_server;
struct hark_static;

struct hark_script_options {
    struct hark_server *server;           // gets its request hook and its sessions' handlers here
    struct hark_server *admin;            // requests for engine.admin; NULL: none
    struct hark_static *files;            // public/; NULL: none
    const char *lua_dir;                  // holds hark/*.lua; borrowed
    const struct hark_settings *settings; // borrowed
};

// Workers are made one after the other, the first with index 0: they share its dictionaries.
// ENOMEM, or ESCRIPT (the engine's own Lua cannot be loaded), logged.
HARK_MUSTCHECK int hark_script_new(const struct hark_script_options *options,
                                   struct hark_script **ret);
// No task runs any more; sessions that are left lose their handlers. Accepts NULL.
void hark_script_free(struct hark_script *script);

// First and last of all in the worker's thread: engine.configure(settings); the CPU clock's timer.
HARK_MUSTCHECK int hark_script_enter(struct hark_script *script);
void hark_script_leave(struct hark_script *script);

// The first look at the scripts (worker 0): engine.start(directory). fn is called once: 0; ESCRIPT
// and every problem, one a line; or what else went wrong.
typedef void hark_script_loaded_fn(void *ctx, int status, const char *why);
void hark_script_load(struct hark_script *script,
                      const char *directory,
                      hark_script_loaded_fn *fn,
                      void *ctx);
// Look again: engine.reload().
void hark_script_reload(struct hark_script *script);

// Publishes with the options that the scripts declared for the channel. ENOENT: not declared, and
// the text in why (of HARK_SCRIPT_WHY_MAX bytes) says so; else as hark_hub_publish.
#define HARK_SCRIPT_WHY_MAX 512
HARK_MUSTCHECK int hark_script_publish(struct hark_script *script,
                                       const struct hark_msg_draft *draft,
                                       hark_hub_published_fn *fn,
                                       void *ctx,
                                       char *why);

// The host stops: services end, every session gets its drain handler and goes.
void hark_script_drain(struct hark_script *script);
// At once: no handler and no request starts any more.
void hark_script_stop(struct hark_script *script);

#endif
