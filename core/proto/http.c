// SPDX-License-Identifier: MIT
//
// Questions about a request head, the reason phrases, and the character classes of RFC 9110. No
// parsing happens here: proto/http1 fills the structs.
#include "proto/http.h"

#include "proto/uri.h"

struct reason {
    int status;
    const char *text;
};

// RFC 9110 section 15 and the registry, as far as a gateway or a script plausibly answers.
static const struct reason REASONS[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

// Bits HARK_HTTP_*: 7 token byte, 5 the '#' (a token byte that no target may hold), 3 delimiter,
// 1 space, tab and obs-text, 0 control.
// clang-format off
const uint8_t hark_http_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 7, 3, 5, 7, 7, 7, 7, 3, 3, 7, 7, 3, 7, 7, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 3, 3, 3, 3, 3, 3,
    3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 3, 3, 3, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 3, 7, 3, 7, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};
// clang-format on

static bool is_all(struct hark_slice text, uint8_t bits);

const struct hark_header *hark_request_header(const struct hark_request *request,
                                              struct hark_slice name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (hark_slice_is_nocase(request->headers[i].name, name)) {
            return &request->headers[i];
        }
    }
    return NULL;
}

struct hark_slice hark_request_value(const struct hark_request *request, struct hark_slice name)
{
    const struct hark_header *header = hark_request_header(request, name);
    return header == NULL ? HARK_SLICE_NONE : header->value;
}

bool hark_request_has_token(const struct hark_request *request,
                            struct hark_slice name,
                            struct hark_slice token)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const struct hark_header *header = &request->headers[i];
        if (hark_slice_is_nocase(header->name, name) && hark_http_list_has(header->value, token)) {
            return true;
        }
    }
    return false;
}

bool hark_request_query(const struct hark_request *request,
                        struct hark_slice name,
                        struct hark_slice *ret_raw)
{
    struct hark_slice rest = request->query;
    struct hark_uri_pair pair;
    while (hark_uri_query_next(&rest, &pair)) {
        if (hark_uri_query_is(pair.name, name)) {
            *ret_raw = pair.value;
            return true;
        }
    }
    return false;
}

const char *hark_http_reason(int status)
{
    for (size_t i = 0; i < HARK_ARRAY_LEN(REASONS); i++) {
        if (REASONS[i].status == status) {
            return REASONS[i].text;
        }
    }
    return "";
}

bool hark_http_is_token(struct hark_slice text)
{
    return text.len > 0 && is_all(text, HARK_HTTP_TOKEN);
}

bool hark_http_is_value(struct hark_slice text)
{
    return is_all(text, HARK_HTTP_VALUE);
}

bool hark_http_is_target(struct hark_slice text)
{
    return text.len > 0 && is_all(text, HARK_HTTP_TARGET);
}

bool hark_http_list_has(struct hark_slice list, struct hark_slice token)
{
    while (list.len > 0) {
        struct hark_slice item = hark_slice_trim(hark_slice_next(&list, ','));
        if (hark_slice_is_nocase(item, token)) {
            return true;
        }
    }
    return false;
}

static bool is_all(struct hark_slice text, uint8_t bits)
{
    uint8_t all = bits;
    for (size_t i = 0; i < text.len; i++) {
        all &= hark_http_class[(unsigned char)text.ptr[i]];
    }
    return all == bits;
}
