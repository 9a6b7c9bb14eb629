// SPDX-License-Identifier: MIT
//
// Entity tags of polls, in all the states in which proxies bring them back.
#include "transport/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "hark.h"

#define CURSOR \
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-g" // of one channel: 34 characters, one of them a dash

static void expect(const char *list, const char *session, const char *cursor)
{
    struct hark_slice got_session = HARK_SLICE_NONE;
    struct hark_slice got_cursor = HARK_SLICE_NONE;
    bool found = hark_etag_parse(hark_slice_text(list), &got_session, &got_cursor);
    assert_int_equal(found, session != NULL);
    if (found) {
        assert_true(hark_slice_is(got_session, hark_slice_text(session)));
        assert_true(hark_slice_is(got_cursor, hark_slice_text(cursor)));
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 100);
    assert_int_equal(hark_etag_encode(&buf, HARK_LIT("token.0"), HARK_LIT(CURSOR)), 0);
    assert_int_equal(hark_buf_append_char(&buf, '\0'), 0);
    expect(hark_buf_slice(&buf).ptr, "token.0", CURSOR);
    hark_buf_deinit(&buf);
}

static void test_forms(void **state)
{
    (void)state;
    expect("W/\"s~" CURSOR "\"", "s", CURSOR);
    expect("\"s~" CURSOR "-gzip\"", "s", CURSOR);
    expect("\"s~" CURSOR "--gzip\"", "s", CURSOR);
    expect("\"s~" CURSOR ";gzip\"", "s", CURSOR);
    expect("\"s~" CURSOR "-br\"", "s", CURSOR);
    expect("\"s~AQ\"", "s", "AQ");
    expect("\"s~AQ-gzip\"", "s", "AQ");
    expect("\"other\", W/\"x\", \"s~AQ\"", "s", "AQ");
    expect("\"s~\"", "s", "");
    expect("\"s~garbage\"", "s", "garbage"); // to be refused by whoever reads it
    expect("\"s~!\"", "s", "!");
}

static void test_what_is_not_ours(void **state)
{
    (void)state;
    expect("", NULL, NULL);
    expect("*", NULL, NULL);
    expect("\"x\"", NULL, NULL);
    expect("\"~AQ\"", NULL, NULL);
    expect("s~AQ", NULL, NULL);
    expect("\"s~AQ", NULL, NULL);
    expect("\"", NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
