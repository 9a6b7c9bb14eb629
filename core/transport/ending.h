// SPDX-License-Identifier: MIT
//
// How the end of a session is told over HTTP, where there is no close frame: a status for an answer
// that has not begun, JSON for a client that reads it.
#ifndef HARK_TRANSPORT_ENDING_H
#define HARK_TRANSPORT_ENDING_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"
#include "session/transport.h"
#include "transport/exchange.h"

#define HARK_ENDING_TRY_LATER 1013
#define HARK_ENDING_TEXT_MAX  8192

// Appends {"code":CODE,"reason":WHY}. 0, HARK_ENOMEM, HARK_ETOOBIG.
HARK_MUSTCHECK int hark_ending_text(struct hark_buf *buf, uint16_t code, struct hark_slice why);

// The answer in place of an event stream: 204 (code 1000: nothing here), 500 with the reference
// that is the last word of the reason (1011), 503 with Retry-After (1013, or retiring), else 403.
void hark_ending_refuse(struct hark_exchange *exchange, const struct hark_ending *ending);

// The answer to a poll: 410 with code and reason; 500 and 503 as above.
void hark_ending_answer_poll(struct hark_exchange *exchange, const struct hark_ending *ending);

// Error answers with a field besides the word: {"error":WORD,KEY:VALUE}; value is JSON text.
void hark_ending_error(struct hark_exchange *exchange,
                       int status,
                       struct hark_slice word,
                       const char *key,
                       struct hark_slice value);

// {"error":WORD} with Retry-After.
void hark_ending_later(struct hark_exchange *exchange,
                       int status,
                       struct hark_slice word,
                       uint64_t retry_ms);

// {"error":"internal","reference":REFERENCE}
void hark_ending_failed(struct hark_exchange *exchange, struct hark_slice reference);

#endif
