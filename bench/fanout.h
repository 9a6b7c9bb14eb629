// SPDX-License-Identifier: MIT
//
// Channels of the bare reference and the ways to send one message to many sockets. This is the
// measuring stick: no history, no offsets, no queue policy, nothing but the sends.
#ifndef BENCH_FANOUT_H
#define BENCH_FANOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_conn;
struct bench_channel;
struct bench_fanout;
struct bench_server;

enum bench_way {
    BENCH_WAY_SEND,      // one send() a subscriber and message, at once
    BENCH_WAY_JOIN,      // messages of a tick in one block, one send() a subscriber
    BENCH_WAY_URING,     // one io_uring send a subscriber and message, in batches
    BENCH_WAY_URING_JOIN // one io_uring send of the joined block a subscriber
};

enum { BENCH_CHANNELS_MAX = 65536, BENCH_BATCH_MAX = 4096 };

// NULL when there is no memory or no io_uring, with the reason.
struct bench_fanout *bench_fanout_new(struct bench_server *server,
                                      enum bench_way way,
                                      unsigned batch,
                                      const char **ret_why);
void bench_fanout_free(struct bench_fanout *fanout);

// The channel of that number, made when new; NULL: number too large or no memory.
struct bench_channel *bench_fanout_channel(struct bench_fanout *fanout, unsigned long number);

bool bench_fanout_join(struct bench_channel *channel, struct bench_conn *conn);
void bench_fanout_leave(struct bench_channel *channel, struct bench_conn *conn);

// Copies the payload into the channel's wire forms; it leaves now or at the end of the tick.
void bench_fanout_publish(struct bench_fanout *fanout,
                          struct bench_channel *channel,
                          const uint8_t *payload,
                          size_t size,
                          uint8_t opcode);

// End of a tick.
void bench_fanout_flush(struct bench_fanout *fanout);

#endif
