// SPDX-License-Identifier: MIT
//
// Event streams over real sockets: the head and when it comes, blocks and positions, the answer in
// place of a stream, heartbeats, and the end from both sides.
#include "transport/sse_transport.h"

#include "transport/carry_fixture.h"

static int open_sse(struct carry *carry, const char *target)
{
    int fd = client_open(&carry->http);
    carry_request(carry, fd, "GET", target, "Accept: text/event-stream\r\n", NULL);
    return fd;
}

static const char *expect_stream(struct carry *carry, int fd)
{
    const char *head = carry_head(carry, fd);
    assert_non_null(strstr(head, "HTTP/1.1 200 "));
    assert_non_null(strstr(head, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(head, "Cache-Control: no-store, no-transform\r\n"));
    assert_non_null(strstr(head, "X-Accel-Buffering: no\r\n"));
    assert_non_null(strstr(head, "Connection: close\r\n"));
    assert_non_null(strstr(head, "Hark-Session: "));
    assert_null(strstr(head, "Content-Length"));
    assert_null(strstr(head, "Transfer-Encoding"));
    return head;
}

// One block, without its blank line; NUL behind it. Borrowed until the next read.
static const char *read_block(struct carry *carry, int fd)
{
    static char block[8192];
    size_t len = 0;
    while (len < 2 || memcmp(block + len - 2, "\n\n", 2) != 0) {
        bool end = false;
        struct hark_slice byte = client_read(&carry->http, fd, 1, &end);
        if (end) {
            fail_msg("the end came behind: %.*s", (int)len, block);
        }
        assert_true(len + 1 < sizeof(block));
        block[len++] = byte.ptr[0];
    }
    block[len - 2] = '\0';
    return block;
}

static void expect_end(struct carry *carry, int fd)
{
    bool end = false;
    assert_int_equal(client_read(&carry->http, fd, 1, &end).len, 0);
    assert_true(end);
    close(fd);
}

static void await_closed(struct carry *carry)
{
    await(&carry->http, &carry->closed, 1);
}

static void test_stream(void **state)
{
    struct carry *carry = *state;
    carry->policy.retry_ms = 1500;
    int fd = open_sse(carry, "/sse");
    (void)expect_stream(carry, fd);
    assert_string_equal(read_block(carry, fd), "retry: 1500");
    const char *id = read_block(carry, fd); // where it begins, without an event
    assert_int_equal(strncmp(id, "id: A", 5), 0);
    assert_null(strchr(id, '\n'));
    carry_publish(carry, "a", "one\ntwo");
    const char *block = read_block(carry, fd);
    assert_int_equal(strncmp(block, "id: A", 5), 0);
    assert_non_null(strstr(block, "\ndata: one\ndata: two"));
    char kept[128];
    carry_field(block, "id: ", kept, sizeof(kept));
    *strchr(kept, '\n') = '\0';
    carry_publish(carry, "a", "missed");
    close(fd);
    await_closed(carry);
    assert_int_equal(carry->code, 1006);
    // Back by header, and by query, which goes before it.
    static const char *const targets[] = {"/sse", "/sse?cursor=%s"};
    for (size_t i = 0; i < 2; i++) {
        char fields[256];
        char target[256];
        (void)snprintf(fields, sizeof(fields), "Last-Event-ID: %s\r\n", i == 0 ? kept : "AQ");
        if (i == 0) {
            (void)snprintf(target, sizeof(target), "%s", targets[0]);
        } else {
            (void)snprintf(target, sizeof(target), "/sse?cursor=%s", kept);
        }
        fd = client_open(&carry->http);
        carry_request(carry, fd, "GET", target, fields, NULL);
        (void)expect_stream(carry, fd);
        assert_string_equal(read_block(carry, fd), "retry: 1500");
        assert_non_null(strstr(read_block(carry, fd), "data: missed"));
        carry->closed = 0;
        close(fd);
        await_closed(carry);
    }
}

static void test_head_waits_for_the_first_output_or_open(void **state)
{
    struct carry *carry = *state;
    carry->opens_later = true;
    int fd = open_sse(carry, "/sse");
    await(&carry->http, &carry->http.requests, 1);
    carry_steps(carry, 3);
    char byte = 0;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    const struct hark_msg_draft draft = {.payload = HARK_LIT("early")};
    assert_int_equal(hark_session_send(carry->session, &draft), 0);
    (void)expect_stream(carry, fd);
    assert_non_null(strstr(read_block(carry, fd), "data: early"));
    hark_session_opened(carry->session);
    carry_publish(carry, "a", "next");
    assert_non_null(strstr(read_block(carry, fd), "data: next")); // no bare id between
    close(fd);
    await_closed(carry);
}

static void test_answers_in_place_of_a_stream(void **state)
{
    struct carry *carry = *state;

    static const struct {
        uint16_t code;
        bool is_retiring;
        const char *why;
        const char *status;
        const char *body;
    } cases[] = {
        {1000, false, "", "HTTP/1.1 204 ", ""},
        {4403, false, "not for you", "HTTP/1.1 403 ", "{\"error\":\"not for you\"}"},
        {4403, false, "", "HTTP/1.1 403 ", "{\"error\":\"refused\"}"},
        {1011, false, "internal error abc1", "HTTP/1.1 500 ",
         "{\"error\":\"internal\",\"reference\":\"abc1\"}"},
        {1013, false, "", "HTTP/1.1 503 ", "{\"error\":\"busy\"}"},
        {1012, true, "", "HTTP/1.1 503 ", "{\"error\":\"draining\"}"},
    };

    carry->opens_later = true;
    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        int fd = open_sse(carry, "/sse");
        await(&carry->http, &carry->http.requests, i + 1);
        if (cases[i].is_retiring) {
            hark_session_retire(carry->session, cases[i].code, HARK_SLICE_NONE, 2500);
        } else {
            hark_session_close(carry->session, cases[i].code, hark_slice_text(cases[i].why));
        }
        const char *head = carry_head(carry, fd);
        assert_int_equal(strncmp(head, cases[i].status, strlen(cases[i].status)), 0);
        if (cases[i].is_retiring) {
            assert_non_null(strstr(head, "Retry-After: 3\r\n"));
        }
        assert_string_equal(carry_body(carry, fd, head), cases[i].body);
        close(fd);
    }
    await(&carry->http, &carry->closed, HARK_ARRAY_LEN(cases));
}

