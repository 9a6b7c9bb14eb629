// SPDX-License-Identifier: MIT
//
// Bytes to messages: WebSocket frames (RFC 6455), chunked transfer (RFC 9112), event-stream blocks.
#ifndef BENCH_DECODE_H
#define BENCH_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "client.h"

// Decodes an open client's bytes and reports whole messages. The first `old` bytes were left from
// last time. Returns how many bytes of the (possibly shortened) buffer remain undecoded, moved to
// its beginning; -1 with a reason when the server broke the protocol or said goodbye.
ptrdiff_t bench_decode(struct bench_clients *clients,
                       struct bench_client *client,
                       uint8_t *bytes,
                       size_t old,
                       size_t size,
                       const char **ret_why);

#endif
