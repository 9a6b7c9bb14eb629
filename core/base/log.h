// SPDX-License-Identifier: MIT
//
// One structured line per event on standard error, logfmt: `TIME LEVEL event=NAME key=value ...`.
// Values are quoted and escaped where needed, so that a client's bytes cannot forge a line. Any
// thread. base, proto and hub never log: they return errors.
#ifndef HARK_BASE_LOG_H
#define HARK_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum hark_log_level { HARK_LOG_DEBUG, HARK_LOG_INFO, HARK_LOG_WARN, HARK_LOG_ERROR };

enum hark_log_type { HARK_LOG_END, HARK_LOG_TEXT, HARK_LOG_SLICE, HARK_LOG_INT, HARK_LOG_UINT };

struct hark_log_field {
    const char *key;
    enum hark_log_type type;

    union {
        const char *text;
        struct hark_slice slice;
        int64_t i;
        uint64_t u;
    } as;
};

#define HARK_F_TEXT(k, v)  ((struct hark_log_field){(k), HARK_LOG_TEXT, {.text = (v)}})
#define HARK_F_SLICE(k, v) ((struct hark_log_field){(k), HARK_LOG_SLICE, {.slice = (v)}})
#define HARK_F_INT(k, v)   ((struct hark_log_field){(k), HARK_LOG_INT, {.i = (v)}})
#define HARK_F_UINT(k, v)  ((struct hark_log_field){(k), HARK_LOG_UINT, {.u = (v)}})

// HARK_LOG(HARK_LOG_INFO, "reload", HARK_F_TEXT("app", name), HARK_F_UINT("generation", n));
#define HARK_LOG(level, event, ...)  \
    hark_log_write((level), (event), \
                   (const struct hark_log_field[]){__VA_ARGS__, {NULL, HARK_LOG_END, {.u = 0}}})

void hark_log_write(enum hark_log_level level,
                    const char *event,
                    const struct hark_log_field *fields);

void hark_log_set_level(enum hark_log_level level); // default HARK_LOG_INFO
bool hark_log_is_on(enum hark_log_level level);
bool hark_log_parse_level(struct hark_slice text, enum hark_log_level *ret);

#endif
