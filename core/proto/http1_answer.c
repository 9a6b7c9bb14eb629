// SPDX-License-Identifier: MIT
//
// Writer of response heads; see http1_answer.h. The size is computed first, so that a response is
// one allocation whatever its number of fields.
#include "proto/http1_answer.h"

#include "hark.h"

#define LENGTH_DIGITS 20 // of UINT64_MAX

struct text {
    struct hark_slice reason;
    struct hark_slice connection;
    struct hark_slice length; // empty: no Content-Length
    char digits[LENGTH_DIGITS];
};

static int check(const struct hark_response *response);
static void prepare(const struct hark_http1_answer *answer, struct text *text);
static struct hark_slice connection_of(const struct hark_http1_answer *answer);
static struct hark_slice write_number(uint64_t number, char *out);
static bool is_framing(struct hark_slice name);
static bool is_left_out(const struct hark_header *header);
static size_t measure(const struct hark_http1_answer *answer, const struct text *text);
static char *put(char *at, struct hark_slice text);
static char *put_field(char *at, struct hark_slice name, struct hark_slice value);
static bool has_body(const struct hark_http1_answer *answer);

int hark_http1_answer(const struct hark_http1_answer *answer, struct hark_bytes **ret)
{
    const struct hark_response *response = answer->response;
    struct text text;
    int status = check(response);
    if (status != 0) {
        return status;
    }
    prepare(answer, &text);
    struct hark_bytes *bytes = hark_bytes_new(measure(answer, &text));
    if (bytes == NULL) {
        return HARK_ENOMEM;
    }
    char *at = put(bytes->data, HARK_LIT("HTTP/1.1 "));
    *at++ = (char)('0' + response->status / 100);
    *at++ = (char)('0' + response->status / 10 % 10);
    *at++ = (char)('0' + response->status % 10);
    *at++ = ' ';
    at = put(put(at, text.reason), HARK_LIT("\r\n"));
    at = put_field(at, HARK_LIT("Date"), answer->date);
    for (size_t i = 0; i < response->header_count; i++) {
        const struct hark_header *header = &response->headers[i];
        if (!is_left_out(header)) {
            at = put(put(at, header->name), HARK_LIT(": "));
            at = put(put(at, header->value), HARK_LIT("\r\n"));
        }
    }
    at = put(at, answer->fields);
    at = put_field(at, HARK_LIT("X-Request-Id"), answer->request_id);
    at = put_field(at, HARK_LIT("Content-Length"), text.length);
    at = put_field(at, HARK_LIT("Connection"), text.connection);
    at = put(at, HARK_LIT("\r\n"));
    (void)put(at, has_body(answer) ? response->body : HARK_SLICE_NONE);
    *ret = bytes;
    return 0;
}

bool hark_http1_answer_is_bodiless(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static int check(const struct hark_response *response)
{
    if (response->status < 100 || response->status > 599) {
        return HARK_EINVAL;
    }
    for (size_t i = 0; i < response->header_count; i++) {
        if (!hark_http_is_token(response->headers[i].name) ||
            !hark_http_is_value(response->headers[i].value)) {
            return HARK_EINVAL;
        }
    }
    return 0;
}

static void prepare(const struct hark_http1_answer *answer, struct text *text)
{
    text->reason = hark_slice_text(hark_http_reason(answer->response->status));
    text->connection = connection_of(answer);
    text->length = HARK_SLICE_NONE;
    if (answer->framing == HARK_HTTP1_SIZED &&
        !hark_http1_answer_is_bodiless(answer->response->status)) {
        text->length = write_number(answer->length, text->digits);
    }
}

// RFC 9110 section 7.8: who sends Upgrade (101, 426) lists it in Connection.
static struct hark_slice connection_of(const struct hark_http1_answer *answer)
{
    const struct hark_response *response = answer->response;
    bool upgrades = false;
    for (size_t i = 0; i < response->header_count; i++) {
        upgrades = upgrades || hark_slice_is_nocase(response->headers[i].name, HARK_LIT("Upgrade"));
    }
    if (response->status < 200 && response->status != 101) {
        return HARK_SLICE_NONE;
    }
    if (answer->keep_alive || response->status == 101) {
        bool tell = answer->minor == 0 && !upgrades;
        return upgrades ? HARK_LIT("Upgrade") : tell ? HARK_LIT("keep-alive") : HARK_SLICE_NONE;
    }
    return upgrades ? HARK_LIT("Upgrade, close") : HARK_LIT("close");
}

static struct hark_slice write_number(uint64_t number, char *out)
{
    size_t at = LENGTH_DIGITS;
    do {
        out[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return hark_slice(out + at, LENGTH_DIGITS - at);
}

static bool is_framing(struct hark_slice name)
{
    static const struct hark_slice names[] = {
        HARK_LIT("Connection"), HARK_LIT("Content-Length"),    HARK_LIT("Date"),
        HARK_LIT("Keep-Alive"), HARK_LIT("Transfer-Encoding"),
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(names); i++) {
        if (hark_slice_is_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

// Callers list the fields an answer may have; those without a value are not there.
static bool is_left_out(const struct hark_header *header)
{
    return header->value.len == 0 || is_framing(header->name);
}

static size_t field_size(struct hark_slice name, struct hark_slice value)
{
    return value.len == 0 ? 0 : name.len + value.len + 4;
}

static size_t measure(const struct hark_http1_answer *answer, const struct text *text)
{
    const struct hark_response *response = answer->response;
    size_t size = HARK_LIT("HTTP/1.1 200 \r\n\r\n").len + text->reason.len + answer->fields.len;
    size += field_size(HARK_LIT("Date"), answer->date);
    size += field_size(HARK_LIT("X-Request-Id"), answer->request_id);
    size += field_size(HARK_LIT("Content-Length"), text->length);
    size += field_size(HARK_LIT("Connection"), text->connection);
    for (size_t i = 0; i < response->header_count; i++) {
        const struct hark_header *header = &response->headers[i];
        size += is_left_out(header) ? 0 : header->name.len + header->value.len + 4;
    }
    return size + (has_body(answer) ? response->body.len : 0);
}

static char *put(char *at, struct hark_slice text)
{
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
    return at + text.len;
}

// Nothing for an empty value.
static char *put_field(char *at, struct hark_slice name, struct hark_slice value)
{
    if (value.len == 0) {
        return at;
    }
    at = put(put(at, name), HARK_LIT(": "));
    return put(put(at, value), HARK_LIT("\r\n"));
}

static bool has_body(const struct hark_http1_answer *answer)
{
    return answer->with_body && !answer->is_head &&
           !hark_http1_answer_is_bodiless(answer->response->status);
}
