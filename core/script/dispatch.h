// SPDX-License-Identifier: MIT
//
// Which handler of a connection runs when: implements session/handlers.h. One at a time, in order;
// what comes in between waits (script/queue), and the session is told to hold messages. Nothing
// starts from inside Lua: that runs from the defer queue.
#ifndef HARK_SCRIPT_DISPATCH_H
#define HARK_SCRIPT_DISPATCH_H

#include <stdbool.h>

#include "base/slice.h"

struct hark_conn;
struct hark_handlers;
struct hark_script;

// For session_env.handlers; the context is the struct hark_script.
extern const struct hark_handlers hark_dispatch_handlers;

// Ties the ends of runs and the ready list to the script; once.
void hark_dispatch_open(struct hark_script *script);

// conn:request waits for the client's next message: messages come although a handler waits.
void hark_dispatch_expect(struct hark_conn *conn, bool expect);

// The worker stops: no handler starts any more, messages being handled are answered with "later".
void hark_dispatch_stop(struct hark_script *script);
// Frees the records of all connections; their sessions are dropped by the session layer.
void hark_dispatch_free_all(struct hark_script *script);

#endif
