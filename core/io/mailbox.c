// SPDX-License-Identifier: MIT
//
// Mail between threads: producers push onto a stack with one compare-and-swap, the owner takes the
// whole stack at once and turns it round. So a producer never waits for another one, the order of
// pushes is the order of arrival, and who finds the stack empty is the one that has to wake.
#include "io/mailbox.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "hark.h"
#include "io/loop_inner.h"

struct hark_mailbox {
    _Atomic(struct hark_mail *) posted; // last first
    struct hark_mail *taken;            // owner's: in order
    struct hark_loop *loop;
    void *worker;
};

static struct hark_mail *take_posted(struct hark_mailbox *mailbox);

int hark_mailbox_new(struct hark_loop *loop, void *worker, struct hark_mailbox **ret)
{
    struct hark_mailbox *mailbox = hark_mem_zalloc(sizeof(*mailbox));
    if (mailbox == NULL) {
        return HARK_ENOMEM;
    }
    atomic_init(&mailbox->posted, NULL);
    mailbox->loop = loop;
    mailbox->worker = worker;
    *ret = mailbox;
    return 0;
}

void hark_mailbox_free(struct hark_mailbox *mailbox)
{
    if (mailbox == NULL) {
        return;
    }
    while (hark_mailbox_drain(mailbox, SIZE_MAX)) {
    }
    hark_mem_free(mailbox);
}

void hark_mailbox_post(struct hark_mailbox *mailbox, struct hark_mail *mail)
{
    struct hark_mail *before = atomic_load_explicit(&mailbox->posted, memory_order_relaxed);
    do {
        mail->next = before;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->posted, &before, mail,
                                                    memory_order_release, memory_order_relaxed));
    // The mail belongs to the owner now and may be gone already.
    if (hark_loop_is_own(mailbox->loop)) {
        hark_loop_again(mailbox->loop);
    } else if (before == NULL) {
        hark_loop_wake(mailbox->loop);
    }
}

bool hark_mailbox_drain(struct hark_mailbox *mailbox, size_t max)
{
    size_t count = 0;
    while (count < max) {
        if (mailbox->taken == NULL) {
            mailbox->taken = take_posted(mailbox);
        }
        struct hark_mail *mail = mailbox->taken;
        if (mail == NULL) {
            return false;
        }
        mailbox->taken = mail->next;
        mail->fn(mail, mailbox->worker);
        count++;
    }
    return mailbox->taken != NULL ||
           atomic_load_explicit(&mailbox->posted, memory_order_relaxed) != NULL;
}

static struct hark_mail *take_posted(struct hark_mailbox *mailbox)
{
    if (atomic_load_explicit(&mailbox->posted, memory_order_relaxed) == NULL) {
        return NULL;
    }
    struct hark_mail *mail = atomic_exchange_explicit(&mailbox->posted, NULL, memory_order_acquire);
    struct hark_mail *in_order = NULL;
    while (mail != NULL) {
        struct hark_mail *next = mail->next;
        mail->next = in_order;
        in_order = mail;
        mail = next;
    }
    return in_order;
}
