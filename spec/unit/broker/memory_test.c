// SPDX-License-Identifier: MIT
//
// The memory broker through the hub: age, idempotency keys, options, clearing, what is forgotten
// and what is not, stalled workers, and no memory at every allocation.
#include "hub/rig.h"

static const struct hark_channel_options plain = {.history_count = 0};
static const struct hark_channel_options ten = {.history_count = 10};

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

struct reply {
    int status;
    size_t count;
    uint64_t first;
    uint64_t last;
    struct hark_position top;
};

static void on_history(
    void *ctx, int status, struct hark_msg *const *msgs, size_t count, struct hark_position top)
{
    struct reply *reply = ctx;
    *reply = (struct reply){.status = status, .count = count, .top = top};
    if (count > 0) {
        reply->first = msgs[0]->position.offset;
        reply->last = msgs[count - 1]->position.offset;
    }
}

static struct reply
history_of(struct rig *rig, const char *name, const struct hark_position *since, uint32_t limit)
{
    struct reply reply = {.status = 99};
    assert_int_equal(
        hark_hub_history(rig_hub(rig, 1), rig_slice(name), since, limit, on_history, &reply), 0);
    assert_int_not_equal(reply.status, 99);
    return reply;
}

static struct reply history(struct rig *rig, const struct hark_position *since, uint32_t limit)
{
    return history_of(rig, "room", since, limit);
}

static void history_is_read_by_name(void **state)
{
    struct rig *rig = *state;
    struct reply none = history(rig, NULL, 5);
    assert_int_equal(none.count, 0);
    assert_int_equal(none.top.epoch, 0);
    struct hark_position at = rig_publish(rig, 0, &ten, 15);
    struct reply last = history(rig, NULL, 5);
    assert_int_equal(last.first, 11);
    assert_int_equal(last.last, 15);
    assert_int_equal(last.top.offset, 15);
    assert_int_equal(history(rig, NULL, 0).count, 0);
    at.offset = 8;
    struct reply since = history(rig, &at, 3);
    assert_int_equal(since.status, 0);
    assert_int_equal(since.first, 9);
    assert_int_equal(since.last, 11);
    at.offset = 2;
    struct reply gap = history(rig, &at, 100);
    assert_int_equal(gap.status, HARK_EGAP);
    assert_int_equal(gap.first, 6);
    assert_int_equal(gap.count, 10);
    at.offset = 16;
    assert_int_equal(history(rig, &at, 100).status, HARK_EGAP);
    at.epoch++;
    struct reply unknown = history(rig, &at, 100);
    assert_int_equal(unknown.status, HARK_EGAP);
    assert_int_equal(unknown.count, 0);
}

static void messages_leave_history_by_age(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options short_lived = {.history_count = 10, .ttl_ms = 1000};
    (void)rig_publish(rig, 0, &short_lived, 3);
    rig->now_ms += 999;
    (void)rig_publish(rig, 0, &short_lived, 1);
    assert_int_equal(history(rig, NULL, 10).first, 1);
    rig->now_ms += 1; // noticed by the read, without a sweep
    assert_int_equal(history(rig, NULL, 10).first, 4);
    rig->now_ms += 999;
    struct reply reply = history(rig, NULL, 10);
    assert_int_equal(reply.count, 0);
    assert_int_equal(reply.top.offset, 4);
}

static void defaults_bound_history(void **state)
{
    struct rig *rig = *state;
    const struct hark_channel_options many = {.history_count = 100000};
    static char text[10000];
    const struct hark_msg_draft draft = {.channel = HARK_LIT("room"),
                                         .payload = hark_slice(text, sizeof(text))};
    for (int i = 0; i < 200; i++) {
        (void)rig_publish_draft(rig, 0, &many, &draft);
    }
    assert_in_range(history(rig, NULL, 1000).count, 100, 104); // 1 MiB of them
    rig->now_ms += 5 * 60 * 1000;
    assert_int_equal(history(rig, NULL, 1000).count, 0);
}

