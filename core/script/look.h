// SPDX-License-Identifier: MIT
//
// The look at the scripts, off the workers: a thread of its own with a scratch state runs
// engine.look(directory, known) while the task that asked for it waits. One look at a time.
#ifndef HARK_SCRIPT_LOOK_H
#define HARK_SCRIPT_LOOK_H

#include <lua.h>

#include "base/attr.h"
#include "script/vm.h"

struct hark_look;
struct hark_mailbox;
struct hark_tasks;

struct hark_look_options {
    struct hark_tasks *tasks;
    struct hark_mailbox *mailbox;        // where the result comes in
    const char *lua_dir;                 // borrowed
    const struct hark_vm_limits *limits; // borrowed
};

HARK_MUSTCHECK int hark_look_new(const struct hark_look_options *options, struct hark_look **ret);
void hark_look_free(struct hark_look *look); // waits for a look under way; accepts NULL

// Body of core.look(directory, known, settled) -> seen, or nil and why. settled: the last look left
// nothing to be done; then false comes when the directory is as it was. Waits; to be returned.
int hark_look_run(lua_State *L, struct hark_look *look);

#endif
