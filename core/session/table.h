// SPDX-License-Identifier: MIT
//
// One worker's sessions by serial and by id. Serials name a slot of an array, so looking one up is
// one load; ids are found through an open-addressing index of slot numbers. Together about 20 bytes
// a session. The table knows sessions only as items that begin with a struct hark_tabled.
#ifndef HARK_SESSION_TABLE_H
#define HARK_SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define HARK_TABLE_WORKERS (1u << 10)
#define HARK_TABLE_SLOTS   (1u << 22) // sessions a worker can have

struct hark_session_table;

struct hark_tabled {
    uint64_t serial; // unique in the process, never 0; the table's
    /* private */
    uint32_t hash;
    bool is_named;
    uint8_t id_len;
    uint16_t id_at; // where the id lies, from the item's beginning
};

// worker: below HARK_TABLE_WORKERS, part of every serial. NULL: no memory.
HARK_MUSTCHECK struct hark_session_table *hark_table_new(unsigned worker);
void hark_table_free(
    struct hark_session_table *table); // accepts NULL; the items are not the table's

// Adds an item and gives it a serial; the id lies in the item's memory, at most 255 bytes. 0;
// HARK_EEXIST: that id is taken; HARK_EFULL; HARK_ENOMEM.
HARK_MUSTCHECK int
hark_table_add(struct hark_session_table *table, struct hark_tabled *item, struct hark_slice id);

// The id is free again, and no longer found; the serial still is. Idempotent.
void hark_table_forget_id(struct hark_session_table *table, struct hark_tabled *item);
void hark_table_remove(struct hark_session_table *table, struct hark_tabled *item);

struct hark_tabled *hark_table_find_serial(const struct hark_session_table *table, uint64_t serial);
struct hark_tabled *hark_table_find_id(const struct hark_session_table *table,
                                       struct hark_slice id);

static inline struct hark_slice hark_tabled_id(const struct hark_tabled *item)
{
    return hark_slice((const char *)item + item->id_at, item->id_len);
}

// Walks all items; items may be added (they may or may not be visited) and removed meanwhile.
// `*at` begins at 0; NULL at the end.
struct hark_tabled *hark_table_next(const struct hark_session_table *table, size_t *at);
size_t hark_table_count(const struct hark_session_table *table);

#endif