static struct hark_position publish_once(
    struct rig *rig, unsigned worker, const char *channel, const char *once, uint32_t flags)
{
    const struct hark_msg_draft draft = {
        .channel = hark_slice_text(channel),
        .once = hark_slice_text(once),
        .flags = flags,
    };
    return rig_publish_draft(rig, worker, &ten, &draft);
}

static void once_publishes_once(void **state)
{
    struct rig *rig = *state;
    struct hark_position first = publish_once(rig, 0, "room", "a", 0);
    assert_int_equal(first.offset, 1);
    assert_int_equal(publish_once(rig, 0, "room", "b", 0).offset, 2);
    struct hark_position again = publish_once(rig, 1, "room", "a", 0);
    assert_int_equal(again.offset, 1);
    assert_int_equal(again.epoch, first.epoch);
    assert_int_equal(publish_once(rig, 1, "other", "a", 0).offset, 1);
    assert_int_not_equal(publish_once(rig, 1, "other", "a", 0).epoch, first.epoch);
    assert_int_equal(history(rig, NULL, 10).count, 2);
    rig->now_ms += 5 * 60 * 1000 - 1;
    assert_int_equal(publish_once(rig, 0, "room", "a", 0).offset, 1);
    rig->now_ms += 1;
    assert_int_equal(publish_once(rig, 0, "room", "a", 0).offset, 3);
    struct rig_sink *sink = rig_join(rig, 0, &ten);
    (void)publish_once(rig, 0, "room", "c", HARK_MSG_OUTSIDE);
    (void)publish_once(rig, 0, "room", "c", HARK_MSG_OUTSIDE);
    rig_tick(rig);
    rig_expect(sink, "[]");
    rig_leave(rig, 0, sink);
}

static void a_failed_publish_uses_up_no_key(void **state)
{
    struct rig *rig = *state;
    // How many allocations one takes depends on the stripe its name falls to: several names.
    for (size_t n = 0; n < 40; n++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "c%zu", n); // fits
        const struct hark_msg_draft draft = {.channel = hark_slice_text(name),
                                             .once = HARK_LIT("a")};
        hark_mem_fail_after(n / 4);
        int status = hark_hub_publish(rig_hub(rig, 0), &draft, &ten, NULL, NULL);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || status == HARK_ENOMEM);
        assert_int_equal(publish_once(rig, 0, name, "a", 0).offset, 1);
        assert_int_equal(history_of(rig, name, NULL, 10).count, 1);
    }
}

static void once_is_bounded(void **state)
{
    (void)state;
    struct rig *rig = calloc(1, sizeof(*rig));
    struct hark_memory_options options;
    hark_memory_options_init(&options, RIG_WORKERS);
    options.once_max = 64; // one a stripe
    rig_up_with(rig, options);
    assert_int_equal(publish_once(rig, 0, "room", "a", 0).offset, 1);
    assert_int_equal(publish_once(rig, 0, "room", "a", 0).offset, 1);
    assert_int_equal(publish_once(rig, 0, "room", "b", 0).offset, 2);
    assert_int_equal(publish_once(rig, 0, "room", "b", 0).offset, 2);
    assert_int_equal(publish_once(rig, 0, "room", "a", 0).offset, 3); // forgotten for b
    rig->now_ms += 5 * 60 * 1000;
    rig_sweep(rig);
    rig_down(rig);
    free(rig);
}

static void clear_drops_history_and_keeps_the_top(void **state)
{
    struct rig *rig = *state;
    struct hark_position at = rig_publish(rig, 0, &ten, 5);
    assert_int_equal(hark_hub_clear(rig_hub(rig, 1), rig_slice("room")), 0);
    struct reply reply = history(rig, NULL, 10);
    assert_int_equal(reply.count, 0);
    assert_int_equal(reply.top.epoch, at.epoch);
    assert_int_equal(reply.top.offset, 5);
    assert_int_equal(rig_publish(rig, 0, &ten, 1).offset, 6);
}

