// SPDX-License-Identifier: MIT
//
// Sessions by serial and id, against a plain model under random additions and removals.
#include "session/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

#define ITEMS 3000

struct item {
    struct hark_tabled key;
    bool is_in;
    bool is_named;
    char id[32];
};

static struct hark_slice id_of(const struct item *item)
{
    return hark_slice_text(item->id);
}

static void test_model(void **state)
{
    (void)state;
    struct hark_session_table *table = hark_table_new(7);
    struct item *items = calloc(ITEMS, sizeof(*items));
    assert_non_null(table);
    assert_non_null(items);
    uint32_t seed = 1;
    size_t count = 0;
    for (int step = 0; step < 60000; step++) {
        seed = seed * 1664525 + 1013904223;
        struct item *item = &items[(seed >> 8) % ITEMS];
        if (!item->is_in) {
            (void)snprintf(item->id, sizeof(item->id), "id-%zu", (size_t)(item - items) % 2000);
            struct hark_tabled *other = hark_table_find_id(table, id_of(item));
            int status = hark_table_add(table, &item->key, id_of(item));
            assert_int_equal(status, other == NULL ? 0 : HARK_EEXIST);
            item->is_in = item->is_named = status == 0;
            count += item->is_in;
        } else if (item->is_named && (seed & 64) != 0) {
            hark_table_forget_id(table, &item->key);
            hark_table_forget_id(table, &item->key);
            item->is_named = false;
        } else {
            uint64_t serial = item->key.serial;
            hark_table_remove(table, &item->key);
            assert_null(hark_table_find_serial(table, serial));
            item->is_in = item->is_named = false;
            count--;
        }
        assert_int_equal(hark_table_count(table), count);
    }
    size_t seen = 0;
    size_t at = 0;
    while (hark_table_next(table, &at) != NULL) {
        seen++;
    }
    assert_int_equal(seen, count);
    for (size_t i = 0; i < ITEMS; i++) {
        struct item *item = &items[i];
        if (item->is_in) {
            assert_ptr_equal(hark_table_find_serial(table, item->key.serial), &item->key);
            struct hark_tabled *found = hark_table_find_id(table, id_of(item));
            assert_true((found == &item->key) == item->is_named);
            hark_table_remove(table, &item->key);
        }
    }
    assert_int_equal(hark_table_count(table), 0);
    free(items);
    hark_table_free(table);
}

static void test_serials_are_unique(void **state)
{
    (void)state;
    struct hark_session_table *one = hark_table_new(0);
    struct hark_session_table *two = hark_table_new(1);
    struct item a = {.id = "a"};
    struct item b = {.id = "a"};
    assert_int_equal(hark_table_add(one, &a.key, id_of(&a)), 0);
    assert_int_equal(hark_table_add(two, &b.key, id_of(&b)), 0);
    assert_true(a.key.serial != 0 && b.key.serial != 0 && a.key.serial != b.key.serial);
    uint64_t old = a.key.serial;
    hark_table_remove(one, &a.key);
    assert_int_equal(hark_table_add(one, &a.key, id_of(&a)), 0); // the same slot again
    assert_true(a.key.serial != old);
    assert_null(hark_table_find_serial(one, old));
    assert_null(hark_table_find_serial(one, UINT64_MAX));
    assert_null(hark_table_find_serial(one, 0));
    hark_table_free(one);
    hark_table_free(two);
    hark_table_free(NULL);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct item item = {.id = "a"};
    for (size_t n = 0; n < 3; n++) {
        struct hark_session_table *table = hark_table_new(0);
        hark_mem_fail_after(n);
        int status = hark_table_add(table, &item.key, id_of(&item));
        hark_mem_fail_after(SIZE_MAX);
        assert_int_equal(status, n < 2 ? HARK_ENOMEM : 0);
        assert_int_equal(hark_table_count(table), n < 2 ? 0 : 1);
        hark_table_free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_serials_are_unique),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
