// SPDX-License-Identifier: MIT
//
// Messages as JSON objects.
#include "proto/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hark.h"

static void expect(const char *id,
                   const char *event,
                   struct hark_slice data,
                   enum hark_envelope_data kind,
                   const char *want)
{
    struct hark_buf buf;
    hark_buf_init(&buf, 4096);
    assert_int_equal(hark_envelope_head(&buf, hark_slice_text(id)), 0);
    assert_int_equal(hark_buf_len(&buf), hark_envelope_head_len(strlen(id)));
    assert_int_equal(hark_envelope_tail(&buf, hark_slice_text(event), data, kind), 0);
    assert_int_equal(hark_buf_append_char(&buf, '\0'), 0);
    assert_string_equal(hark_buf_slice(&buf).ptr, want);
    hark_buf_deinit(&buf);
}

static void test_forms(void **state)
{
    (void)state;
    expect("AQ", "", HARK_LIT("hi \"you\"\n"), HARK_ENVELOPE_TEXT,
           "{\"id\":\"AQ\",\"data\":\"hi \\\"you\\\"\\n\"}");
    expect("", "named", HARK_LIT("{\"n\":1}"), HARK_ENVELOPE_JSON,
           "{\"event\":\"named\",\"data\":{\"n\":1}}");
    expect("x", "a\"b", HARK_LIT("\xFF\0"), HARK_ENVELOPE_BINARY,
           "{\"id\":\"x\",\"event\":\"a\\\"b\",\"data\":\"/wA=\",\"base64\":true}");
    expect("", "", HARK_SLICE_NONE, HARK_ENVELOPE_JSON, "{\"data\":null}");
    expect("", "", HARK_SLICE_NONE, HARK_ENVELOPE_TEXT, "{\"data\":\"\"}");
}

static void test_limit_is_told(void **state)
{
    (void)state;
    for (size_t max = 0; max < 30; max++) {
        struct hark_buf buf;
        hark_buf_init(&buf, max);
        int status = hark_envelope_head(&buf, HARK_LIT("id"));
        if (status == 0) {
            status =
                hark_envelope_tail(&buf, HARK_LIT("event"), HARK_LIT("data"), HARK_ENVELOPE_TEXT);
        }
        assert_int_equal(status, HARK_ETOOBIG);
        hark_buf_deinit(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_limit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
