// SPDX-License-Identifier: MIT
//
// Hierarchical timer wheel over 64-bit time. Time counts in steps of 8 ms, read as digits to the
// base 64; a timer lies at the level of the highest digit in which its due step differs from the
// current one, in the slot of its own digit there. So all of a level is due before the next level,
// every occupied slot lies ahead of the current digit, and eleven levels hold any due time exactly:
// a bitmap per level finds what comes next without looking at an empty slot.
#include "base/wheel.h"

#include "base/mem.h"

#define DIGIT_BITS 6
#define SLOTS      64
#define LEVELS     11 // 11 digits of 6 bits >= 61 bits of steps

struct hark_wheel {
    uint64_t now;             // current step
    uint32_t occupied_levels; // bit per level that holds a timer
    uint64_t occupied[LEVELS];
    struct hark_list ready;   // due at the next advance: armed for the past
    struct hark_list expired; // being fired by the advance that runs now
    struct hark_list slots[LEVELS * SLOTS];
};

static struct hark_timer *timer_of(struct hark_list *node);
static uint64_t due_step(const struct hark_timer *timer);
static void place(struct hark_wheel *wheel, struct hark_timer *timer, struct hark_list *past);
static void unlink_timer(struct hark_wheel *wheel, struct hark_timer *timer);
static void mark_empty(struct hark_wheel *wheel, unsigned index);
static bool next_slot(const struct hark_wheel *wheel, unsigned *ret_index, uint64_t *ret_step);
static void empty_slot(struct hark_wheel *wheel, unsigned index);

struct hark_wheel *hark_wheel_new(uint64_t now_ms)
{
    struct hark_wheel *wheel = hark_mem_zalloc(sizeof(*wheel));
    if (wheel == NULL) {
        return NULL;
    }
    wheel->now = now_ms >> HARK_WHEEL_SHIFT;
    hark_list_init(&wheel->ready);
    hark_list_init(&wheel->expired);
    for (size_t i = 0; i < HARK_ARRAY_LEN(wheel->slots); i++) {
        hark_list_init(&wheel->slots[i]);
    }
    return wheel;
}

void hark_wheel_free(struct hark_wheel *wheel)
{
    hark_mem_free(wheel);
}

void hark_timer_init(struct hark_timer *timer, hark_timer_fn *fn)
{
    hark_list_init(&timer->node);
    timer->due_ms = 0;
    timer->fn = fn;
}

void hark_wheel_arm(struct hark_wheel *wheel, struct hark_timer *timer, uint64_t due_ms)
{
    unlink_timer(wheel, timer);
    timer->due_ms = due_ms == 0 ? 1 : due_ms; // 0 says "not armed"
    place(wheel, timer, &wheel->ready);
}

void hark_wheel_cancel(struct hark_wheel *wheel, struct hark_timer *timer)
{
    unlink_timer(wheel, timer);
    timer->due_ms = 0;
}

void hark_wheel_advance(struct hark_wheel *wheel, uint64_t now_ms)
{
    uint64_t target = now_ms >> HARK_WHEEL_SHIFT;
    hark_list_splice(&wheel->expired, &wheel->ready);

    // First collect, then fire: what a callback arms for the past waits for the next advance.
    unsigned index = 0;
    uint64_t step = 0;
    while (next_slot(wheel, &index, &step) && step <= target) {
        wheel->now = step;
        empty_slot(wheel, index);
    }
    if (target > wheel->now) {
        wheel->now = target;
    }

    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&wheel->expired)) != NULL) {
        struct hark_timer *timer = timer_of(node);
        timer->due_ms = 0;
        timer->fn(timer);
    }
}

uint64_t hark_wheel_next(const struct hark_wheel *wheel, uint64_t now_ms)
{
    if (!hark_list_is_empty(&wheel->ready) || !hark_list_is_empty(&wheel->expired)) {
        return 0;
    }
    unsigned index = 0;
    uint64_t step = 0;
    if (!next_slot(wheel, &index, &step) || step > UINT64_MAX >> HARK_WHEEL_SHIFT) {
        return UINT64_MAX;
    }
    uint64_t due_ms = step << HARK_WHEEL_SHIFT;
    return due_ms > now_ms ? due_ms - now_ms : 0;
}

static struct hark_timer *timer_of(struct hark_list *node)
{
    return HARK_CONTAINER_OF(node, struct hark_timer, node);
}

// Rounded up: never early.
static uint64_t due_step(const struct hark_timer *timer)
{
    uint64_t mask = (UINT64_C(1) << HARK_WHEEL_SHIFT) - 1;
    return (timer->due_ms >> HARK_WHEEL_SHIFT) + ((timer->due_ms & mask) != 0);
}

// Into the slot of its due time, or at the end of `past` when that has come.
static void place(struct hark_wheel *wheel, struct hark_timer *timer, struct hark_list *past)
{
    uint64_t due = due_step(timer);
    if (due <= wheel->now) {
        hark_list_push(past, &timer->node);
        return;
    }
    unsigned level = (63U - (unsigned)__builtin_clzll(due ^ wheel->now)) / DIGIT_BITS;
    unsigned digit = (unsigned)(due >> (level * DIGIT_BITS)) & (SLOTS - 1);
    hark_list_push(&wheel->slots[level * SLOTS + digit], &timer->node);
    wheel->occupied[level] |= UINT64_C(1) << digit;
    wheel->occupied_levels |= 1U << level;
}

static void unlink_timer(struct hark_wheel *wheel, struct hark_timer *timer)
{
    struct hark_list *head = timer->node.next;
    bool is_last = head != &timer->node && head == timer->node.prev;
    hark_list_remove(&timer->node);
    // The last one of a list names the list's head: no timer needs to remember its slot.
    if (is_last && head >= wheel->slots && head < wheel->slots + LEVELS * SLOTS) {
        mark_empty(wheel, (unsigned)(head - wheel->slots));
    }
}

static void mark_empty(struct hark_wheel *wheel, unsigned index)
{
    unsigned level = index / SLOTS;
    wheel->occupied[level] &= ~(UINT64_C(1) << (index % SLOTS));
    if (wheel->occupied[level] == 0) {
        wheel->occupied_levels &= ~(1U << level);
    }
}

// The occupied slot that comes first and the step at which it begins.
static bool next_slot(const struct hark_wheel *wheel, unsigned *ret_index, uint64_t *ret_step)
{
    if (wheel->occupied_levels == 0) {
        return false;
    }
    unsigned level = (unsigned)__builtin_ctz(wheel->occupied_levels);
    unsigned digit = (unsigned)__builtin_ctzll(wheel->occupied[level]);
    unsigned shift = level * DIGIT_BITS;
    uint64_t digits_below =
        shift + DIGIT_BITS < 64 ? (UINT64_C(1) << (shift + DIGIT_BITS)) - 1 : UINT64_MAX;
    *ret_index = level * SLOTS + digit;
    *ret_step = (wheel->now & ~digits_below) | (uint64_t)digit << shift;
    return true;
}

// The current step has reached the slot: its timers are due or move to a lower level.
static void empty_slot(struct hark_wheel *wheel, unsigned index)
{
    struct hark_list timers;
    hark_list_init(&timers);
    hark_list_splice(&timers, &wheel->slots[index]);
    mark_empty(wheel, index);
    struct hark_list *node = NULL;
    while ((node = hark_list_pop(&timers)) != NULL) {
        place(wheel, timer_of(node), &wheel->expired);
    }
}
