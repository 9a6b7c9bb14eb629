// SPDX-License-Identifier: MIT
//
// Interface: what the layer that runs the application's handlers implements (script does). Session
// calls these in the worker's thread. They may start work that ends later; the implementor runs one
// handler of a session at a time, in order, and tells the session when reading may go on.
#ifndef HARK_SESSION_HANDLERS_H
#define HARK_SESSION_HANDLERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "hub/sink.h"

struct hark_session;
enum hark_transport_kind;

// The answer to one message that came by POST; made by the transport, ended exactly once through
// hark_session_answer. NULL for WebSocket messages.
struct hark_reply;

enum hark_outcome {
    HARK_OUTCOME_OK,      // 204
    HARK_OUTCOME_REFUSED, // nil, why: 422 {"error": why}; WebSocket: event hark.error
    HARK_OUTCOME_FAILED,  // error in the script: 500; WebSocket: close 1011; text is the reference
    HARK_OUTCOME_LATER,   // parked or shutting down: 503; WebSocket: close 1013
    HARK_OUTCOME_INVALID, // the codec could not decode it: 400; WebSocket: event hark.error
};

struct hark_handlers {
    // Accepted, on its first transport. Ended by hark_session_opened.
    void (*open)(void *ctx, struct hark_session *session);
    // One message; data is borrowed until return. Ended by hark_session_answer.
    void (*message)(void *ctx,
                    struct hark_session *session,
                    struct hark_slice data,
                    bool binary,
                    struct hark_reply *reply);
    // A later transport came; one went while the session lives on. May be NULL.
    void (*attach)(void *ctx, struct hark_session *session);
    void (*detach)(void *ctx, struct hark_session *session, struct hark_slice why, bool clean);
    // true: the script tells its client itself. false: session sends the built-in hark.gap notice.
    bool (*gap)(void *ctx,
                struct hark_session *session,
                struct hark_slice channel,
                const struct hark_gap *gap);
    // A named timer is due; name is borrowed until return.
    void (*timer)(void *ctx, struct hark_session *session, struct hark_slice name);
    // The host stops or the endpoint is gone. Ended by hark_session_drained.
    void (*drain)(void *ctx, struct hark_session *session, struct hark_slice why);
    // The session ended; no transport is left. Ended by hark_session_release, which frees it.
    void (*close)(void *ctx, struct hark_session *session, uint16_t code, struct hark_slice why);
};

#endif
