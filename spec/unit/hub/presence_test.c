// SPDX-License-Identifier: MIT
//
// Presence: counts per id over workers, events told once and coalesced, lists, switching on and
// off.
#include "hub/rig.h"

#include "hub/presence.h"

static const struct hark_channel_options on = {.presence = true};
static const struct hark_channel_options off = {.presence = false};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig_up(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_down(*state);
    free(*state);
    return 0;
}

static struct rig_sink *
enter(struct rig *rig, unsigned worker, const struct hark_channel_options *options, const char *id)
{
    const struct hark_start start = {.rewind = 0};
    const struct hark_member member = {.id = hark_slice_text(id), .info = HARK_LIT("{\"a\":1}")};
    struct rig_sink *sink = rig_sink_new();
    assert_int_equal(hark_hub_subscribe(rig_hub(rig, worker), &sink->sub, rig_slice("room"),
                                        options, &start, &member, rig_on_joined),
                     0);
    assert_int_equal(sink->status, 0);
    return sink;
}

struct list {
    size_t count;
    char text[512];
};

static int by_id(const void *a, const void *b)
{
    const struct hark_member *left = a;
    const struct hark_member *right = b;
    return memcmp(left->id.ptr, right->id.ptr,
                  left->id.len < right->id.len ? left->id.len : right->id.len);
}

static void on_members(void *ctx, int status, const struct hark_member *members, size_t count)
{
    struct list *list = ctx;
    assert_int_equal(status, 0);
    static struct hark_member sorted[32];
    assert_true(count <= HARK_ARRAY_LEN(sorted));
    if (count > 0) {
        memcpy(sorted, members, count * sizeof(*members));
    }
    qsort(sorted, count, sizeof(*sorted), by_id);
    list->count = count;
    size_t at = 0;
    list->text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(list->text + at, sizeof(list->text) - at, "%.*s=%.*s ",
                               (int)sorted[i].id.len, sorted[i].id.ptr, (int)sorted[i].info.len,
                               sorted[i].info.ptr);
    }
}

static void expect_members(struct rig *rig, unsigned worker, const char *text)
{
    struct list list = {.count = 0};
    assert_int_equal(hark_hub_members(rig_hub(rig, worker), rig_slice("room"), on_members, &list),
                     0);
    assert_string_equal(list.text, text);
}

static void joins_and_leaves_are_told_to_the_others(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *ann = enter(rig, 0, &on, "ann");
    rig_tick(rig);
    rig_expect(ann, ""); // not of herself
    struct rig_sink *bob = enter(rig, 1, &on, "bob");
    rig_tick(rig);
    rig_tick(rig); // worker 0 is told by worker 1's tick
    rig_expect(ann, "[hark.join]");
    rig_expect(bob, "");
    expect_members(rig, 0, "ann={\"a\":1} bob={\"a\":1} ");
    rig_leave(rig, 1, bob);
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(ann, "[hark.leave]");
    expect_members(rig, 0, "ann={\"a\":1} ");
    rig_leave(rig, 0, ann);
    rig_tick(rig);
    expect_members(rig, 0, "");
}

static void an_id_is_counted_over_workers(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *watcher = rig_join(rig, 0, &on);
    struct rig_sink *first = enter(rig, 0, &on, "ann");
    struct rig_sink *second = enter(rig, 1, &on, "ann");
    struct rig_sink *third = enter(rig, 1, &on, "ann");
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(watcher, "[hark.join]");
    expect_members(rig, 1, "ann={\"a\":1} ");
    rig_leave(rig, 0, first);
    rig_leave(rig, 1, second);
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(watcher, "");
    rig_leave(rig, 1, third);
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(watcher, "[hark.leave]");
    rig_leave(rig, 0, watcher);
}

