// SPDX-License-Identifier: MIT
//
// Parses "127.0.0.1:8080".
#include "address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool bench_address_parse(const char *text, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    const char *colon = strchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) || colon[1] < '0' ||
        colon[1] > '9') {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';

    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port > UINT16_MAX || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        return false;
    }
    address.sin_port = htons((uint16_t)port);
    *ret_address = address;
    return true;
}
