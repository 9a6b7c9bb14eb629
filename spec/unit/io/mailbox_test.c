// SPDX-License-Identifier: MIT
//
// Mail between threads: order per producer, order under a lock, wake-ups, bounded drains.
#include "io/mailbox.h"

#include <pthread.h>
#include <sched.h>

#include "io/support.h"

#define PRODUCERS 4
#define MAILS     20000
#define LONG_MS   3600000

struct letter {
    struct hark_mail mail; // first
    unsigned producer;
    unsigned number;
    unsigned ticket; // of all producers, taken under a lock
};

struct post_office {
    struct world *world;
    struct hark_mailbox *mailbox;
    pthread_mutex_t lock;
    unsigned tickets;
    bool is_locked; // producers post under the lock
    unsigned next[PRODUCERS];
    unsigned received;
    unsigned ticks;
    size_t drain_max;
};

struct producer {
    struct post_office *office;
    unsigned index;
};

static void on_letter(struct hark_mail *mail, void *worker)
{
    struct letter *letter = HARK_CONTAINER_OF(mail, struct letter, mail);
    struct post_office *office = worker;
    assert_int_equal(letter->number, office->next[letter->producer]);
    if (office->is_locked) {
        assert_int_equal(letter->ticket, office->received);
    }
    office->next[letter->producer]++;
    office->received++;
    hark_mem_free(letter);
}

static void post(struct post_office *office, unsigned producer, unsigned number)
{
    struct letter *letter = hark_mem_zalloc(sizeof(*letter));
    letter->mail.fn = on_letter;
    letter->producer = producer;
    letter->number = number;
    if (office->is_locked) {
        pthread_mutex_lock(&office->lock);
        letter->ticket = office->tickets++;
    }
    hark_mailbox_post(office->mailbox, &letter->mail);
    if (office->is_locked) {
        pthread_mutex_unlock(&office->lock);
    }
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    for (unsigned i = 0; i < MAILS; i++) {
        post(producer->office, producer->index, i);
        if (i % 64 == 0) {
            sched_yield(); // let the owner run dry now and then
        }
    }
    return NULL;
}

static bool on_tick(void *ctx)
{
    struct post_office *office = ctx;
    office->ticks++;
    return hark_mailbox_drain(office->mailbox, office->drain_max);
}

static void open_office(struct post_office *office, bool is_locked, size_t drain_max)
{
    *office =
        (struct post_office){.world = world_new(), .is_locked = is_locked, .drain_max = drain_max};
    pthread_mutex_init(&office->lock, NULL);
    assert_int_equal(hark_mailbox_new(office->world->loop, office, &office->mailbox), 0);
    hark_loop_on_tick(office->world->loop, on_tick, office);
}

static void close_office(struct post_office *office)
{
    hark_mailbox_free(office->mailbox);
    world_free(office->world);
    pthread_mutex_destroy(&office->lock);
}

// The owner sleeps without limit: each mail that is not woken for would hang the test.
static void run_producers(bool is_locked, size_t drain_max)
{
    struct post_office office;
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    open_office(&office, is_locked, drain_max);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){&office, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    while (office.received < PRODUCERS * MAILS) {
        assert_true(hark_loop_clock_ns() < office.world->deadline_ns);
        assert_int_equal(hark_loop_step(office.world->loop, LONG_MS), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(office.next[i], MAILS);
    }
    close_office(&office);
}

static void test_order_of_each_producer(void **state)
{
    (void)state;
    run_producers(false, SIZE_MAX);
}

static void test_order_under_a_lock(void **state)
{
    (void)state;
    run_producers(true, SIZE_MAX);
}

static void test_order_with_small_drains(void **state)
{
    (void)state;
    run_producers(true, 7);
}

static void test_drain_is_bounded(void **state)
{
    (void)state;
    struct post_office office;
    open_office(&office, false, 10);
    for (unsigned i = 0; i < 25; i++) {
        post(&office, 0, i);
    }
    assert_true(hark_mailbox_drain(office.mailbox, 10));
    assert_int_equal(office.received, 10);
    post(&office, 0, 25); // behind those taken already
    assert_true(hark_mailbox_drain(office.mailbox, 15));
    assert_int_equal(office.received, 25);
    assert_false(hark_mailbox_drain(office.mailbox, 15));
    assert_int_equal(office.received, 26);
    assert_false(hark_mailbox_drain(office.mailbox, 15));
    close_office(&office);
}

static void on_reply(struct hark_mail *mail, void *worker)
{
    struct post_office *office = worker;
    hark_mem_free(mail);
    if (office->received++ < 20) {
        struct letter *letter = hark_mem_zalloc(sizeof(*letter));
        letter->mail.fn = on_reply;
        hark_mailbox_post(office->mailbox, &letter->mail);
    }
}

// Mail to oneself from a mail, with drains so small that it is always the next tick's work.
static void test_own_mail_keeps_the_loop_awake(void **state)
{
    (void)state;
    struct post_office office;
    open_office(&office, false, 1);
    struct letter *letter = hark_mem_zalloc(sizeof(*letter));
    letter->mail.fn = on_reply;
    hark_mailbox_post(office.mailbox, &letter->mail);
    while (office.received < 21) {
        assert_int_equal(hark_loop_step(office.world->loop, LONG_MS), 0);
    }
    close_office(&office);
}

struct late {
    struct hark_timer timer;
    struct hark_defer defer;
    struct post_office *office;
};

static void on_late_timer(struct hark_timer *timer)
{
    struct late *late = HARK_CONTAINER_OF(timer, struct late, timer);
    hark_defer_post(hark_loop_defer(late->office->world->loop), &late->defer);
}

static void post_late(struct hark_defer *item)
{
    post(HARK_CONTAINER_OF(item, struct late, defer)->office, 0, 0);
}

// Posted by the owner behind the drain of this tick: the next one must come by itself.
static void test_own_mail_behind_the_drain(void **state)
{
    (void)state;
    struct post_office office;
    open_office(&office, false, SIZE_MAX);
    struct late late = {.office = &office};
    hark_timer_init(&late.timer, on_late_timer);
    hark_defer_init(&late.defer, post_late);
    hark_wheel_arm(hark_loop_wheel(office.world->loop), &late.timer, 1);
    assert_int_equal(hark_loop_step(office.world->loop, LONG_MS), 0);
    assert_int_equal(office.received, 0);
    assert_int_equal(hark_loop_step(office.world->loop, LONG_MS), 0);
    assert_int_equal(office.received, 1);
    close_office(&office);
}

static void test_free_runs_what_is_left(void **state)
{
    (void)state;
    struct post_office office;
    open_office(&office, false, 3);
    for (unsigned i = 0; i < 10; i++) {
        post(&office, 0, i);
    }
    assert_true(hark_mailbox_drain(office.mailbox, 3));
    hark_mailbox_free(office.mailbox);
    assert_int_equal(office.received, 10);
    office.mailbox = NULL;
    hark_loop_on_tick(office.world->loop, NULL, NULL);
    close_office(&office);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct hark_mailbox *mailbox = NULL;
    hark_mem_fail_after(0);
    assert_int_equal(hark_mailbox_new(world->loop, NULL, &mailbox), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_null(mailbox);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_each_producer),
        cmocka_unit_test(test_order_under_a_lock),
        cmocka_unit_test(test_order_with_small_drains),
        cmocka_unit_test(test_drain_is_bounded),
        cmocka_unit_test(test_own_mail_keeps_the_loop_awake),
        cmocka_unit_test(test_own_mail_behind_the_drain),
        cmocka_unit_test(test_free_runs_what_is_left),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
