// SPDX-License-Identifier: MIT
//
// The coroutine library as scripts see it: a wait of the engine inside a script's own coroutine
// passes through its resumes out to the task, and back in when it is over; the watchdog always
// knows which coroutine runs; what a stopped coroutine has still to close can be stopped as well.
#ifndef HARK_SCRIPT_COROUTINE_H
#define HARK_SCRIPT_COROUTINE_H

#include <lua.h>

// Puts the functions in the place of those that luaL_openlibs gave. Inside a protected call.
void hark_coroutine_open(lua_State *L);

#endif
