// SPDX-License-Identifier: MIT
//
// Which functions a scratch state has.
#include "script/scratch.h"

#include "script/bind.h"
#include "script/library.h"

static int open_core(lua_State *L)
{
    lua_newtable(L);
    hark_bind_value(L);
    hark_bind_host(L);
    hark_bind_shared(L, NULL);
    return 1;
}

static int preload(lua_State *L)
{
    hark_vm_preload(L, "hark.core", open_core);
    return 0;
}

int hark_scratch_new(const char *lua_dir,
                     const struct hark_vm_limits *limits,
                     struct hark_vm **ret,
                     struct hark_buf *ret_why)
{
    const struct hark_vm_options options = {
        .lua_dir = lua_dir, .limits = limits, .open = hark_library_open, .scratch = true};
    struct hark_vm *vm = NULL;
    int status = hark_vm_new(&options, &vm, ret_why);
    if (status != 0) {
        return status;
    }
    status = hark_vm_call(vm, preload, NULL, 0, NULL, ret_why);
    if (status != 0) {
        hark_vm_free(vm);
        return status;
    }
    *ret = vm;
    return 0;
}
