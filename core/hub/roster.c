// SPDX-License-Identifier: MIT
//
// The roster's moves. A hole left by one subscription is filled by the last of its stretch, which
// moves the hole to the border of the next stretch.
#include "hub/roster.h"

#include "hark.h"

#include "base/mem.h"

#define FIRST_CAP 4

static void put(struct hark_roster *roster, uint32_t at, struct hark_sub *sub);
static void fill(struct hark_roster *roster, uint32_t hole, uint32_t from);
static uint32_t open_hole(struct hark_roster *roster, uint32_t at);
static int grow(struct hark_roster *roster);
static void shrink(struct hark_roster *roster);

void hark_roster_deinit(struct hark_roster *roster)
{
    hark_mem_free(roster->subs);
    *roster = (struct hark_roster){NULL, 0, 0, 0, 0};
}

int hark_roster_add(struct hark_roster *roster, struct hark_sub *sub)
{
    if (roster->count == roster->cap) {
        int status = grow(roster);
        if (status != 0) {
            return status;
        }
    }
    put(roster, roster->count++, sub);
    return 0;
}

void hark_roster_remove(struct hark_roster *roster, struct hark_sub *sub)
{
    uint32_t hole = open_hole(roster, sub->index);
    roster->count--;
    fill(roster, hole, roster->count);
    shrink(roster);
}

void hark_roster_wake(struct hark_roster *roster, struct hark_sub *sub)
{
    struct hark_sub *first = roster->subs[roster->live];
    put(roster, sub->index, first);
    put(roster, roster->live++, sub);
}

void hark_roster_park(struct hark_roster *roster, struct hark_sub *sub)
{
    put(roster, open_hole(roster, sub->index), sub);
}

static void put(struct hark_roster *roster, uint32_t at, struct hark_sub *sub)
{
    roster->subs[at] = sub;
    sub->index = at;
}

// What lies at `from` moves into the hole, unless it is the hole.
static void fill(struct hark_roster *roster, uint32_t hole, uint32_t from)
{
    if (hole != from) {
        put(roster, hole, roster->subs[from]);
    }
}

// Moves the hole at `at` to the first place behind the live ones, and returns that place.
static uint32_t open_hole(struct hark_roster *roster, uint32_t at)
{
    if (at < roster->visited) {
        roster->visited--;
        fill(roster, at, roster->visited);
        at = roster->visited;
    }
    if (at < roster->live) {
        roster->live--;
        fill(roster, at, roster->live);
        at = roster->live;
    }
    return at;
}

static int grow(struct hark_roster *roster)
{
    if (roster->cap > UINT32_MAX / 2) {
        return HARK_EFULL;
    }
    uint32_t cap = roster->cap == 0 ? FIRST_CAP : roster->cap * 2;
    struct hark_sub **subs = hark_mem_realloc(roster->subs, cap * sizeof(struct hark_sub *));
    if (subs == NULL) {
        return HARK_ENOMEM;
    }
    roster->subs = subs;
    roster->cap = cap;
    return 0;
}

static void shrink(struct hark_roster *roster)
{
    if (roster->cap <= FIRST_CAP || roster->count >= roster->cap / 4) {
        return;
    }
    uint32_t cap = roster->cap / 2;
    struct hark_sub **subs = hark_mem_realloc(roster->subs, cap * sizeof(struct hark_sub *));
    if (subs != NULL) { // else it stays as large as it is
        roster->subs = subs;
        roster->cap = cap;
    }
}
