// SPDX-License-Identifier: MIT
//
// WebSocket frame heads, masks, the accept key, and header fields, for both sides of the bench.
#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

size_t bench_wire_frame(uint8_t *out, uint8_t opcode, uint64_t length, const uint8_t *mask)
{
    size_t head = 2;
    size_t extra = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;
    uint8_t masked = mask != NULL ? 0x80 : 0;

    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = (uint8_t)(masked | (extra == 0 ? length : extra == 2 ? 126U : 127U));
    for (size_t i = extra; i > 0; i--) {
        out[head++] = (uint8_t)(length >> (8 * (i - 1)));
    }
    if (mask != NULL) {
        memcpy(out + head, mask, 4);
        head += 4;
    }
    return head;
}

static bool is_opcode(uint8_t opcode)
{
    return opcode <= BENCH_WS_BINARY || (opcode >= BENCH_WS_CLOSE && opcode <= BENCH_WS_PONG);
}

int bench_wire_parse(const uint8_t *bytes, size_t size, struct bench_frame *ret_frame)
{
    if (size < 2) {
        return 0;
    }
    struct bench_frame frame = {
        .fin = (bytes[0] & 0x80) != 0,
        .opcode = bytes[0] & 0x0f,
        .masked = (bytes[1] & 0x80) != 0,
        .length = bytes[1] & 0x7f,
        .head = 2,
    };
    // No extension was agreed, so RSV bits must be clear (RFC 6455 section 5.2); a control frame is
    // short and whole (section 5.5).
    if ((bytes[0] & 0x70) != 0 || !is_opcode(frame.opcode) ||
        (frame.opcode >= BENCH_WS_CLOSE && (frame.length > 125 || !frame.fin))) {
        return -1;
    }
    size_t extra = frame.length == 126 ? 2 : frame.length == 127 ? 8 : 0;
    if (size < 2 + extra + (frame.masked ? 4U : 0U)) {
        return 0;
    }
    if (extra > 0) {
        frame.length = 0;
        for (size_t i = 0; i < extra; i++) {
            frame.length = frame.length << 8 | bytes[frame.head++];
        }
    }
    if (frame.masked) {
        memcpy(frame.mask, bytes + frame.head, 4);
        frame.head = (uint8_t)(frame.head + 4);
    }
    *ret_frame = frame;
    return 1;
}

void bench_wire_mask(uint8_t *bytes, size_t size, const uint8_t mask[4])
{
    uint64_t wide = 0;
    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);

    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        word ^= wide;
        memcpy(bytes + i, &word, 8);
    }
    for (; i < size; i++) {
        bytes[i] ^= mask[i & 3];
    }
}

bool bench_wire_accept(const char *key, size_t size, char ret_accept[BENCH_WS_ACCEPT_MAX])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[128];
    if (size + sizeof(guid) > sizeof(text)) {
        return false;
    }
    memcpy(text, key, size);
    memcpy(text + size, guid, sizeof(guid) - 1);

    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_size = 0;
    if (EVP_Digest(text, size + sizeof(guid) - 1, digest, &digest_size, EVP_sha1(), NULL) != 1) {
        return false;
    }
    (void)EVP_EncodeBlock((unsigned char *)ret_accept, digest, (int)digest_size); // 28 characters
    return true;
}

size_t bench_wire_head(const char *bytes, size_t size)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - bytes) + 4;
}

// The value between a field's colon and its line end, without blanks around it.
static const char *trim(const char *value, const char *end, size_t *ret_size)
{
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    *ret_size = (size_t)(end - value);
    return value;
}

const char *bench_wire_field(const char *head, size_t size, const char *name, size_t *ret_size)
{
    size_t name_size = strlen(name);
    const char *end = head + size;
    const char *line = memmem(head, size, "\r\n", 2);
    while (line != NULL) {
        line += 2;
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (next == NULL || next == line) {
            return NULL;
        }
        if ((size_t)(next - line) >= name_size && strncasecmp(line, name, name_size) == 0) {
            return trim(line + name_size, next, ret_size);
        }
        line = next;
    }
    return NULL;
}
