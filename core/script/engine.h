// SPDX-License-Identifier: MIT
//
// Calls of functions of `hark.engine` by name, each in a task of its own: they may wait as long as
// they need. Values go in and come out packed (script/value).
#ifndef HARK_SCRIPT_ENGINE_H
#define HARK_SCRIPT_ENGINE_H

#include "base/attr.h"
#include "base/slice.h"

struct hark_script;

// status 0: `result` is the first result, packed. Else text says why. Both borrowed until return.
typedef void
hark_engine_fn(void *ctx, int status, struct hark_slice text, struct hark_slice result);

// Calls engine[name](argument) when it can run: from the defer queue. `argument`: one packed value,
// copied; empty: none. fn (may be NULL: errors are logged) is called once; ECLOSED: the state goes.
// A function that is not there counts as ENOENT. ENOMEM: fn is not called.
HARK_MUSTCHECK int hark_engine_call(struct hark_script *script,
                                    const char *name,
                                    struct hark_slice argument,
                                    hark_engine_fn *fn,
                                    void *ctx);

#endif
