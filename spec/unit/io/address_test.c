// SPDX-License-Identifier: MIT
//
// Textual addresses: each form, and what is none.
#include "io/address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hark.h"

static struct hark_address parse(const char *text)
{
    struct hark_address address;
    assert_int_equal(hark_address_parse(hark_slice_text(text), &address), 0);
    return address;
}

static void test_forms(void **state)
{
    (void)state;
    struct hark_address address = parse("127.0.0.1:8080");
    assert_int_equal(address.at.any.sa_family, AF_INET);
    assert_int_equal(ntohs(address.at.v4.sin_port), 8080);
    assert_int_equal(ntohl(address.at.v4.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(address.len, sizeof(struct sockaddr_in));
    assert_false(address.is_all);

    address = parse("LocalHost:0");
    assert_int_equal(ntohl(address.at.v4.sin_addr.s_addr), INADDR_LOOPBACK);

    address = parse("0.0.0.0:65535");
    assert_int_equal(ntohs(address.at.v4.sin_port), 65535);
    assert_false(address.is_all);

    address = parse("[::1]:443");
    assert_int_equal(address.at.any.sa_family, AF_INET6);
    assert_int_equal(ntohs(address.at.v6.sin6_port), 443);
    assert_true(IN6_IS_ADDR_LOOPBACK(&address.at.v6.sin6_addr));
    assert_int_equal(address.len, sizeof(struct sockaddr_in6));
    assert_false(address.is_all);

    address = parse(":80");
    assert_int_equal(address.at.any.sa_family, AF_INET6);
    assert_true(IN6_IS_ADDR_UNSPECIFIED(&address.at.v6.sin6_addr));
    assert_true(address.is_all);

    address = parse("unix:/run/a:b.sock");
    assert_int_equal(address.at.any.sa_family, AF_UNIX);
    assert_string_equal(address.at.local.sun_path, "/run/a:b.sock");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:000080",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "256.1.1.1:80",
        "host.example:80",
        "::1:80",
        "[::1:80",
        "[]:80",
        "[:80",
        "[::g]:80",
        "[::1]x:80",
        "unix:",
        "*:80",
        "127.0.0.1.:80",
        " 127.0.0.1:80",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct hark_address address = {.len = 99};
        assert_int_equal(hark_address_parse(hark_slice_text(bad[i]), &address), HARK_EINVAL);
        assert_int_equal(address.len, 99);
    }
    struct hark_address address;
    assert_int_equal(hark_address_parse(HARK_LIT("127.0.0.1\0:80"), &address), HARK_EINVAL);
    assert_int_equal(hark_address_parse(HARK_LIT("unix:/a\0b"), &address), HARK_EINVAL);
}

static void test_longest_path(void **state)
{
    (void)state;
    struct hark_address address;
    char text[5 + sizeof(address.at.local.sun_path)];
    memcpy(text, "unix:", 5);
    memset(text + 5, 'p', sizeof(text) - 5);
    assert_int_equal(hark_address_parse(hark_slice(text, sizeof(text)), &address), HARK_EINVAL);
    assert_int_equal(hark_address_parse(hark_slice(text, sizeof(text) - 1), &address), 0);
    assert_int_equal(strlen(address.at.local.sun_path), sizeof(address.at.local.sun_path) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_longest_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
