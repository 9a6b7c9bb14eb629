// SPDX-License-Identifier: MIT
//
// Growable byte buffer with a hard maximum given at birth. Front consumption is cheap (a read
// position); memory is compacted when it grows.
#ifndef HARK_BASE_BUF_H
#define HARK_BASE_BUF_H

#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct hark_buf {
    char *ptr;   // first byte of the allocation
    size_t head; // read position
    size_t len;  // bytes from ptr, including those before head
    size_t cap;
    size_t max; // limit on the bytes held (len - head)
};

void hark_buf_init(struct hark_buf *buf, size_t max);
void hark_buf_deinit(struct hark_buf *buf); // frees; the buffer is empty and usable again

// 0, HARK_ETOOBIG (nothing appended) or HARK_ENOMEM (nothing appended).
HARK_MUSTCHECK int hark_buf_append(struct hark_buf *buf, const void *data, size_t len);
HARK_MUSTCHECK int hark_buf_append_slice(struct hark_buf *buf, struct hark_slice data);
HARK_MUSTCHECK int hark_buf_append_text(struct hark_buf *buf, const char *text);
HARK_MUSTCHECK int hark_buf_append_char(struct hark_buf *buf, char c);
HARK_MUSTCHECK int hark_buf_printf(struct hark_buf *buf, const char *format, ...) HARK_PRINTF(2, 3);

// Room for `extra` more bytes; *ret_at is where to write them, then hark_buf_commit.
HARK_MUSTCHECK int hark_buf_reserve(struct hark_buf *buf, size_t extra, char **ret_at);
void hark_buf_commit(struct hark_buf *buf, size_t written);

void hark_buf_consume(struct hark_buf *buf, size_t n);    // drops n bytes at the front
void hark_buf_truncate(struct hark_buf *buf, size_t len); // keeps the first len held bytes
void hark_buf_clear(struct hark_buf *buf);                // keeps the allocation

static inline struct hark_slice hark_buf_slice(const struct hark_buf *buf)
{
    return hark_slice(buf->ptr == NULL ? NULL : buf->ptr + buf->head, buf->len - buf->head);
}

static inline size_t hark_buf_len(const struct hark_buf *buf)
{
    return buf->len - buf->head;
}

#endif
