// SPDX-License-Identifier: MIT
//
// SipHash-1-3 against another implementation of it, the keyed hash as uthash uses it, and the
// stable hash, which must never change: cursors of clients hold it.
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "base/attr.h"

static uint64_t reference(const uint64_t key[2], const void *data, size_t len)
{
    unsigned rounds[2] = {1, 3};
    size_t size = 8;
    unsigned char bytes[16];
    unsigned char out[8];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &rounds[0]),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &rounds[1]),
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
        OSSL_PARAM_construct_end(),
    };
    for (size_t i = 0; i < 16; i++) {
        bytes[i] = (unsigned char)(key[i / 8] >> (8 * (i % 8)));
    }
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_CTX_set_params(context, params), 1);
    assert_int_equal(EVP_MAC_init(context, bytes, sizeof(bytes), params), 1);
    assert_int_equal(EVP_MAC_update(context, data, len), 1);
    assert_int_equal(EVP_MAC_final(context, out, &size, sizeof(out)), 1);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    uint64_t hash = 0;
    for (size_t i = 0; i < 8; i++) {
        hash |= (uint64_t)out[i] << (8 * i);
    }
    return hash;
}

static void test_siphash(void **state)
{
    (void)state;
    const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    unsigned char data[80];
    for (size_t len = 0; len < sizeof(data); len++) {
        data[len] = (unsigned char)(len * 37);
        assert_int_equal(hark_hash_with(key, data, len), reference(key, data, len));
        // Unaligned too.
        assert_int_equal(hark_hash_with(key, data + 1, len), reference(key, data + 1, len));
    }
}

static void test_keyed_is_one_function(void **state)
{
    (void)state;
    char a[] = "channel/17";
    char b[] = "xchannel/17";
    assert_int_equal(hark_hash_keyed(a, 10), hark_hash_keyed(b + 1, 10));
    assert_int_not_equal(hark_hash_keyed(a, 10), hark_hash_keyed(a, 9));
    const uint64_t zero[2] = {0, 0};
    assert_int_not_equal(hark_hash_keyed(a, 10), hark_hash_with(zero, a, 10)); // it has a key
}

static void test_stable(void **state)
{
    (void)state;
    assert_int_equal(hark_hash_stable(HARK_LIT("abc")), UINT64_C(0xba7816bf8f01cfea));
    assert_int_equal(hark_hash_stable(HARK_SLICE_NONE), UINT64_C(0xe3b0c44298fc1c14));
}

struct item {
    UT_hash_handle hh;
    int key;
};

static void test_uthash_without_memory(void **state)
{
    (void)state;

    enum { ITEMS = 2000 };
    struct item *table = NULL;
    struct item *items = hark_mem_array(ITEMS, sizeof(*items));
    size_t missing = 0;
    for (int i = 0; i < ITEMS; i++) {
        struct item *found = NULL;
        items[i].key = i;
        hark_mem_fail_after((size_t)i % 2); // the table, its buckets, or their growth
        HASH_ADD_INT(table, key, &items[i]);
        hark_mem_fail_after(SIZE_MAX);
        HASH_FIND_INT(table, &i, found);
        assert_true(found == &items[i] || found == NULL);
        missing += found == NULL;
    }
    assert_true(missing > 0);
    assert_int_equal(HASH_COUNT(table), ITEMS - missing);
    HASH_CLEAR(hh, table);
    hark_mem_free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_keyed_is_one_function),
        cmocka_unit_test(test_stable),
        cmocka_unit_test(test_uthash_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
