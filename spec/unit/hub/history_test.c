// SPDX-License-Identifier: MIT
//
// The history ring and the newest-per-key table, each against a model that keeps everything and
// throws away what the rules say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"
#include "hub/history.h"
#include "hub/latest.h"

#define STEPS 30000

struct kept {
    uint64_t offset;
    uint64_t time_ms;
    size_t size;
    int key;
};

// Oldest first.
struct model {
    struct kept kept[STEPS];
    size_t first;
    size_t end;
    uint32_t max_count;
    size_t max_bytes;
    uint64_t ttl_ms;
};

static struct hark_msg *make(uint64_t offset, int key, size_t len)
{
    static char text[4096];
    char name[16];
    int name_len = snprintf(name, sizeof(name), "%d", key);
    const struct hark_msg_draft draft = {
        .channel = HARK_LIT("c"),
        .key = hark_slice(name, key < 0 ? 0 : (size_t)name_len),
        .payload = hark_slice(text, len),
    };
    struct hark_msg *msg = NULL;
    assert_int_equal(hark_msg_new(&draft, &msg), 0);
    msg->position = (struct hark_position){7, offset};
    return msg;
}

static int number(struct hark_slice text)
{
    int n = 0;
    for (size_t i = 0; i < text.len; i++) {
        n = n * 10 + (text.ptr[i] - '0');
    }
    return n;
}

static size_t model_bytes(const struct model *model)
{
    size_t bytes = 0;
    for (size_t i = model->first; i < model->end; i++) {
        bytes += model->kept[i].size;
    }
    return bytes;
}

static void model_trim(struct model *model, uint64_t now_ms)
{
    while (model->first < model->end &&
           (model->end - model->first > model->max_count || model_bytes(model) > model->max_bytes ||
            now_ms - model->kept[model->first].time_ms >= model->ttl_ms)) {
        model->first++;
    }
}

static void compare(const struct hark_history *history, const struct model *model, uint64_t since)
{
    struct hark_msg *msgs[64];
    size_t max_count = 1 + (size_t)rand() % 64;
    size_t max_bytes = (size_t)rand() % 8000;
    size_t count = hark_history_read(history, since, max_count, max_bytes, msgs);
    size_t at = model->first;
    while (at < model->end && model->kept[at].offset <= since) {
        at++;
    }
    size_t expected = 0;
    size_t bytes = 0;
    while (at + expected < model->end && expected < max_count) {
        bytes += model->kept[at + expected].size;
        if (expected > 0 && bytes > max_bytes) {
            break;
        }
        expected++;
    }
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(msgs[i]->position.offset, model->kept[at + i].offset);
        hark_msg_unref(msgs[i]);
    }
}

static void history_agrees_with_a_model(void **state)
{
    (void)state;
    srand(2);
    struct hark_history history;
    static struct model model = {.max_count = 20, .max_bytes = 20000, .ttl_ms = 500};
    hark_history_init(&history, model.max_count, model.max_bytes, model.ttl_ms);
    uint64_t now_ms = 1000;
    uint64_t offset = 0;
    for (int step = 0; step < STEPS; step++) {
        now_ms += (uint64_t)rand() % 40;
        int what = rand() % 100;
        if (what < 60) {
            struct hark_msg *msg =
                make(++offset, -1, rand() % 50 == 0 ? 4000 : (size_t)rand() % 1500);
            assert_int_equal(hark_history_reserve(&history), 0);
            hark_history_push(&history, msg, now_ms);
            model.kept[model.end++] = (struct kept){offset, now_ms, hark_msg_size(msg), 0};
            hark_msg_unref(msg);
        } else if (what < 62) {
            model.max_count = (uint32_t)rand() % 60;
            model.max_bytes = 500 + (size_t)rand() % 40000;
            model.ttl_ms = 1 + (uint64_t)rand() % 2000;
            hark_history_limit(&history, model.max_count, model.max_bytes, model.ttl_ms);
        } else if (what < 63) {
            hark_history_clear(&history);
            model.first = model.end;
        }
        hark_history_expire(&history, now_ms);
        model_trim(&model, now_ms);
        assert_int_equal(history.count, model.end - model.first);
        assert_int_equal(history.bytes, model_bytes(&model));
        uint64_t back = (uint64_t)rand() % 30;
        compare(&history, &model, offset < back ? 0 : offset - back);
    }
    hark_history_deinit(&history);
}

