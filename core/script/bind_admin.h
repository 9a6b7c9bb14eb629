// SPDX-License-Identifier: MIT
//
// The part of hark.core behind the admin address: counters, channels, whether the host drains.
#ifndef HARK_SCRIPT_BIND_ADMIN_H
#define HARK_SCRIPT_BIND_ADMIN_H

#include <lua.h>

struct hark_server;

// Adds metrics, stats, channels, clear and draining to the table on top. Inside a protected call.
void hark_bind_admin(lua_State *L, struct hark_server *server);

#endif
