// SPDX-License-Identifier: MIT
//
// Entity tags of polls.
#include "transport/etag.h"

#include <string.h>

#include "hark.h"

#define CURSOR_STEP 32 // characters a channel
#define CURSOR_BASE 2  // of the version byte
#define SUFFIX_MAX  8

static bool next_tag(struct hark_slice *rest, struct hark_slice *ret_tag);
static struct hark_slice cut_suffix(struct hark_slice cursor);

int hark_etag_encode(struct hark_buf *buf, struct hark_slice session, struct hark_slice cursor)
{
    int status = hark_buf_append_char(buf, '"');
    status = status == 0 ? hark_buf_append_slice(buf, session) : status;
    status = status == 0 ? hark_buf_append_char(buf, '~') : status;
    status = status == 0 ? hark_buf_append_slice(buf, cursor) : status;
    return status == 0 ? hark_buf_append_char(buf, '"') : status;
}

bool hark_etag_parse(struct hark_slice list,
                     struct hark_slice *ret_session,
                     struct hark_slice *ret_cursor)
{
    struct hark_slice tag = HARK_SLICE_NONE;
    while (next_tag(&list, &tag)) {
        struct hark_slice cursor = tag;
        struct hark_slice session = hark_slice_next(&cursor, '~');
        if (cursor.ptr != NULL && session.len > 0) {
            *ret_session = session;
            *ret_cursor = cut_suffix(cursor);
            return true;
        }
    }
    return false;
}

// The text between the next two quotes.
static bool next_tag(struct hark_slice *rest, struct hark_slice *ret_tag)
{
    (void)hark_slice_next(rest, '"');
    if (rest->ptr == NULL) {
        return false;
    }
    *ret_tag = hark_slice_next(rest, '"');
    return rest->ptr != NULL;
}

// A cursor's length says where it ends, so a suffix cannot be taken for a part of it.
static struct hark_slice cut_suffix(struct hark_slice cursor)
{
    if (cursor.len < CURSOR_BASE) {
        return cursor;
    }
    size_t extra = (cursor.len - CURSOR_BASE) % CURSOR_STEP;
    size_t len = cursor.len - extra;
    if (extra > 0 && extra <= SUFFIX_MAX && (cursor.ptr[len] == '-' || cursor.ptr[len] == ';')) {
        cursor.len = len;
    }
    return cursor;
}
