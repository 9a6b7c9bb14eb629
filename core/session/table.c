// SPDX-License-Identifier: MIT
//
// Slots and the index over them. A serial is a counter, the worker, and the slot, so that one that
// is kept too long names nobody. Index cells hold slot + 1; linear probing, removal shifts back.
#include "session/table.h"

#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "hark.h"

#define SLOT_BITS   22
#define WORKER_BITS 10
#define NO_SLOT     UINT32_MAX

union slot {
    struct hark_tabled *item;
    uintptr_t next_free; // next free slot << 1 | 1: an item's address is even
};

struct hark_session_table {
    union slot *slots;
    uint32_t *index; // slot + 1; 0: empty
    uint32_t slot_count;
    uint32_t slot_cap;
    uint32_t first_free; // NO_SLOT: none
    uint32_t named;      // cells in use
    uint32_t mask;       // cells - 1
    uint32_t count;
    uint32_t counter;
    unsigned worker;
};

static int take_slot(struct hark_session_table *table, uint32_t *ret_slot);
static void free_slot(struct hark_session_table *table, uint32_t slot);
static int grow_slots(struct hark_session_table *table);
static int grow_index(struct hark_session_table *table);
static void put_cell(struct hark_session_table *table, uint32_t hash, uint32_t slot);
static uint32_t
find_cell(const struct hark_session_table *table, uint32_t hash, struct hark_slice id);
static void clear_cell(struct hark_session_table *table, uint32_t cell);
static struct hark_tabled *item_at(const struct hark_session_table *table, uint32_t slot);
static uint32_t slot_of(const struct hark_tabled *item);
static uint32_t hash_of(struct hark_slice id);

struct hark_session_table *hark_table_new(unsigned worker)
{
    assert(worker < HARK_TABLE_WORKERS);
    struct hark_session_table *table = hark_mem_zalloc(sizeof(*table));
    if (table != NULL) {
        table->worker = worker;
        table->first_free = NO_SLOT;
    }
    return table;
}

void hark_table_free(struct hark_session_table *table)
{
    if (table != NULL) {
        hark_mem_free(table->slots);
        hark_mem_free(table->index);
        hark_mem_free(table);
    }
}

int hark_table_add(struct hark_session_table *table, struct hark_tabled *item, struct hark_slice id)
{
    uint32_t hash = hash_of(id);
    if (table->index != NULL && find_cell(table, hash, id) != NO_SLOT) {
        return HARK_EEXIST;
    }
    // At most half of the cells are in use, so that a search is short and always ends.
    if (table->index == NULL || table->named >= (table->mask + 1) / 2) {
        int status = grow_index(table);
        if (status != 0) {
            return status;
        }
    }
    uint32_t slot = 0;
    int status = take_slot(table, &slot);
    if (status != 0) {
        return status;
    }
    table->counter++;
    item->serial = (uint64_t)table->counter << (WORKER_BITS + SLOT_BITS) |
                   (uint64_t)table->worker << SLOT_BITS | slot;
    if (table->counter == 0) { // after four thousand million sessions
        table->counter = 1;
        item->serial |= (uint64_t)1 << (WORKER_BITS + SLOT_BITS);
    }
    item->hash = hash;
    item->is_named = true;
    item->id_len = (uint8_t)id.len;
    item->id_at = (uint16_t)(id.ptr - (const char *)item);
    table->slots[slot].item = item;
    put_cell(table, hash, slot);
    table->named++;
    table->count++;
    return 0;
}

void hark_table_forget_id(struct hark_session_table *table, struct hark_tabled *item)
{
    if (!item->is_named) {
        return;
    }
    clear_cell(table, find_cell(table, item->hash, hark_tabled_id(item)));
    item->is_named = false;
    table->named--;
}

void hark_table_remove(struct hark_session_table *table, struct hark_tabled *item)
{
    hark_table_forget_id(table, item);
    free_slot(table, slot_of(item));
    table->count--;
}

struct hark_tabled *hark_table_find_serial(const struct hark_session_table *table, uint64_t serial)
{
    uint32_t slot = (uint32_t)(serial & (HARK_TABLE_SLOTS - 1));
    struct hark_tabled *item = slot < table->slot_count ? item_at(table, slot) : NULL;
    return item != NULL && item->serial == serial ? item : NULL;
}

