// SPDX-License-Identifier: MIT
//
// Server-Sent Events, the encoder.
#include "proto/sse.h"

#include <inttypes.h>

static int line(struct hark_buf *buf, struct hark_slice field, struct hark_slice value);
static struct hark_slice next_line(struct hark_slice *rest);

int hark_sse_id(struct hark_buf *buf, struct hark_slice id)
{
    return line(buf, HARK_LIT("id: "), id);
}

int hark_sse_body(struct hark_buf *buf, struct hark_slice event, struct hark_slice data)
{
    int status = event.len > 0 ? line(buf, HARK_LIT("event: "), event) : 0;
    do {
        struct hark_slice text = next_line(&data);
        if (status == 0) {
            status = line(buf, HARK_LIT("data: "), text);
        }
    } while (status == 0 && data.ptr != NULL);
    return status == 0 ? hark_sse_end(buf) : status;
}

int hark_sse_end(struct hark_buf *buf)
{
    return hark_buf_append_char(buf, '\n');
}

int hark_sse_retry(struct hark_buf *buf, uint64_t retry_ms)
{
    return hark_buf_printf(buf, "retry: %" PRIu64 "\n\n", retry_ms);
}

static int line(struct hark_buf *buf, struct hark_slice field, struct hark_slice value)
{
    int status = hark_buf_append_slice(buf, field);
    if (status == 0) {
        status = hark_buf_append_slice(buf, value);
    }
    return status == 0 ? hark_buf_append_char(buf, '\n') : status;
}

// The text up to the next line break; *rest moves behind it, to ptr NULL when there is none.
static struct hark_slice next_line(struct hark_slice *rest)
{
    struct hark_slice head = *rest;
    for (size_t i = 0; i < head.len; i++) {
        char c = head.ptr[i];
        if (c == '\n' || c == '\r') {
            size_t skip = c == '\r' && i + 1 < head.len && head.ptr[i + 1] == '\n' ? 2 : 1;
            *rest = hark_slice(head.ptr + i + skip, head.len - i - skip);
            head.len = i;
            return head;
        }
    }
    *rest = HARK_SLICE_NONE;
    return head;
}
