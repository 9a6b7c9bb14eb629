// SPDX-License-Identifier: MIT
//
// script/shared: the dictionaries in C, from several threads, and as scripts see them.
#include "script/worker.h"

#include <pthread.h>

#include "script/shared.h"

static struct hark_shared_key key_of(const char *dictionary, const char *key)
{
    return (struct hark_shared_key){hark_slice_text(dictionary), hark_slice_text(key)};
}

static int put(struct hark_shared *shared, const char *key, const char *value)
{
    struct hark_shared_key at = key_of("d", key);
    return hark_shared_put(shared, &at, hark_slice_text(value), 0, HARK_SHARED_SET, 0);
}

static void assert_holds(struct hark_shared *shared, const char *key, const char *value)
{
    struct hark_shared_key at = key_of("d", key);
    struct hark_buf buf;
    uint64_t version = 0;
    hark_buf_init(&buf, 1000);
    assert_int_equal(hark_shared_get(shared, &at, &buf, &version), 0);
    assert_true(hark_slice_is(hark_buf_slice(&buf), hark_slice_text(value)));
    hark_buf_deinit(&buf);
}

static void test_put_get_delete(void **state)
{
    (void)state;
    struct hark_shared *shared = NULL;
    struct hark_shared_key at = key_of("d", "k");
    struct hark_buf buf;
    uint64_t version = 1;
    assert_int_equal(hark_shared_new(1 << 20, &shared), 0);
    hark_buf_init(&buf, 1000);
    assert_int_equal(hark_shared_get(shared, &at, &buf, &version), HARK_ENOENT);
    assert_int_equal(version, 0);
    assert_int_equal(put(shared, "k", "one"), 0);
    assert_int_equal(put(shared, "k", "two"), 0);
    assert_holds(shared, "k", "two");
    struct hark_shared_key other = key_of("e", "k"); // another dictionary
    assert_int_equal(hark_shared_get(shared, &other, &buf, &version), HARK_ENOENT);
    assert_int_equal(hark_shared_delete(shared, &at, HARK_SHARED_SET, 0), 0);
    assert_int_equal(hark_shared_delete(shared, &at, HARK_SHARED_SET, 0), HARK_ENOENT);
    assert_int_equal(hark_shared_bytes(shared), 0);
    struct hark_shared_key bad = key_of("", "k");
    assert_int_equal(hark_shared_get(shared, &bad, &buf, &version), HARK_EINVAL);
    hark_buf_deinit(&buf);
    hark_shared_unref(shared);
}

static void test_modes(void **state)
{
    (void)state;
    struct hark_shared *shared = NULL;
    struct hark_shared_key at = key_of("d", "k");
    struct hark_buf buf;
    uint64_t version = 0;
    hark_buf_init(&buf, 1000);
    assert_int_equal(hark_shared_new(1 << 20, &shared), 0);
    assert_int_equal(hark_shared_put(shared, &at, HARK_LIT("a"), 0, HARK_SHARED_ADD, 0), 0);
    assert_int_equal(hark_shared_put(shared, &at, HARK_LIT("b"), 0, HARK_SHARED_ADD, 0),
                     HARK_EEXIST);
    assert_int_equal(hark_shared_get(shared, &at, &buf, &version), 0);
    assert_int_equal(hark_shared_put(shared, &at, HARK_LIT("c"), 0, HARK_SHARED_SWAP, version), 0);
    assert_int_equal(hark_shared_put(shared, &at, HARK_LIT("d"), 0, HARK_SHARED_SWAP, version),
                     HARK_EAGAIN);
    assert_int_equal(hark_shared_delete(shared, &at, HARK_SHARED_SWAP, version), HARK_EAGAIN);
    assert_holds(shared, "k", "c");
    hark_buf_deinit(&buf);
    hark_shared_unref(shared);
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct hark_shared *shared = NULL;
    char key[32];
    int status = 0;
    int count = 0;
    assert_int_equal(hark_shared_new(64 << 10, &shared), 0);
    for (; status == 0 && count < 10000; count++) {
        snprintf(key, sizeof(key), "k%d", count);
        status = put(shared, key, "0123456789");
        assert_true(hark_shared_bytes(shared) <= 64 << 10);
    }
    assert_int_equal(status, HARK_EFULL);
    assert_in_range(count, 100, 1000);
    assert_int_equal(put(shared, "k0", "9876543210"), 0); // no more than before
    struct hark_shared_key at = key_of("d", "k1");
    assert_int_equal(hark_shared_delete(shared, &at, HARK_SHARED_SET, 0), 0);
    assert_int_equal(put(shared, key, "0123456789"), 0);
    hark_shared_unref(shared);
}

static void test_what_has_expired_makes_room(void **state)
{
    (void)state;
    struct hark_shared *shared = NULL;
    char key[32];
    assert_int_equal(hark_shared_new(64 << 10, &shared), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        struct hark_shared_key at = key_of("d", key);
        assert_int_equal(
            hark_shared_put(shared, &at, HARK_LIT("0123456789"), 1, HARK_SHARED_SET, 0), 0);
    }
    struct hark_shared_key first = key_of("d", "k0");
    uint64_t left = 0;
    while (hark_shared_ttl(shared, &first, &left) == 0) { // until it is gone: 1 ms
        assert_true(left <= 1);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "n%d", i);
        assert_int_equal(put(shared, key, "0123456789"), 0);
    }
    hark_shared_unref(shared);
}

