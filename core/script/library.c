// SPDX-License-Identifier: MIT
//
// Which parts are replaced.
#include "script/library.h"

#include "script/coroutine.h"
#include "script/xpcall.h"

void hark_library_open(lua_State *L)
{
    hark_coroutine_open(L);
    hark_xpcall_open(L);
}
