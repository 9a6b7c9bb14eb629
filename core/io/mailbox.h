// SPDX-License-Identifier: MIT
//
// Mail between threads: an intrusive multi-producer queue per worker. Mail of one producer arrives
// in its order; mail posted under one lock arrives in lock order. The owner drains it once a tick;
// a post from another thread wakes the owner's loop (once per batch), one from its own does not.
#ifndef HARK_IO_MAILBOX_H
#define HARK_IO_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "io/loop.h"

struct hark_mail;
// Runs in the owner's thread and owns the mail from then on (usually frees it).
typedef void hark_mail_fn(struct hark_mail *mail, void *worker);

struct hark_mail {
    struct hark_mail *next; // private
    hark_mail_fn *fn;
};

struct hark_mailbox;

// `worker` is handed to each hark_mail_fn. The mailbox belongs to the loop's thread.
HARK_MUSTCHECK int
hark_mailbox_new(struct hark_loop *loop, void *worker, struct hark_mailbox **ret);
void hark_mailbox_free(struct hark_mailbox *mailbox); // undelivered mail is run first; accepts NULL

void hark_mailbox_post(struct hark_mailbox *mailbox, struct hark_mail *mail); // any thread

// Runs mail that is there now, at most `max`; true if some is left.
bool hark_mailbox_drain(struct hark_mailbox *mailbox, size_t max);

#endif
