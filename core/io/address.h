// SPDX-License-Identifier: MIT
//
// Textual socket addresses: "127.0.0.1:8080", "[::1]:8080", ":8080", "localhost:8080",
// "unix:/path". Numeric only (localhost is 127.0.0.1, RFC 6761 section 6.3): nothing here asks a
// name server.
#ifndef HARK_IO_ADDRESS_H
#define HARK_IO_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/attr.h"
#include "base/slice.h"

struct hark_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } at;

    socklen_t len;
    bool is_all; // ":port": every address of the machine; at is the IPv6 form
};

// 0 or EINVAL.
HARK_MUSTCHECK int hark_address_parse(struct hark_slice text, struct hark_address *ret);

#endif
