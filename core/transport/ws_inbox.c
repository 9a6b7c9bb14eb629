// SPDX-License-Identifier: MIT
//
// Records of five bytes (kind, length) and the data; the code of an ending stands before its text.
#include "transport/ws_inbox.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hark.h"

#define HEAD_LEN 5
#define CODE_LEN 2

struct hark_ws_inbox {
    struct hark_buf records;
    size_t taken; // of the record that was popped last and still lies at the front
};

static bool has_code(enum hark_ws_inbox_kind kind);

int hark_ws_inbox_push(struct hark_ws_inbox **inbox,
                       const struct hark_ws_inbox_item *item,
                       size_t max)
{
    if (item->data.len > UINT32_MAX - CODE_LEN) {
        return HARK_ETOOBIG;
    }
    struct hark_ws_inbox *box = *inbox;
    if (box == NULL) {
        box = hark_mem_zalloc(sizeof(*box));
        if (box == NULL) {
            return HARK_ENOMEM;
        }
        hark_buf_init(&box->records, max);
        *inbox = box;
    }
    size_t code_len = has_code(item->kind) ? CODE_LEN : 0;
    uint32_t len = (uint32_t)(code_len + item->data.len);
    char *at = NULL;
    int status = hark_buf_reserve(&box->records, HEAD_LEN + len, &at);
    if (status != 0) {
        return status;
    }
    at[0] = (char)item->kind;
    memcpy(at + 1, &len, sizeof(len));
    memcpy(at + HEAD_LEN, &item->code, code_len);
    if (item->data.len > 0) {
        memcpy(at + HEAD_LEN + code_len, item->data.ptr, item->data.len);
    }
    hark_buf_commit(&box->records, HEAD_LEN + len);
    return 0;
}

bool hark_ws_inbox_pop(struct hark_ws_inbox *inbox, struct hark_ws_inbox_item *ret_item)
{
    hark_buf_consume(&inbox->records, inbox->taken);
    inbox->taken = 0;
    struct hark_slice all = hark_buf_slice(&inbox->records);
    if (all.len == 0) {
        return false;
    }
    uint32_t len = 0;
    memcpy(&len, all.ptr + 1, sizeof(len));
    inbox->taken = HEAD_LEN + len;
    enum hark_ws_inbox_kind kind = (enum hark_ws_inbox_kind)all.ptr[0];
    size_t code_len = has_code(kind) ? CODE_LEN : 0;
    *ret_item = (struct hark_ws_inbox_item){
        .kind = kind,
        .data = hark_slice(all.ptr + HEAD_LEN + code_len, len - code_len),
    };
    memcpy(&ret_item->code, all.ptr + HEAD_LEN, code_len);
    return true;
}

size_t hark_ws_inbox_bytes(const struct hark_ws_inbox *inbox)
{
    return inbox == NULL ? 0 : hark_buf_len(&inbox->records) - inbox->taken;
}

void hark_ws_inbox_free(struct hark_ws_inbox *inbox)
{
    if (inbox != NULL) {
        hark_buf_deinit(&inbox->records);
        hark_mem_free(inbox);
    }
}

static bool has_code(enum hark_ws_inbox_kind kind)
{
    return kind == HARK_WS_INBOX_CLOSE || kind == HARK_WS_INBOX_LOST;
}
