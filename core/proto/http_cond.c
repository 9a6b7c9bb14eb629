// SPDX-License-Identifier: MIT
//
// Entity tags and byte ranges; see http_cond.h.
#include "proto/http_cond.h"

#include "proto/http_date.h"

static bool any_etag(const struct hark_request *request,
                     struct hark_slice name,
                     const struct hark_http_validators *validators,
                     bool weak);
static bool read_date(const struct hark_request *request,
                      struct hark_slice name,
                      const struct hark_http_validators *validators,
                      int64_t *ret);
static enum hark_http_range
suffix_range(struct hark_slice text, uint64_t size, uint64_t *ret_first, uint64_t *ret_last);
static enum hark_http_range first_range(struct hark_slice low,
                                        struct hark_slice high,
                                        uint64_t size,
                                        uint64_t *ret_first,
                                        uint64_t *ret_last);
static bool next_tag(struct hark_slice *list, struct hark_slice *ret_tag, bool *ret_weak);
static bool read_number(struct hark_slice text, uint64_t *ret);

enum hark_http_verdict hark_http_cond_check(const struct hark_request *request,
                                            const struct hark_http_validators *validators)
{
    int64_t date = 0;
    if (hark_request_header(request, HARK_LIT("If-Match")) != NULL) {
        if (!any_etag(request, HARK_LIT("If-Match"), validators, false)) {
            return HARK_HTTP_VERDICT_FAILED;
        }
    } else if (read_date(request, HARK_LIT("If-Unmodified-Since"), validators, &date) &&
               validators->modified > date) {
        return HARK_HTTP_VERDICT_FAILED;
    }
    if (hark_request_header(request, HARK_LIT("If-None-Match")) != NULL) {
        return any_etag(request, HARK_LIT("If-None-Match"), validators, true)
                   ? HARK_HTTP_VERDICT_UNCHANGED
                   : HARK_HTTP_VERDICT_GO;
    }
    if (read_date(request, HARK_LIT("If-Modified-Since"), validators, &date) &&
        validators->modified <= date) {
        return HARK_HTTP_VERDICT_UNCHANGED;
    }
    return HARK_HTTP_VERDICT_GO;
}

bool hark_http_cond_if_range(const struct hark_request *request,
                             const struct hark_http_validators *validators)
{
    const struct hark_header *header = hark_request_header(request, HARK_LIT("If-Range"));
    if (header == NULL) {
        return true;
    }
    int64_t date = 0;
    if (read_date(request, HARK_LIT("If-Range"), validators, &date)) {
        return date == validators->modified;
    }
    // A list or "*" is not allowed here, and neither has the form of one tag.
    return hark_slice_is(header->value, validators->etag);
}

bool hark_http_cond_etag(struct hark_slice list, struct hark_slice etag, bool weak)
{
    if (hark_slice_is(hark_slice_trim(list), HARK_LIT("*"))) {
        return true;
    }
    bool etag_weak = hark_slice_starts(etag, HARK_LIT("W/"));
    struct hark_slice opaque = hark_slice_from(etag, etag_weak ? 2 : 0);
    struct hark_slice tag;
    bool tag_weak = false;
    while (next_tag(&list, &tag, &tag_weak)) {
        if (hark_slice_is(tag, opaque) && (weak || (!tag_weak && !etag_weak))) {
            return true;
        }
    }
    return false;
}

enum hark_http_range hark_http_cond_range(struct hark_slice value,
                                          uint64_t size,
                                          uint64_t *ret_first,
                                          uint64_t *ret_last)
{
    const struct hark_slice unit = HARK_LIT("bytes=");
    if (value.len < unit.len || !hark_slice_is_nocase(hark_slice(value.ptr, unit.len), unit) ||
        memchr(value.ptr, ',', value.len) != NULL) {
        return HARK_HTTP_RANGE_WHOLE;
    }
    struct hark_slice rest = hark_slice_trim(hark_slice_from(value, unit.len));
    if (rest.len == 0 || memchr(rest.ptr, '-', rest.len) == NULL) {
        return HARK_HTTP_RANGE_WHOLE;
    }
    struct hark_slice low = hark_slice_next(&rest, '-');
    return low.len == 0 ? suffix_range(rest, size, ret_first, ret_last)
                        : first_range(low, rest, size, ret_first, ret_last);
}

// "-500": the last 500 bytes.
static enum hark_http_range
suffix_range(struct hark_slice text, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
    uint64_t count = 0;
    if (!read_number(text, &count)) {
        return HARK_HTTP_RANGE_WHOLE;
    }
    if (count == 0 || size == 0) {
        return HARK_HTTP_RANGE_NONE;
    }
    *ret_first = count < size ? size - count : 0;
    *ret_last = size - 1;
    return HARK_HTTP_RANGE_ONE;
}

// "500-" and "500-999".
static enum hark_http_range first_range(struct hark_slice low,
                                        struct hark_slice high,
                                        uint64_t size,
                                        uint64_t *ret_first,
                                        uint64_t *ret_last)
{
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    if (!read_number(low, &first) || (high.len > 0 && !read_number(high, &last)) || last < first) {
        return HARK_HTTP_RANGE_WHOLE;
    }
    if (first >= size) {
        return HARK_HTTP_RANGE_NONE;
    }
    *ret_first = first;
    *ret_last = last >= size ? size - 1 : last;
    return HARK_HTTP_RANGE_ONE;
}

// A list field may come in several lines (RFC 9110 section 5.3).
static bool any_etag(const struct hark_request *request,
                     struct hark_slice name,
                     const struct hark_http_validators *validators,
                     bool weak)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const struct hark_header *header = &request->headers[i];
        if (hark_slice_is_nocase(header->name, name) &&
            hark_http_cond_etag(header->value, validators->etag, weak)) {
            return true;
        }
    }
    return false;
}

static bool read_date(const struct hark_request *request,
                      struct hark_slice name,
                      const struct hark_http_validators *validators,
                      int64_t *ret)
{
    return hark_http_date_parse(hark_request_value(request, name), validators->now, ret);
}

// Takes the next `[W/]"opaque"` and the comma behind it off the list; the tag comes with its
// quotes.
static bool next_tag(struct hark_slice *list, struct hark_slice *ret_tag, bool *ret_weak)
{
    struct hark_slice rest = hark_slice_trim(*list);
    while (
        hark_slice_starts(rest, HARK_LIT(","))) { // empty list elements: RFC 9110 section 5.6.1.2
        rest = hark_slice_trim(hark_slice_from(rest, 1));
    }
    *ret_weak = hark_slice_starts(rest, HARK_LIT("W/"));
    rest = hark_slice_from(rest, *ret_weak ? 2 : 0);
    if (!hark_slice_starts(rest, HARK_LIT("\""))) {
        return false;
    }
    const char *end = memchr(rest.ptr + 1, '"', rest.len - 1);
    if (end == NULL) {
        return false;
    }
    *ret_tag = hark_slice(rest.ptr, (size_t)(end - rest.ptr) + 1);
    *list = hark_slice_trim(hark_slice_from(rest, ret_tag->len));
    return list->len == 0 || list->ptr[0] == ',';
}

// Digits; a number that does not fit is as good as the largest one.
static bool read_number(struct hark_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *ret = value;
    return text.len > 0;
}
