// SPDX-License-Identifier: MIT
//
// What a poll is answered with: one message as its own bytes, a JSON array of several, or nothing
// but the position.
#ifndef HARK_TRANSPORT_POLL_ANSWER_H
#define HARK_TRANSPORT_POLL_ANSWER_H

#include "transport/exchange.h"

struct hark_session;

// The first messages of the session's backlog, of which there is at least one; they stay there.
void hark_poll_answer(struct hark_exchange *exchange, struct hark_session *session);

// 204: nothing came in time, or another poll has taken over.
void hark_poll_answer_empty(struct hark_exchange *exchange, struct hark_session *session);

#endif
