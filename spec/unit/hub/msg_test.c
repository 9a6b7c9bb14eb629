// SPDX-License-Identifier: MIT
//
// Messages: what is refused, what is copied, the cache of wire forms; and runs of them.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"
#include "hub/msg.h"
#include "hub/run.h"

static int try_channel(struct hark_slice name)
{
    const struct hark_msg_draft draft = {.channel = name};
    struct hark_msg *msg = NULL;
    int status = hark_msg_new(&draft, &msg);
    hark_msg_unref(msg);
    return status;
}

static int try_event(struct hark_slice event)
{
    const struct hark_msg_draft draft = {.channel = HARK_LIT("c"), .event = event};
    struct hark_msg *msg = NULL;
    int status = hark_msg_new(&draft, &msg);
    hark_msg_unref(msg);
    return status;
}

static void names_are_checked(void **state)
{
    (void)state;
    char longest[256];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(try_channel(hark_slice(longest, 255)), 0);
    assert_int_equal(try_channel(hark_slice(longest, 256)), HARK_EINVAL);
    assert_int_equal(try_channel(HARK_SLICE_NONE), HARK_EINVAL);
    assert_int_equal(try_channel(HARK_LIT("chat/r\xC3\xA4um 1")), 0);
    assert_int_equal(try_channel(HARK_LIT("a\0b")), HARK_EINVAL);
    assert_int_equal(try_channel(HARK_LIT("a\x1F")), HARK_EINVAL);
    assert_int_equal(try_channel(HARK_LIT("a\x7F")), HARK_EINVAL);
    assert_int_equal(try_channel(HARK_LIT("a\xC3")), HARK_EINVAL);
    assert_int_equal(try_channel(HARK_LIT("\xED\xA0\x80")), HARK_EINVAL); // a surrogate
    assert_int_equal(try_event(HARK_SLICE_NONE), 0);
    assert_int_equal(try_event(HARK_LIT("said")), 0);
    assert_int_equal(try_event(HARK_LIT("a\rb")), HARK_EINVAL);
    assert_int_equal(try_event(HARK_LIT("a\nb")), HARK_EINVAL);
    assert_int_equal(try_event(HARK_LIT("a\0b")), HARK_EINVAL);
    assert_int_equal(try_event(HARK_LIT("\xFF")), HARK_EINVAL);
    assert_int_equal(try_event(hark_slice(longest, HARK_MSG_EVENT_MAX + 1)), HARK_ETOOBIG);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    static char text[HARK_MSG_KEY_MAX + 1];
    struct hark_msg *msg = NULL;
    struct hark_msg_draft draft = {.channel = HARK_LIT("c"), .key = hark_slice(text, sizeof(text))};
    assert_int_equal(hark_msg_new(&draft, &msg), HARK_ETOOBIG);
    draft.key.len = HARK_MSG_KEY_MAX;
    draft.once = hark_slice(text, HARK_MSG_ONCE_MAX + 1);
    assert_int_equal(hark_msg_new(&draft, &msg), HARK_ETOOBIG);
    draft.once.len = HARK_MSG_ONCE_MAX;
    draft.payload = hark_slice(text, (size_t)HARK_MSG_PAYLOAD_MAX + 1);
    assert_int_equal(hark_msg_new(&draft, &msg), HARK_ETOOBIG);
    draft.payload.len = 1;
    hark_mem_fail_after(0);
    assert_int_equal(hark_msg_new(&draft, &msg), HARK_ENOMEM);
    assert_null(msg);
}

static void a_message_owns_its_text(void **state)
{
    (void)state;
    char payload[] = "payload";
    const struct hark_msg_draft draft = {
        .channel = HARK_LIT("c"),
        .event = HARK_LIT("e"),
        .key = HARK_LIT("k"),
        .payload = hark_slice(payload, 7),
        .flags = HARK_MSG_JSON,
        .except = 9,
    };
    struct hark_msg *msg = NULL;
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    payload[0] = 'X';
    assert_true(hark_slice_is(msg->payload, HARK_LIT("payload")));
    assert_int_equal(hark_msg_size(msg), sizeof(*msg) + 10);
    assert_true(hark_msg_is_logged(msg));
    msg->position = (struct hark_position){3, 4};
    msg->channel_id = 5;
    msg->time_ms = 6;

    struct hark_msg *other = NULL;
    assert_int_equal(hark_msg_derive(msg, HARK_LIT("f"), HARK_LIT("new"), HARK_MSG_BINARY, &other),
                     0);
    assert_true(hark_slice_is(other->channel, HARK_LIT("c")));
    assert_true(hark_slice_is(other->event, HARK_LIT("f")));
    assert_true(hark_slice_is(other->key, HARK_LIT("k")));
    assert_true(hark_slice_is(other->payload, HARK_LIT("new")));
    assert_int_equal(other->flags, HARK_MSG_BINARY);
    assert_int_equal(other->except, 9);
    assert_int_equal(other->position.offset, 4);
    assert_int_equal(other->channel_id, 5);
    assert_int_equal(other->time_ms, 6);
    hark_msg_unref(hark_msg_ref(msg));
    hark_msg_unref(msg);
    hark_msg_unref(other);
    hark_msg_unref(NULL);
}

