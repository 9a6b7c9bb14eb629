// SPDX-License-Identifier: MIT
//
// A question to every worker: core.ask(name, value, seconds) runs engine.answer[name](value) in a
// task on each worker (the own one included) and gives the list of results. Plain values only.
#ifndef HARK_SCRIPT_ASK_H
#define HARK_SCRIPT_ASK_H

#include <lua.h>

#include "base/attr.h"

struct hark_asker;
struct hark_mailbox;
struct hark_tasks;

struct hark_asker_options {
    struct hark_tasks *tasks;
    struct hark_mailbox *mailbox;
    struct hark_asker **askers; // every worker's, by index; this one enters itself
    unsigned worker;
    unsigned worker_count;
};

HARK_MUSTCHECK int hark_asker_new(const struct hark_asker_options *options,
                                  struct hark_asker **ret);
// The worker stops: from now on questions are answered with "closed".
void hark_asker_close(struct hark_asker *asker);
void hark_asker_free(
    struct hark_asker *asker); // after its mailbox was drained for good; accepts NULL

// Body of core.ask -> { results } or nil and why ("worker 1: ..."). Waits; to be returned.
int hark_ask_run(lua_State *L, struct hark_asker *asker);

#endif
