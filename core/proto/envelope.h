// SPDX-License-Identifier: MIT
//
// A message as a JSON object, `{"id":...,"event":...,"data":...}`: what `hark.envelope` frames and
// long-poll batches hold. The part behind the id is the same for all receivers and can be shared.
#ifndef HARK_PROTO_ENVELOPE_H
#define HARK_PROTO_ENVELOPE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

enum hark_envelope_data {
    HARK_ENVELOPE_TEXT,   // a JSON string
    HARK_ENVELOPE_JSON,   // JSON already: goes in as it is
    HARK_ENVELOPE_BINARY, // base64, with "base64":true
};

// Appends `{"id":"ID",` or, when id is empty, `{`. The id is base64url or alike: it is not quoted.
HARK_MUSTCHECK int hark_envelope_head(struct hark_buf *buf, struct hark_slice id);

static inline size_t hark_envelope_head_len(size_t id_len)
{
    return id_len == 0 ? 1 : id_len + sizeof("{\"id\":\"\",") - 1;
}

// Appends `"event":"NAME",` (empty: left out), `"data":...` and the closing brace.
HARK_MUSTCHECK int hark_envelope_tail(struct hark_buf *buf,
                                      struct hark_slice event,
                                      struct hark_slice data,
                                      enum hark_envelope_data kind);

#endif
