// SPDX-License-Identifier: MIT
//
// Session ids: tokens that say where they live, and what a client may choose.
#include "session/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "hark.h"

static void test_tokens(void **state)
{
    (void)state;
    static const unsigned workers[] = {0, 1, 9, 10, 15, 16, 255, 256, 1023};
    char last[HARK_TOKEN_MAX] = "";
    for (size_t i = 0; i < HARK_ARRAY_LEN(workers); i++) {
        char text[HARK_TOKEN_MAX];
        size_t len = 0;
        unsigned worker = 0;
        assert_int_equal(hark_token_make(workers[i], text, &len), 0);
        struct hark_slice token = hark_slice(text, len);
        assert_true(hark_token_is_token(token));
        assert_false(hark_token_is_chosen(token));
        assert_int_equal(hark_token_owner(token, 1024, &worker), 0);
        assert_int_equal(worker, workers[i]);
        assert_int_equal(hark_token_owner(token, workers[i], &worker), HARK_EINVAL);
        assert_memory_not_equal(text, last, 22);
        memcpy(last, text, 22);
    }
}

static void test_what_is_no_token(void **state)
{
    (void)state;
    static const struct hark_slice bad[] = {
        HARK_LIT("0123456789abcdefghijkl"),        // no place
        HARK_LIT("0123456789abcdefghijkl."),       //
        HARK_LIT("0123456789abcdefghijkl.01"),     // another spelling
        HARK_LIT("0123456789abcdefghijkl.A"),      //
        HARK_LIT("0123456789abcdefghijkl.123456"), // too long
        HARK_LIT("0123456789abcdefghijk.0"),       //
        HARK_LIT("0123456789abcdefghijk!.0"),      //
        HARK_LIT(""),
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        assert_false(hark_token_is_token(bad[i]));
    }
}

static void test_what_a_client_may_choose(void **state)
{
    (void)state;
    char text[130];
    memset(text, 'a', sizeof(text));
    assert_false(hark_token_is_chosen(hark_slice(text, 21)));
    assert_true(hark_token_is_chosen(hark_slice(text, 22)));
    assert_true(hark_token_is_chosen(hark_slice(text, 128)));
    assert_false(hark_token_is_chosen(hark_slice(text, 129)));
    assert_true(hark_token_is_chosen(HARK_LIT("0123456789-ABCxyz_0123456789")));
    static const char bad[] = "!%.~ \n\0/+=\xC3";
    for (size_t i = 0; i < sizeof(bad); i++) {
        text[10] = bad[i];
        assert_false(hark_token_is_chosen(hark_slice(text, 30)));
    }
    unsigned worker = 99;
    unsigned again = 98;
    const struct hark_slice id = HARK_LIT("0123456789-ABCxyz_0123456789");
    assert_int_equal(hark_token_owner(id, 4, &worker), 0);
    assert_int_equal(hark_token_owner(id, 4, &again), 0);
    assert_int_equal(worker, again);
    assert_true(worker < 4);
    assert_int_equal(hark_token_owner(HARK_LIT("short"), 4, &worker), HARK_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_what_is_no_token),
        cmocka_unit_test(test_what_a_client_may_choose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
