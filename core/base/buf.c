// SPDX-License-Identifier: MIT
//
// Growable byte buffer. Every append goes through make_room, which is the one place that knows the
// limit; a failed append leaves the buffer as it was.
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "hark.h"

#define CAP_MIN 64

static int make_room(struct hark_buf *buf, size_t extra);
static int ensure(struct hark_buf *buf, size_t extra);
static void compact(struct hark_buf *buf);
static int resize(struct hark_buf *buf, size_t cap);

void hark_buf_init(struct hark_buf *buf, size_t max)
{
    *buf = (struct hark_buf){.max = max};
}

void hark_buf_deinit(struct hark_buf *buf)
{
    hark_mem_free(buf->ptr);
    hark_buf_init(buf, buf->max);
}

int hark_buf_append(struct hark_buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    int status = make_room(buf, len);
    if (status != 0) {
        return status;
    }
    memcpy(buf->ptr + buf->len, data, len);
    buf->len += len;
    return 0;
}

int hark_buf_append_slice(struct hark_buf *buf, struct hark_slice data)
{
    return hark_buf_append(buf, data.ptr, data.len);
}

int hark_buf_append_text(struct hark_buf *buf, const char *text)
{
    return hark_buf_append(buf, text, strlen(text));
}

int hark_buf_append_char(struct hark_buf *buf, char c)
{
    return hark_buf_append(buf, &c, 1);
}

int hark_buf_printf(struct hark_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char none[1];
    int len = vsnprintf(none, sizeof(none), format, args);
    va_end(args);
    if (len < 0) {
        return HARK_EINVAL;
    }
    size_t extra = (size_t)len;
    if (extra > buf->max - hark_buf_len(buf)) {
        return HARK_ETOOBIG;
    }
    // vsnprintf writes a NUL behind the text: memory for it, but no part of what is held.
    int status = ensure(buf, extra + 1);
    if (status != 0) {
        return status;
    }
    va_start(args, format);
    (void)vsnprintf(buf->ptr + buf->len, extra + 1, format, args); // measured above
    va_end(args);
    buf->len += extra;
    return 0;
}

int hark_buf_reserve(struct hark_buf *buf, size_t extra, char **ret_at)
{
    int status = make_room(buf, extra);
    if (status != 0) {
        return status;
    }
    *ret_at = buf->ptr + buf->len;
    return 0;
}

void hark_buf_commit(struct hark_buf *buf, size_t written)
{
    assert(written <= buf->cap - buf->len);
    buf->len += written;
}

void hark_buf_consume(struct hark_buf *buf, size_t n)
{
    assert(n <= hark_buf_len(buf));
    buf->head += n;
    if (buf->head == buf->len) {
        hark_buf_clear(buf);
    }
}

void hark_buf_truncate(struct hark_buf *buf, size_t len)
{
    assert(len <= hark_buf_len(buf));
    buf->len = buf->head + len;
}

void hark_buf_clear(struct hark_buf *buf)
{
    buf->head = 0;
    buf->len = 0;
}

static int make_room(struct hark_buf *buf, size_t extra)
{
    if (extra > buf->max - hark_buf_len(buf)) {
        return HARK_ETOOBIG;
    }
    return ensure(buf, extra);
}

// Memory for `extra` bytes behind those held. Bytes are moved to the front only where that frees at
// least as much as it moves; else the allocation doubles. So a byte is moved O(1) times.
static int ensure(struct hark_buf *buf, size_t extra)
{
    if (HARK_LIKELY(buf->ptr != NULL && buf->cap - buf->len >= extra)) {
        return 0;
    }
    size_t held = hark_buf_len(buf);
    if (buf->ptr != NULL && buf->head >= held && buf->cap - held >= extra) {
        compact(buf);
        return 0;
    }
    if (buf->cap > SIZE_MAX / 4 || extra > SIZE_MAX / 4) {
        return HARK_ENOMEM;
    }
    size_t cap = buf->cap == 0 ? CAP_MIN : buf->cap * 2;
    while (cap - held < extra) {
        cap *= 2; // no overflow: held and extra are a quarter of the address space each at most
    }
    return resize(buf, cap);
}

static void compact(struct hark_buf *buf)
{
    size_t held = hark_buf_len(buf);
    if (held > 0) {
        memmove(buf->ptr, buf->ptr + buf->head, held);
    }
    buf->head = 0;
    buf->len = held;
}

static int resize(struct hark_buf *buf, size_t cap)
{
    if (buf->head > 0) {
        compact(buf);
    }
    char *ptr = hark_mem_realloc(buf->ptr, cap);
    if (ptr == NULL) {
        return HARK_ENOMEM;
    }
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}
