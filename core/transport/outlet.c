// SPDX-License-Identifier: MIT
//
// A stream's queue holds what one tick makes; when the kernel takes no more, or a tick makes too
// much, the rest waits in the session.
#include "transport/outlet.h"

#include "hark.h"
#include "io/stream.h"

#define QUEUE_BYTES ((size_t)256 << 10)

int hark_outlet_send(void *stream, struct hark_chunk *chunk)
{
    if (HARK_UNLIKELY(hark_stream_queued(stream) > 0) && !hark_outlet_has_room(stream)) {
        return HARK_EAGAIN;
    }
    return hark_stream_send(stream, chunk);
}

bool hark_outlet_has_room(void *stream)
{
    return !hark_stream_is_congested(stream) && hark_stream_queued(stream) <= QUEUE_BYTES;
}

bool hark_outlet_will_tell(void *stream)
{
    return hark_stream_is_congested(stream); // then `drained` comes
}

int hark_outlet_push(void *stream, struct hark_chunk *chunk)
{
    return hark_stream_send(stream, chunk);
}

int hark_outlet_write(void *stream, struct hark_slice data)
{
    return hark_stream_write(stream, data);
}

size_t hark_outlet_queued(void *stream)
{
    return hark_stream_queued(stream);
}
