// SPDX-License-Identifier: MIT
//
// A message by POST: checked, handed to the session, and answered when the handler has ended.
#ifndef HARK_TRANSPORT_POST_H
#define HARK_TRANSPORT_POST_H

#include "transport/exchange.h"

struct hark_session;

void hark_post_take(struct hark_exchange *exchange, struct hark_session *session);

#endif
