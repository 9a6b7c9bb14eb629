// SPDX-License-Identifier: MIT
//
// script/value: values packed in one state come out equal in another; nothing else goes in; bytes
// that are no value do no harm.
#include "script/rig.h"

#include "script/json.h"
#include "script/value.h"

static struct hark_buf packed;

static int pack(lua_State *L)
{
    struct hark_value_error why;
    hark_buf_clear(&packed);
    int status = hark_value_pack(L, 1, &packed, &why);
    if (status != 0) {
        return luaL_error(L, "%s", status == HARK_EINVAL ? why.text : hark_strerror(status));
    }
    struct hark_slice bytes = hark_buf_slice(&packed);
    lua_pushlstring(L, bytes.ptr, bytes.len);
    return 1;
}

static int unpack(lua_State *L)
{
    size_t len = 0;
    const char *bytes = luaL_checklstring(L, 1, &len);
    struct hark_slice data = hark_slice(bytes, len);
    struct hark_slice skipped = data;
    int status = hark_value_unpack(L, &data);
    assert_int_equal(hark_value_skip(&skipped), status);
    if (status != 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "bad");
        return 2;
    }
    assert_ptr_equal(skipped.ptr, data.ptr);
    lua_pushinteger(L, (lua_Integer)data.len);
    return 2;
}

static int open_value(lua_State *L)
{
    hark_json_open(L);
    lua_setglobal(L, "json");
    lua_register(L, "pack", pack);
    lua_register(L, "unpack", unpack);
    return 0;
}

static void rig_open_value(struct rig *rig)
{
    rig_open_vm(rig, NULL);
    hark_buf_init(&packed, 65536);
    assert_int_equal(hark_vm_call(rig->vm, open_value, NULL, 0, NULL, NULL), 0);
}

static void rig_close_value(struct rig *rig)
{
    hark_buf_deinit(&packed);
    rig_close(rig);
}

static void test_values_come_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_value(&rig);
    static const char *const values[] = {
        "nil",
        "true",
        "false",
        "0",
        "-1",
        "math.maxinteger",
        "1.5",
        "math.huge",
        "''",
        "'a\\0b'",
        "('x'):rep(20000)",
    };
    char source[512];
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        snprintf(source, sizeof(source), "local v, left = unpack(pack(%s)) return v == %s and left",
                 values[i], values[i]);
        assert_gives(&rig, source, "0");
    }
    assert_gives(&rig, "return math.type(unpack(pack(3))) .. math.type(unpack(pack(3.0)))",
                 "integerfloat");
    assert_gives(&rig, "return unpack(pack(json.null)) == json.null", "true");
    rig_close_value(&rig);
}

static void test_tables_come_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_value(&rig);
    assert_gives(&rig, "return json.encode(unpack(pack {1, {a = {true, {}}}, 'x'}))",
                 "[1,{\"a\":[true,{}]},\"x\"]");
    assert_gives(&rig, "return json.encode(unpack(pack(json.decode('[]'))))", "[]");
    assert_gives(&rig, "return json.encode(unpack(pack(json.array {1, 2})))", "[1,2]");
    assert_gives(&rig,
                 "local t = unpack(pack {1, 2, x = 3, [10] = 4, [1.5] = 5, [true] = 6, [-1] = 7}) "
                 "return t[1] + t[2] + t.x + t[10] + t[1.5] + t[true] + t[-1]",
                 "28");
    assert_gives(&rig, "local t = unpack(pack {1, nil, 3}) return t[1] + t[3]", "4");
    assert_gives(&rig,
                 "local inner = {1} local t = unpack(pack {inner, inner}) return t[1][1] + t[2][1]",
                 "2");
    rig_close_value(&rig);
}

static void test_several_lie_behind_one_another(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_value(&rig);
    assert_gives(
        &rig, "local v, left = unpack(pack({1}) .. pack('two')) return v[1] .. ' ' .. left", "1 8");
    rig_close_value(&rig);
}