static void options_change_for_all_workers(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &ten);
    struct rig_sink *b = rig_join(rig, 1, &plain); // the first that named it decides
    assert_int_equal(hark_channel_options(b->sub.channel)->history_count, 10);
    (void)rig_publish(rig, 0, &plain, 10);
    assert_int_equal(history(rig, NULL, 20).count, 10);
    const struct hark_channel_options four = {.history_count = 4, .slow = HARK_SLOW_OLDEST};
    assert_int_equal(hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &four), 0);
    assert_int_equal(history(rig, NULL, 20).count, 4); // cut at once
    rig_tick(rig);
    assert_int_equal(hark_channel_options(a->sub.channel)->slow, HARK_SLOW_OLDEST);
    assert_int_equal(hark_channel_options(b->sub.channel)->slow, HARK_SLOW_OLDEST);
    const struct hark_channel_options grown = {.history_count = 100, .slow = HARK_SLOW_LATEST};
    assert_int_equal(hark_hub_configure(rig_hub(rig, 1), rig_slice("room"), &grown), 0);
    (void)rig_publish(rig, 0, &plain, 20);
    assert_int_equal(history(rig, NULL, 50).count, 24);
    rig_tick(rig);
    b->is_refusing = true;
    (void)rig_publish(rig, 0, &plain, 3);
    rig_tick(rig);
    b->is_refusing = false;
    b->len = 0;
    hark_hub_catch_up(rig_hub(rig, 1), &b->sub);
    rig_expect(b, "gap(30-33 slow latest) 33");
    rig_leave(rig, 0, a);
    rig_leave(rig, 1, b);
}

static void latest_starts_from_history_when_it_is_switched_on(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &ten);
    a->is_refusing = true;
    (void)rig_publish_key(rig, 0, &ten, "x");
    (void)rig_publish_key(rig, 0, &ten, "y");
    (void)rig_publish_key(rig, 0, &ten, "x");
    rig_tick(rig);
    const struct hark_channel_options latest = {.history_count = 10, .slow = HARK_SLOW_LATEST};
    assert_int_equal(hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &latest), 0);
    rig_tick(rig);
    a->is_refusing = false;
    hark_hub_catch_up(rig_hub(rig, 0), &a->sub);
    rig_expect(a, "gap(0-3 slow latest) 2 3");
    rig_leave(rig, 0, a);
}

struct seen {
    unsigned channels;
    uint64_t subscribers;
    uint64_t top;
    uint32_t held;
};

static void on_channel(void *ctx,
                       struct hark_slice name,
                       uint64_t subscribers,
                       struct hark_position top,
                       uint32_t held)
{
    struct seen *seen = ctx;
    seen->channels++;
    if (hark_slice_is(name, HARK_LIT("room"))) {
        seen->subscribers = subscribers;
        seen->top = top.offset;
        seen->held = held;
    }
}

static struct seen each(struct rig *rig)
{
    struct seen seen = {.channels = 0};
    assert_int_equal(hark_hub_each_channel(rig_hub(rig, 0), on_channel, &seen), 0);
    return seen;
}

static void each_channel_is_listed(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &ten);
    struct rig_sink *b = rig_join(rig, 0, &ten);
    struct rig_sink *c = rig_join(rig, 1, &ten);
    (void)rig_publish(rig, 0, &ten, 12);
    for (int i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "c%d", i); // fits
        const struct hark_msg_draft draft = {.channel = hark_slice_text(name)};
        (void)rig_publish_draft(rig, 0, i < 50 ? &ten : &plain, &draft);
    }
    struct seen seen = each(rig);
    assert_int_equal(seen.channels, 51); // those without history and listeners are idle
    assert_int_equal(seen.subscribers, 3);
    assert_int_equal(seen.top, 12);
    assert_int_equal(seen.held, 10);
    rig_leave(rig, 0, a);
    rig_leave(rig, 0, b);
    rig_leave(rig, 1, c);
    assert_int_equal(each(rig).subscribers, 0);
    rig->now_ms += 5 * 60 * 1000;
    rig_tick(rig);
    rig_sweep(rig);
    assert_int_equal(each(rig).channels, 0);
}