static void a_direct_message_needs_no_channel(void **state)
{
    (void)state;
    const struct hark_msg_draft draft = {.payload = HARK_LIT("p"), .flags = HARK_MSG_DIRECT};
    struct hark_msg *msg = NULL;
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    assert_false(hark_msg_is_logged(msg));
    struct hark_msg *other = NULL;
    assert_int_equal(hark_msg_derive(msg, HARK_SLICE_NONE, HARK_LIT("q"), 0, &other), 0);
    assert_int_equal(other->flags, HARK_MSG_DIRECT);
    hark_msg_unref(msg);
    hark_msg_unref(other);
}

struct racer {
    struct hark_msg *msg;
    struct hark_bytes *won;
};

static void *race(void *ctx)
{
    struct racer *racer = ctx;
    struct hark_bytes *made = hark_bytes_copy(HARK_LIT("frame"));
    racer->won = made == NULL ? NULL : hark_msg_wire_store(racer->msg, HARK_WIRE_WS, made);
    return NULL;
}

static void the_first_wire_form_wins(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        const struct hark_msg_draft draft = {.channel = HARK_LIT("c")};
        struct hark_msg *msg = NULL;
        assert_int_equal(hark_msg_new(&draft, &msg), 0);
        assert_null(hark_msg_wire(msg, HARK_WIRE_WS));
        struct racer racers[2] = {{msg, NULL}, {msg, NULL}};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        assert_non_null(racers[0].won);
        assert_ptr_equal(racers[0].won, racers[1].won);
        assert_ptr_equal(hark_msg_wire(msg, HARK_WIRE_WS), racers[0].won);
        assert_null(hark_msg_wire(msg, HARK_WIRE_SSE));
        hark_msg_unref(msg);
    }
}

// A message in the log at offset, or outside of it for 0.
static void push(struct hark_runs *runs, uint64_t epoch, uint64_t offset, size_t len)
{
    static char text[HARK_RUN_BYTES];
    const struct hark_msg_draft draft = {
        .channel = HARK_LIT("c"),
        .payload = hark_slice(text, len),
        .flags = offset == 0 ? HARK_MSG_OUTSIDE : 0,
    };
    struct hark_msg *msg = NULL;
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    msg->position = (struct hark_position){epoch, offset};
    assert_int_equal(hark_runs_reserve(runs, msg), 0);
    hark_runs_push(runs, msg);
    hark_msg_unref(msg);
}

static void
expect_run(struct hark_runs *runs, uint64_t epoch, uint64_t first, uint64_t last, uint32_t count)
{
    struct hark_run *run = hark_runs_shift(runs);
    assert_non_null(run);
    assert_int_equal(run->epoch, epoch);
    assert_int_equal(run->first, first);
    assert_int_equal(run->last, last);
    assert_int_equal(run->count, count);
    hark_run_free(run);
}

static void runs_are_bounded_and_without_a_hole(void **state)
{
    (void)state;
    struct hark_runs runs = {NULL, NULL, 0, 0};
    for (uint64_t offset = 1; offset <= 100; offset++) {
        push(&runs, 1, offset, 1);
    }
    assert_int_equal(runs.count, 100);
    uint64_t next = 1;
    while (runs.head != NULL) {
        struct hark_run *run = hark_runs_shift(&runs);
        assert_int_equal(run->first, next);
        assert_int_equal(run->last - run->first + 1, run->count);
        assert_in_range(run->count, 1, HARK_RUN_COUNT);
        next = run->last + 1;
        hark_run_free(run);
    }
    assert_int_equal(next, 101);
    assert_int_equal(runs.count, 0);
    assert_int_equal(runs.bytes, 0);

    push(&runs, 1, 7, 1);
    push(&runs, 1, 0, 1);
    push(&runs, 1, 8, 1);
    push(&runs, 1, 10, 1); // 9 was lost
    push(&runs, 2, 11, 1); // another life
    push(&runs, 2, 0, 1);
    expect_run(&runs, 1, 7, 8, 3);
    expect_run(&runs, 1, 10, 10, 1);
    expect_run(&runs, 2, 11, 11, 2);
    assert_null(hark_runs_shift(&runs));

    push(&runs, 1, 1, HARK_RUN_BYTES / 2);
    push(&runs, 1, 2, HARK_RUN_BYTES / 3);
    push(&runs, 1, 3, HARK_RUN_BYTES); // larger than the bound: a run of its own
    push(&runs, 1, 4, 1);
    expect_run(&runs, 1, 1, 2, 2);
    expect_run(&runs, 1, 3, 3, 1);
    hark_runs_clear(&runs);
    assert_int_equal(runs.count, 0);
}

static void runs_of_many_ticks_are_joined(void **state)
{
    (void)state;
    struct hark_runs waiting = {NULL, NULL, 0, 0};
    for (uint64_t offset = 1; offset <= 5; offset++) {
        struct hark_runs tick = {NULL, NULL, 0, 0};
        push(&tick, 1, offset, 1);
        hark_runs_splice(&waiting, &tick);
        assert_null(tick.head);
    }
    hark_mem_fail_after(0); // cannot be joined: two passes, nothing lost
    expect_run(&waiting, 1, 1, 4, 4);
    hark_mem_fail_after(SIZE_MAX);
    expect_run(&waiting, 1, 5, 5, 1);
    struct hark_runs none = {NULL, NULL, 0, 0};
    hark_runs_splice(&waiting, &none);
    assert_null(hark_runs_shift(&waiting));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(a_message_owns_its_text),
        cmocka_unit_test(a_direct_message_needs_no_channel),
        cmocka_unit_test(the_first_wire_form_wins),
        cmocka_unit_test(runs_are_bounded_and_without_a_hole),
        cmocka_unit_test(runs_of_many_ticks_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
