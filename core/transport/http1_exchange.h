// SPDX-License-Identifier: MIT
//
// Exchanges on HTTP/1.1: made for a request that a connection has read, answered on its stream,
// taken over with it, or moved with it to another worker. Called by http1_conn alone.
#ifndef HARK_TRANSPORT_HTTP1_EXCHANGE_H
#define HARK_TRANSPORT_HTTP1_EXCHANGE_H

#include "base/attr.h"
#include "transport/http1_conn_impl.h"

// For the whole request in conn->reader, which becomes the exchange's; made_id as for
// hark_http1_conn_serve. ENOMEM: nothing happened.
HARK_MUSTCHECK int hark_http1_exchange_open(struct hark_http1_conn *conn, const char *made_id);

// The client is gone while its exchange is out: tells the holder, frees at the end of the tick.
void hark_http1_exchange_go(struct hark_http1_conn *conn);

// More of a body that is being sent.
void hark_http1_exchange_pull(struct hark_http1_conn *conn);

#endif