static int add_one(void *ctx, struct hark_slice old, struct hark_buf *buf)
{
    (void)ctx;
    uint64_t n = 0;
    if (old.len == sizeof(n)) {
        memcpy(&n, old.ptr, sizeof(n));
    }
    n++;
    return hark_buf_append(buf, &n, sizeof(n));
}

static void *count_up(void *arg)
{
    struct hark_shared_key at = key_of("d", "n");
    for (int i = 0; i < 20000; i++) {
        if (hark_shared_change(arg, &at, 0, add_one, NULL) != 0) {
            return arg;
        }
    }
    return NULL;
}

static void test_threads_count_together(void **state)
{
    (void)state;
    struct hark_shared *shared = NULL;
    pthread_t threads[3];
    assert_int_equal(hark_shared_new(1 << 20, &shared), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, shared), 0);
    }
    for (int i = 0; i < 3; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    struct hark_shared_key at = key_of("d", "n");
    struct hark_buf buf;
    uint64_t version = 0;
    uint64_t n = 0;
    hark_buf_init(&buf, 100);
    assert_int_equal(hark_shared_get(shared, &at, &buf, &version), 0);
    struct hark_slice value = hark_buf_slice(&buf);
    assert_int_equal(value.len, sizeof(n));
    for (size_t i = sizeof(n); i > 0; i--) {
        n = n << 8 | (unsigned char)value.ptr[i - 1];
    }
    assert_int_equal(n, 60000);
    hark_buf_deinit(&buf);
    hark_shared_unref(shared);
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    struct hark_shared *shared = NULL;
    assert_int_equal(hark_shared_new(1 << 20, &shared), 0);
    assert_int_equal(put(shared, "a", "kept"), 0);
    size_t bytes = hark_shared_bytes(shared);
    for (size_t n = 0; n < 4; n++) {
        hark_mem_fail_after(n);
        int status = put(shared, "b", "new");
        hark_mem_fail_after(SIZE_MAX);
        if (status == 0) {
            break;
        }
        assert_int_equal(status, HARK_ENOMEM);
        assert_int_equal(hark_shared_bytes(shared), bytes);
    }
    assert_holds(shared, "a", "kept");
    hark_shared_unref(shared);
}

// --- in Lua ---

static void test_in_lua(void **state)
{
    struct worker *worker = *state;
    lua_is(worker, "d = core.shared('quotes') return tostring(d), d:get('x')",
           "hark.shared: quotes,nil");
    lua_is(worker, "return d:set('x', { a = { 1, 2 } }), d:get('x').a[2], d:get('x') ~= d:get('x')",
           "true,2,true");
    lua_is(worker, "return d:add('x', 1), d:add('y', 1), d:get('y')", "false,true,1");
    lua_is(worker, "d:set('x', nil) return d:get('x'), d:delete('y'), d:delete('y')",
           "nil,true,false");
    lua_is(
        worker,
        "return d:incr('n'), d:incr('n', 5), d:incr('n', -2), d:incr('n', 0.5), d:incr('f', 1.5)",
        "1,6,4,4.5,1.5");
    lua_is(worker, "return math.type(core.shared('quotes'):get('n'))", "float");
    lua_is(worker,
           "d:set('t', 1, 60) local left = d:ttl('t') return left > 59 and left <= 60, d:ttl('n'), "
           "d:ttl('nope')",
           "true,nil,nil");
    lua_is(worker, "return d:ttl('n', '5m'), d:ttl('n') > 299, d:ttl('nope', 5)",
           "true,true,false");
    lua_is(worker,
           "return d:update('c', function(v) return (v or 0) + 1 end), d:update('c', function(v) "
           "return { v } end)[1]",
           "1,1");
    lua_is(worker, "return d:update('c', function() return nil end), d:get('c')", "nil,nil");
    lua_fails(worker, "d:set('x', print)", "shared:set: a function");
    lua_fails(worker, "d:set('x', ('x'):rep(2 << 20))", "the value is larger than 1024 KiB");
    lua_fails(worker, "d:set('x')", "value expected");
    lua_fails(worker, "d:set('x', 1, 0)", "shared:set: the time to live must be more than 0");
    lua_fails(worker, "d:get(('x'):rep(2000))", "the key has 2000 bytes; allowed: 1024");
    lua_fails(worker, "d:set('s', 'x') d:incr('s')", "shared:incr: the value of s is no number");
    lua_fails(worker, "d:update('c', function() core.sleep(1) end)",
              "sleep cannot be called in the function of shared:update, which cannot wait");
    lua_fails(worker, "core.shared('')", "the name must have 1 to 128 bytes");
    lua_waits(
        worker,
        "local ok = pcall(d.update, d, 'c', function() error('x') end) core.sleep(0) return ok");
    worker_pass(worker, 16);
    assert_string_equal(worker->text, "false"); // waiting is allowed again
}

static void test_update_tries_again(void **state)
{
    struct worker *worker = *state;
    lua_is(worker,
           "d = core.shared('d') local tries = 0 local v = d:update('k', function(v) tries = tries "
           "+ 1 "
           "if tries < 3 then d:set('k', tries) end return (v or 0) + 100 end) return v, tries",
           "102,3");
    lua_is(worker, "return d:update('k', function(v) d:incr('k') return v end)", "nil,busy");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_delete),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_what_has_expired_makes_room),
        cmocka_unit_test(test_threads_count_together),
        cmocka_unit_test(test_without_memory_nothing_changes),
        TEST(test_in_lua),
        TEST(test_update_tries_again),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
