// SPDX-License-Identifier: MIT
//
// One run of one handler of a connection, as a task: pushes what the handler gets, runs it (after
// `upgrade` when the code expects other data, and after the codec's decode), and says what came of
// it. Which run comes when is script/dispatch's.
#ifndef HARK_SCRIPT_RUN_H
#define HARK_SCRIPT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "hub/msg.h"
#include "script/slot.h"
#include "session/handlers.h"

struct hark_conn;
struct hark_reply;

// What happened to the connection. The kinds are the handlers' places in the slot.
struct hark_run_input {
    enum hark_slot_fn kind;    // OPEN MESSAGE CLOSE ATTACH DETACH GAP DRAIN TIMERS
    bool flag;                 // message: binary; detach: clean
    uint16_t code;             // close
    struct hark_reply *reply;  // message by POST
    struct hark_position from; // gap
    struct hark_position to;   // gap
    struct hark_slice data;    // message; name of the timer, the channel; why
};

struct hark_run_result {
    int status;                // 0, ESCRIPT, ENOMEM, ECANCELED
    enum hark_outcome outcome; // message
    struct hark_slice text; // refused, invalid: why; failed: the reference. Borrowed until return
    bool refused;           // nil or false, and why
    bool told;              // the first result was true
    uint64_t seconds;       // the first result was a number
    bool has_seconds;
};

struct hark_run {
    struct hark_conn *conn;
    struct hark_slot *slot;
    uint64_t generation; // of the code it runs
    void *owned;         // what input.data lies in; freed with the run. NULL: it is the caller's
    struct hark_run_input input;
    struct hark_run_result result;
};

// Starts the run; its slot must have the handler. input->data is borrowed until return unless it
// lies in `owned`, which is taken over. When the run ends, maybe inside, script->run_ended is
// called. ENOMEM: it did not start, `owned` is still the caller's.
HARK_MUSTCHECK int
hark_run_start(struct hark_conn *conn, const struct hark_run_input *input, void *owned);

// The connection whose handler the task runs; NULL: it is no handler.
struct hark_task;
struct hark_conn *hark_run_conn(struct hark_task *task);

#endif
