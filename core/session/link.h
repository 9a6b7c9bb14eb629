// SPDX-License-Identifier: MIT
//
// What ties a session to its transport: coming, going, and the one timer they share. Called by
// transports; input.h and output.h carry what flows between the two.
#ifndef HARK_SESSION_LINK_H
#define HARK_SESSION_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "session/place.h"
#include "session/transport.h"

struct hark_session;

// The transport carries the session from now on; one that did so before is told to end (code 1008,
// "replaced"). output: what ops->send takes; NULL for a polling transport, or one that begins
// later. delay_ms: until the first beat, 0 for none.
void hark_link_attach(struct hark_session *session,
                      struct hark_transport *transport,
                      void *output,
                      uint64_t delay_ms);

// A later transport came with a cursor: what the client has is acknowledged, what it lost on the
// dead connection comes again. Before attach.
void hark_link_resume(struct hark_session *session,
                      const struct hark_places *cursor,
                      const struct hark_place *sequence);

// The transport is gone: the session's grace begins, or its end. is_clean: the client said goodbye.
// Does nothing when the session is on another transport by now.
void hark_link_gone(struct hark_transport *transport,
                    uint16_t code,
                    struct hark_slice why,
                    bool is_clean);

// The same from inside a call of session's: told from the defer queue, where transport->ops->end
// follows. No grace.
void hark_link_lost(struct hark_transport *transport);

// What carries it now; NULL: nothing.
struct hark_transport *hark_link_transport(const struct hark_session *session);

// The next beat comes after delay_ms (0: none).
void hark_link_arm(struct hark_session *session, uint64_t delay_ms);

// First delay of a heartbeat: a share of the period that differs from session to session.
uint64_t hark_link_phase(const struct hark_session *session, uint64_t period_ms);

// Milliseconds since something was last written to the client.
uint64_t hark_link_silence(const struct hark_session *session);

#endif
