// SPDX-License-Identifier: MIT
//
// Intrusive doubly linked list. A node belongs to at most one list; an unlinked node points to
// itself, so removing twice is harmless.
#ifndef HARK_BASE_LIST_H
#define HARK_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct hark_list {
    struct hark_list *next;
    struct hark_list *prev;
};

static inline void hark_list_init(struct hark_list *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool hark_list_is_empty(const struct hark_list *list)
{
    return list->next == list;
}

static inline void hark_list_push(struct hark_list *list, struct hark_list *node) // at the end
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void hark_list_push_front(struct hark_list *list, struct hark_list *node)
{
    hark_list_push(list->next, node);
}

static inline void hark_list_remove(struct hark_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    hark_list_init(node);
}

// First node unlinked, or NULL.
static inline struct hark_list *hark_list_pop(struct hark_list *list)
{
    struct hark_list *node = list->next;
    if (node == list) {
        return NULL;
    }
    hark_list_remove(node);
    return node;
}

// Moves all nodes of `from` to the end of `list`; from is empty afterwards.
static inline void hark_list_splice(struct hark_list *list, struct hark_list *from)
{
    if (hark_list_is_empty(from)) {
        return;
    }
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    hark_list_init(from);
}

#define hark_list_for_each(at, list) \
    for (struct hark_list *at = (list)->next; at != (list); at = at->next)

#define hark_list_for_each_safe(at, after, list)                               \
    for (struct hark_list *at = (list)->next, *after = at->next; at != (list); \
         at = after, after = at->next)

#endif
