// SPDX-License-Identifier: MIT
//
// The way in: messages from transports to the handlers, one at a time and in order. While a handler
// waits (hark_session_hold) nothing is handed over; transports keep what comes, POSTs queue here.
#ifndef HARK_SESSION_INPUT_H
#define HARK_SESSION_INPUT_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"
#include "session/transport.h"

#define HARK_INPUT_POSTS 16 // waiting for one session

// Whether the handlers take a message now. Look before each message: handling one may end the
// session.
bool hark_input_is_ready(const struct hark_session *session);

// A message from the transport; data is borrowed until return. Only while ready.
void hark_input_message(struct hark_session *session, struct hark_slice data, bool binary);

// A message by POST, now or when its turn has come. 0; HARK_EFULL: too many wait; HARK_ECLOSED;
// HARK_ENOMEM. Then the reply is still the caller's.
HARK_MUSTCHECK int hark_input_post(struct hark_session *session, struct hark_reply *reply);
// The client of a POST that waits (reply->is_waiting) has gone: it is not handled any more.
void hark_input_forget(struct hark_session *session, struct hark_reply *reply);

// --- for session ---
void hark_input_resume(struct hark_session *session); // handlers take messages again
void hark_input_drop(struct hark_session *session);   // the session ends

#endif
