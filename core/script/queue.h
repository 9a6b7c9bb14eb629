// SPDX-License-Identifier: MIT
//
// What has happened to a connection while a handler of it runs or waits: a short list in order,
// which is there only as long as it is not empty. Bounded; messages beyond the first make the
// session hold.
#ifndef HARK_SCRIPT_QUEUE_H
#define HARK_SCRIPT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "script/run.h"

#define HARK_QUEUE_MAX 256

struct hark_conn;

struct hark_queued {
    struct hark_queued *next;
    struct hark_run_input input; // data lies in `text`
    char text[];
};

// Copies the input behind the others. ENOMEM; EFULL (a close always goes in).
HARK_MUSTCHECK int hark_queue_push(struct hark_conn *conn, const struct hark_run_input *input);
// The first, owned by the caller (hark_mem_free); NULL: none.
struct hark_queued *hark_queue_pop(struct hark_conn *conn);
bool hark_queue_has_message(const struct hark_conn *conn);

#endif
