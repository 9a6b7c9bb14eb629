// SPDX-License-Identifier: MIT
//
// The few bytes of protocol that the load generator and the bare reference share: WebSocket frame
// heads (RFC 6455 section 5.2), masking, the accept key (section 4.2.2), a look into an HTTP head.
// Nothing here comes from hark's own core: the measuring side must not share the bugs of the
// measured.
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_WS_TEXT = 1,
    BENCH_WS_BINARY = 2,
    BENCH_WS_CLOSE = 8,
    BENCH_WS_PING = 9,
    BENCH_WS_PONG = 10
};

enum {
    BENCH_WS_HEAD_MAX = 14,    // 2 + 8 of length + 4 of mask
    BENCH_WS_ACCEPT_MAX = 32,  // 28 characters and the NUL
    BENCH_HTTP_HEAD_MAX = 4096 // ours are below 300 bytes, servers' below 1000
};

struct bench_frame {
    uint64_t length;
    uint8_t mask[4];
    uint8_t opcode;
    uint8_t head; // bytes of the head, where the payload begins
    bool fin;
    bool masked;
};

// Writes a whole, final frame head, masked when `mask` is not NULL; returns its size.
size_t bench_wire_frame(uint8_t *out, uint8_t opcode, uint64_t length, const uint8_t *mask);

// Reads a frame head: 1 when it is whole, 0 when more bytes are needed, -1 when it breaks RFC 6455.
int bench_wire_parse(const uint8_t *bytes, size_t size, struct bench_frame *ret_frame);

void bench_wire_mask(uint8_t *bytes, size_t size, const uint8_t mask[4]);

// Sec-WebSocket-Accept for a Sec-WebSocket-Key, with a NUL; false when the digest fails.
bool bench_wire_accept(const char *key, size_t size, char ret_accept[BENCH_WS_ACCEPT_MAX]);

// Size of the HTTP head with its empty line, or 0 when its end has not come.
size_t bench_wire_head(const char *bytes, size_t size);

// Value of a header field inside a head, trimmed; NULL when absent. `name` ends with its colon.
const char *bench_wire_field(const char *head, size_t size, const char *name, size_t *ret_size);

#endif