static void what_cancels_out_in_a_tick_is_not_told(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *watcher = rig_join(rig, 0, &on);
    struct rig_sink *ann = enter(rig, 0, &on, "ann");
    rig_leave(rig, 0, ann);
    rig_tick(rig);
    rig_expect(watcher, "");
    ann = enter(rig, 0, &on, "ann");
    rig_tick(rig);
    rig_expect(watcher, "[hark.join]");
    rig_leave(rig, 0, ann); // a reconnect
    ann = enter(rig, 0, &on, "ann");
    rig_tick(rig);
    rig_expect(watcher, "");
    rig_leave(rig, 0, ann);
    rig_tick(rig);
    rig_expect(watcher, "[hark.leave]");
    rig_leave(rig, 0, watcher);
}

static unsigned count(struct rig_sink *sink, const char *what)
{
    unsigned found = 0;
    for (const char *at = sink->log; (at = strstr(at, what)) != NULL; at++) {
        found++;
    }
    sink->len = 0;
    sink->log[0] = '\0';
    return found;
}

static void a_storm_is_told_in_bounded_batches(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *watcher = rig_join(rig, 1, &on);
    static struct rig_sink *crowd[500];
    for (int i = 0; i < 500; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%d", i); // fits
        crowd[i] = enter(rig, 0, &on, id);
    }
    rig_tick(rig);
    rig_tick(rig);
    assert_int_equal(count(watcher, "[hark.join]"), 64);
    for (int i = 400; i < 500; i++) { // these were never told
        rig_leave(rig, 0, crowd[i]);
    }
    rig_tick(rig);
    assert_int_equal(count(watcher, "hark"), 0);
    rig->now_ms += 1000;
    rig_sweep(rig);
    assert_int_equal(count(watcher, "[hark.join]"), 256);
    rig->now_ms += 1000;
    rig_sweep(rig);
    assert_int_equal(count(watcher, "[hark.join]"), 400 - 64 - 256);
    for (int i = 0; i < 400; i++) {
        rig_leave(rig, 0, crowd[i]);
    }
    for (int second = 0; second < 3; second++) {
        rig->now_ms += 1000;
        rig_tick(rig);
        rig_sweep(rig);
    }
    assert_int_equal(count(watcher, "[hark.leave]"), 400);
    expect_members(rig, 0, "");
    rig_leave(rig, 1, watcher);
}

static void switching_is_told(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *watcher = rig_join(rig, 1, &off);
    struct rig_sink *ann = enter(rig, 0, &off, "ann");
    struct rig_sink *bob = enter(rig, 0, &off, "bob");
    rig_tick(rig);
    rig_expect(watcher, "");
    expect_members(rig, 0, "");
    assert_int_equal(hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &on), 0);
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(watcher, "[hark.join] [hark.join]");
    expect_members(rig, 0, "ann={\"a\":1} bob={\"a\":1} ");
    rig_leave(rig, 0, bob);
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(watcher, "[hark.leave]");
    assert_int_equal(hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &off), 0);
    rig_tick(rig);
    rig_tick(rig);
    rig_expect(watcher, "[hark.leave]");
    expect_members(rig, 0, "");
    rig_leave(rig, 0, ann);
    rig_leave(rig, 1, watcher);
}

static char payload[1024];

static bool deliver_payload(struct hark_sub *sub, const struct hark_pass *pass)
{
    (void)sub;
    const struct hark_msg *msg = pass->msgs[0];
    assert_true(msg->payload.len < sizeof(payload));
    memcpy(payload, msg->payload.ptr, msg->payload.len);
    payload[msg->payload.len] = '\0';
    assert_int_equal(msg->flags, HARK_MSG_OUTSIDE | HARK_MSG_NOTICE | HARK_MSG_JSON);
    assert_int_equal(msg->position.offset, 0);
    assert_int_not_equal(msg->position.epoch, 0);
    assert_int_not_equal(msg->channel_id, 0);
    assert_int_not_equal(msg->time_ms, 0);
    return true;
}

