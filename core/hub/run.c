// SPDX-License-Identifier: MIT
//
// Runs of messages. Used by a broker under its lock (reserve, push) and by the hub in its worker
// (splice, shift); never by two threads at once.
#include "hub/run.h"

#include <string.h>

#include "hark.h"

#include "base/mem.h"

#define RUN_FIRST_CAP 4

static bool may_follow(const struct hark_run *run, const struct hark_msg *msg);
static int add_run(struct hark_runs *runs, uint32_t cap);
static bool may_join(const struct hark_run *run, const struct hark_run *next);
static struct hark_run *make_room(struct hark_run *run, uint32_t extra);
static void absorb(struct hark_run *run, struct hark_run *next);
static struct hark_run *unlink_head(struct hark_runs *runs);
static size_t run_size(uint32_t cap);

int hark_runs_reserve(struct hark_runs *runs, const struct hark_msg *msg)
{
    // A full small run is followed by a larger one; hark_runs_shift joins them to one pass again.
    const struct hark_run *tail = runs->tail;
    if (tail == NULL || !may_follow(tail, msg)) {
        return add_run(runs, RUN_FIRST_CAP);
    }
    return tail->count < tail->cap ? 0 : add_run(runs, tail->cap * 4);
}

void hark_runs_push(struct hark_runs *runs, struct hark_msg *msg)
{
    struct hark_run *run = runs->tail;
    size_t size = hark_msg_size(msg);
    run->msgs[run->count++] = hark_msg_ref(msg);
    run->bytes += size;
    run->has_except = run->has_except || msg->except != 0;
    if (hark_msg_is_logged(msg)) {
        run->epoch = msg->position.epoch;
        run->first = run->first == 0 ? msg->position.offset : run->first;
        run->last = msg->position.offset;
    }
    runs->count++;
    runs->bytes += size;
}

void hark_runs_splice(struct hark_runs *runs, struct hark_runs *from)
{
    if (from->head == NULL) {
        return;
    }
    if (runs->tail == NULL) {
        runs->head = from->head;
    } else {
        runs->tail->next = from->head;
    }
    runs->tail = from->tail;
    runs->count += from->count;
    runs->bytes += from->bytes;
    *from = (struct hark_runs){NULL, NULL, 0, 0};
}

struct hark_run *hark_runs_shift(struct hark_runs *runs)
{
    // A run that was reserved for a message that never came is empty.
    while (runs->head != NULL && runs->head->count == 0) {
        hark_run_free(unlink_head(runs));
    }
    struct hark_run *run = unlink_head(runs);
    while (run != NULL && runs->head != NULL && may_join(run, runs->head)) {
        struct hark_run *roomy = make_room(run, runs->head->count);
        if (roomy == NULL) {
            break; // two passes then
        }
        run = roomy;
        struct hark_run *next = runs->head;
        (void)unlink_head(runs); // it is `next`
        absorb(run, next);
    }
    return run;
}

void hark_runs_clear(struct hark_runs *runs)
{
    while (runs->head != NULL) {
        hark_run_free(unlink_head(runs));
    }
}

void hark_run_free(struct hark_run *run)
{
    if (run == NULL) {
        return;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        hark_msg_unref(run->msgs[i]);
    }
    hark_mem_free(run);
}

static bool may_follow(const struct hark_run *run, const struct hark_msg *msg)
{
    if (run->count == 0) {
        return true;
    }
    if (run->count == HARK_RUN_COUNT || run->bytes + hark_msg_size(msg) > HARK_RUN_BYTES) {
        return false;
    }
    if (run->first == 0 || !hark_msg_is_logged(msg)) {
        return true;
    }
    return run->epoch == msg->position.epoch && run->last + 1 == msg->position.offset;
}

static int add_run(struct hark_runs *runs, uint32_t cap)
{
    struct hark_run *run = hark_mem_alloc(run_size(cap));
    if (run == NULL) {
        return HARK_ENOMEM;
    }
    memset(run, 0, sizeof(*run));
    run->cap = cap;
    if (runs->tail == NULL) {
        runs->head = run;
    } else {
        runs->tail->next = run;
    }
    runs->tail = run;
    return 0;
}

static bool may_join(const struct hark_run *run, const struct hark_run *next)
{
    if (run->count + next->count > HARK_RUN_COUNT || run->bytes + next->bytes > HARK_RUN_BYTES) {
        return false;
    }
    return run->first == 0 || next->first == 0 ||
           (run->epoch == next->epoch && run->last + 1 == next->first);
}

// The run, which may have moved; NULL: no memory, and it is as it was.
static struct hark_run *make_room(struct hark_run *run, uint32_t extra)
{
    if (run->count + extra <= run->cap) {
        return run;
    }
    struct hark_run *grown = hark_mem_realloc(run, run_size(HARK_RUN_COUNT));
    if (grown != NULL) {
        grown->cap = HARK_RUN_COUNT;
    }
    return grown;
}

// There is room; `next` goes.
static void absorb(struct hark_run *run, struct hark_run *next)
{
    for (uint32_t i = 0; i < next->count; i++) {
        run->msgs[run->count++] = next->msgs[i];
    }
    run->bytes += next->bytes;
    run->has_except = run->has_except || next->has_except;
    if (next->first != 0) {
        run->epoch = next->epoch;
        run->first = run->first == 0 ? next->first : run->first;
        run->last = next->last;
    }
    next->count = 0; // its references moved
    hark_run_free(next);
}

static struct hark_run *unlink_head(struct hark_runs *runs)
{
    struct hark_run *run = runs->head;
    if (run == NULL) {
        return NULL;
    }
    runs->head = run->next;
    if (runs->head == NULL) {
        runs->tail = NULL;
    }
    run->next = NULL;
    runs->count -= run->count;
    runs->bytes -= run->bytes;
    return run;
}

static size_t run_size(uint32_t cap)
{
    return sizeof(struct hark_run) + cap * sizeof(struct hark_msg *);
}
