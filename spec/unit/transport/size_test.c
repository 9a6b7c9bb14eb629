// SPDX-License-Identifier: MIT
//
// What an idle session costs in user space, with the allocator's own overhead: a WebSocket or SSE
// session with one channel joined has to stay under 768 bytes.
#include <malloc.h>

#include "transport/carry_fixture.h"

#include "io/listener.h"
#include "session/state.h"
#include "transport/ws_conn.h"

#define LIMIT    768
#define SESSIONS 2000

static size_t heap(void)
{
    return mallinfo2().uordblks;
}

static void note(const char *name, size_t size)
{
    print_message("%-24s %4zu bytes\n", name, size);
}

static void test_parts(void **state)
{
    (void)state;
    note("session, token", sizeof(struct hark_session) + 24);
    note("subscription", sizeof(struct hark_session_sub));
    note("WebSocket connection", sizeof(struct hark_ws_conn));
    assert_true(sizeof(struct hark_session) + 24 <= 208);
    assert_true(sizeof(struct hark_session_sub) <= 72);
    assert_true(sizeof(struct hark_ws_conn) <= 56);
}

static void
come(struct carry *carry, const char *target, const char *fields, int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = client_open(&carry->http);
        carry_request(carry, fds[i], "GET", target, fields, NULL);
        (void)carry_head(carry, fds[i]);
    }
    carry_steps(carry, 20);
    assert_int_equal(hark_session_count(&carry->env), count);
}

static void go(struct carry *carry, const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    while (hark_session_count(&carry->env) > 0) {
        step(&carry->http);
    }
    carry_steps(carry, 5);
}

// Bytes of heap that each session of a kind holds when all is quiet. The first ones are not
// counted: what is made once (OpenSSL's tables, the worker's buffers) is not theirs.
static size_t cost(struct carry *carry, const char *target, const char *fields, int *fds)
{
    come(carry, target, fields, fds, 10);
    go(carry, fds, 10);
    size_t before = heap();
    come(carry, target, fields, fds, SESSIONS);
    size_t after = heap();
    go(carry, fds, SESSIONS);
    return (after - before) / SESSIONS;
}

static void test_idle_sessions(void **state)
{
    struct carry *carry = *state;

    static const struct {
        const char *name;
        const char *target;
        const char *fields;
    } kinds[] = {
        {"idle WebSocket session", "/ws",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"},
        {"idle SSE session", "/sse", "Accept: text/event-stream\r\n"},
    };

    carry->policy.ping_ms = 25000;
    carry->policy.comment_ms = 15000;
    int *fds = calloc(SESSIONS, sizeof(*fds));
    assert_non_null(fds);
    for (size_t k = 0; k < HARK_ARRAY_LEN(kinds); k++) {
        size_t bytes = cost(carry, kinds[k].target, kinds[k].fields, fds);
        note(kinds[k].name, bytes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        assert_in_range(bytes, 1, LIMIT); // a sanitizer's allocator has costs of its own
#endif
    }
    free(fds);
}

int main(void)
{
    (void)hark_listener_raise_limit();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        CARRY(test_idle_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
