// SPDX-License-Identifier: MIT
//
// The inside of an exchange, for whoever implements one on an HTTP version (http1_exchange): it
// embeds the struct, fills the operations, and frees it from the defer queue after it has died.
#ifndef HARK_TRANSPORT_EXCHANGE_IMPL_H
#define HARK_TRANSPORT_EXCHANGE_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "io/stream.h"
#include "proto/http.h"
#include "transport/server.h"

struct hark_body_source;
struct hark_exchange;

#define HARK_EXCHANGE_ID_LEN 24 // of a request id that we make

// What comes behind a response's head when it is not response->body.
struct hark_exchange_body {
    uint64_t length;
    const struct hark_body_source *source;
    void *ctx;
};

// The last three end the exchange (but for a failed move). The head has been checked by nobody yet.
struct hark_exchange_ops {
    struct hark_peer (*peer)(const struct hark_exchange *exchange);
    // From now on FIN ends it, also one that has come. Tells nobody within the call.
    void (*park)(struct hark_exchange *exchange);
    // `body` NULL: the response has its own.
    void (*respond)(struct hark_exchange *exchange,
                    const struct hark_response *response,
                    const struct hark_exchange_body *body);
    int (*take)(struct hark_exchange *exchange,
                const struct hark_response *head,
                const struct hark_stream_ops *ops,
                void *owner,
                struct hark_stream **ret_stream,
                struct hark_slice *ret_early);
    int (*move)(struct hark_exchange *exchange, unsigned worker);
};

struct hark_exchange {
    const struct hark_exchange_ops *ops; // NULL: dead
    struct hark_server *server;
    const struct hark_request *request;
    void (*gone)(void *ctx, struct hark_exchange *exchange); // NULL: nobody to tell
    void *gone_ctx;
    uint64_t serial;
    struct hark_buf fields; // added ones, as lines
    struct hark_slice id;   // into the request or made_id
    char made_id[HARK_EXCHANGE_ID_LEN];
    bool moved;
    bool parked;
};

// Gives serial and id. made_id: of a request that was moved, the id that it was given before; NULL:
// it was not, and an id is made if the request brings none that is sane.
void hark_exchange_init(struct hark_exchange *exchange,
                        const struct hark_exchange_ops *ops,
                        struct hark_server *server,
                        const struct hark_request *request,
                        const char *made_id);
void hark_exchange_deinit(struct hark_exchange *exchange);

// The client is gone: the exchange is dead, whoever asked is told. Idempotent.
void hark_exchange_go(struct hark_exchange *exchange);

// Appends {"error": text}.
HARK_MUSTCHECK int hark_exchange_error_text(struct hark_buf *buf, struct hark_slice text);

#endif
