// SPDX-License-Identifier: MIT
//
// WebSocket connections over real sockets: handshake, echo, holding back, both closing handshakes,
// lost connections, pings, and slow readers.
#include "transport/ws_transport.h"

#include "proto/ws_frame.h"
#include "transport/carry_fixture.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define UPGRADE                                                                  \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: " KEY "\r\n"

static size_t frame(char *out, uint8_t first, struct hark_slice payload)
{
    static const char key[4] = {1, 2, 3, 4};
    size_t head = hark_ws_frame_head(out, HARK_WS_TEXT, payload.len);
    out[0] = (char)first;
    out[1] = (char)(out[1] | 0x80);
    memcpy(out + head, key, 4);
    for (size_t i = 0; i < payload.len; i++) {
        out[head + 4 + i] = (char)(payload.ptr[i] ^ key[i % 4]);
    }
    return head + 4 + payload.len;
}

static void send_frame(struct carry *carry, int fd, uint8_t first, const char *payload)
{
    static char text[200000];
    size_t len = frame(text, first, hark_slice_text(payload));
    client_send(&carry->http, fd, hark_slice(text, len));
}

static void say(struct carry *carry, int fd, const char *text)
{
    send_frame(carry, fd, 0x81, text);
}

static int open_ws(struct carry *carry, const char *target)
{
    int fd = client_open(&carry->http);
    carry_request(carry, fd, "GET", target, UPGRADE, NULL);
    const char *head = carry_head(carry, fd);
    assert_non_null(strstr(head, "HTTP/1.1 101 "));
    assert_non_null(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    return fd;
}

// The next frame: its first byte; payload as text in *ret_text (borrowed).
static uint8_t read_frame(struct carry *carry, int fd, const char **ret_text)
{
    bool end = false;
    struct hark_slice head = client_read(&carry->http, fd, 2, &end);
    assert_int_equal(head.len, 2);
    uint8_t first = (uint8_t)head.ptr[0];
    size_t len = (uint8_t)head.ptr[1];
    size_t more = len == 127 ? 8 : len == 126 ? 2 : 0;
    if (more > 0) {
        struct hark_slice bytes = client_read(&carry->http, fd, more, &end);
        len = 0;
        for (size_t i = 0; i < more; i++) {
            len = len << 8 | (uint8_t)bytes.ptr[i];
        }
    }
    struct hark_slice payload = client_read(&carry->http, fd, len, &end);
    assert_int_equal(payload.len, len);
    carry->http.received[len] = '\0';
    *ret_text = carry->http.received;
    return first;
}

static void expect_frame(struct carry *carry, int fd, uint8_t first, const char *text)
{
    const char *got = NULL;
    assert_int_equal(read_frame(carry, fd, &got), first);
    assert_string_equal(got, text);
}

static void expect_close(struct carry *carry, int fd, uint16_t code, const char *why)
{
    const char *got = NULL;
    assert_int_equal(read_frame(carry, fd, &got), 0x88);
    assert_int_equal((uint8_t)got[0] << 8 | (uint8_t)got[1], code);
    assert_string_equal(got + 2, why);
}

// Nothing more comes, then the end.
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

static void test_echo(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    say(carry, fd, "echo hello");
    expect_frame(carry, fd, 0x81, "hello");
    send_frame(carry, fd, 0x82, "echo \xFF");
    expect_frame(carry, fd, 0x82, "\xFF");
    say(carry, fd, "refuse bad is bad");
    expect_frame(carry, fd, 0x81, "{\"event\":\"hark.error\",\"data\":{\"error\":\"bad is bad\"}}");
    carry_publish(carry, "a", "news");
    expect_frame(carry, fd, 0x81, "news");
    close(fd);
    await_closed(carry);
    assert_int_equal(carry->code, 1006);
}

static void test_one_write_for_what_one_read_brings(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    char text[4096];
    size_t len = 0;
    for (int i = 0; i < 50; i++) {
        len += frame(text + len, 0x81, HARK_LIT("echo x"));
    }
    uint64_t before = hark_stats_get(&carry->http.stats.sends);
    client_send(&carry->http, fd, hark_slice(text, len));
    for (int i = 0; i < 50; i++) {
        expect_frame(carry, fd, 0x81, "x");
    }
    assert_int_equal(hark_stats_get(&carry->http.stats.sends), before + 1);
    close(fd);
    await_closed(carry);
}

static void test_frames_with_the_handshake_wait_for_open(void **state)
{
    struct carry *carry = *state;
    carry->holds_open = true;
    char text[1024];
    size_t len =
        (size_t)snprintf(text, sizeof(text), "GET /ws HTTP/1.1\r\nHost: a\r\n" ID UPGRADE "\r\n");
    len += frame(text + len, 0x81, HARK_LIT("echo one"));
    len += frame(text + len, 0x81, HARK_LIT("echo two"));
    len += frame(text + len, 0x89, HARK_LIT("ping"));
    int fd = client_open(&carry->http);
    client_send(&carry->http, fd, hark_slice(text, len));
    assert_non_null(strstr(carry_head(carry, fd), "101"));
    expect_frame(carry, fd, 0x8A, "ping"); // control frames do not wait
    carry_steps(carry, 3);
    assert_int_equal(carry->messages, 0);
    hark_session_hold(carry->session, false);
    expect_frame(carry, fd, 0x81, "one");
    expect_frame(carry, fd, 0x81, "two");
    close(fd);
    await_closed(carry);
}

static void test_bad_handshakes(void **state)
{
    struct carry *carry = *state;

    static const struct {
        const char *fields;
        const char *status;
        const char *more;
    } cases[] = {
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n"
         "Sec-WebSocket-Key: " KEY "\r\n",
         "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13\r\n"},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
         "HTTP/1.1 400 ", "bad_request"},
        {"", "HTTP/1.1 426 ", "Upgrade: websocket\r\n"},
        {UPGRADE "Last-Event-ID: garbage\r\n", "HTTP/1.1 400 ", "cursor_invalid"},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        int fd = client_open(&carry->http);
        carry_request(carry, fd, "GET", "/ws", cases[i].fields, NULL);
        const char *head = carry_head(carry, fd);
        const char *body = carry_body(carry, fd, head);
        assert_int_equal(strncmp(head, cases[i].status, strlen(cases[i].status)), 0);
        assert_true(strstr(head, cases[i].more) != NULL || strstr(body, cases[i].more) != NULL);
        close(fd);
    }
    assert_int_equal(hark_session_count(&carry->env), 0);
}