static void test_refuses_what_is_not_plain(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_value(&rig);
    assert_raises(&rig, "pack(print)",
                  "a function; allowed: nil, boolean, number, string, plain table");
    assert_raises(&rig, "pack({a = {b = coroutine.create(print)}})", "at .a.b: a thread");
    assert_raises(&rig, "pack({io.stdout})", "at [1]: a userdata");
    assert_raises(&rig, "pack({x = setmetatable({}, {})})", "at .x: a table with a metatable");
    assert_raises(&rig, "pack({[{}] = 1})", "a key that is a table");
    assert_raises(&rig, "pack({[print] = 1})", "a function");
    assert_raises(&rig, "local t = {} t[1] = t pack(t)", "deeper than 100 tables");
    assert_raises(&rig, "pack(('x'):rep(65536))", "larger than the limit");
    rig_close_value(&rig);
}

// Every cut and every changed byte of a good text: no crash, and at most a value.
static void test_bad_bytes_do_no_harm(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_value(&rig);
    assert_gives(
        &rig,
        "local good = pack {1, {a = {true, 2.5, {}}, b = 'text'}, json.empty_array, nil, false} "
        "for i = 0, #good - 1 do assert(select(2, unpack(good:sub(1, i))) == 'bad') end "
        "for i = 1, #good do for c = 0, 255 do "
        "unpack(good:sub(1, i - 1) .. string.char(c) .. good:sub(i + 1)) end end "
        "assert(select(2, unpack(('a\\1\\0\\0\\0'):rep(101))) == 'bad') "
        "assert(select(2, unpack('mnne')) == 'bad') "
        "assert(select(2, unpack('md\\0\\0\\0\\0\\0\\0\\xf8\\x7fne')) == 'bad') "
        "assert(select(2, unpack('a\\xff\\xff\\xff\\xff')) == 'bad') "
        "return 'unharmed'",
        "unharmed");
    rig_close_value(&rig);
}

static int take_from_c(lua_State *L)
{
    struct hark_slice data = hark_buf_slice(&packed);
    assert_int_equal(hark_value_unpack(L, &data), 0);
    lua_getfield(L, -1, "dir");
    assert_string_equal(lua_tostring(L, -1), "scripts");
    lua_getfield(L, -2, "list");
    assert_int_equal(lua_rawlen(L, -1), 2);
    return 0;
}

static void test_c_writes_and_reads_the_same_bytes(void **state)
{
    (void)state;
    struct rig rig;
    rig_open_value(&rig);
    assert_int_equal(hark_value_put_map(&packed), 0);
    assert_int_equal(hark_value_put_string(&packed, HARK_LIT("dir")), 0);
    assert_int_equal(hark_value_put_string(&packed, HARK_LIT("scripts")), 0);
    assert_int_equal(hark_value_put_string(&packed, HARK_LIT("list")), 0);
    assert_int_equal(hark_value_put_array(&packed, 2), 0);
    assert_int_equal(hark_value_put_boolean(&packed, true), 0);
    assert_int_equal(hark_value_put_integer(&packed, -5), 0);
    assert_int_equal(hark_value_put_map_end(&packed), 0);
    assert_int_equal(hark_value_put_nil(&packed), 0);
    assert_int_equal(hark_vm_call(rig.vm, take_from_c, NULL, 0, NULL, NULL), 0);

    struct hark_slice data = hark_buf_slice(&packed);
    struct hark_slice text = HARK_SLICE_NONE;
    int64_t integer = 0;
    assert_int_equal(hark_value_take_string(&data, &text), HARK_EINVAL);
    assert_int_equal(hark_value_skip(&data), 0);
    assert_true(hark_value_is_nil(data));
    hark_buf_clear(&packed);
    assert_int_equal(hark_value_put_string(&packed, HARK_LIT("why")), 0);
    assert_int_equal(hark_value_put_integer(&packed, 7), 0);
    data = hark_buf_slice(&packed);
    assert_false(hark_value_is_nil(data));
    assert_int_equal(hark_value_take_integer(&data, &integer), HARK_EINVAL);
    assert_int_equal(hark_value_take_string(&data, &text), 0);
    assert_true(hark_slice_is(text, HARK_LIT("why")));
    assert_int_equal(hark_value_take_integer(&data, &integer), 0);
    assert_int_equal(integer, 7);
    rig_close_value(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_back),
        cmocka_unit_test(test_tables_come_back),
        cmocka_unit_test(test_several_lie_behind_one_another),
        cmocka_unit_test(test_refuses_what_is_not_plain),
        cmocka_unit_test(test_bad_bytes_do_no_harm),
        cmocka_unit_test(test_c_writes_and_reads_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
