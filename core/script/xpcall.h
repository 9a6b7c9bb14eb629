// SPDX-License-Identifier: MIT
//
// xpcall as scripts see it. A message handler is called in the place of the error; when the
// watchdog's hook raised it, that is inside the hook, where hooks are off, and an endless handler
// could not be stopped. So a script's handler is not called for an error of a run that is being
// stopped.
#ifndef HARK_SCRIPT_XPCALL_H
#define HARK_SCRIPT_XPCALL_H

#include <lua.h>

// Puts the function in the place of the one that luaL_openlibs gave. Inside a protected call.
void hark_xpcall_open(lua_State *L);

#endif
