// SPDX-License-Identifier: MIT
//
// WebSocket frames on the way out, and the rules for close frames.
#include "proto/ws_frame.h"

#include <string.h>

#include "base/utf8.h"
#include "hark.h"

#define FIN        0x80
#define LENGTH_16  126
#define LENGTH_64  127
#define REASON_MAX (HARK_WS_CONTROL_MAX - 2)

static struct hark_slice fit_reason(struct hark_slice reason);

size_t hark_ws_frame_head(char *out, enum hark_ws_opcode opcode, size_t len)
{
    out[0] = (char)(FIN | opcode);
    if (len < LENGTH_16) {
        out[1] = (char)len;
        return 2;
    }
    size_t bytes = len <= UINT16_MAX ? 2 : 8;
    out[1] = (char)(bytes == 2 ? LENGTH_16 : LENGTH_64);
    uint64_t rest = len;
    for (size_t i = bytes; i > 0; i--) {
        out[1 + i] = (char)(rest & 0xFF);
        rest >>= 8;
    }
    return 2 + bytes;
}

int hark_ws_frame_encode(struct hark_buf *buf,
                         enum hark_ws_opcode opcode,
                         struct hark_slice payload)
{
    if (payload.len > SIZE_MAX - HARK_WS_HEAD_MAX) {
        return HARK_ETOOBIG;
    }
    char head[HARK_WS_HEAD_MAX];
    size_t head_len = hark_ws_frame_head(head, opcode, payload.len);
    char *at = NULL;
    int status = hark_buf_reserve(buf, head_len + payload.len, &at);
    if (status != 0) {
        return status;
    }
    memcpy(at, head, head_len);
    if (payload.len > 0) {
        memcpy(at + head_len, payload.ptr, payload.len);
    }
    hark_buf_commit(buf, head_len + payload.len);
    return 0;
}

size_t hark_ws_frame_control(char *out, enum hark_ws_opcode opcode, struct hark_slice payload)
{
    size_t len = payload.len < HARK_WS_CONTROL_MAX ? payload.len : HARK_WS_CONTROL_MAX;
    size_t head = hark_ws_frame_head(out, opcode, len);
    if (len > 0) {
        memcpy(out + head, payload.ptr, len);
    }
    return head + len;
}

size_t hark_ws_frame_close(char *out, uint16_t code, struct hark_slice reason)
{
    if (code == HARK_WS_NO_CODE) {
        return hark_ws_frame_control(out, HARK_WS_CLOSE, HARK_SLICE_NONE);
    }
    char payload[HARK_WS_CONTROL_MAX];
    struct hark_slice text = fit_reason(reason);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 0xFF);
    if (text.len > 0) {
        memcpy(payload + 2, text.ptr, text.len);
    }
    return hark_ws_frame_control(out, HARK_WS_CLOSE, hark_slice(payload, 2 + text.len));
}

bool hark_ws_frame_code_is_valid(uint16_t code)
{
    if (code >= 3000 && code <= 4999) {
        return true; // libraries, frameworks, applications (section 7.4.2)
    }
    // 1004 is reserved; 1005, 1006 and 1015 are for local use; above 1014 nothing is registered.
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

uint16_t hark_ws_frame_parse_close(struct hark_slice payload,
                                   uint16_t *ret_code,
                                   struct hark_slice *ret_reason)
{
    if (payload.len == 0) {
        *ret_code = HARK_WS_NO_CODE;
        *ret_reason = HARK_SLICE_NONE;
        return 0;
    }
    if (payload.len == 1) {
        return 1002; // section 5.5.1: a body begins with two bytes of code
    }
    uint16_t code = (uint16_t)((uint8_t)payload.ptr[0] << 8 | (uint8_t)payload.ptr[1]);
    struct hark_slice reason = hark_slice_from(payload, 2);
    if (!hark_ws_frame_code_is_valid(code)) {
        return 1002;
    }
    if (!hark_utf8_is_valid(reason)) {
        return 1007;
    }
    *ret_code = code;
    *ret_reason = reason;
    return 0;
}

static struct hark_slice fit_reason(struct hark_slice reason)
{
    if (!hark_utf8_is_valid(reason)) {
        return HARK_SLICE_NONE;
    }
    if (reason.len > REASON_MAX) {
        reason.len = REASON_MAX;
        while (((uint8_t)reason.ptr[reason.len] & 0xC0) == 0x80) {
            reason.len--; // the first byte left out continues a character: leave out all of it
        }
    }
    return reason;
}
