// SPDX-License-Identifier: MIT
//
// Interface: what a transport must implement to carry a session (transport/ does). Session calls
// these in the worker's thread. A streaming transport writes at once what it is given; a polling
// one (is_streaming false) takes messages from the session's outbox when a client asks. The calls
// in the other direction are in session/link.h, input.h and output.h.
#ifndef HARK_SESSION_TRANSPORT_H
#define HARK_SESSION_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/chunk.h"
#include "base/slice.h"
#include "hub/msg.h"
#include "session/env.h"
#include "session/handlers.h"
#include "session/place.h"

struct hark_session;

#define HARK_TRANSPORT_ID_MAX 2304 // room for the text of a cursor

// How a session leaves its transport.
struct hark_ending {
    uint16_t code;         // a WebSocket close code; other transports translate
    struct hark_slice why; // borrowed until return
    bool is_retiring;      // the client shall come back after retry_ms
    bool is_by_client;     // it knows: no need to tell it later
    bool is_replaced;      // the session goes on over another transport
    uint64_t retry_ms;
};

// A transport's object begins with it.
struct hark_transport {
    const struct hark_transport_ops *ops;
    struct hark_session *session; // NULL: it has left, or has not come yet
};

struct hark_transport_ops {
    enum hark_transport_kind kind;
    bool is_streaming;
    bool has_ids;                 // forms carry positions
    enum hark_msg_wire slot;      // form that carries the position in the message's own channel
    enum hark_msg_wire body_slot; // form without position; the same as slot without ids

    // --- forms. Append to buf: 0, HARK_ETOOBIG, HARK_ENOMEM (the caller truncates) ---
    // What is the same for all receivers.
    int (*body)(struct hark_buf *buf, const struct hark_msg *msg);
    // What stands in front of a body of that length; id may be empty. NULL without ids.
    int (*prefix)(struct hark_buf *buf, struct hark_slice id, size_t body_len);
    // Writes the text of a cursor to out[HARK_TRANSPORT_ID_MAX]; returns its length. NULL without
    // ids.
    size_t (*cursor)(const struct hark_places *places, char *out);

    // --- streaming; `output` is what hark_link_attach or begin gave ---
    // The first output is about to be written (attached without one): NULL when it cannot be.
    void *(*begin)(struct hark_transport *transport);
    // Broadcast output: 0; HARK_EAGAIN: no room, keep it; HARK_ECLOSED; HARK_ENOMEM. The hot path.
    int (*send)(void *output, struct hark_chunk *chunk);
    bool (*has_room)(void *output);
    // No room, and hark_backlog_pump will be called when there is. Without this (a queue that is
    // only full until the end of the tick) session looks again by itself.
    bool (*will_tell)(void *output);
    // After has_room: 0, HARK_ECLOSED, HARK_ENOMEM. write copies.
    int (*push)(void *output, struct hark_chunk *chunk);
    int (*write)(void *output, struct hark_slice data);
    size_t (*queued)(void *output); // bytes that the kernel has not taken
    // The `open` handler has ended. id: where the client stands; its ptr is NULL when something has
    // told it already, its len 0 when it stands nowhere.
    void (*opened)(struct hark_transport *transport, struct hark_slice id);

    // --- polling: something lies in the outbox, or has left it ---
    void (*wake)(struct hark_transport *transport);

    // Handlers take messages again: deliver what was held (hark_input_message).
    void (*resume)(struct hark_transport *transport);
    // The session's timer is due: the delay until the next, 0 for none.
    uint64_t (*beat)(struct hark_transport *transport);
    // Output was cut in the middle, or the worker stops: drops the connection; hark_link_gone
    // follows unless the session has left.
    void (*abort)(struct hark_transport *transport);
    // The session leaves: transport->session is NULL already, `session` is for its id and settings.
    // Says goodbye and ends by itself.
    void (*end)(struct hark_transport *transport,
                struct hark_session *session,
                const struct hark_ending *ending);
};

// The answer to one message that came by POST; a transport's object begins with it. Exactly one of
// its functions is called, once, and the object is gone.
struct hark_reply_ops {
    void (*answer)(struct hark_reply *reply, enum hark_outcome outcome, struct hark_slice text);
    void (*drop)(struct hark_reply *reply); // the session ended before the message was handled
};

struct hark_reply {
    const struct hark_reply_ops *ops;
    struct hark_slice data; // the message; lives as long as the reply waits
    bool binary;
    /* private */
    struct hark_reply *next; // waiting behind another
    bool is_waiting;         // for its turn
};

#endif
