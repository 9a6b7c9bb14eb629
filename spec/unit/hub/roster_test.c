// SPDX-License-Identifier: MIT
//
// The roster against a model: after any sequence of moves each subscription is in its stretch,
// once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/mem.h"
#include "hark.h"
#include "hub/roster.h"

#define SUBS 40

enum place { OUT, PARKED, UNVISITED, VISITED };

struct model {
    struct hark_roster roster;
    struct hark_sub subs[SUBS];
    enum place places[SUBS];
};

static void check(const struct model *model)
{
    const struct hark_roster *roster = &model->roster;
    uint32_t counts[4] = {0, 0, 0, 0};
    for (int i = 0; i < SUBS; i++) {
        const struct hark_sub *sub = &model->subs[i];
        counts[model->places[i]]++;
        if (model->places[i] == OUT) {
            continue;
        }
        assert_true(sub->index < roster->count);
        assert_ptr_equal(roster->subs[sub->index], sub);
        enum place place = sub->index < roster->visited ? VISITED
                           : sub->index < roster->live  ? UNVISITED
                                                        : PARKED;
        assert_int_equal(place, model->places[i]);
    }
    assert_int_equal(roster->count, SUBS - counts[OUT]);
    assert_int_equal(roster->live, counts[UNVISITED] + counts[VISITED]);
    assert_int_equal(roster->visited, counts[VISITED]);
}

static void move(struct model *model, int i)
{
    struct hark_sub *sub = &model->subs[i];
    switch (model->places[i]) {
    case OUT:
        assert_int_equal(hark_roster_add(&model->roster, sub), 0);
        model->places[i] = PARKED;
        break;
    case PARKED:
        if (rand() % 4 == 0) {
            hark_roster_remove(&model->roster, sub);
            model->places[i] = OUT;
        } else {
            hark_roster_wake(&model->roster, sub);
            model->places[i] = UNVISITED;
        }
        break;
    case UNVISITED:
    case VISITED:
        if (rand() % 3 == 0) {
            hark_roster_remove(&model->roster, sub);
            model->places[i] = OUT;
        } else {
            hark_roster_park(&model->roster, sub);
            model->places[i] = PARKED;
        }
        break;
    }
}

static void visit(struct model *model)
{
    struct hark_roster *roster = &model->roster;
    if (roster->visited == roster->live) {
        hark_roster_rewind(roster);
        for (int i = 0; i < SUBS; i++) {
            model->places[i] = model->places[i] == VISITED ? UNVISITED : model->places[i];
        }
        return;
    }
    const struct hark_sub *sub = roster->subs[roster->visited++];
    model->places[sub - model->subs] = VISITED;
}

static void keeps_its_borders(void **state)
{
    (void)state;
    srand(1);
    static struct model model;
    for (int step = 0; step < 20000; step++) {
        if (rand() % 3 == 0) {
            visit(&model);
        } else {
            move(&model, rand() % SUBS);
        }
        check(&model);
    }
    hark_roster_deinit(&model.roster);
}

static void grows_and_shrinks(void **state)
{
    (void)state;
    static struct hark_sub subs[5000];
    struct hark_roster roster = {NULL, 0, 0, 0, 0};
    for (size_t i = 0; i < HARK_ARRAY_LEN(subs); i++) {
        assert_int_equal(hark_roster_add(&roster, &subs[i]), 0);
    }
    for (size_t i = 0; i < HARK_ARRAY_LEN(subs) - 1; i++) {
        hark_roster_remove(&roster, &subs[i]);
    }
    assert_int_equal(roster.count, 1);
    assert_ptr_equal(roster.subs[0], &subs[HARK_ARRAY_LEN(subs) - 1]);
    assert_in_range(roster.cap, 1, 8);
    hark_roster_deinit(&roster);
}

static void no_memory_leaves_it_as_it_was(void **state)
{
    (void)state;
    struct hark_sub sub = {.index = 0};
    struct hark_roster roster = {NULL, 0, 0, 0, 0};
    hark_mem_fail_after(0);
    assert_int_equal(hark_roster_add(&roster, &sub), HARK_ENOMEM);
    assert_int_equal(roster.count, 0);
    assert_int_equal(hark_roster_add(&roster, &sub), 0);
    hark_roster_remove(&roster, &sub);
    hark_roster_deinit(&roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_borders),
        cmocka_unit_test(grows_and_shrinks),
        cmocka_unit_test(no_memory_leaves_it_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
