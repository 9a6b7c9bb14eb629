// SPDX-License-Identifier: MIT
//
// The library as scripts see it: Lua's own, with what the engine must have its hand on replaced.
// For hark_vm_options.open.
#ifndef HARK_SCRIPT_LIBRARY_H
#define HARK_SCRIPT_LIBRARY_H

#include <lua.h>

void hark_library_open(lua_State *L);

#endif
