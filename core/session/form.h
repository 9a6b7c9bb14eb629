// SPDX-License-Identifier: MIT
//
// Wire forms: a pass becomes the messages of a view, messages become bytes. Made once for all that
// can share them: C's forms of one message are cached in it for all workers, joined blocks and a
// script's forms are cached in the view for the sessions that follow in the same walk.
#ifndef HARK_SESSION_FORM_H
#define HARK_SESSION_FORM_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/chunk.h"
#include "hub/sink.h"
#include "session/env.h"
#include "session/place.h"
#include "session/transport.h"
#include "session/view.h"

// What a pass is for one session: its messages as its view has transformed them.
struct hark_form_list {
    struct hark_msg *const *msgs;
    size_t count;
    /* private */
    struct hark_msg **own; // references to give back
};

// 0 or HARK_ENOMEM. Calls the view's transform, which may do anything, to the session too.
HARK_MUSTCHECK int hark_form_list(struct hark_view *view,
                                  struct hark_session *session,
                                  const struct hark_pass *pass,
                                  struct hark_form_list *ret_list);
void hark_form_list_release(struct hark_form_list *list);

// The block of a whole pass for all sessions of the view on transports of this kind, each message
// with the position in its own channel. *ret_chunk is borrowed until the next pass; NULL: the view
// lets nothing through. Not for private passes (id 0). 0, HARK_ENOMEM, HARK_ETOOBIG.
HARK_MUSTCHECK int hark_form_joined_make(struct hark_session_env *env,
                                         const struct hark_transport_ops *ops,
                                         struct hark_view *view,
                                         struct hark_session *session,
                                         const struct hark_pass *pass,
                                         struct hark_chunk **ret_chunk);

// The same from the cache, when this is not the first session to ask.
static inline int hark_form_joined(struct hark_session_env *env,
                                   const struct hark_transport_ops *ops,
                                   struct hark_view *view,
                                   struct hark_session *session,
                                   const struct hark_pass *pass,
                                   struct hark_chunk **ret_chunk)
{
    const struct hark_view_joined *joined = &view->joined[ops->slot];
    if (HARK_LIKELY(joined->pass == pass->id)) {
        *ret_chunk = joined->chunk;
        return 0;
    }
    return hark_form_joined_make(env, ops, view, session, pass, ret_chunk);
}

// Appends one message for one session; `places`: where the client stands behind it (NULL: its
// position in its own channel alone). 0, or HARK_ENOMEM, HARK_ETOOBIG and buf is as before.
HARK_MUSTCHECK int hark_form_append(struct hark_session_env *env,
                                    const struct hark_transport_ops *ops,
                                    struct hark_msg *msg,
                                    const struct hark_places *places,
                                    struct hark_buf *buf);

// The two parts apart, for large messages to sessions with several channels: the body of a pass of
// one message, shared as in hark_form_joined (NULL: nothing); and what stands in front of it.
HARK_MUSTCHECK int hark_form_body(struct hark_session_env *env,
                                  const struct hark_transport_ops *ops,
                                  struct hark_view *view,
                                  uint64_t pass,
                                  struct hark_msg *msg,
                                  struct hark_chunk **ret_chunk);
HARK_MUSTCHECK int hark_form_prefix(const struct hark_transport_ops *ops,
                                    const struct hark_msg *msg,
                                    const struct hark_places *places,
                                    size_t body_len,
                                    struct hark_buf *buf);

// Empties a buffer of the worker's for the next use; the memory of an outsize one is not kept.
void hark_form_reuse(struct hark_buf *buf);

#endif
