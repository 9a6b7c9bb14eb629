// SPDX-License-Identifier: MIT
//
// The server's opening handshake (RFC 6455 sections 4.2.1, 4.2.2 and 4.4).
#include "proto/ws_handshake.h"

#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/digest.h"
#include "hark.h"

#define KEY_TEXT_LEN 24 // 16 bytes in base64
#define KEY_LEN      16

static bool asks_for_it(const struct hark_request *request);
static bool
find_one(const struct hark_request *request, struct hark_slice name, struct hark_slice *ret_value);
static bool is_key(struct hark_slice text);

enum hark_ws_handshake hark_ws_handshake_check(const struct hark_request *request,
                                               struct hark_slice *ret_key)
{
    if (!asks_for_it(request)) {
        return HARK_WS_HANDSHAKE_NONE;
    }
    struct hark_slice value = HARK_SLICE_NONE;
    if (!find_one(request, HARK_LIT("sec-websocket-version"), &value) ||
        !hark_slice_is(value, HARK_LIT("13"))) {
        return HARK_WS_HANDSHAKE_BAD_VERSION;
    }
    if (!find_one(request, HARK_LIT("sec-websocket-key"), &value) || !is_key(value)) {
        return HARK_WS_HANDSHAKE_BAD_KEY;
    }
    if (ret_key != NULL) {
        *ret_key = value;
    }
    return HARK_WS_HANDSHAKE_VALID;
}

int hark_ws_handshake_accept(struct hark_slice key, char *out)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // section 1.3
    char text[KEY_TEXT_LEN + sizeof(guid) - 1];
    if (key.len != KEY_TEXT_LEN) {
        return HARK_EINVAL;
    }
    memcpy(text, key.ptr, KEY_TEXT_LEN);
    memcpy(text + KEY_TEXT_LEN, guid, sizeof(guid) - 1);
    uint8_t digest[HARK_DIGEST_MAX];
    size_t digest_len = 0;
    struct hark_slice data = hark_slice(text, sizeof(text));
    int status = hark_digest(HARK_DIGEST_SHA1, data, digest, &digest_len);
    if (status != 0) {
        return status;
    }
    struct hark_buf buf;
    hark_buf_init(&buf, HARK_WS_ACCEPT_LEN);
    status = hark_codec_base64(&buf, hark_slice(digest, digest_len));
    if (status == 0) {
        memcpy(out, hark_buf_slice(&buf).ptr, HARK_WS_ACCEPT_LEN);
    }
    hark_buf_deinit(&buf);
    return status;
}

// Section 4.2.1, items 1, 3 and 4. Without `Connection: upgrade` the field was not meant for us.
static bool asks_for_it(const struct hark_request *request)
{
    return request->minor == 1 && hark_slice_is(request->method, HARK_LIT("GET")) &&
           hark_request_has_token(request, HARK_LIT("upgrade"), HARK_LIT("websocket")) &&
           hark_request_has_token(request, HARK_LIT("connection"), HARK_LIT("upgrade"));
}

// The value of a field that must not come twice.
static bool
find_one(const struct hark_request *request, struct hark_slice name, struct hark_slice *ret_value)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (hark_slice_is_nocase(request->headers[i].name, name)) {
            *ret_value = request->headers[i].value;
            count++;
        }
    }
    return count == 1;
}

static bool is_key(struct hark_slice text)
{
    if (text.len != KEY_TEXT_LEN) {
        return false;
    }
    struct hark_buf key;
    hark_buf_init(&key, KEY_TEXT_LEN);
    bool good = hark_codec_unbase64(&key, text) == 0 && hark_buf_len(&key) == KEY_LEN;
    hark_buf_deinit(&key);
    return good;
}
