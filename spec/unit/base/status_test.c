// SPDX-License-Identifier: MIT
//
// Status codes: each has a text of its own, and the codes are what clients of the C API compiled
// in.
#include "hark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static void test_texts(void **state)
{
    (void)state;
    static const int codes[] = {
#define X(name, value, text) HARK_##name,
        HARK_STATUS_MAP(X)
#undef X
    };
    assert_string_equal(hark_strerror(0), "success");
    for (size_t i = 0; i < HARK_ARRAY_LEN(codes); i++) {
        assert_true(codes[i] < 0);
        assert_string_not_equal(hark_strerror(codes[i]), "unknown status");
        for (size_t k = 0; k < i; k++) {
            assert_true(codes[i] != codes[k]);
            assert_string_not_equal(hark_strerror(codes[i]), hark_strerror(codes[k]));
        }
    }
    assert_string_equal(hark_strerror(1), "unknown status");
    assert_string_equal(hark_strerror(-10000), "unknown status");
    assert_string_equal(hark_strerror(HARK_ENOMEM), "out of memory");
}

static void test_version(void **state)
{
    (void)state;
    assert_string_equal(hark_version(), HARK_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
