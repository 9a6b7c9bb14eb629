// SPDX-License-Identifier: MIT
//
// Paths made canonical, authorities checked, queries walked.
#include "proto/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hark.h"

struct path_row {
    struct hark_slice raw;
    const char *path; // NULL: refused
};

static const struct path_row PATHS[] = {
    {HARK_LIT(""), "/"},
    {HARK_LIT("/"), "/"},
    {HARK_LIT("/a"), "/a"},
    {HARK_LIT("/a/"), "/a/"},
    {HARK_LIT("/a/b"), "/a/b"},
    {HARK_LIT("//"), "//"},
    {HARK_LIT("/a//b"), "/a//b"},
    {HARK_LIT("/."), "/"},
    {HARK_LIT("/./"), "/"},
    {HARK_LIT("/.."), "/"},
    {HARK_LIT("/../"), "/"},
    {HARK_LIT("/../../a"), "/a"},
    {HARK_LIT("/a/."), "/a/"},
    {HARK_LIT("/a/.."), "/"},
    {HARK_LIT("/a/../"), "/"},
    {HARK_LIT("/a/b/.."), "/a/"},
    {HARK_LIT("/a/b/../c"), "/a/c"},
    {HARK_LIT("/a/./b/./c"), "/a/b/c"},
    {HARK_LIT("/a/b/c/./../../g"), "/a/g"}, // RFC 3986 section 5.2.4
    {HARK_LIT("/a//../b"), "/a/b"},
    {HARK_LIT("/a/...a"), "/a/...a"},
    {HARK_LIT("/..a/.b/c."), "/..a/.b/c."},
    {HARK_LIT("/%2e%2e/a"), "/a"},
    {HARK_LIT("/a/%2E./b"), "/b"},
    {HARK_LIT("/a/.%2e"), "/"},
    {HARK_LIT("/%252e%252e/a"), "/%2e%2e/a"}, // decoded once
    {HARK_LIT("/%41%62c"), "/Abc"},
    {HARK_LIT("/%C3%A4"), "/\xc3\xa4"},
    {HARK_LIT("/a+b"), "/a+b"},
    {HARK_LIT("/%20"), "/ "},
    {HARK_LIT("/a%5Cb"), "/a\\b"},
    {HARK_LIT("/%00"), NULL},
    {HARK_LIT("/a%2Fb"), "/a%2Fb"},
    {HARK_LIT("/a%2fb"), "/a%2Fb"},
    {HARK_LIT("/a%252fb"), "/a%252Fb"},
    {HARK_LIT("/a%252Fb"), "/a%252Fb"},
    {HARK_LIT("/a%25252fb"), "/a%25252Fb"},
    {HARK_LIT("/a%25%32%46b"), "/a%252Fb"},
    {HARK_LIT("/a%25%32%35%32%66b"), "/a%25252Fb"},
    {HARK_LIT("/%25%2f%252f/%2f"), "/%%2F%252F/%2F"},
    {HARK_LIT("/252f%2552f%252/f"), "/252f%52f%2/f"},
    {HARK_LIT("/a%252"), "/a%2"},
    {HARK_LIT("/a%25"), "/a%"},
    {HARK_LIT("/..%2F../b"), "/..%2F../b"},
    {HARK_LIT("/%"), NULL},
    {HARK_LIT("/%4"), NULL},
    {HARK_LIT("/%4g"), NULL},
    {HARK_LIT("/%g4"), NULL},
    {HARK_LIT("/a%"), NULL},
    {HARK_LIT("a"), NULL},
    {HARK_LIT("%2fa"), NULL},
};

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(PATHS); i++) {
        const struct path_row *row = &PATHS[i];
        char out[64];
        size_t len = 0;
        assert_true(row->raw.len < sizeof(out));
        int status = hark_uri_normalise(row->raw, out, &len);
        if (row->path == NULL) {
            assert_int_equal(status, HARK_EINVAL);
            continue;
        }
        assert_int_equal(status, 0);
        assert_true(len <= row->raw.len + 1);
        if (!hark_slice_is(hark_slice(out, len), hark_slice_text(row->path))) {
            fail_msg("%s: %.*s instead of %s", row->raw.ptr, (int)len, out, row->path);
        }
    }
}

