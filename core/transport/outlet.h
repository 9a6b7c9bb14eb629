// SPDX-License-Identifier: MIT
//
// Output of the streaming transports: a stream as session/transport.h's `output`.
#ifndef HARK_TRANSPORT_OUTLET_H
#define HARK_TRANSPORT_OUTLET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/chunk.h"
#include "base/slice.h"

// `stream` is a struct hark_stream.
HARK_MUSTCHECK int hark_outlet_send(void *stream, struct hark_chunk *chunk);
bool hark_outlet_has_room(void *stream);
bool hark_outlet_will_tell(void *stream);
HARK_MUSTCHECK int hark_outlet_push(void *stream, struct hark_chunk *chunk);
HARK_MUSTCHECK int hark_outlet_write(void *stream, struct hark_slice data);
size_t hark_outlet_queued(void *stream);

#endif