static void test_client_gone_before_the_head(void **state)
{
    struct carry *carry = *state;
    carry->opens_later = true;
    int fd = open_sse(carry, "/sse");
    await(&carry->http, &carry->http.requests, 1);
    close(fd);
    carry_steps(carry, 3);
    if (carry->session != NULL) { // over TCP it might only have closed its half
        hark_session_opened(carry->session);
    }
    await_closed(carry);
    assert_int_equal(carry->code, 1006);
}

static void test_heartbeat_after_silence_only(void **state)
{
    struct carry *carry = *state;
    carry->policy.comment_ms = 60;
    int fd = open_sse(carry, "/sse");
    (void)expect_stream(carry, fd);
    (void)read_block(carry, fd);
    assert_string_equal(read_block(carry, fd), ":");
    assert_string_equal(read_block(carry, fd), ":");
    uint64_t begin = hark_loop_now_ms(carry->http.loop);
    carry_publish(carry, "a", "x");
    assert_non_null(strstr(read_block(carry, fd), "data: x"));
    assert_string_equal(read_block(carry, fd), ":");
    assert_true(hark_loop_now_ms(carry->http.loop) - begin >= 50); // its silence began anew
    close(fd);
    await_closed(carry);
}

static void test_close_is_told(void **state)
{
    struct carry *carry = *state;
    int fd = open_sse(carry, "/sse");
    (void)expect_stream(carry, fd);
    (void)read_block(carry, fd);
    hark_session_close(carry->session, 4001, HARK_LIT("say \"bye\""));
    assert_string_equal(read_block(carry, fd),
                        "event: hark.close\n"
                        "data: {\"code\":4001,\"reason\":\"say \\\"bye\\\"\"}");
    expect_end(carry, fd);
    carry->closed = 0;
    fd = open_sse(carry, "/sse");
    (void)expect_stream(carry, fd);
    (void)read_block(carry, fd);
    hark_session_retire(carry->session, 1012, HARK_SLICE_NONE, 4321);
    assert_string_equal(read_block(carry, fd), "retry: 4321");
    expect_end(carry, fd);
    carry_steps(carry, 3);
    assert_int_equal(hark_session_count(&carry->env), 0);
}

