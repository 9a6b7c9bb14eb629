// SPDX-License-Identifier: MIT
//
// One worker: a thread with its loop, mailbox, hub, session table, Lua state and listeners. Made
// and started by gateway.c; the orders below reach it as mail, their results come back to the
// caller.
#ifndef HARK_GATEWAY_WORKER_H
#define HARK_GATEWAY_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "script/settings.h"

struct hark_broker;
struct hark_server;
struct hark_worker;

struct hark_worker_options {
    const struct hark_settings *settings; // borrowed for life
    const char *directory;                // script directory; borrowed
    const char *lua_dir;                  // borrowed
    struct hark_broker *broker;           // borrowed
    struct hark_server **servers;         // table of all workers' servers; this one enters itself
    _Atomic unsigned *finished;           // how many workers have ended; shared by all
    unsigned worker;
    unsigned worker_count;
};

HARK_MUSTCHECK int hark_worker_new(const struct hark_worker_options *options,
                                   struct hark_worker **ret);
HARK_MUSTCHECK int hark_worker_start(struct hark_worker *worker); // starts the thread
// Delivers what mail has come too late, while all workers are still whole. After join.
void hark_worker_settle(struct hark_worker *worker);
void hark_worker_join(struct hark_worker *worker); // waits for its end
void hark_worker_free(struct hark_worker *worker); // joined or never started; accepts NULL

// --- orders, from any thread ---

// First look at the scripts (worker 0). Blocks. ESCRIPT: *ret_why holds every problem.
HARK_MUSTCHECK int hark_worker_load(struct hark_worker *worker, char **ret_why);
// Opens a listener on the worker's loop. Blocks. *ret_port is the real port.
HARK_MUSTCHECK int hark_worker_listen(
    struct hark_worker *worker, const char *address, bool admin, int *ret_port, int *ret_errno);
void hark_worker_reload(struct hark_worker *worker);
void hark_worker_drain(struct hark_worker *worker, uint64_t deadline_ms); // ends its loop when done
void hark_worker_stop(struct hark_worker *worker);                        // ends its loop now

#endif
