// SPDX-License-Identifier: MIT
//
// Who sits in a channel: seats by member id, counted, and what the subscribers have been told of
// them. Between two takes of the changes an id that came and went, or went and came, is no change.
// Plain data without a lock; a broker keeps one a channel and guards it.
#ifndef HARK_HUB_PRESENCE_H
#define HARK_HUB_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/hash.h"
#include "base/list.h"
#include "hub/msg.h"
#include "hub/options.h"

struct hark_seat {
    UT_hash_handle hh;
    struct hark_list changed; // in presence->changed while what was told is not what is
    uint32_t count;           // how often the id sits here
    bool is_told;             // the subscribers believe that it is here
    uint64_t serial;          // session that made it come; it is not told of its own join
    char *info_text;          // owned
    struct hark_slice info;   // in info_text
    struct hark_slice id;     // in text
    char text[];
};

struct hark_presence {
    struct hark_seat *seats;  // by id
    struct hark_list changed; // seats, in the order of their change
    bool is_on;               // off: nobody is to be seen
};

void hark_presence_init(struct hark_presence *presence, bool is_on);
void hark_presence_deinit(struct hark_presence *presence);

// Everybody leaves or comes, in the eyes of the subscribers.
void hark_presence_switch(struct hark_presence *presence, bool is_on);

// The id sits down once more; newer info replaces older. ENOMEM: nothing has changed.
HARK_MUSTCHECK int hark_presence_enter(struct hark_presence *presence,
                                       const struct hark_member *member,
                                       uint64_t serial,
                                       struct hark_seat **ret);
void hark_presence_leave(struct hark_presence *presence, struct hark_seat *seat);

static inline bool hark_presence_has_news(const struct hark_presence *presence)
{
    return !hark_list_is_empty(&presence->changed);
}

// The next change as a message outside the log (hark.join or hark.leave). ENOENT: there is none.
// ENOMEM: it stays the next. After 0, hark_presence_told takes it off.
HARK_MUSTCHECK int hark_presence_news(const struct hark_presence *presence,
                                      struct hark_slice channel,
                                      struct hark_msg **ret);
void hark_presence_told(struct hark_presence *presence);

// A copy of those that are to be seen, in one block owned by the caller (NULL when there is
// nobody). ENOMEM.
HARK_MUSTCHECK int hark_presence_copy(const struct hark_presence *presence,
                                      struct hark_member **ret,
                                      size_t *ret_count);

#endif
