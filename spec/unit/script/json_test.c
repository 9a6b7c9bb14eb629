// SPDX-License-Identifier: MIT
//
// script/json: what is read is written again the same; what is not JSON is refused with its place.
#include "script/rig.h"

#include "script/json.h"

static int open_json(lua_State *L)
{
    hark_json_open(L);
    lua_setglobal(L, "json");
    return 0;
}

static void rig_open_json(struct rig *rig)
{
    rig_open_vm(rig, NULL);
    assert_int_equal(hark_vm_call(rig->vm, open_json, NULL, 0, NULL, NULL), 0);
}

static void assert_same_again(struct rig *rig, const char *text)
{
    char source[1024];
    snprintf(source, sizeof(source),
             "local v, why = json.decode([==[%s]==]) assert(not why, why) return json.encode(v)",
             text);
    assert_gives(rig, source, text);
}

static void test_what_is_read_is_written_the_same(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_json(&rig);
    static const char *const texts[] = {
        "[]",
        "{}",
        "[[],{},[[]]]",
        "null",
        "[null,null]",
        "true",
        "false",
        "0",
        "-1",
        "12345678901234567",
        "9223372036854775807",
        "-9223372036854775808",
        "0.1",
        "1.5",
        "1e+300",
        "1.0",
        "-2.5e-07",
        "\"\"",
        "\"a\\\"b\"",
        "\"\\u0000\"",
        "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"",
        "[1,[2,[3,[4]]]]",
        "{\"a\":{\"b\":[{\"c\":1}]}}",
        "0.30000000000000004",
        "4.94065645841247e-324",
        "1.7976931348623157e+308",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_same_again(&rig, texts[i]);
    }
    rig_close(&rig);
}

static void test_reads(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_json(&rig);
    assert_gives(&rig, "return math.type(json.decode('12345678901234567'))", "integer");
    assert_gives(&rig, "return math.type(json.decode('1e2'))", "float");
    assert_gives(&rig, "return json.decode('9223372036854775808')", "9.2233720368548e+18");
    assert_gives(&rig, "return json.decode('-9223372036854775809')", "-9.2233720368548e+18");
    assert_gives(&rig, "return json.decode('-0')", "0");
    assert_gives(&rig, "return json.decode(' \\t\\r\\n[ 1 , 2 ] \\n')[2]", "2");
    assert_gives(&rig, "return json.decode('{\"a\":1,\"a\":2}').a", "2");
    assert_gives(&rig, "return json.decode('null') == json.null", "true");
    assert_gives(&rig, "return json.decode('[null]')[1] == json.null", "true");
    assert_gives(
        &rig,
        "return "
        "json.decode('\"\\\\u00e4\\\\ud83d\\\\ude00\\\\n\\\\/\\\\b\\\\f\\\\r\\\\t\\\\\\\\\"')",
        "\xC3\xA4\xF0\x9F\x98\x80\n/\b\f\r\t\\");
    assert_gives(&rig, "return #json.decode('{\"\\\\u0000\":\"\\\\u0000x\"}')['\\0']", "2");
    assert_gives(&rig, "return #json.decode('\"' .. ('\\\\n'):rep(5000) .. '\"')", "5000");
    assert_gives(&rig, "return json.decode(('['):rep(100) .. (']'):rep(100)) ~= nil", "true");
    rig_close(&rig);
}

static void assert_refuses(struct rig *rig, const char *text, const char *why)
{
    char source[1024];
    char expected[512];
    snprintf(source, sizeof(source),
             "local v, why = json.decode([==[%s]==]) assert(v == nil) return why", text);
    snprintf(expected, sizeof(expected), "not JSON: %s", why);
    assert_gives(rig, source, expected);
}

static void test_refuses_with_the_place(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_json(&rig);
    assert_refuses(&rig, "", "the text ends where a value is expected at byte 1");
    assert_refuses(&rig, "[1,", "the text ends where a value is expected at byte 4");
    assert_refuses(&rig, "[1,]", "unexpected character at byte 4");
    assert_refuses(&rig, "[1 2]", "expected ',' or ']' at byte 4");
    assert_refuses(&rig, "{\"a\" 1}", "expected ':' behind the name at byte 6");
    assert_refuses(&rig, "{a:1}", "expected a name in double quotes at byte 2");
    assert_refuses(&rig, "{\"a\":1,}", "expected a name in double quotes at byte 8");
    assert_refuses(&rig, "{\"a\":1]", "expected ',' or '}' at byte 7");
    assert_refuses(&rig, "1 2", "something behind the value at byte 3");
    assert_refuses(&rig, "tru", "unexpected character at byte 1");
    assert_refuses(&rig, "nulll", "something behind the value at byte 5");
    assert_refuses(&rig, "01", "something behind the value at byte 2");
    assert_refuses(&rig, "-", "expected a digit at byte 2");
    assert_refuses(&rig, "1.", "expected a digit behind the point at byte 3");
    assert_refuses(&rig, "1e", "expected a digit in the exponent at byte 3");
    assert_refuses(&rig, ".5", "unexpected character at byte 1");
    assert_refuses(&rig, "+1", "unexpected character at byte 1");
    assert_refuses(&rig, "1e999", "a number beyond the range of a float at byte 1");
    assert_refuses(&rig, "NaN", "unexpected character at byte 1");
    assert_refuses(&rig, "\"abc", "a string without its end at byte 1");
    assert_refuses(&rig, "\"abc\\", "a string without its end at byte 1");
    assert_refuses(&rig, "\"a\\x\"", "an unknown escape in a string at byte 5");
    assert_refuses(&rig, "\"\\u12\"", "expected four hexadecimal digits behind \\u at byte 4");
    assert_refuses(&rig, "\"\\ud83d\"", "half of a surrogate pair at byte 8");
    assert_refuses(&rig, "\"\\ud83d\\u0041\"", "half of a surrogate pair at byte 8");
    assert_refuses(&rig, "\"\\ude00\"", "half of a surrogate pair at byte 8");
    assert_refuses(&rig, "\"a\tb\"", "a control character in a string at byte 3");
    assert_refuses(&rig, "\"\xC0\x80\"", "a string that is not UTF-8 at byte 1");
    assert_refuses(&rig, "'a'", "unexpected character at byte 1");
    assert_refuses(&rig, "// comment", "unexpected character at byte 1");
    assert_gives(&rig, "return select(2, json.decode(('['):rep(101)))",
                 "not JSON: nested too deeply at byte 101");
    assert_gives(&rig, "return select(2, json.decode(('9'):rep(401)))",
                 "not JSON: a number of more than 400 characters at byte 1");
    rig_close(&rig);
}

