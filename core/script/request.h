// SPDX-License-Identifier: MIT
//
// A request as a task: the server's hook starts engine.request (or engine.admin) with it. The
// exchange belongs to the task: whatever the Lua code leaves unanswered when it ends is answered
// here. In Lua a request is a handle that knows the task; when that has ended, or the client has
// gone, it is dead.
#ifndef HARK_SCRIPT_REQUEST_H
#define HARK_SCRIPT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "script/state.h"

struct hark_exchange;

// User values of a handle, tables made on first use.
enum hark_request_value {
    HARK_REQUEST_PARAMS = 1,
    HARK_REQUEST_USER,
    HARK_REQUEST_QUERY,
    HARK_REQUEST_HEADERS,
    HARK_REQUEST_COOKIES,
    HARK_REQUEST_OFFERS,
    HARK_REQUEST_SUBPROTOCOLS,
    HARK_REQUEST_VALUES = HARK_REQUEST_SUBPROTOCOLS,
};

// For server.request; ctx is the struct hark_script.
void hark_request_serve(void *ctx, struct hark_exchange *exchange);
void hark_request_serve_admin(void *ctx, struct hark_exchange *exchange);

void hark_request_open(struct hark_script *script); // once
void hark_request_stop(struct hark_script *script); // what still waits to start is refused

// The exchange of the request at index, or NULL when it is dead; raises for anything else.
struct hark_exchange *hark_request_check(lua_State *L, int index);
// The same, and the exchange is the caller's, to be answered or passed on: the handle is dead.
struct hark_exchange *hark_request_take(lua_State *L, int index);
// It was not used after all.
void hark_request_give_back(lua_State *L, int index, struct hark_exchange *exchange);
// Pushes nil and "closed"; to be returned.
int hark_request_closed(lua_State *L);

extern const char hark_request_metatable; // registry key; made by script/bind_req

#endif