struct hark_tabled *hark_table_find_id(const struct hark_session_table *table, struct hark_slice id)
{
    if (table->index == NULL) {
        return NULL;
    }
    uint32_t cell = find_cell(table, hash_of(id), id);
    return cell == NO_SLOT ? NULL : item_at(table, table->index[cell] - 1);
}

struct hark_tabled *hark_table_next(const struct hark_session_table *table, size_t *at)
{
    while (*at < table->slot_count) {
        struct hark_tabled *item = item_at(table, (uint32_t)(*at)++);
        if (item != NULL) {
            return item;
        }
    }
    return NULL;
}

size_t hark_table_count(const struct hark_session_table *table)
{
    return table->count;
}

static int take_slot(struct hark_session_table *table, uint32_t *ret_slot)
{
    if (table->first_free != NO_SLOT) {
        uint32_t slot = table->first_free;
        table->first_free = (uint32_t)(table->slots[slot].next_free >> 1);
        *ret_slot = slot;
        return 0;
    }
    if (table->slot_count == table->slot_cap) {
        int status = grow_slots(table);
        if (status != 0) {
            return status;
        }
    }
    *ret_slot = table->slot_count++;
    return 0;
}

static void free_slot(struct hark_session_table *table, uint32_t slot)
{
    table->slots[slot].next_free = (uintptr_t)table->first_free << 1 | 1;
    table->first_free = slot;
}

static int grow_slots(struct hark_session_table *table)
{
    if (table->slot_cap == HARK_TABLE_SLOTS) {
        return HARK_EFULL;
    }
    // By half: a table that doubled would on average waste more than a session's slot costs.
    uint32_t cap = table->slot_cap == 0 ? 64 : table->slot_cap + table->slot_cap / 2;
    cap = cap < HARK_TABLE_SLOTS ? cap : HARK_TABLE_SLOTS;
    union slot *slots = hark_mem_realloc(table->slots, cap * sizeof(*slots));
    if (slots == NULL) {
        return HARK_ENOMEM;
    }
    table->slots = slots;
    table->slot_cap = cap;
    return 0;
}

static int grow_index(struct hark_session_table *table)
{
    uint32_t *old = table->index;
    size_t old_cells = old == NULL ? 0 : (size_t)table->mask + 1;
    size_t cells = old == NULL ? 128 : old_cells * 2;
    uint32_t *index = hark_mem_array(cells, sizeof(*index));
    if (index == NULL) {
        return HARK_ENOMEM;
    }
    table->index = index;
    table->mask = (uint32_t)(cells - 1);
    for (size_t i = 0; i < old_cells; i++) {
        if (old[i] != 0) {
            put_cell(table, item_at(table, old[i] - 1)->hash, old[i] - 1);
        }
    }
    hark_mem_free(old);
    return 0;
}

static void put_cell(struct hark_session_table *table, uint32_t hash, uint32_t slot)
{
    uint32_t cell = hash & table->mask;
    while (table->index[cell] != 0) {
        cell = (cell + 1) & table->mask;
    }
    table->index[cell] = slot + 1;
}

static uint32_t
find_cell(const struct hark_session_table *table, uint32_t hash, struct hark_slice id)
{
    uint32_t cell = hash & table->mask;
    while (table->index[cell] != 0) {
        const struct hark_tabled *item = item_at(table, table->index[cell] - 1);
        if (item->hash == hash && hark_slice_is(hark_tabled_id(item), id)) {
            return cell;
        }
        cell = (cell + 1) & table->mask;
    }
    return NO_SLOT;
}

// Moves back what was pushed on by the item that goes, so that no search ends too early.
static void clear_cell(struct hark_session_table *table, uint32_t cell)
{
    uint32_t hole = cell;
    uint32_t at = (cell + 1) & table->mask;
    while (table->index[at] != 0) {
        uint32_t home = item_at(table, table->index[at] - 1)->hash & table->mask;
        if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
            table->index[hole] = table->index[at];
            hole = at;
        }
        at = (at + 1) & table->mask;
    }
    table->index[hole] = 0;
}

static struct hark_tabled *item_at(const struct hark_session_table *table, uint32_t slot)
{
    union slot at = table->slots[slot];
    return (at.next_free & 1) == 0 ? at.item : NULL;
}

static uint32_t slot_of(const struct hark_tabled *item)
{
    return (uint32_t)(item->serial & (HARK_TABLE_SLOTS - 1));
}

static uint32_t hash_of(struct hark_slice id)
{
    return (uint32_t)hark_hash_keyed(id.ptr, id.len);
}