static void idle_channels_keep_their_position(void **state)
{
    struct rig *rig = *state;
    struct hark_position at = rig_publish(rig, 0, &ten, 3);
    rig->now_ms += UINT64_C(23) * 3600 * 1000;
    rig_sweep(rig); // its messages go, it becomes idle
    rig->now_ms += UINT64_C(23) * 3600 * 1000;
    rig_sweep(rig);
    const struct hark_start start = {.has_position = true, .position = at};
    struct rig_sink *a = rig_sink_new();
    rig_join_with(rig, 0, a, &plain, &start); // it takes new options from who names it next
    rig_expect(a, "");
    assert_true(a->how.recovered);
    assert_int_equal(hark_channel_options(a->sub.channel)->history_count, 0);
    rig_leave(rig, 0, a);
    rig_tick(rig);
    rig->now_ms += UINT64_C(25) * 3600 * 1000;
    rig_sweep(rig);
    rig_sweep(rig);
    struct rig_sink *b = rig_sink_new();
    rig_join_with(rig, 0, b, &plain, &start); // forgotten: told, not silent
    rig_expect(b, "gap(epoch 0)");
    rig_leave(rig, 0, b);
}

static int publish_to(struct rig *rig,
                      const struct hark_channel_options *options,
                      const char *kind,
                      int number)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "%s%d", kind, number); // fits
    const struct hark_msg_draft draft = {.channel = hark_slice_text(name)};
    return hark_hub_publish(rig_hub(rig, 0), &draft, options, NULL, NULL);
}

static void outside_messages_make_no_channel(void **state)
{
    struct rig *rig = *state;
    const struct hark_msg_draft draft = {.channel = HARK_LIT("room"), .flags = HARK_MSG_OUTSIDE};
    struct hark_position position = {1, 1};
    assert_int_equal(hark_hub_publish(rig_hub(rig, 0), &draft, &ten, rig_on_published, &position),
                     0);
    assert_int_equal(position.epoch, 0);
    assert_int_equal(position.offset, 0);
    assert_int_equal(hark_hub_clear(rig_hub(rig, 0), rig_slice("room")), HARK_ENOENT);
}

static struct rig *bounded(uint32_t channels_max, uint32_t idle_max)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    struct hark_memory_options options;
    hark_memory_options_init(&options, RIG_WORKERS);
    options.channels_max = channels_max;
    options.idle_max = idle_max;
    rig_up_with(rig, options);
    return rig;
}

static void idle_channels_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = bounded(1u << 20, 64 * 4);
    struct hark_position at = rig_publish(rig, 0, &plain, 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(publish_to(rig, &plain, "few", i), 0);
    }
    assert_int_equal(rig_publish(rig, 0, &plain, 1).epoch,
                     at.epoch); // within the bound: remembered
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(publish_to(rig, &plain, "many", i), 0);
    }
    struct hark_position now = rig_publish(rig, 0, &plain, 1);
    assert_int_not_equal(now.epoch, at.epoch); // the longest idle is forgotten, and it shows
    assert_int_equal(now.offset, 1);
    rig_down(rig);
    free(rig);
}

static void channels_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = bounded(64 * 8, 1u << 20);
    for (int i = 0; i < 20000; i++) { // idle ones make room
        assert_int_equal(publish_to(rig, &plain, "idle", i), 0);
    }
    int status = 0;
    unsigned made = 0;
    for (int i = 0; i < 20000 && status == 0; i++) { // with history: not to be forgotten
        status = publish_to(rig, &ten, "held", i);
        made += status == 0 ? 1 : 0;
    }
    assert_int_equal(status, HARK_EFULL);
    assert_in_range(made, 64, 512);
    rig->now_ms += 5 * 60 * 1000;
    rig_sweep(rig);
    (void)rig_publish(rig, 0, &ten, 1); // there is room again
    rig_down(rig);
    free(rig);
}

