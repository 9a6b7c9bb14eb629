// SPDX-License-Identifier: MIT
//
// Digests and MACs by the vectors of RFC 1321 appendix A.5, RFC 6234 section 8.5, RFC 2202 and
// RFC 4231; comparison and random bytes.
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/mem.h"
#include "hark.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    struct hark_buf buf;
    hark_buf_init(&buf, 1000);
    assert_int_equal(hark_codec_hex(&buf, hark_slice(bytes, len)), 0);
    assert_true(hark_slice_is(hark_buf_slice(&buf), hark_slice_text(hex)));
    hark_buf_deinit(&buf);
}

static void check(enum hark_digest_kind kind, struct hark_slice data, const char *hex)
{
    uint8_t out[HARK_DIGEST_MAX];
    size_t len = 0;
    assert_int_equal(hark_digest(kind, data, out, &len), 0);
    assert_hex(out, len, hex);
}

static void test_digests(void **state)
{
    (void)state;
    check(HARK_DIGEST_MD5, HARK_SLICE_NONE, "d41d8cd98f00b204e9800998ecf8427e");
    check(HARK_DIGEST_MD5, HARK_LIT("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    check(HARK_DIGEST_SHA1, HARK_LIT("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(HARK_DIGEST_SHA1, HARK_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check(HARK_DIGEST_SHA256, HARK_LIT("abc"),
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(HARK_DIGEST_SHA256, HARK_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check(HARK_DIGEST_SHA512, HARK_LIT("abc"),
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void check_mac(enum hark_digest_kind kind,
                      struct hark_slice key,
                      struct hark_slice data,
                      const char *hex)
{
    uint8_t out[HARK_DIGEST_MAX];
    size_t len = 0;
    assert_int_equal(hark_digest_hmac(kind, key, data, out, &len), 0);
    assert_hex(out, len, hex);
}

static void test_macs(void **state)
{
    (void)state;
    char key[131];
    memset(key, 0x0b, 20);
    check_mac(HARK_DIGEST_SHA1, hark_slice(key, 20), HARK_LIT("Hi There"),
              "b617318655057264e28bc0b6fb378c8ef146be00");
    check_mac(HARK_DIGEST_SHA256, hark_slice(key, 20), HARK_LIT("Hi There"),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_mac(HARK_DIGEST_SHA512, hark_slice(key, 20), HARK_LIT("Hi There"),
              "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
              "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
    check_mac(HARK_DIGEST_SHA256, HARK_LIT("Jefe"), HARK_LIT("what do ya want for nothing?"),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    check_mac(HARK_DIGEST_SHA256, hark_slice(key, sizeof(key)),
              HARK_LIT("Test Using Larger Than Block-Size Key - Hash Key First"),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_empty_key_and_data(void **state)
{
    (void)state;
    static const char empty[] = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    check_mac(HARK_DIGEST_SHA256, HARK_SLICE_NONE, HARK_SLICE_NONE, empty);
    // Not the key of the call before.
    check_mac(HARK_DIGEST_SHA1, HARK_LIT("k"), HARK_LIT("x"),
              "cb00131fcec602a8fc84413a2a70154d8c06a0d2");
    check_mac(HARK_DIGEST_SHA256, HARK_SLICE_NONE, HARK_SLICE_NONE, empty);
}

static void test_sha256_without_memory(void **state)
{
    (void)state;
    uint8_t out[HARK_DIGEST_SHA256_LEN];
    hark_digest_sha256(HARK_LIT("abc"), out);
    assert_hex(out, sizeof(out),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_equal(void **state)
{
    (void)state;
    assert_true(hark_digest_is_equal(HARK_LIT("abc"), HARK_LIT("abc")));
    assert_false(hark_digest_is_equal(HARK_LIT("abc"), HARK_LIT("abd")));
    assert_false(hark_digest_is_equal(HARK_LIT("abc"), HARK_LIT("ab")));
    assert_true(hark_digest_is_equal(HARK_SLICE_NONE, HARK_LIT("")));
}

static void test_random(void **state)
{
    (void)state;
    unsigned char a[64] = {0};
    unsigned char b[64] = {0};
    static const unsigned char zeros[16];
    assert_int_equal(hark_digest_random(a, 48), 0);
    assert_int_equal(hark_digest_random(b, 48), 0);
    assert_memory_not_equal(a, b, 48);
    assert_memory_equal(a + 48, zeros, 16); // not beyond
    assert_int_equal(hark_digest_random(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_empty_key_and_data),
        cmocka_unit_test(test_sha256_without_memory),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
