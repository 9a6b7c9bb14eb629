// SPDX-License-Identifier: MIT
//
// JSON texts: what is read can be written, and what was written reads as the same again; what is
// refused leaves nothing behind. The packed form of a value that was read is read back the same
// too.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lua.h>

#include "script/json.h"
#include "script/value.h"
#include "script/vm.h"

#define TEXT_MAX ((size_t)1 << 20)

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

struct input {
    struct hark_slice text;
    struct hark_buf first;
    struct hark_buf second;
    struct hark_buf packed;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_text(lua_State *L, struct hark_slice text, struct hark_buf *written)
{
    struct hark_json_error why;
    REQUIRE(hark_json_decode(L, text, &why) == 0);
    REQUIRE(hark_json_encode(L, -1, written, &why) == 0);
}

// Names in an object come in any order, so texts are compared by what they hold: once through the
// packed form, whose order is that of the table it came from, and by their length.
static int try_input(lua_State *L)
{
    struct input *input = lua_touserdata(L, 1);
    struct hark_json_error why;
    struct hark_value_error unfit;
    int top = lua_gettop(L);
    if (hark_json_decode(L, input->text, &why) != 0) {
        REQUIRE(lua_gettop(L) == top);
        REQUIRE(strstr(why.text, "not JSON: ") == why.text &&
                strstr(why.text, " at byte ") != NULL);
        return 0;
    }
    REQUIRE(lua_gettop(L) == top + 1);
    REQUIRE(hark_json_encode(L, -1, &input->first, &why) == 0);
    REQUIRE(hark_value_pack(L, -1, &input->packed, &unfit) == 0);

    read_text(L, hark_buf_slice(&input->first), &input->second);
    REQUIRE(hark_buf_len(&input->first) == hark_buf_len(&input->second));

    struct hark_slice packed = hark_buf_slice(&input->packed);
    REQUIRE(hark_value_unpack(L, &packed) == 0 && packed.len == 0);
    hark_buf_clear(&input->second);
    REQUIRE(hark_json_encode(L, -1, &input->second, &why) == 0);
    REQUIRE(hark_buf_len(&input->first) == hark_buf_len(&input->second));
    return 0;
}

// Any bytes at all as a packed value: refused, or a value.
static int try_packed(lua_State *L)
{
    const struct input *input = lua_touserdata(L, 1);
    struct hark_slice bytes = input->text;
    struct hark_slice skipped = input->text;
    int status = hark_value_unpack(L, &bytes);
    REQUIRE(hark_value_skip(&skipped) == status);
    REQUIRE(status != 0 || bytes.ptr == skipped.ptr);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hark_vm *vm;
    const struct hark_vm_options options = {.lua_dir = ""};
    if (vm == NULL) {
        REQUIRE(hark_vm_new(&options, &vm, NULL) == 0);
    }
    struct input input = {.text = hark_slice(data, size)};
    hark_buf_init(&input.first, TEXT_MAX);
    hark_buf_init(&input.second, TEXT_MAX);
    hark_buf_init(&input.packed, TEXT_MAX);
    REQUIRE(hark_vm_call(vm, try_input, &input, 0, NULL, NULL) == 0);
    REQUIRE(hark_vm_call(vm, try_packed, &input, 0, NULL, NULL) == 0);
    hark_buf_deinit(&input.first);
    hark_buf_deinit(&input.second);
    hark_buf_deinit(&input.packed);
    return 0;
}