static void events_carry_channel_id_and_info(void **state)
{
    struct rig *rig = *state;
    static const struct hark_sink_ops ops = {deliver_payload, rig_gap};
    struct rig_sink *watcher = rig_join(rig, 0, &on);
    watcher->sub.ops = &ops;
    struct rig_sink *ann = enter(rig, 0, &on, "a\"nn");
    rig_tick(rig);
    assert_string_equal(payload, "{\"channel\":\"room\",\"id\":\"a\\\"nn\",\"info\":{\"a\":1}}");
    rig_leave(rig, 0, ann);
    rig_tick(rig);
    const struct hark_start start = {.rewind = 0};
    const struct hark_member plain = {.id = HARK_LIT("b")};
    struct rig_sink *bob = rig_sink_new();
    assert_int_equal(hark_hub_subscribe(rig_hub(rig, 0), &bob->sub, rig_slice("room"), &on, &start,
                                        &plain, NULL),
                     0);
    rig_tick(rig);
    assert_string_equal(payload, "{\"channel\":\"room\",\"id\":\"b\",\"info\":null}");
    rig_leave(rig, 0, bob);
    rig_leave(rig, 0, watcher);
}

static void newer_info_replaces_older(void **state)
{
    (void)state;
    struct hark_presence presence;
    hark_presence_init(&presence, true);
    struct hark_seat *a = NULL;
    struct hark_seat *b = NULL;
    const struct hark_member old = {.id = HARK_LIT("x"), .info = HARK_LIT("1")};
    const struct hark_member young = {.id = HARK_LIT("x"), .info = HARK_LIT("2")};
    assert_int_equal(hark_presence_enter(&presence, &old, 1, &a), 0);
    assert_int_equal(hark_presence_enter(&presence, &young, 2, &b), 0);
    assert_ptr_equal(a, b);
    struct hark_member *members = NULL;
    size_t found = 0;
    assert_int_equal(hark_presence_copy(&presence, &members, &found), 0);
    assert_int_equal(found, 1);
    assert_true(hark_slice_is(members[0].info, HARK_LIT("2")));
    hark_mem_free(members);
    hark_presence_leave(&presence, a);
    hark_presence_leave(&presence, b);
    assert_false(hark_presence_has_news(&presence));
    assert_null(presence.seats);
    hark_presence_deinit(&presence);
}

static void no_memory_changes_nothing(void **state)
{
    (void)state;
    struct hark_presence presence;
    hark_presence_init(&presence, true);
    const struct hark_member member = {.id = HARK_LIT("x"), .info = HARK_LIT("{}")};
    struct hark_seat *seat = NULL;
    size_t n = 0;
    for (;; n++) {
        hark_mem_fail_after(n);
        int status = hark_presence_enter(&presence, &member, 1, &seat);
        hark_mem_fail_after(SIZE_MAX);
        if (status == 0) {
            break;
        }
        assert_int_equal(status, HARK_ENOMEM);
        assert_null(presence.seats);
        assert_false(hark_presence_has_news(&presence));
    }
    assert_int_equal(n, 4); // seat, table, buckets, info
    struct hark_msg *msg = NULL;
    hark_mem_fail_after(0);
    assert_int_equal(hark_presence_news(&presence, HARK_LIT("c"), &msg), HARK_ENOMEM);
    assert_int_equal(hark_presence_news(&presence, HARK_LIT("c"), &msg), 0);
    hark_msg_unref(msg);
    hark_presence_told(&presence);
    assert_int_equal(hark_presence_news(&presence, HARK_LIT("c"), &msg), HARK_ENOENT);
    hark_presence_deinit(&presence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joins_and_leaves_are_told_to_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_is_counted_over_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cancels_out_in_a_tick_is_not_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_storm_is_told_in_bounded_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(switching_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(events_carry_channel_id_and_info, setup, teardown),
        cmocka_unit_test(newer_info_replaces_older),
        cmocka_unit_test(no_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