static void a_stalled_worker_is_told_what_it_lost(void **state)
{
    struct rig *rig = *state;
    struct rig_sink *a = rig_join(rig, 0, &ten);
    (void)rig_publish(rig, 1, &ten, 65536 + 100); // while worker 0 does not run
    rig_tick(rig);
    rig_expect(a,
               "gap(0-65626 history) 65627 65628 65629 65630 65631 65632 65633 65634 65635 65636");
    assert_int_equal(a->sub.state, HARK_SUB_LIVE);
    (void)rig_publish(rig, 1, &ten, 1);
    rig_tick(rig);
    rig_expect(a, "65637");
    rig_leave(rig, 0, a);
}

// Every allocation of a whole conversation fails once. Whatever fails, says so or does nothing; who
// is subscribed sees no hole and no double.
struct witness {
    struct hark_sub sub;
    struct hark_position last;
    uint64_t conflated_to;
    bool is_refusing;
    bool has_joined;
};

static bool on_deliver(struct hark_sub *sub, const struct hark_pass *pass)
{
    struct witness *witness = sub->owner;
    if (witness->is_refusing) {
        return false;
    }
    for (size_t i = 0; i < pass->count; i++) {
        const struct hark_msg *msg = pass->msgs[i];
        if (msg->position.offset > 0) {
            bool is_next = msg->position.offset == witness->last.offset + 1;
            bool is_latest = msg->position.offset > witness->last.offset &&
                             msg->position.offset <= witness->conflated_to;
            assert_true(witness->last.offset == UINT64_MAX || is_next || is_latest);
            witness->last = msg->position;
        }
    }
    return true;
}

static void on_gap(struct hark_sub *sub, const struct hark_gap *gap)
{
    struct witness *witness = sub->owner;
    assert_int_not_equal(gap->reason, HARK_GAP_EPOCH);
    assert_int_equal(gap->from.offset, witness->last.offset);
    if (gap->conflated) {
        witness->conflated_to = gap->to.offset;
    } else {
        witness->last = gap->to;
    }
}

static const struct hark_sink_ops witness_ops = {on_deliver, on_gap};

static void on_witness_joined(struct hark_sub *sub, int status, const struct hark_joined *joined)
{
    struct witness *witness = sub->owner;
    assert_true(status == 0 || status == HARK_ENOMEM);
    witness->has_joined = status == 0;
    if (joined != NULL && witness->last.offset == UINT64_MAX) {
        witness->last = joined->position;
    }
}

static void witness_join(struct rig *rig, unsigned worker, struct witness *witness, uint32_t rewind)
{
    const struct hark_channel_options options = {
        .history_count = 6, .presence = true, .slow = HARK_SLOW_OLDEST};
    const struct hark_member member = {.id = HARK_LIT("ann"), .info = HARK_LIT("{}")};
    const struct hark_start start = {.rewind = rewind};
    witness->sub = (struct hark_sub){.ops = &witness_ops, .owner = witness, .serial = 1};
    witness->last = (struct hark_position){0, UINT64_MAX};
    int status = hark_hub_subscribe(rig_hub(rig, worker), &witness->sub, rig_slice("room"),
                                    &options, &start, &member, on_witness_joined);
    assert_true(status == 0 || status == HARK_ENOMEM);
    assert_true((witness->sub.channel != NULL) == (status == 0 && witness->has_joined));
}

static void witness_publish(struct rig *rig, unsigned worker, const char *once, uint32_t flags)
{
    const struct hark_channel_options options = {
        .history_count = 6, .presence = true, .slow = HARK_SLOW_OLDEST};
    const struct hark_msg_draft draft = {.channel = HARK_LIT("room"),
                                         .once = hark_slice_text(once),
                                         .payload = HARK_LIT("x"),
                                         .flags = flags};
    int status = hark_hub_publish(rig_hub(rig, worker), &draft, &options, NULL, NULL);
    assert_true(status == 0 || status == HARK_ENOMEM);
}

