// SPDX-License-Identifier: MIT
//
// HTTP/1.1 on a stream: reads requests (proto/http1), keeps deadlines, hands exchanges to the
// server's hook, writes responses, keeps the connection alive, closes it on the first malformed
// byte.
#ifndef HARK_TRANSPORT_HTTP1_CONN_H
#define HARK_TRANSPORT_HTTP1_CONN_H

#include "base/attr.h"
#include "transport/server.h"

// Serves an accepted socket; the fd is the callee's, also on failure (closed).
void hark_http1_conn_accept(struct hark_server *server, int fd);

// Drain: idle connections close now, busy ones after their response, requests that come all the
// same get 503. Sets server->draining.
void hark_http1_conn_drain_all(struct hark_server *server);
// Stop: all connections of the server close now, and none is taken any more (one that is on its way
// from another worker among them). Their memory goes when the loop has run once more.
void hark_http1_conn_close_all(struct hark_server *server);

#endif
