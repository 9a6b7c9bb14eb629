// SPDX-License-Identifier: MIT
//
// One HTTP request and its response, whatever the HTTP version. Whoever holds an exchange ends it
// in exactly one of three ways: respond (a whole answer, or one that is made while it is sent),
// take (the head is written and the byte stream becomes the caller's: WebSocket, SSE), or move
// (another worker's hook gets it). If the client goes away first, `gone` is called once and the
// exchange is dead. What a dead exchange held stays readable until the end of the tick, unless it
// was moved.
#ifndef HARK_TRANSPORT_EXCHANGE_H
#define HARK_TRANSPORT_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/chunk.h"
#include "base/slice.h"
#include "io/stream.h"
#include "proto/http.h"
#include "transport/server.h"

struct hark_exchange;
typedef void hark_exchange_gone_fn(void *ctx, struct hark_exchange *exchange);

const struct hark_request *hark_exchange_request(const struct hark_exchange *exchange);
struct hark_server *hark_exchange_server(const struct hark_exchange *exchange);
struct hark_peer hark_exchange_peer(const struct hark_exchange *exchange);
uint64_t
hark_exchange_serial(const struct hark_exchange *exchange); // unique in the process, never 0
struct hark_slice
hark_exchange_id(const struct hark_exchange *exchange); // X-Request-Id, taken or made

// fn NULL: nobody to tell. Replaces an earlier one.
void hark_exchange_on_gone(struct hark_exchange *exchange, hark_exchange_gone_fn *fn, void *ctx);
// The answer may be long in coming (a parked poll): from now on a client that closes its half of
// the connection, or has closed it, counts as gone; who waits for that is told later, not in this
// call. Without it, such a client only sends no further request and gets its answer.
void hark_exchange_park(struct hark_exchange *exchange);

// Header fields that every answer to this request gets besides its own (CORS and the like): copied.
// They do not move with it: the other worker's hook adds its own. 0, ENOMEM, ETOOBIG; EINVAL: a
// name that is no token, or a value with CR, LF, NUL or another control byte.
HARK_MUSTCHECK int hark_exchange_add_header(struct hark_exchange *exchange,
                                            struct hark_slice name,
                                            struct hark_slice value);

// The whole answer; HEAD, 1xx, 204 and 304 get no body. Headers and body are copied. Never fails
// for the caller: what cannot be sent closes the connection, and a response that is no HTTP (a
// status outside 200 to 599, a field with a line break in it) is logged and answered with 500 in
// its place. The exchange is dead afterwards.
void hark_exchange_respond(struct hark_exchange *exchange, const struct hark_response *response);

// A body that is made piece by piece, as fast as the client takes it.
struct hark_body_source {
    // The next piece, 1 to `max` bytes, the caller's reference in *ret. An error cuts the
    // connection.
    int (*next)(void *ctx, size_t max, struct hark_chunk **ret);
    // Exactly once: all has been taken, or nothing more will be (HEAD, client gone).
    void (*done)(void *ctx);
};

// As respond, with a body of exactly `length` bytes from `source`; head->body is not looked at.
void hark_exchange_respond_from(struct hark_exchange *exchange,
                                const struct hark_response *head,
                                uint64_t length,
                                const struct hark_body_source *source,
                                void *ctx);
// An error inside: 500 {"error":"internal","reference": reference}, which is what the log can be
// asked for.
void hark_exchange_fail(struct hark_exchange *exchange, const char *reference);
// {"error": text} in one call, with Retry-After if the status is 503; an empty text is the status
// alone.
void hark_exchange_refuse(struct hark_exchange *exchange, int status, struct hark_slice text);

// Writes the head (status 101, or 200 with a body that ends with the connection) and hands over the
// stream: events go to ops/owner from now on. *ret_early: bytes the client sent behind the request
// (frames with the handshake), borrowed until return to the loop; feed them first. Reading is on.
// On failure the exchange is dead: ECLOSED, ENOMEM: the connection is closed; EINVAL: the head was
// no HTTP and has been answered with 500.
HARK_MUSTCHECK int hark_exchange_take(struct hark_exchange *exchange,
                                      const struct hark_response *head,
                                      const struct hark_stream_ops *ops,
                                      void *owner,
                                      struct hark_stream **ret_stream,
                                      struct hark_slice *ret_early);

// Gives connection and request to another worker, whose hook is called with a new exchange. The old
// one is dead. EAGAIN (output still queued), ENOMEM, EINVAL (no such worker, or this one): it
// cannot be moved and is untouched: serve it here or refuse it.
HARK_MUSTCHECK int hark_exchange_move(struct hark_exchange *exchange, unsigned worker);
bool hark_exchange_was_moved(const struct hark_exchange *exchange); // do not move it again

#endif