static void test_messages_are_held_and_reading_pauses(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    say(carry, fd, "hold");
    send_frame(carry, fd, 0x89, "early");
    expect_frame(carry, fd, 0x8A, "early");
    static char large[60001];
    memset(large, 'x', sizeof(large) - 1);
    // Far more than is held: the rest stays in the kernel, and in the client.
    static char text[70000];
    size_t len = frame(text, 0x81, hark_slice_text(large));
    size_t sent = 0;
    for (int i = 0; i < 40; i++) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        if (n > 0 && (size_t)n < len) {
            break;
        }
        carry_steps(carry, 2);
    }
    assert_true(sent < 20 * len);
    assert_int_equal(carry->messages, 1);
    hark_session_hold(carry->session, false);
    await(&carry->http, &carry->messages, 2);
    close(fd);
    await_closed(carry);
}

static void test_closing_by_the_client(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    say(carry, fd, "echo before");
    send_frame(carry, fd, 0x88, "\x0F\xA0going");
    say(carry, fd, "echo after");
    expect_frame(carry, fd, 0x81, "before");
    expect_close(carry, fd, 4000, "");
    expect_end(carry, fd);
    await_closed(carry);
    assert_int_equal(carry->code, 4000);
    assert_string_equal(carry->why, "going");
    assert_int_equal(carry->messages, 1);
}

