// SPDX-License-Identifier: MIT
//
// Parser of textual socket addresses.
#include "io/address.h"

#include <arpa/inet.h>

#include "hark.h"

static int parse_unix(struct hark_slice path, struct hark_address *ret);
static bool parse_port(struct hark_slice text, in_port_t *ret);
static int parse_v6(struct hark_slice host, in_port_t port, struct hark_address *ret);
static int parse_v4(struct hark_slice host, in_port_t port, struct hark_address *ret);
static bool copy_text(struct hark_slice text, char *out, size_t size);

int hark_address_parse(struct hark_slice text, struct hark_address *ret)
{
    if (hark_slice_starts(text, HARK_LIT("unix:"))) {
        return parse_unix(hark_slice_from(text, 5), ret);
    }
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    in_port_t port = 0;
    if (colon == NULL) {
        return HARK_EINVAL;
    }
    struct hark_slice host = {text.ptr, (size_t)(colon - text.ptr)};
    if (!parse_port(hark_slice_from(text, host.len + 1), &port)) {
        return HARK_EINVAL;
    }
    if (host.len == 0) {
        *ret = (struct hark_address){.len = sizeof(ret->at.v6), .is_all = true};
        ret->at.v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_ANY_INIT};
        return 0;
    }
    if (host.ptr[0] == '[') {
        return parse_v6(host, port, ret);
    }
    return parse_v4(host, port, ret);
}

static int parse_unix(struct hark_slice path, struct hark_address *ret)
{
    struct hark_address address = {.len = sizeof(address.at.local)};
    address.at.local.sun_family = AF_UNIX;
    if (path.len == 0 ||
        !copy_text(path, address.at.local.sun_path, sizeof(address.at.local.sun_path))) {
        return HARK_EINVAL;
    }
    *ret = address;
    return 0;
}

static bool parse_port(struct hark_slice text, in_port_t *ret)
{
    unsigned port = 0;
    if (text.len == 0 || text.len > 5) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (port > UINT16_MAX) {
        return false;
    }
    *ret = htons((uint16_t)port);
    return true;
}

static int parse_v6(struct hark_slice host, in_port_t port, struct hark_address *ret)
{
    char text[INET6_ADDRSTRLEN];
    if (host.len < 3 || host.ptr[host.len - 1] != ']' ||
        !copy_text(hark_slice(host.ptr + 1, host.len - 2), text, sizeof(text))) {
        return HARK_EINVAL;
    }
    struct hark_address address = {.len = sizeof(address.at.v6)};
    address.at.v6.sin6_family = AF_INET6;
    address.at.v6.sin6_port = port;
    if (inet_pton(AF_INET6, text, &address.at.v6.sin6_addr) != 1) {
        return HARK_EINVAL;
    }
    *ret = address;
    return 0;
}

static int parse_v4(struct hark_slice host, in_port_t port, struct hark_address *ret)
{
    char text[INET_ADDRSTRLEN];
    if (hark_slice_is_nocase(host, HARK_LIT("localhost"))) {
        host = HARK_LIT("127.0.0.1");
    }
    if (!copy_text(host, text, sizeof(text))) {
        return HARK_EINVAL;
    }
    struct hark_address address = {.len = sizeof(address.at.v4)};
    address.at.v4.sin_family = AF_INET;
    address.at.v4.sin_port = port;
    if (inet_pton(AF_INET, text, &address.at.v4.sin_addr) != 1) {
        return HARK_EINVAL;
    }
    *ret = address;
    return 0;
}

// With a NUL behind; false when it does not fit or holds one.
static bool copy_text(struct hark_slice text, char *out, size_t size)
{
    if (text.len >= size || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}
