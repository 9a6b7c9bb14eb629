// SPDX-License-Identifier: MIT
//
// Places, positions as text, and the outbox that moves them.
#include "session/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/mem.h"
#include "hark.h"
#include "session/outbox.h"

static struct hark_position at(uint64_t offset)
{
    return (struct hark_position){1, offset};
}

static void test_places(void **state)
{
    (void)state;
    struct hark_places places;
    hark_places_init(&places);
    assert_null(hark_places_find(&places, 5));
    for (uint64_t i = 0; i < HARK_PLACES_MAX; i++) {
        assert_int_equal(hark_places_set(&places, i, at(i)), 0);
    }
    assert_int_equal(hark_places_set(&places, 1000, at(1)), HARK_EFULL);
    assert_int_equal(hark_places_set(&places, 5, at(99)), 0);
    assert_int_equal(hark_places_find(&places, 5)->position.offset, 99);
    hark_places_remove(&places, 5);
    hark_places_remove(&places, 5);
    assert_null(hark_places_find(&places, 5));
    assert_int_equal(places.count, HARK_PLACES_MAX - 1);
    hark_places_deinit(&places);
}

static void test_fixed_places(void **state)
{
    (void)state;
    struct hark_place room[2];
    struct hark_places places;
    struct hark_places more;
    hark_places_init_fixed(&places, room, 2);
    hark_places_init(&more);
    assert_int_equal(hark_places_set(&more, 1, at(1)), 0);
    assert_int_equal(hark_places_set(&more, 2, at(2)), 0);
    assert_int_equal(hark_places_copy(&places, &more), 0);
    assert_int_equal(places.count, 2);
    assert_int_equal(hark_places_set(&more, 3, at(3)), 0);
    assert_int_equal(hark_places_copy(&places, &more), HARK_EFULL);
    hark_places_deinit(&more);
    hark_places_deinit(&places);
}

static void test_covers(void **state)
{
    (void)state;
    const struct hark_place place = {1, {7, 10}};
    assert_true(hark_place_covers(&place, (struct hark_position){7, 10}));
    assert_true(hark_place_covers(&place, (struct hark_position){7, 1}));
    assert_false(hark_place_covers(&place, (struct hark_position){7, 11}));
    assert_false(hark_place_covers(&place, (struct hark_position){8, 1}));
}

static void test_text(void **state)
{
    (void)state;
    char text[HARK_PLACE_TEXT_MAX];
    const struct hark_position top = {UINT64_MAX, UINT64_MAX};
    struct hark_position back = {0, 0};
    size_t len = hark_place_text(top, text);
    assert_string_equal(text, "18446744073709551615:18446744073709551615");
    assert_int_equal(hark_place_parse(hark_slice(text, len), &back), 0);
    assert_int_equal(back.epoch, UINT64_MAX);
    assert_int_equal(back.offset, UINT64_MAX);
    static const char *const bad[] = {
        "", ":", "1", "1:", ":1", "1:2:3", "-1:2", "1:x", "18446744073709551616:1", " 1:2"};
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        assert_int_equal(hark_place_parse(hark_slice_text(bad[i]), &back), HARK_EINVAL);
        assert_int_equal(back.offset, UINT64_MAX);
    }
}

static void no_timer(struct hark_timer *timer)
{
    (void)timer;
}

static struct hark_msg *message(uint64_t channel, uint64_t offset)
{
    struct hark_msg *msg = NULL;
    const struct hark_msg_draft draft = {.channel = HARK_LIT("a"), .payload = HARK_LIT("x")};
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    msg->channel_id = channel;
    msg->position = at(offset);
    return msg;
}

static void push(struct hark_outbox *box, uint64_t channel, uint64_t offset)
{
    struct hark_msg *msg = message(channel, offset);
    assert_int_equal(hark_outbox_reserve(box, 1), 0);
    hark_outbox_push(box, msg);
    hark_msg_unref(msg);
}

static void test_outbox_is_a_ring(void **state)
{
    (void)state;
    struct hark_outbox *box = hark_outbox_new(NULL, no_timer);
    assert_non_null(box);
    uint64_t in = 0;
    uint64_t out = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < round % 13; i++) {
            push(box, 1, ++in);
        }
        for (int i = 0; i < round % 11 && box->count > 0; i++) {
            assert_int_equal(hark_outbox_at(box, 0)->position.offset, ++out);
            hark_outbox_pop(box);
            assert_int_equal(hark_places_find(&box->places, 1)->position.offset, out);
        }
        assert_int_equal(box->count, in - out);
        assert_int_equal(box->passed, out);
    }
    for (uint32_t i = 0; i < box->count; i++) {
        assert_int_equal(hark_outbox_at(box, i)->position.offset, out + i + 1);
    }
    hark_outbox_free(box);
    hark_outbox_free(NULL);
}

static void test_outbox_drops_a_channel(void **state)
{
    (void)state;
    struct hark_outbox *box = hark_outbox_new(NULL, no_timer);
    for (uint64_t i = 1; i <= 30; i++) {
        push(box, i % 3, i);
        if (i % 7 == 0) {
            hark_outbox_pop(box);
        }
    }
    size_t one = hark_msg_size(hark_outbox_at(box, 0));
    hark_outbox_drop(box, 1);
    uint64_t last = 0;
    for (uint32_t i = 0; i < box->count; i++) {
        const struct hark_msg *msg = hark_outbox_at(box, i);
        assert_int_not_equal(msg->channel_id, 1);
        assert_true(msg->position.offset > last);
        last = msg->position.offset;
    }
    assert_int_equal(box->bytes, box->count * one);
    push(box, 2, 31);
    assert_int_equal(hark_outbox_at(box, box->count - 1)->position.offset, 31);
    hark_outbox_free(box);
}

static void test_outbox_without_memory(void **state)
{
    (void)state;
    hark_mem_fail_after(0);
    assert_null(hark_outbox_new(NULL, no_timer));
    struct hark_outbox *box = hark_outbox_new(NULL, no_timer);
    hark_mem_fail_after(0);
    assert_int_equal(hark_outbox_reserve(box, 1), HARK_ENOMEM);
    assert_int_equal(hark_outbox_reserve(box, SIZE_MAX), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_int_equal(hark_outbox_reserve(box, 100), 0);
    hark_outbox_free(box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_fixed_places),
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_outbox_is_a_ring),
        cmocka_unit_test(test_outbox_drops_a_channel),
        cmocka_unit_test(test_outbox_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