static void test_close_behind_held_messages(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    say(carry, fd, "hold");
    say(carry, fd, "echo still heard");
    send_frame(carry, fd, 0x88, "\x03\xE8");
    carry_steps(carry, 4);
    assert_int_equal(carry->closed, 0);
    hark_session_hold(carry->session, false);
    expect_frame(carry, fd, 0x81, "still heard");
    expect_close(carry, fd, 1000, "");
    expect_end(carry, fd);
    await_closed(carry);
    assert_int_equal(carry->code, 1000);
}

static void test_lost_behind_held_messages(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    say(carry, fd, "hold");
    say(carry, fd, "last words");
    await(&carry->http, &carry->messages, 1);
    carry_steps(carry, 2);
    close(fd);
    carry_steps(carry, 4);
    assert_int_equal(carry->closed, 0);
    hark_session_hold(carry->session, false);
    await_closed(carry);
    assert_string_equal(carry->log, "hold\nlast words\n");
    assert_int_equal(carry->code, 1006);
}

static void test_session_ends_inside_what_was_held(void **state)
{
    struct carry *carry = *state;
    for (int lost = 0; lost < 2; lost++) {
        carry->closed = 0;
        int fd = open_ws(carry, "/ws");
        say(carry, fd, "hold");
        say(carry, fd, "close 4002 enough");
        say(carry, fd, "never");
        await(&carry->http, &carry->messages, (size_t)(1 + 2 * lost));
        carry_steps(carry, 2);
        if (lost > 0) {
            close(fd); // the connection goes first, then the handler closes
            carry_steps(carry, 4);
        }
        hark_session_hold(carry->session, false);
        if (lost == 0) {
            expect_close(carry, fd, 4002, "enough");
            send_frame(carry, fd, 0x88, "\x0F\xA2");
            expect_end(carry, fd);
        }
        await_closed(carry);
        assert_int_equal(carry->code, 4002);
        assert_null(strstr(carry->log, "never"));
    }
}

static void test_closing_by_the_script(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    say(carry, fd, "close 4001 because");
    say(carry, fd, "echo too late");
    send_frame(carry, fd, 0x89, "ping");
    expect_close(carry, fd, 4001, "because");
    carry_steps(carry, 3);
    assert_int_equal(carry->messages, 1);
    send_frame(carry, fd, 0x88, "\x0F\xA1");
    expect_end(carry, fd);
    assert_int_equal(carry->closed, 1);
    fd =
        open_ws(carry, "/ws"); // one that never answers is closed by the worker's end at the latest
    say(carry, fd, "close 1005 not for the wire");
    expect_close(carry, fd, 1000, "not for the wire");
    assert_true(hark_carriers_are_leaving(&carry->http.server));
    close(fd);
}

static void test_retiring(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    hark_session_retire(carry->session, 1012, HARK_LIT("draining"), 1234);
    expect_close(carry, fd, 1012, "retry=1234");
    close(fd);
    await_closed(carry);
}