static void history_gives_memory_back(void **state)
{
    (void)state;
    struct hark_history history;
    hark_history_init(&history, 10000, SIZE_MAX, 100);
    for (uint64_t offset = 1; offset <= 5000; offset++) {
        struct hark_msg *msg = make(offset, -1, 1);
        assert_int_equal(hark_history_reserve(&history), 0);
        hark_history_push(&history, msg, offset);
        hark_msg_unref(msg);
    }
    assert_int_equal(history.cap, 8192);
    hark_history_expire(&history, 5000);
    assert_int_equal(history.count, 100);
    assert_in_range(history.cap, 128, 512);
    hark_history_expire(&history, 6000);
    assert_null(history.slots);
    hark_mem_fail_after(0);
    assert_int_equal(hark_history_reserve(&history), HARK_ENOMEM);
    assert_int_equal(hark_history_reserve(&history), 0);
    hark_history_clear(&history);
}

// What the table must hold: of the newest of each key, the newest 1024, within bytes and age.
static void latest_agrees_with_a_model(void **state)
{
    (void)state;
    srand(3);
    static struct kept newest[3000];
    struct hark_latest latest;
    size_t max_bytes = 400000;
    hark_latest_init(&latest, max_bytes, 3000);
    uint64_t now_ms = 1000;
    uint64_t offset = 0;
    for (int step = 0; step < 8000; step++) {
        now_ms += (uint64_t)rand() % 3;
        int key = rand() % (step < 4000 ? 3000 : 300);
        struct hark_msg *msg = make(++offset, key, (size_t)rand() % 400);
        assert_int_equal(hark_latest_put(&latest, msg, now_ms), 0);
        hark_latest_expire(&latest, now_ms);
        newest[key] = (struct kept){offset, now_ms, hark_msg_size(msg), key};
        hark_msg_unref(msg);
        assert_true(latest.count <= HARK_LATEST_KEYS && latest.bytes <= max_bytes);
        if (step % 50 != 0) {
            continue;
        }
        static struct hark_msg *msgs[HARK_LATEST_KEYS];
        uint64_t since = offset - (uint64_t)rand() % 3000 % offset;
        size_t count = hark_latest_read(&latest, since, HARK_LATEST_KEYS, SIZE_MAX, msgs);
        uint64_t last = since;
        for (size_t i = 0; i < count; i++) {
            int has = number(msgs[i]->key);
            assert_true(msgs[i]->position.offset > last);
            last = msgs[i]->position.offset;
            assert_int_equal(newest[has].offset, last);
            hark_msg_unref(msgs[i]);
        }
        assert_int_equal(last, offset); // the newest of all is there
        size_t expected = 0;
        for (int i = 0; i < 3000; i++) {
            expected += newest[i].offset > since && now_ms - newest[i].time_ms < 3000 ? 1 : 0;
        }
        assert_true(count <= expected);
        if (expected < 300) { // far from the bounds
            assert_int_equal(count, expected);
        }
    }
    hark_latest_deinit(&latest);
}

static void latest_takes_messages_without_key_as_one(void **state)
{
    (void)state;
    struct hark_latest latest;
    hark_latest_init(&latest, 100000, 1000);
    for (uint64_t offset = 1; offset <= 5; offset++) {
        struct hark_msg *msg = make(offset, offset == 3 ? 1 : -1, 1);
        assert_int_equal(hark_latest_put(&latest, msg, 0), 0);
        hark_msg_unref(msg);
    }
    struct hark_msg *msgs[8];
    assert_int_equal(hark_latest_read(&latest, 0, 8, SIZE_MAX, msgs), 2);
    assert_int_equal(msgs[0]->position.offset, 3);
    assert_int_equal(msgs[1]->position.offset, 5);
    hark_msg_unref(msgs[0]);
    hark_msg_unref(msgs[1]);
    assert_int_equal(hark_latest_read(&latest, 0, 1, SIZE_MAX, msgs), 1);
    assert_int_equal(msgs[0]->position.offset, 3); // the oldest first: the next read goes on
    hark_msg_unref(msgs[0]);
    hark_latest_limit(&latest, 1, 1000);
    assert_int_equal(latest.count, 0);
    assert_int_equal(latest.bytes, 0);
    struct hark_msg *msg = make(6, 1, 1);
    for (size_t n = 0; n < 3; n++) { // item, table, buckets
        hark_mem_fail_after(n);
        assert_int_equal(hark_latest_put(&latest, msg, 0), HARK_ENOMEM);
        assert_int_equal(latest.count, 0);
    }
    hark_mem_fail_after(SIZE_MAX);
    hark_msg_unref(msg);
    hark_latest_deinit(&latest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_agrees_with_a_model),
        cmocka_unit_test(history_gives_memory_back),
        cmocka_unit_test(latest_agrees_with_a_model),
        cmocka_unit_test(latest_takes_messages_without_key_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
