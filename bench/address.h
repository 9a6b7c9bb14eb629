// SPDX-License-Identifier: MIT
//
// "IPV4:PORT" from a command line, for both programs.
#ifndef BENCH_ADDRESS_H
#define BENCH_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

// Fills family, address and port; false when the text is anything else.
bool bench_address_parse(const char *text, struct sockaddr_in *ret_address);

#endif