static void test_half_closed_and_talkative_clients(void **state)
{
    struct carry *carry = *state;
    int fd = open_sse(carry, "/sse");
    (void)expect_stream(carry, fd);
    (void)read_block(carry, fd);
    static char noise[100000];
    client_send(&carry->http, fd, hark_slice(noise, sizeof(noise))); // means nothing, is not kept
    carry_publish(carry, "a", "still there");
    assert_non_null(strstr(read_block(carry, fd), "data: still there"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    await_closed(carry);
    assert_int_equal(carry->code, 1006);
    expect_end(carry, fd);
}

static void test_several_channels_and_binary(void **state)
{
    struct carry *carry = *state;
    int fd = open_sse(carry, "/sse");
    (void)expect_stream(carry, fd);
    char one[128];
    carry_field(read_block(carry, fd), "id: ", one, sizeof(one));
    carry_join(carry->session, HARK_LIT("b"));
    const struct hark_msg_draft draft = {.channel = HARK_LIT("b"),
                                         .payload = HARK_LIT("\xFF"),
                                         .event = HARK_LIT("raw"),
                                         .flags = HARK_MSG_BINARY};
    assert_int_equal(hark_hub_publish(carry->hub, &draft, &CARRY_HISTORY, NULL, NULL), 0);
    const char *block = read_block(carry, fd);
    assert_non_null(strstr(block, "\nevent: raw\ndata: /w=="));
    assert_int_equal(strcspn(block, "\n"), strlen("id: ") + strlen(one) + 32); // both channels
    static char large[5001];
    memset(large, 'x', 5000);
    carry_publish(carry, "a", large);
    block = read_block(carry, fd);
    assert_int_equal(strlen(block), strcspn(block, "\n") + strlen("\ndata: ") + 5000);
    close(fd);
    await_closed(carry);
}

static void test_grace(void **state)
{
    struct carry *carry = *state;
    carry->policy.grace_ms = WAIT_MS;
    int fd = open_sse(carry, "/sse");
    char token[64];
    char id[128];
    carry_field(expect_stream(carry, fd), "Hark-Session: ", token, sizeof(token));
    carry_field(read_block(carry, fd), "id: ", id, sizeof(id));
    carry_publish(carry, "a", "one");
    (void)read_block(carry, fd); // ... but let it be lost
    close(fd);
    struct hark_session *session = carry->session;
    while (hark_link_transport(session) != NULL) {
        step(&carry->http);
    }
    carry_publish(carry, "a", "two");
    carry_steps(carry, 2);
    char fields[256];
    (void)snprintf(fields, sizeof(fields), "Hark-Session: %s\r\nLast-Event-ID: %s\r\n", token, id);
    fd = client_open(&carry->http);
    carry_request(carry, fd, "GET", "/sse", fields, NULL);
    (void)expect_stream(carry, fd);
    assert_string_equal(read_block(carry, fd) + 4, id);
    assert_non_null(strstr(read_block(carry, fd), "data: one"));
    assert_non_null(strstr(read_block(carry, fd), "data: two"));
    assert_ptr_equal(carry->session, session);
    assert_int_equal(hark_session_count(&carry->env), 1);
    close(fd);
    carry_steps(carry, 3);
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    await_closed(carry);
}

static void test_without_memory(void **state)
{
    struct carry *carry = *state;
    for (size_t n = 0; n < 40; n++) {
        int fd = open_sse(carry, "/sse");
        hark_mem_fail_after(n);
        carry_steps(carry, 3);
        hark_mem_fail_after(SIZE_MAX);
        char bytes[4096];
        while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
        }
        close(fd);
        carry_steps(carry, 4);
        assert_int_equal(hark_session_count(&carry->env), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CARRY(test_stream),
        CARRY(test_head_waits_for_the_first_output_or_open),
        CARRY(test_answers_in_place_of_a_stream),
        CARRY(test_client_gone_before_the_head),
        CARRY(test_heartbeat_after_silence_only),
        CARRY(test_close_is_told),
        CARRY(test_half_closed_and_talkative_clients),
        CARRY(test_several_channels_and_binary),
        CARRY(test_grace),
        CARRY(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