// What has been made canonical stays as it is, unless an escape was decoded to '%'.
static void test_canonical_paths_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARK_ARRAY_LEN(PATHS); i++) {
        if (PATHS[i].path == NULL || strchr(PATHS[i].path, '%') != NULL) {
            continue;
        }
        char out[64];
        size_t len = 0;
        struct hark_slice path = hark_slice_text(PATHS[i].path);
        assert_int_equal(hark_uri_normalise(path, out, &len), 0);
        assert_true(hark_slice_is(hark_slice(out, len), path));
    }
}

static void test_authorities(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",      "a.example", "a.example:80", "a:",      "127.0.0.1:8080", "[::1]",
        "[::1]:", "[::1]:443", "[fe80::1]",    "a_b-c~d", "x!$&'()*+,;=y",  "%41:65535",
    };
    static const char *const bad[] = {
        "",     ":80",  "a:b",  "a:80:90", "a:65536", "a:000080", "a b", "a/b",      "u@a",
        "[::1", "[]",   "[a]x", "[::1]80", "[g::1]",  "::1",      "a%",  "a%4",      "a%zz",
        "a\"b", "a<b>", "a\\b", "a[b",     "a]b",     "a?b",      "a#b", "\xc3\xa4", "[v1.x]",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(good); i++) {
        if (!hark_uri_authority_is_valid(hark_slice_text(good[i]))) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        if (hark_uri_authority_is_valid(hark_slice_text(bad[i]))) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    assert_false(hark_uri_authority_is_valid(HARK_LIT("a\0b")));
}

static void test_escape(void **state)
{
    (void)state;
    struct hark_buf buf;
    hark_buf_init(&buf, 64);
    assert_int_equal(hark_uri_escape(&buf, HARK_LIT("/a b/c:@-._~%?#\xc3\xa4\n")), 0);
    assert_true(hark_slice_is(hark_buf_slice(&buf), HARK_LIT("/a%20b/c:@-._~%25%3F%23%C3%A4%0A")));
    char back[64];
    size_t len = 0;
    assert_int_equal(hark_uri_normalise(hark_buf_slice(&buf), back, &len), 0);
    assert_true(hark_slice_is(hark_slice(back, len), HARK_LIT("/a b/c:@-._~%?#\xc3\xa4\n")));
    hark_buf_deinit(&buf);
}

static void test_query_pairs(void **state)
{
    (void)state;
    struct hark_slice rest = HARK_LIT("a=1&&b&=x&c=d=e&");
    static const char *const names[] = {"a", "b", "", "c"};
    static const char *const values[] = {"1", "", "x", "d=e"};
    struct hark_uri_pair pair;
    for (size_t i = 0; i < HARK_ARRAY_LEN(names); i++) {
        assert_true(hark_uri_query_next(&rest, &pair));
        assert_true(hark_slice_is(pair.name, hark_slice_text(names[i])));
        assert_true(hark_slice_is(pair.value, hark_slice_text(values[i])));
    }
    assert_false(hark_uri_query_next(&rest, &pair));
    rest = HARK_SLICE_NONE;
    assert_false(hark_uri_query_next(&rest, &pair));
}

static void test_query_text(void **state)
{
    (void)state;
    assert_true(hark_uri_query_is(HARK_LIT("a"), HARK_LIT("a")));
    assert_true(hark_uri_query_is(HARK_LIT("%61+b"), HARK_LIT("a b")));
    assert_true(hark_uri_query_is(HARK_LIT(""), HARK_LIT("")));
    assert_false(hark_uri_query_is(HARK_LIT("a"), HARK_LIT("ab")));
    assert_false(hark_uri_query_is(HARK_LIT("ab"), HARK_LIT("a")));
    assert_false(hark_uri_query_is(HARK_LIT("A"), HARK_LIT("a")));
    assert_false(hark_uri_query_is(HARK_LIT("%6"), HARK_LIT("a")));
    assert_false(hark_uri_query_is(HARK_LIT("%6"), HARK_LIT("%6")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_canonical_paths_stay),
        cmocka_unit_test(test_authorities), cmocka_unit_test(test_query_pairs),
        cmocka_unit_test(test_query_text),  cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
