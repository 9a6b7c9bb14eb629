// SPDX-License-Identifier: MIT
//
// Message bodies with a sequence number, and the per-subscriber check of that sequence.
#include "body.h"

#include <string.h>

static void write_hex(char *out, uint64_t value, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = hex[value & 15];
        value >>= 4;
    }
}

void bench_body_write(char *out, size_t size, const struct bench_body *body)
{
    write_hex(out, body->sequence, 16);
    write_hex(out + 16, body->time_ns, 16);
    write_hex(out + 32, body->channel, 8);
    memset(out + BENCH_BODY_MIN, '.', size - BENCH_BODY_MIN);
}

static bool read_hex(const char *bytes, size_t digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned int c = (unsigned char)bytes[i];
        unsigned int digit = c - '0';
        if (digit > 9) {
            digit = c - 'a' + 10;
            if (digit < 10 || digit > 15) {
                return false;
            }
        }
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

bool bench_body_read(const char *bytes, size_t size, size_t want, struct bench_body *ret_body)
{
    struct bench_body body;
    uint64_t channel = 0;
    if (size != want || size < BENCH_BODY_MIN || !read_hex(bytes, 16, &body.sequence) ||
        !read_hex(bytes + 16, 16, &body.time_ns) || !read_hex(bytes + 32, 8, &channel)) {
        return false;
    }
    if (size > BENCH_BODY_MIN && bytes[size - 1] != '.') {
        return false;
    }
    body.channel = (uint32_t)channel;
    *ret_body = body;
    return true;
}

uint64_t bench_order_take(struct bench_order *order, uint64_t sequence, struct bench_tally *tally)
{
    if (sequence >= order->next) {
        uint64_t ahead = sequence - order->next;
        order->seen = ahead >= 63 ? 1 : order->seen << (ahead + 1) | 1;
        order->next = sequence + 1;
        tally->lost += (int64_t)ahead;
        tally->delivered++;
        return ahead + 1;
    }
    uint64_t back = order->next - 1 - sequence;
    if (back >= 64 || (order->seen >> back & 1) != 0) {
        tally->doubled++;
        return 0;
    }
    order->seen |= UINT64_C(1) << back;
    tally->lost--; // it was late, not lost
    tally->disordered++;
    tally->delivered++;
    return 0;
}
