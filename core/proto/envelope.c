// SPDX-License-Identifier: MIT
//
// Messages as JSON objects.
#include "proto/envelope.h"

#include "base/codec.h"

static int append_data(struct hark_buf *buf, struct hark_slice data, enum hark_envelope_data kind);

int hark_envelope_head(struct hark_buf *buf, struct hark_slice id)
{
    if (id.len == 0) {
        return hark_buf_append_char(buf, '{');
    }
    int status = hark_buf_append_text(buf, "{\"id\":\"");
    if (status == 0) {
        status = hark_buf_append_slice(buf, id);
    }
    return status == 0 ? hark_buf_append_text(buf, "\",") : status;
}

int hark_envelope_tail(struct hark_buf *buf,
                       struct hark_slice event,
                       struct hark_slice data,
                       enum hark_envelope_data kind)
{
    int status = 0;
    if (event.len > 0) {
        status = hark_buf_append_text(buf, "\"event\":");
        if (status == 0) {
            status = hark_codec_quote(buf, event);
        }
        if (status == 0) {
            status = hark_buf_append_char(buf, ',');
        }
    }
    if (status == 0) {
        status = hark_buf_append_text(buf, "\"data\":");
    }
    if (status == 0) {
        status = append_data(buf, data, kind);
    }
    return status == 0 ? hark_buf_append_char(buf, '}') : status;
}

static int append_data(struct hark_buf *buf, struct hark_slice data, enum hark_envelope_data kind)
{
    switch (kind) {
    case HARK_ENVELOPE_TEXT: return hark_codec_quote(buf, data);
    case HARK_ENVELOPE_JSON:
        return data.len > 0 ? hark_buf_append_slice(buf, data) : hark_buf_append_text(buf, "null");
    case HARK_ENVELOPE_BINARY: break;
    }
    int status = hark_buf_append_char(buf, '"');
    if (status == 0) {
        status = hark_codec_base64(buf, data);
    }
    return status == 0 ? hark_buf_append_text(buf, "\",\"base64\":true") : status;
}
