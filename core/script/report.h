// SPDX-License-Identifier: MIT
//
// Errors of scripts: a line in the log with everything there is to know, and a short reference
// number, which is all that a client gets to see. The same error is logged in full once a minute
// and counted in between.
#ifndef HARK_SCRIPT_REPORT_H
#define HARK_SCRIPT_REPORT_H

#include <stdint.h>

#include "base/slice.h"

#define HARK_REPORT_REFERENCE_MAX 12
#define HARK_REPORT_KINDS         64

struct hark_report {
    struct {
        uint64_t hash;
        uint64_t until_ms;
        uint64_t again;
    } kinds[HARK_REPORT_KINDS];
};

struct hark_report_error {
    const char *place; // "message", "deliver", ...
    const char *app;   // NULL: the engine itself
    const char *path;  // of the endpoint; NULL: none
    uint64_t generation;
    uint64_t session;       // serial; 0: none
    struct hark_slice text; // message, then its traceback
};

// Logs it; the reference is written to ret[HARK_REPORT_REFERENCE_MAX], ended by NUL.
void hark_report_error(struct hark_report *report,
                       const struct hark_report_error *error,
                       uint64_t now_ms,
                       char *ret);

#endif
