// SPDX-License-Identifier: MIT
//
// The way out: from messages to a session's transport, straight to a stream that has room, else
// into the backlog. For session's own files; transports see what waits through backlog.h.
#ifndef HARK_SESSION_OUTPUT_H
#define HARK_SESSION_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "hub/sink.h"

struct hark_session;

// A pass of a channel, as hub/sink.h's deliver.
bool hark_output_pass(struct hark_session *session,
                      const struct hark_sub *sub,
                      const struct hark_pass *pass);

// A message for this session alone: 0, HARK_EFULL, HARK_ECLOSED, HARK_ENOMEM, HARK_EINVAL,
// HARK_ETOOBIG.
HARK_MUSTCHECK int hark_output_direct(struct hark_session *session,
                                      const struct hark_msg_draft *draft);

// A notice, in JSON, which is never refused for being too much; about a channel (or 0), with the
// client standing at `position` behind it. As direct.
HARK_MUSTCHECK int hark_output_notice(struct hark_session *session,
                                      const struct hark_msg_draft *draft,
                                      uint64_t channel,
                                      struct hark_position position);

// The open handler has ended, or a later transport came: a client that is cut before its first
// message shall lose nothing, so it is told where it stands.
void hark_output_greet(struct hark_session *session);

#endif
