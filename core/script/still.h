// SPDX-License-Identifier: MIT
//
// Places that cannot wait: code that is called from one finds every waiting call refused, with the
// name of the place in the error. Also `core.no_wait` and `core.limited`.
#ifndef HARK_SCRIPT_STILL_H
#define HARK_SCRIPT_STILL_H

#include <lua.h>

// Inside a C function that Lua called: from here to its return (or error) waiting is refused.
// `place` lives as long as the call. One stack slot stays taken.
void hark_still_enter(lua_State *L, const char *place);

// core.no_wait(place, fn, ...): calls fn in that place.
int hark_still_no_wait(lua_State *L);

// core.limited(place, fn, ...): the same, with the budget of loading a script instead of what is
// left of the run's. nil and the error when fn was stopped, also when it swallowed that.
int hark_still_limited(lua_State *L);

#endif
