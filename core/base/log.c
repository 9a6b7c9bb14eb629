// SPDX-License-Identifier: MIT
//
// The log: a line is put together on the stack and leaves in one write(2), so lines of several
// threads do not mix and logging needs neither a lock nor memory. A line that would be longer than
// the buffer loses the end of the value that does not fit and says so.
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/utf8.h"

#define LINE_MAX_LEN 8192
#define TAIL         "\" truncated=true\n" // the longest end of a line
#define ROOM         (LINE_MAX_LEN - sizeof(TAIL))

struct line {
    size_t len;
    bool truncated;
    char text[LINE_MAX_LEN];
};

static const struct hark_slice level_names[] = {
    [HARK_LOG_DEBUG] = {"debug", 5},
    [HARK_LOG_INFO] = {"info", 4},
    [HARK_LOG_WARN] = {"warn", 4},
    [HARK_LOG_ERROR] = {"error", 5},
};

static _Atomic int threshold = HARK_LOG_INFO;

static void put_time(struct line *line);
static void put_field(struct line *line, const struct hark_log_field *field);
static void put_value(struct line *line, struct hark_slice value);
static bool needs_quotes(struct hark_slice value);
static bool put_quoted(struct line *line, struct hark_slice value);
static size_t escape(struct hark_slice value, char out[8], size_t *ret_used);
static bool put(struct line *line, const char *ptr, size_t len);
static bool put_format(struct line *line, const char *format, ...) HARK_PRINTF(2, 3);
static void put_end(struct line *line);
static void write_line(const struct line *line);

void hark_log_write(enum hark_log_level level,
                    const char *event,
                    const struct hark_log_field *fields)
{
    if (!hark_log_is_on(level)) {
        return;
    }
    int saved = errno; // logging must not disturb the error that is being logged
    struct line line;
    line.len = 0;
    line.truncated = false;
    put_time(&line);
    put_format(&line, " %s event=", level_names[level].ptr);
    put_value(&line, hark_slice_text(event));
    for (const struct hark_log_field *field = fields;
         field->type != HARK_LOG_END && !line.truncated; field++) {
        put_field(&line, field);
    }
    put_end(&line);
    write_line(&line);
    errno = saved;
}

void hark_log_set_level(enum hark_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool hark_log_is_on(enum hark_log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool hark_log_parse_level(struct hark_slice text, enum hark_log_level *ret)
{
    for (size_t i = 0; i < HARK_ARRAY_LEN(level_names); i++) {
        if (hark_slice_is_nocase(text, level_names[i])) {
            *ret = (enum hark_log_level)i;
            return true;
        }
    }
    return false;
}

static void put_time(struct line *line)
{
    struct timespec now = {0};
    struct tm utc = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); // the clock exists
    (void)gmtime_r(&now.tv_sec, &utc);         // fails only beyond year 2^31
    put_format(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
               utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(now.tv_nsec / 1000000));
}

static void put_field(struct line *line, const struct hark_log_field *field)
{
    size_t before = line->len;
    if (!put_format(line, " %s=", field->key)) {
        line->len = before;
        return;
    }
    switch (field->type) {
    case HARK_LOG_TEXT: put_value(line, hark_slice_text(field->as.text)); break;
    case HARK_LOG_SLICE: put_value(line, field->as.slice); break;
    case HARK_LOG_INT: put_format(line, "%lld", (long long)field->as.i); break;
    case HARK_LOG_UINT: put_format(line, "%llu", (unsigned long long)field->as.u); break;
    case HARK_LOG_END: break;
    }
}

static void put_value(struct line *line, struct hark_slice value)
{
    if (value.len <= ROOM - line->len && !needs_quotes(value)) {
        put(line, value.ptr, value.len);
        return;
    }
    if (put(line, "\"", 1) && put_quoted(line, value)) {
        // The end of the line has room for this quote even when the value was the last to fit.
        line->text[line->len++] = '"';
    }
}

static bool needs_quotes(struct hark_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F) {
            return true;
        }
    }
    return value.len == 0;
}

static bool put_quoted(struct line *line, struct hark_slice value)
{
    while (value.len > 0) {
        char escaped[8];
        size_t used = 0;
        size_t len = escape(value, escaped, &used);
        const char *from = len == 0 ? value.ptr : escaped;
        if (!put(line, from, len == 0 ? used : len)) {
            line->text[line->len++] = '"';
            return false;
        }
        value = hark_slice_from(value, used);
    }
    return true;
}

// The spelling of the first character: its length, or 0 when the `used` bytes can stand as they
// are. Escaped as in JSON; controls of both ranges (C0, C1) would let a client play with a
// terminal.
static size_t escape(struct hark_slice value, char out[8], size_t *ret_used)
{
    bool is_valid = false;
    *ret_used = hark_utf8_next(value, &is_valid);
    if (!is_valid) {
        memcpy(out, "\xEF\xBF\xBD", 3);
        return 3;
    }
    unsigned c = (uint8_t)value.ptr[0];
    if (*ret_used == 2 && c == 0xC2) {
        c = (uint8_t)value.ptr[1];
        return c < 0xA0 ? (size_t)snprintf(out, 8, "\\u%04x", c) : 0;
    }
    if (*ret_used > 1) {
        return 0;
    }
    static const char short_forms[][2] = {
        {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'"', '"'}, {'\\', '\\'}};
    for (size_t i = 0; i < HARK_ARRAY_LEN(short_forms); i++) {
        if (c == (uint8_t)short_forms[i][0]) {
            out[0] = '\\';
            out[1] = short_forms[i][1];
            return 2;
        }
    }
    return c < 0x20 || c == 0x7F ? (size_t)snprintf(out, 8, "\\u%04x", c) : 0;
}

// All or nothing.
static bool put(struct line *line, const char *ptr, size_t len)
{
    if (len > ROOM - line->len) {
        line->truncated = true;
        return false;
    }
    if (len > 0) {
        memcpy(line->text + line->len, ptr, len);
    }
    line->len += len;
    return true;
}

static bool put_format(struct line *line, const char *format, ...)
{
    char part[160];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(part, sizeof(part), format, args);
    va_end(args);
    if (len < 0) {
        return false;
    }
    size_t held = (size_t)len < sizeof(part) ? (size_t)len : sizeof(part) - 1;
    return put(line, part, held);
}

static void put_end(struct line *line)
{
    if (line->truncated) {
        memcpy(line->text + line->len, " truncated=true", 15);
        line->len += 15;
    }
    line->text[line->len++] = '\n';
}

static void write_line(const struct line *line)
{
    size_t done = 0;
    while (done < line->len) {
        ssize_t n = write(STDERR_FILENO, line->text + done, line->len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno != EINTR) {
            return; // nowhere to say it
        }
    }
}
