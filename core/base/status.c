// SPDX-License-Identifier: MIT
//
// Names and texts of the status codes and the version: what core/hark.h promises besides the
// gateway.
#include "hark.h"

const char *hark_strerror(int status)
{
    switch (status) {
    case HARK_OK: return "success";
#define X(name, value, text) \
    case HARK_##name: return text;
        HARK_STATUS_MAP(X)
#undef X
    default: return "unknown status";
    }
}

const char *hark_version(void)
{
    return HARK_VERSION;
}
