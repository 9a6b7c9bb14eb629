// SPDX-License-Identifier: MIT
//
// A scratch state: the engine's Lua with the part of hark.core that needs no worker (values, log,
// files, budgets, dictionaries of its own). For looking at scripts and settings on a thread of its
// own; thrown away afterwards.
#ifndef HARK_SCRIPT_SCRATCH_H
#define HARK_SCRIPT_SCRATCH_H

#include "base/attr.h"
#include "base/buf.h"
#include "script/vm.h"

// limits NULL: the defaults. ENOMEM, or ESCRIPT with the reason appended to ret_why. Freed by
// hark_vm_free.
HARK_MUSTCHECK int hark_scratch_new(const char *lua_dir,
                                    const struct hark_vm_limits *limits,
                                    struct hark_vm **ret,
                                    struct hark_buf *ret_why);

#endif
