// SPDX-License-Identifier: MIT
//
// Which errors are the same: those with the same app, place and first line.
#include "script/report.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/hash.h"
#include "base/log.h"

#define WINDOW_MS  60000
#define TRACE_MARK "\nstack traceback:"

static uint64_t kind_of(const struct hark_report_error *error, struct hark_slice message)
{
    uint64_t hash = hark_hash_keyed(message.ptr, message.len);
    hash = hash * 31 + hark_hash_keyed(error->place, strlen(error->place));
    return error->app == NULL ? hash : hash * 31 + hark_hash_keyed(error->app, strlen(error->app));
}

static struct hark_slice cut_trace(struct hark_slice text, struct hark_slice *ret_trace)
{
    const char *mark = memmem(text.ptr, text.len, TRACE_MARK, sizeof(TRACE_MARK) - 1);
    if (text.len == 0 || mark == NULL) {
        *ret_trace = HARK_SLICE_NONE;
        return text;
    }
    size_t len = (size_t)(mark - text.ptr);
    *ret_trace = hark_slice_from(text, len + sizeof(TRACE_MARK));
    return hark_slice(text.ptr, len);
}

static void make_reference(char *ret)
{
    uint8_t bytes[4] = {0};
    if (hark_digest_random(bytes, sizeof(bytes)) != 0) {
        memset(bytes, 0, sizeof(bytes)); // the log line is found by its time then
    }
    (void)snprintf(ret, HARK_REPORT_REFERENCE_MAX, "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2],
                   bytes[3]);
}

void hark_report_error(struct hark_report *report,
                       const struct hark_report_error *error,
                       uint64_t now_ms,
                       char *ret)
{
    struct hark_slice trace = HARK_SLICE_NONE;
    struct hark_slice message = cut_trace(error->text, &trace);
    uint64_t hash = kind_of(error, message);
    make_reference(ret);
    size_t at = hash % HARK_REPORT_KINDS;
    uint64_t again = 0;
    if (report->kinds[at].hash == hash) {
        if (now_ms < report->kinds[at].until_ms) {
            report->kinds[at].again++;
            HARK_LOG(HARK_LOG_DEBUG, "script_error", HARK_F_TEXT("ref", ret),
                     HARK_F_TEXT("place", error->place), HARK_F_SLICE("error", message));
            return;
        }
        again = report->kinds[at].again;
    }
    report->kinds[at].hash = hash;
    report->kinds[at].until_ms = now_ms + WINDOW_MS;
    report->kinds[at].again = 0;
    HARK_LOG(HARK_LOG_ERROR, "script_error", HARK_F_TEXT("ref", ret),
             HARK_F_TEXT("place", error->place),
             HARK_F_TEXT("app", error->app == NULL ? "" : error->app),
             HARK_F_TEXT("path", error->path == NULL ? "" : error->path),
             HARK_F_UINT("generation", error->generation), HARK_F_UINT("session", error->session),
             HARK_F_UINT("again", again), HARK_F_SLICE("error", message),
             HARK_F_SLICE("traceback", trace));
}
