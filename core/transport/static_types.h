// SPDX-License-Identifier: MIT
//
// Media types of files by their suffix.
#ifndef HARK_TRANSPORT_STATIC_TYPES_H
#define HARK_TRANSPORT_STATIC_TYPES_H

#include "base/slice.h"

// Of a path or name: what its last suffix says, without case; application/octet-stream else.
struct hark_slice hark_static_types_find(struct hark_slice path);

#endif