static void converse(struct rig *rig, struct witness *witnesses)
{
    witness_join(rig, 0, &witnesses[0], 0);
    witness_publish(rig, 0, "once", 0);
    witness_join(rig, 1, &witnesses[1], 0);
    for (int i = 0; i < 6; i++) { // over the room of a first run
        witness_publish(rig, i % 2 == 0, NULL, 0);
    }
    witness_publish(rig, 1, NULL, HARK_MSG_OUTSIDE);
    rig_tick(rig);
    witnesses[1].is_refusing = true;
    for (int i = 0; i < 9; i++) {
        witness_publish(rig, 0, NULL, 0);
        rig_tick_one(rig, i % 2 == 0);
    }
    rig_tick(rig);
    witnesses[1].is_refusing = false;
    hark_hub_catch_up(rig_hub(rig, 1), &witnesses[1].sub);
    witness_join(rig, 0, &witnesses[2], 4);
    const struct hark_channel_options latest = {.history_count = 4, .slow = HARK_SLOW_LATEST};
    int status = hark_hub_configure(rig_hub(rig, 0), rig_slice("room"), &latest);
    assert_true(status == 0 || status == HARK_ENOMEM || status == HARK_ENOENT);
    witness_publish(rig, 0, NULL, 0);
    rig_tick(rig);
}

// Whether the allocation that is to fail is still to come.
static bool is_armed(size_t fail_after)
{
    bool has_failed = false;
    for (size_t i = 0; i <= fail_after && !has_failed; i++) {
        void *ptr = hark_mem_alloc(1);
        has_failed = ptr == NULL;
        hark_mem_free(ptr);
    }
    hark_mem_fail_after(SIZE_MAX);
    return has_failed;
}

static void no_memory_breaks_no_promise(void **state)
{
    (void)state;
    bool is_over = false;
    for (size_t fail_after = 0; !is_over; fail_after++) {
        struct rig *rig = calloc(1, sizeof(*rig));
        assert_non_null(rig);
        rig_up(rig);
        struct witness witnesses[3];
        memset(witnesses, 0, sizeof(witnesses));
        hark_mem_fail_after(fail_after);
        converse(rig, witnesses);
        is_over = is_armed(fail_after); // the conversation needs no more allocations than that
        rig_sweep(rig);
        uint64_t top = history(rig, NULL, 1).top.offset;
        for (unsigned i = 0; i < 3; i++) {
            struct witness *witness = &witnesses[i];
            if (witness->sub.channel != NULL) {
                assert_int_equal(witness->last.offset, top); // got or told
                assert_int_equal(witness->sub.state, HARK_SUB_LIVE);
            }
            assert_true(!is_over || (witness->sub.channel != NULL && top == 17));
            hark_hub_unsubscribe(rig_hub(rig, i % 2), &witness->sub);
        }
        rig_down(rig);
        free(rig);
        assert_in_range(fail_after, 0, 1000);
    }
}

static void no_memory_to_begin_with(void **state)
{
    (void)state;
    struct hark_broker *broker = NULL;
    for (size_t n = 0; n < 2; n++) {
        hark_mem_fail_after(n);
        assert_int_equal(hark_memory_new(1, &broker), HARK_ENOMEM);
    }
    hark_mem_fail_after(SIZE_MAX);
    assert_int_equal(hark_memory_new(0, &broker), HARK_EINVAL);
    hark_memory_free(NULL);
    hark_hub_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(history_is_read_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_leave_history_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(defaults_bound_history, setup, teardown),
        cmocka_unit_test_setup_teardown(once_publishes_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_publish_uses_up_no_key, setup, teardown),
        cmocka_unit_test(once_is_bounded),
        cmocka_unit_test_setup_teardown(clear_drops_history_and_keeps_the_top, setup, teardown),
        cmocka_unit_test_setup_teardown(options_change_for_all_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(latest_starts_from_history_when_it_is_switched_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(each_channel_is_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_channels_keep_their_position, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_messages_make_no_channel, setup, teardown),
        cmocka_unit_test(idle_channels_are_bounded),
        cmocka_unit_test(channels_are_bounded),
        cmocka_unit_test_setup_teardown(a_stalled_worker_is_told_what_it_lost, setup, teardown),
        cmocka_unit_test(no_memory_breaks_no_promise),
        cmocka_unit_test(no_memory_to_begin_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