static void test_writes_by_the_rule(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_json(&rig);
    assert_gives(&rig, "return json.encode({})", "{}");
    assert_gives(&rig, "return json.encode(json.empty_array)", "[]");
    assert_gives(&rig, "return json.encode(json.array {})", "[]");
    assert_gives(&rig, "return json.encode(json.array {1})", "[1]");
    assert_gives(&rig, "return json.encode(json.array())", "[]");
    assert_gives(&rig, "return json.encode {1, 'a', true, {}}", "[1,\"a\",true,{}]");
    assert_gives(&rig, "return json.encode {json.null}", "[null]");
    assert_gives(&rig, "return json.encode(nil)", "null");
    assert_gives(&rig, "local t = {} for i = 10, 1, -1 do t[i] = i end return json.encode(t)",
                 "[1,2,3,4,5,6,7,8,9,10]");
    assert_gives(&rig, "return json.encode(setmetatable({a = 1}, {__index = {b = 2}}))",
                 "{\"a\":1}");
    assert_gives(&rig, "return json.encode('\\u{7f}\\1')", "\"\x7F\\u0001\"");
    assert_gives(&rig, "return json.encode('\\255')", "\"\xEF\xBF\xBD\"");
    assert_gives(&rig, "return json.encode(math.mininteger)", "-9223372036854775808");
    assert_gives(&rig, "return json.encode(2^53)", "9007199254740992.0");
    assert_gives(&rig, "return json.encode(-0.0)", "-0.0");
    assert_gives(&rig, "return json.encode(1e15)", "1e+15");
    rig_close(&rig);
}

static void test_names_the_path_to_what_cannot_be_written(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_json(&rig);
    assert_raises(&rig, "json.encode(print)", "json.encode: a function; allowed: string");
    assert_raises(&rig, "json.encode {a = {1, {b = print}}}",
                  "json.encode: at .a[2].b: a function");
    assert_raises(&rig, "json.encode {{}, {0/0}}",
                  "at [2][1]: not a number; JSON has no such number");
    assert_raises(&rig, "json.encode {1/0}", "at [1]: infinite");
    assert_raises(&rig, "json.encode {1, 2, x = 3}",
                  "a table that is neither 1 to n nor all names");
    assert_raises(&rig, "json.encode {a = {1, nil, 3}}",
                  "at .a[2]: nil, a hole in the array; write json.null");
    assert_raises(&rig, "json.encode {[0] = 1}", "at [0]: a key that is a number");
    assert_raises(&rig, "json.encode {[true] = 1}", "at [boolean]: a key that is a boolean");
    assert_raises(&rig, "local t = {} t.t = t json.encode(t)",
                  "deeper than 100 tables (or a table inside itself)");
    assert_raises(&rig, "json.encode(json.array {x = 1})", "is marked as an array");
    assert_raises(&rig, "json.empty_array[1] = 1", "json.empty_array cannot be changed");
    assert_raises(&rig, "json.encode()", "value expected");
    assert_raises(&rig, "json.decode({})", "string expected");
    rig_close(&rig);
}

static int encode_small(lua_State *L)
{
    struct hark_buf *buf = lua_touserdata(L, 1);
    struct hark_json_error why;
    lua_newtable(L);
    lua_pushliteral(L, "0123456789");
    lua_rawseti(L, -2, 1);
    assert_int_equal(hark_json_encode(L, -1, buf, &why), HARK_ETOOBIG);
    assert_int_equal(lua_gettop(L), 2);
    return 0;
}

static void test_the_buffer_bounds_it(void **state)
{
    (void)state;
    struct rig rig;
    struct hark_buf buf;
    rig_open_json(&rig);
    hark_buf_init(&buf, 8);
    assert_int_equal(hark_vm_call(rig.vm, encode_small, &buf, 0, NULL, NULL), 0);
    hark_buf_deinit(&buf);
    rig_close(&rig);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_json(&rig);
    const char *source =
        "local v = json.decode('{\"a\":[1,2.5,\"x\\\\n\",{\"b\":[[],{}]}]}') return json.encode(v)";
    int failed = 0;
    for (size_t n = 0; n < 80; n++) {
        hark_mem_fail_after(n);
        int status = rig_run(&rig, source, 0);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || status == HARK_ENOMEM || status == HARK_ESCRIPT);
        failed += status != 0;
    }
    assert_true(failed > 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read_is_written_the_same),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses_with_the_place),
        cmocka_unit_test(test_writes_by_the_rule),
        cmocka_unit_test(test_names_the_path_to_what_cannot_be_written),
        cmocka_unit_test(test_the_buffer_bounds_it),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