static void test_protocol_errors(void **state)
{
    struct carry *carry = *state;

    static const struct {
        struct hark_slice bytes;
        uint16_t code;
    } cases[] = {
        {HARK_LIT("\x81\x01x"), 1002},
        {HARK_LIT("\x81\x82\x00\x00\x00\x00\xFF\xFF"), 1007},
        {HARK_LIT("\x81\xFF\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), 1009},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        carry->closed = 0;
        int fd = open_ws(carry, "/ws");
        client_send(&carry->http, fd, cases[i].bytes);
        expect_close(carry, fd, cases[i].code, "");
        expect_end(carry, fd);
        await_closed(carry);
        assert_int_equal(carry->code, cases[i].code);
    }
}

static void test_pings(void **state)
{
    struct carry *carry = *state;
    carry->policy.ping_ms = 60;
    carry->policy.pong_ms = 30;
    int fd = open_ws(carry, "/ws");
    for (int i = 0; i < 3; i++) {
        expect_frame(carry, fd, 0x89, "");
        send_frame(carry, fd, 0x8A, "");
    }
    await_closed(carry); // the fourth is not answered
    assert_int_equal(carry->code, 1006);
    assert_string_equal(carry->why, "no answer to pings");
    close(fd);
}

static void test_envelope(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/env");
    const char *text = NULL;
    assert_int_equal(read_frame(carry, fd, &text), 0x81);
    assert_int_equal(strncmp(text, "{\"id\":\"A", 8), 0); // a cursor of version 1
    assert_non_null(strstr(text, "\"event\":\"hark.open\",\"data\":{\"session\":\""));
    carry_publish(carry, "a", "say \"hi\"");
    assert_int_equal(read_frame(carry, fd, &text), 0x81);
    char cursor[64];
    carry_field(text, "{\"id\":\"", cursor, sizeof(cursor));
    assert_non_null(strstr(text, "\",\"data\":\"say \\\"hi\\\"\"}"));
    *strchr(cursor, '"') = '\0';
    carry_publish(carry, "a", "missed");
    close(fd);
    await_closed(carry);
    char target[128];
    (void)snprintf(target, sizeof(target), "/ws?cursor=%s",
                   cursor); // the same on another transport
    fd = open_ws(carry, target);
    expect_frame(carry, fd, 0x81, "missed");
    carry->closed = 0;
    close(fd);
    await_closed(carry);
}

static void test_reject(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/reject");
    expect_close(carry, fd, 4001, "unknown key");
    say(carry, fd, "ignored");
    send_frame(carry, fd, 0x88, "\x0F\xA1");
    expect_end(carry, fd);
    assert_int_equal(hark_session_count(&carry->env), 0);
}

static void test_a_slow_reader_gets_all_in_order(void **state)
{
    struct carry *carry = *state;
    int fd = open_ws(carry, "/ws");
    static char text[20001];
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 200; i++) { // four megabytes, through the outbox and history
        (void)snprintf(text, 16, "%06d", i);
        text[6] = 'x';
        carry_publish(carry, "a", text);
        step(&carry->http);
    }
    assert_true(hark_stats_get(&carry->http.stats.lagging) == 1);
    for (int i = 0; i < 200; i++) {
        const char *got = NULL;
        assert_int_equal(read_frame(carry, fd, &got), 0x81);
        assert_int_equal(strlen(got), 20000);
        assert_int_equal(strtol(got, NULL, 10), i);
    }
    carry_steps(carry, 5);
    assert_int_equal(hark_stats_get(&carry->http.stats.lagging), 0);
    close(fd);
    await_closed(carry);
}

static void test_without_memory(void **state)
{
    struct carry *carry = *state;
    for (size_t n = 0; n < 40; n++) {
        carry->closed = 0;
        int fd = client_open(&carry->http);
        carry_request(carry, fd, "GET", "/ws", UPGRADE, NULL);
        hark_mem_fail_after(n);
        carry_steps(carry, 3);
        say(carry, fd, "echo x");
        carry_steps(carry, 3);
        hark_mem_fail_after(SIZE_MAX);
        bool end = false;
        char byte = 0;
        (void)end;
        while (recv(fd, &byte, 1, 0) > 0) {
        }
        close(fd);
        carry_steps(carry, 4);
        assert_int_equal(hark_session_count(&carry->env), 0);
        assert_int_equal(hark_stats_get(&carry->http.stats.sessions_websocket), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CARRY(test_echo),
        CARRY(test_one_write_for_what_one_read_brings),
        CARRY(test_frames_with_the_handshake_wait_for_open),
        CARRY(test_bad_handshakes),
        CARRY(test_messages_are_held_and_reading_pauses),
        CARRY(test_closing_by_the_client),
        CARRY(test_close_behind_held_messages),
        CARRY(test_lost_behind_held_messages),
        CARRY(test_session_ends_inside_what_was_held),
        CARRY(test_closing_by_the_script),
        CARRY(test_retiring),
        CARRY(test_protocol_errors),
        CARRY(test_pings),
        CARRY(test_envelope),
        CARRY(test_reject),
        CARRY(test_a_slow_reader_gets_all_in_order),
        CARRY(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
