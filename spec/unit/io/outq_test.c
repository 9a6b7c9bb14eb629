// SPDX-License-Identifier: MIT
//
// The output queue: order, partial advances over every boundary, references, and no memory.
#include "io/outq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

static void push(struct hark_outq *queue, const char *data, size_t len)
{
    struct hark_chunk *chunk = hark_chunk_copy(hark_slice(data, len));
    assert_non_null(chunk);
    assert_int_equal(hark_outq_push(queue, chunk), 0);
    hark_chunk_unref(chunk);
}

// The bytes at the front as the pieces give them.
static size_t gather(const struct hark_outq *queue, char *out, size_t max_pieces)
{
    struct iovec pieces[128];
    size_t count = hark_outq_peek(queue, pieces, max_pieces);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(pieces[i].iov_len > 0);
        memcpy(out + len, pieces[i].iov_base, pieces[i].iov_len);
        len += pieces[i].iov_len;
    }
    return len;
}

static void test_references(void **state)
{
    (void)state;
    struct hark_outq queue;
    hark_outq_init(&queue);
    struct hark_chunk *chunk = hark_chunk_copy(HARK_LIT("abc"));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(hark_outq_push(&queue, chunk), 0);
    }
    assert_int_equal(chunk->refs, 21);
    assert_int_equal(queue.bytes, 60);
    hark_outq_advance(&queue, 8);
    assert_int_equal(chunk->refs, 19); // the third is not gone yet
    hark_outq_advance(&queue, 1);
    assert_int_equal(chunk->refs, 18);
    hark_outq_clear(&queue);
    assert_int_equal(chunk->refs, 1);
    assert_int_equal(queue.bytes, 0);
    hark_outq_clear(&queue);
    hark_chunk_unref(chunk);
}

static void test_empty_chunk_is_nothing(void **state)
{
    (void)state;
    struct hark_outq queue;
    struct iovec piece;
    hark_outq_init(&queue);
    push(&queue, "", 0);
    assert_int_equal(queue.bytes, 0);
    assert_int_equal(hark_outq_peek(&queue, &piece, 1), 0);
    push(&queue, "x", 1);
    push(&queue, "", 0);
    assert_int_equal(hark_outq_peek(&queue, &piece, 1), 1);
    hark_outq_advance(&queue, 1);
    assert_int_equal(hark_outq_peek(&queue, &piece, 1), 0);
    assert_null(queue.rest);
}

static void test_peek_is_bounded(void **state)
{
    (void)state;
    struct hark_outq queue;
    char out[100];
    hark_outq_init(&queue);
    for (int i = 0; i < 10; i++) {
        push(&queue, &"0123456789"[i], 1);
    }
    assert_int_equal(gather(&queue, out, 0), 0);
    assert_int_equal(gather(&queue, out, 1), 1);
    assert_int_equal(gather(&queue, out, 4), 4);
    assert_memory_equal(out, "0123", 4);
    assert_int_equal(gather(&queue, out, 100), 10);
    assert_memory_equal(out, "0123456789", 10);
    hark_outq_clear(&queue);
}

static void test_random_partial_advances(void **state)
{
    (void)state;

    enum { TOTAL = 300000, CHUNK = 40 };
    struct hark_outq queue;
    char out[CHUNK * 128];
    size_t in = 0;
    size_t gone = 0;
    hark_outq_init(&queue);
    srandom(3);
    while (gone < TOTAL) {
        if (queue.bytes < 2000 && in < TOTAL && random() % 2 == 0) {
            char data[CHUNK];
            size_t len = (size_t)random() % CHUNK;
            len = len < TOTAL - in ? len : TOTAL - in;
            for (size_t i = 0; i < len; i++) {
                data[i] = (char)((in + i) * 31 % 127);
            }
            push(&queue, data, len);
            in += len;
        } else {
            size_t offered = gather(&queue, out, 1 + (size_t)random() % 100);
            for (size_t i = 0; i < offered; i++) {
                assert_int_equal(out[i], (char)((gone + i) * 31 % 127));
            }
            size_t taken = offered == 0 ? 0 : (size_t)random() % (offered + 1);
            hark_outq_advance(&queue, taken);
            gone += taken;
        }
        assert_int_equal(queue.bytes, in - gone);
    }
    assert_null(queue.first);
    assert_null(queue.rest); // an empty queue holds no memory
}

static void test_no_memory(void **state)
{
    (void)state;
    struct hark_outq queue;
    char out[100];
    hark_outq_init(&queue);
    struct hark_chunk *chunk = hark_chunk_copy(HARK_LIT("a"));
    hark_mem_fail_after(0);
    assert_int_equal(hark_outq_push(&queue, chunk), 0); // the first needs none
    assert_int_equal(hark_outq_push(&queue, chunk), HARK_ENOMEM);
    assert_int_equal(chunk->refs, 2);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(hark_outq_push(&queue, chunk), 0);
    }
    hark_mem_fail_after(0);
    assert_int_equal(hark_outq_push(&queue, chunk), HARK_ENOMEM);
    hark_mem_fail_after(SIZE_MAX);
    assert_int_equal(queue.bytes, 9);
    assert_int_equal(gather(&queue, out, 100), 9);
    hark_outq_clear(&queue);
    assert_int_equal(chunk->refs, 1);
    hark_chunk_unref(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),      cmocka_unit_test(test_empty_chunk_is_nothing),
        cmocka_unit_test(test_peek_is_bounded), cmocka_unit_test(test_random_partial_advances),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
