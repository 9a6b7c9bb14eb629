// SPDX-License-Identifier: MIT
//
// The intrusive list, the end-of-tick queue that stands on it, and slices.
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/defer.h"
#include "base/slice.h"

struct item {
    struct hark_list node;
    char name;
};

static void assert_names(const struct hark_list *list, const char *names)
{
    size_t i = 0;
    hark_list_for_each (at, list) {
        assert_int_equal(HARK_CONTAINER_OF(at, struct item, node)->name, names[i]);
        assert_ptr_equal(at->next->prev, at);
        i++;
    }
    assert_int_equal(names[i], '\0');
    assert_int_equal(hark_list_is_empty(list), i == 0);
}

static void test_list(void **state)
{
    (void)state;
    struct hark_list list;
    struct hark_list other;
    struct item items[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    hark_list_init(&list);
    hark_list_init(&other);
    for (size_t i = 0; i < HARK_ARRAY_LEN(items); i++) {
        hark_list_init(&items[i].node);
    }
    assert_names(&list, "");
    assert_null(hark_list_pop(&list));
    hark_list_push(&list, &items[0].node);
    hark_list_push(&list, &items[1].node);
    hark_list_push_front(&list, &items[2].node);
    assert_names(&list, "cab");
    hark_list_remove(&items[0].node);
    hark_list_remove(&items[0].node);
    assert_names(&list, "cb");
    hark_list_push(&other, &items[3].node);
    hark_list_splice(&list, &other);
    assert_names(&list, "cbd");
    assert_names(&other, "");
    hark_list_splice(&list, &other);
    assert_names(&list, "cbd");
    hark_list_for_each_safe (at, after, &list) {
        hark_list_remove(at);
    }
    assert_names(&list, "");
}

struct job {
    struct hark_defer defer;
    struct hark_defer_queue *queue;
    struct job *next;
    int runs;
};

static void run_job(struct hark_defer *item)
{
    struct job *job = HARK_CONTAINER_OF(item, struct job, defer);
    job->runs++;
    if (job->next != NULL) {
        hark_defer_post(job->queue, &job->next->defer);
    }
}

static void test_defer(void **state)
{
    (void)state;
    struct hark_defer_queue queue;
    struct job jobs[3];
    hark_defer_queue_init(&queue);
    for (size_t i = 0; i < HARK_ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct job){.queue = &queue};
        hark_defer_init(&jobs[i].defer, run_job);
    }
    jobs[0].next = &jobs[1]; // posted while running: the same sweep
    hark_defer_post(&queue, &jobs[0].defer);
    hark_defer_post(&queue, &jobs[0].defer); // once
    hark_defer_post(&queue, &jobs[2].defer);
    hark_defer_cancel(&jobs[2].defer);
    hark_defer_cancel(&jobs[2].defer);
    hark_defer_run(&queue);
    assert_int_equal(jobs[0].runs, 1);
    assert_int_equal(jobs[1].runs, 1);
    assert_int_equal(jobs[2].runs, 0);
    hark_defer_run(&queue);
    assert_int_equal(jobs[0].runs, 1);
}

static void test_slice(void **state)
{
    (void)state;
    assert_true(hark_slice_is(HARK_SLICE_NONE, HARK_LIT("")));
    assert_true(hark_slice_is_nocase(HARK_LIT("Upgrade"), HARK_LIT("uPGRADE")));
    assert_false(hark_slice_is(HARK_LIT("a"), HARK_LIT("b")));
    assert_true(hark_slice_starts(HARK_LIT("abc"), HARK_LIT("")));
    assert_false(hark_slice_starts(HARK_LIT("ab"), HARK_LIT("abc")));
    assert_true(hark_slice_is(hark_slice_from(HARK_LIT("abc"), 1), HARK_LIT("bc")));
    assert_int_equal(hark_slice_from(HARK_LIT("abc"), 9).len, 0);
    assert_true(hark_slice_is(hark_slice_trim(HARK_LIT(" \t x y\t ")), HARK_LIT("x y")));
    assert_int_equal(hark_slice_trim(HARK_LIT(" \t ")).len, 0);

    struct hark_slice rest = HARK_LIT("a,,b");
    assert_true(hark_slice_is(hark_slice_next(&rest, ','), HARK_LIT("a")));
    assert_true(hark_slice_is(hark_slice_next(&rest, ','), HARK_LIT("")));
    assert_non_null(rest.ptr);
    assert_true(hark_slice_is(hark_slice_next(&rest, ','), HARK_LIT("b")));
    assert_null(rest.ptr);
    rest = HARK_LIT("a,");
    assert_true(hark_slice_is(hark_slice_next(&rest, ','), HARK_LIT("a")));
    assert_non_null(rest.ptr); // an empty part is still to come
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_defer),
        cmocka_unit_test(test_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
