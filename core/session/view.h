// SPDX-License-Identifier: MIT
//
// A view is what stands between a channel's message and a group of sessions: nothing, a script's
// `deliver` for one session at a time, or a variant that is computed once per message for all that
// share it. Made by script, used by session when it makes wire forms.
#ifndef HARK_SESSION_VIEW_H
#define HARK_SESSION_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/chunk.h"
#include "hub/msg.h"

struct hark_session;
struct hark_view;

enum hark_view_mode {
    HARK_VIEW_PLAIN,   // messages leave as they are: forms are shared between workers
    HARK_VIEW_SHARED,  // transformed once per message for all sessions of this view
    HARK_VIEW_PRIVATE, // transformed per session: the documented slow path
};

// What one pass has become, kept for the sessions that come next in the same walk: the transformed
// messages (mode SHARED), and the joined wire form for each kind of transport.
struct hark_view_derived {
    uint64_t pass;
    struct hark_msg **msgs; // owned references
    size_t count;
};

struct hark_view_joined {
    uint64_t pass;
    struct hark_chunk *chunk; // owned; NULL: nothing to send
    uint32_t count;           // messages in it
};

struct hark_view {
    enum hark_view_mode mode;
    // Returns a reference in *ret: msg itself (ref'd), a derived message, or NULL: not for this
    // session. Never called in mode PLAIN. 0, or an error that was logged (the message is skipped).
    int (*transform)(struct hark_view *view,
                     struct hark_session *session,
                     struct hark_msg *msg,
                     struct hark_msg **ret);
    /* private */
    struct hark_view_joined joined[HARK_WIRE_COUNT]; // session/form's cache
    struct hark_view_derived derived;
};

void hark_view_init(struct hark_view *view);
void hark_view_deinit(struct hark_view *view); // drops cached forms

#endif
