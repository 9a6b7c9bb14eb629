// SPDX-License-Identifier: MIT
//
// Long polling over real sockets: parked and immediate answers, acknowledgement by tag and query,
// batches, time-out, overlap, POST and DELETE beside it, and the end.
#include "transport/poll_transport.h"

#include "transport/carry_fixture.h"

struct answer {
    int status;
    char etag[256];
    char session[64];
    char head[700];
    char body[500];
};

static int ask(struct carry *carry, const char *target, const char *etag)
{
    char fields[600] = "";
    if (etag != NULL) {
        (void)snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", etag);
    }
    int fd = client_open(&carry->http);
    carry_request(carry, fd, "GET", target, fields, NULL);
    return fd;
}

static struct answer read_answer(struct carry *carry, int fd)
{
    struct answer answer = {.status = 0};
    const char *head = carry_head(carry, fd);
    (void)snprintf(answer.head, sizeof(answer.head), "%.690s", head);
    answer.status = (int)strtol(head + strlen("HTTP/1.1 "), NULL, 10);
    if (strstr(head, "ETag: ") != NULL) {
        carry_field(head, "ETag: ", answer.etag, sizeof(answer.etag));
        carry_field(head, "Hark-Session: ", answer.session, sizeof(answer.session));
        assert_non_null(strstr(head, "Cache-Control: no-store\r\n"));
    }
    (void)snprintf(answer.body, sizeof(answer.body), "%.490s", carry_body(carry, fd, head));
    close(fd);
    return answer;
}

static struct answer poll_once(struct carry *carry, const char *target, const char *etag)
{
    return read_answer(carry, ask(carry, target, etag));
}

// A session with a position, by one answer.
static struct answer settled(struct carry *carry)
{
    int fd = ask(carry, "/poll", NULL);
    await(&carry->http, &carry->http.requests, carry->http.requests + 1);
    carry_publish(carry, "a", "first");
    struct answer answer = read_answer(carry, fd);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "first");
    return answer;
}

static void test_one_message_as_it_is(void **state)
{
    struct carry *carry = *state;
    struct answer answer = settled(carry);
    assert_non_null(strstr(answer.head, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_null(strstr(answer.head, "Hark-Event"));
    const struct hark_msg_draft json = {.channel = HARK_LIT("a"),
                                        .payload = HARK_LIT("{\"n\":1}"),
                                        .event = HARK_LIT("quote"),
                                        .flags = HARK_MSG_JSON};
    assert_int_equal(hark_hub_publish(carry->hub, &json, &CARRY_HISTORY, NULL, NULL), 0);
    answer = poll_once(carry, "/poll", answer.etag);
    assert_non_null(strstr(answer.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(answer.head, "Hark-Event: quote\r\n"));
    assert_string_equal(answer.body, "{\"n\":1}");
    const struct hark_msg_draft binary = {
        .channel = HARK_LIT("a"), .payload = HARK_LIT("\x01\x02"), .flags = HARK_MSG_BINARY};
    assert_int_equal(hark_hub_publish(carry->hub, &binary, &CARRY_HISTORY, NULL, NULL), 0);
    answer = poll_once(carry, "/poll", answer.etag);
    assert_non_null(strstr(answer.head, "Content-Type: application/octet-stream\r\n"));
}

static void test_released_by_acknowledgement_only(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    carry_publish(carry, "a", "x");
    carry_publish(carry, "a", "y");
    struct answer lost = poll_once(carry, "/poll", first.etag);
    for (int i = 0; i < 3; i++) {
        struct answer again = poll_once(carry, "/poll", first.etag);
        assert_string_equal(again.body, "x");
        assert_string_equal(again.etag, lost.etag);
    }
    struct answer next = poll_once(carry, "/poll", lost.etag);
    assert_string_equal(next.body, "y");
    // Messages for this client alone are kept likewise, and change the tag.
    carry_send(carry->session, HARK_LIT("direct"), 0);
    struct answer direct = poll_once(carry, "/poll", next.etag);
    assert_string_equal(direct.body, "direct");
    assert_string_not_equal(direct.etag, next.etag);
    assert_string_equal(poll_once(carry, "/poll", next.etag).body, "direct");
    // An older tag than the last acknowledged one brings nothing back.
    carry_publish(carry, "a", "z");
    assert_string_equal(poll_once(carry, "/poll", direct.etag).body, "z");
    assert_string_equal(poll_once(carry, "/poll", first.etag).body, "z");
}

static void test_tags_that_proxies_changed(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    carry_publish(carry, "a", "next");
    first.etag[strlen(first.etag) - 1] = '\0'; // the closing quote
    static const char *const forms[] = {"W/%s\"",     "%s-gzip\"", "W/%s-gzip\"",    "%s;gzip\"",
                                        "%s--gzip\"", "%s-br\"",   "\"other\", %s\""};
    for (size_t i = 0; i < HARK_ARRAY_LEN(forms); i++) {
        char etag[700];
        const char *mark = strstr(forms[i], "%s");
        (void)snprintf(etag, sizeof(etag), "%.*s%s%s", (int)(mark - forms[i]), forms[i], first.etag,
                       mark + 2);
        assert_string_equal(poll_once(carry, "/poll", etag).body, "next");
    }
}

static void test_cursor_by_query(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    carry_publish(carry, "a", "x");
    struct answer second = poll_once(carry, "/poll", first.etag);
    carry_publish(carry, "a", "y");
    char target[700];
    char *cursor = strchr(second.etag, '~') + 1;
    cursor[strlen(cursor) - 1] = '\0';
    (void)snprintf(target, sizeof(target), "/poll?session=%s&cursor=%s", second.session, cursor);
    assert_string_equal(poll_once(carry, target, first.etag).body, "y"); // before the header
    // By the cursor alone: a new session at the same place.
    (void)snprintf(target, sizeof(target), "/poll?cursor=%s", cursor);
    struct answer other = poll_once(carry, target, NULL);
    assert_string_equal(other.body, "y");
    assert_string_not_equal(other.session, second.session);
    (void)snprintf(target, sizeof(target), "/poll?session=%s&cursor=garbage", second.session);
    struct answer bad = poll_once(carry, target, NULL);
    assert_int_equal(bad.status, 400);
    assert_string_equal(bad.body, "{\"error\":\"cursor_invalid\"}");
}

static void test_batches(void **state)
{
    struct carry *carry = *state;
    carry->policy.poll_batch = 3;
    int fd = ask(carry, "/poll", NULL);
    await(&carry->http, &carry->http.requests, 1);
    carry_publish(carry, "a", "one");
    struct answer answer = read_answer(carry, fd);
    assert_non_null(strstr(answer.head, "Content-Type: application/vnd.hark.batch+json\r\n"));
    assert_non_null(strstr(answer.body, "\"data\":\"one\"}]"));
    for (int i = 0; i < 5; i++) {
        const char text[] = {(char)('A' + i), '\0'};
        carry_publish(carry, "a", text);
    }
    carry_steps(carry, 2);
    answer = poll_once(carry, "/poll", answer.etag);
    const char *order[] = {"\"data\":\"A\"},{\"id\":\"", "\"data\":\"B\"},{\"id\":\"",
                           "\"data\":\"C\"}]"};
    const char *at = answer.body;
    for (size_t i = 0; i < 3; i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    assert_null(strstr(answer.body, "\"D\""));
    answer = poll_once(carry, "/poll", answer.etag);
    assert_non_null(strstr(answer.body, "\"data\":\"E\"}]"));
}

static void test_time_out_is_empty_with_the_same_tag(void **state)
{
    struct carry *carry = *state;
    carry->policy.poll_wait_ms = 40;
    int fd = ask(carry, "/poll", NULL);
    struct answer first = read_answer(carry, fd); // the very first may wait in vain too
    assert_int_equal(first.status, 204);
    carry_publish(carry, "a", "x");
    struct answer second = poll_once(carry, "/poll", first.etag);
    assert_string_equal(second.body, "x");
    struct answer third = poll_once(carry, "/poll", second.etag);
    assert_int_equal(third.status, 204);
    assert_string_equal(third.etag, second.etag);
}

static void test_newer_poll_wins(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    size_t requests = carry->http.requests;
    int older = ask(carry, "/poll", first.etag);
    await(&carry->http, &carry->http.requests, requests + 1);
    int newer = ask(carry, "/poll", first.etag);
    struct answer empty = read_answer(carry, older);
    assert_int_equal(empty.status, 204);
    assert_string_equal(empty.etag, first.etag);
    carry_publish(carry, "a", "for the newer");
    assert_string_equal(read_answer(carry, newer).body, "for the newer");
}

static void test_cut_poll_goes_on(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    size_t requests = carry->http.requests;
    int fd = ask(carry, "/poll", first.etag);
    await(&carry->http, &carry->http.requests, requests + 1);
    close(fd);
    carry_steps(carry, 3);
    carry_publish(carry, "a", "not lost");
    assert_string_equal(poll_once(carry, "/poll", first.etag).body, "not lost");
}

static void test_grace_between_polls(void **state)
{
    struct carry *carry = *state;
    carry->policy.poll_grace_ms = 40;
    struct answer first = settled(carry);
    await(&carry->http, &carry->closed, 1);
    assert_string_equal(carry->why, "stopped polling");
    carry_publish(carry, "a", "while away");
    struct answer back = poll_once(carry, "/poll", first.etag); // a new session at that place
    assert_string_equal(back.body, "while away");
    assert_string_not_equal(back.session, first.session);
}

static struct answer
post(struct carry *carry, const struct answer *from, const char *fields, const char *body)
{
    char all[700];
    (void)snprintf(all, sizeof(all), "Hark-Session: %s\r\n%s", from->session, fields);
    int fd = client_open(&carry->http);
    carry_request(carry, fd, "POST", "/poll", all, body);
    return read_answer(carry, fd);
}

static void test_posts(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    assert_int_equal(post(carry, &first, "", "echo hello").status, 204);
    struct answer next = poll_once(carry, "/poll", first.etag);
    assert_string_equal(next.body, "hello");
    struct answer refused = post(carry, &first, "", "refuse bad");
    assert_int_equal(refused.status, 422);
    assert_string_equal(refused.body, "{\"error\":\"bad\"}");
    struct answer failed = post(carry, &first, "", "fail");
    assert_int_equal(failed.status, 500);
    assert_string_equal(failed.body, "{\"error\":\"internal\",\"reference\":\"ref12345\"}");
    assert_int_equal(post(carry, &first, "", "\xFF").status, 400);
    assert_int_equal(
        post(carry, &first, "Content-Type: application/octet-stream; x=y\r\n", "\xFF").status, 204);
    carry->policy.message_bytes = 10;
    struct answer large = post(carry, &first, "", "12345678901");
    assert_int_equal(large.status, 413);
    assert_string_equal(large.body, "{\"error\":\"body_too_large\",\"limit\":10}");
}

static void test_posts_wait_for_their_turn(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    char fields[128];
    (void)snprintf(fields, sizeof(fields), "Hark-Session: %s\r\n", first.session);
    assert_int_equal(post(carry, &first, "", "hold").status, 204);
    int fds[20];
    size_t requests = carry->http.requests;
    for (size_t i = 0; i < 20; i++) {
        fds[i] = client_open(&carry->http);
        carry_request(carry, fds[i], "POST", "/poll", fields, "x");
    }
    await(&carry->http, &carry->http.requests, requests + 20);
    for (size_t i = 16; i < 20; i++) {
        struct answer late = read_answer(carry, fds[i]);
        assert_int_equal(late.status, 429);
        assert_non_null(strstr(late.head, "Retry-After: 1\r\n"));
    }
    close(fds[3]); // no more is to come from it, but it has asked
    carry_steps(carry, 3);
    hark_session_hold(carry->session, false);
    for (size_t i = 0; i < 16; i++) {
        if (i != 3) {
            assert_int_equal(read_answer(carry, fds[i]).status, 204);
        }
    }
    assert_int_equal(carry->messages, 17);
}

static void test_posts_and_the_end(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    char fields[128];
    (void)snprintf(fields, sizeof(fields), "Hark-Session: %s\r\n", first.session);
    assert_int_equal(post(carry, &first, "", "hold").status, 204);
    int waiting = client_open(&carry->http);
    carry_request(carry, waiting, "POST", "/poll", fields, "x");
    carry_steps(carry, 3);
    hark_session_close(carry->session, 4002, HARK_LIT("enough"));
    struct answer dropped = read_answer(carry, waiting);
    assert_int_equal(dropped.status, 404);
    assert_string_equal(dropped.body, "{\"error\":\"session_unknown\"}");
    // A client whose handler still runs goes: the answer finds nobody.
    carry->closed = 0;
    first = settled(carry);
    carry->answers_later = true;
    (void)snprintf(fields, sizeof(fields), "Hark-Session: %s\r\n", first.session);
    int fd = client_open(&carry->http);
    size_t messages = carry->messages;
    carry_request(carry, fd, "POST", "/poll", fields, "x");
    await(&carry->http, &carry->messages, messages + 1);
    close(fd);
    carry_steps(carry, 3);
    hark_session_answer(carry->session, carry->reply, HARK_OUTCOME_OK, HARK_SLICE_NONE);
}

static void test_ends(void **state)
{
    struct carry *carry = *state;

    static const struct {
        uint16_t code;
        bool is_retiring;
        int status;
        const char *body;
    } cases[] = {
        {4002, false, 410, "{\"error\":\"session_closed\",\"code\":4002,\"reason\":\"why not\"}"},
        {1000, false, 410, "{\"error\":\"session_closed\",\"code\":1000,\"reason\":\"why not\"}"},
        {1011, false, 500, "{\"error\":\"internal\",\"reference\":\"not\"}"},
        {1013, false, 503, "{\"error\":\"busy\"}"},
        {1012, true, 503, "{\"error\":\"draining\"}"},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        size_t requests = carry->http.requests;
        int fd = ask(carry, "/poll", NULL);
        await(&carry->http, &carry->http.requests, requests + 1);
        if (cases[i].is_retiring) {
            hark_session_retire(carry->session, cases[i].code, HARK_LIT("x"), 100);
        } else {
            hark_session_close(carry->session, cases[i].code, HARK_LIT("why not"));
        }
        struct answer answer = read_answer(carry, fd);
        assert_int_equal(answer.status, cases[i].status);
        assert_string_equal(answer.body, cases[i].body);
    }
}

static void test_end_while_nobody_asks_is_told_to_the_next_poll(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    hark_session_close(carry->session, 4002, HARK_LIT("enough"));
    carry_steps(carry, 2);
    for (int i = 0; i < 2; i++) { // also when that answer was lost
        struct answer next = poll_once(carry, "/poll", first.etag);
        assert_int_equal(next.status, 410);
        assert_non_null(strstr(next.body, "\"code\":4002,\"reason\":\"enough\""));
    }
    struct answer other = settled(carry); // concerns nobody else
    assert_int_equal(other.status, 200);
}

static void test_delete(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    size_t requests = carry->http.requests;
    int parked = ask(carry, "/poll", first.etag);
    await(&carry->http, &carry->http.requests, requests + 1);
    char fields[128];
    (void)snprintf(fields, sizeof(fields), "Hark-Session: %s\r\n", first.session);
    int fd = client_open(&carry->http);
    carry_request(carry, fd, "DELETE", "/poll", fields, NULL);
    assert_int_equal(read_answer(carry, fd).status, 204);
    assert_int_equal(read_answer(carry, parked).status, 410);
    await(&carry->http, &carry->closed, 1);
    assert_int_equal(carry->code, 1000);
    fd = client_open(&carry->http);
    carry_request(carry, fd, "DELETE", "/poll", fields, NULL);
    assert_int_equal(read_answer(carry, fd).status, 404);
    carry_publish(carry, "a", "x");
    assert_int_equal(poll_once(carry, "/poll", first.etag).status, 200); // begins anew
}

static void test_chosen_id(void **state)
{
    struct carry *carry = *state;
    const char *target = "/poll?session=0123456789-abcdefghij_xyz";
    int fd = ask(carry, target, NULL);
    await(&carry->http, &carry->http.requests, 1);
    close(fd); // even the first answer may be lost
    carry_steps(carry, 3);
    carry_publish(carry, "a", "while away");
    struct answer answer = poll_once(carry, target, NULL);
    assert_string_equal(answer.body, "while away");
    assert_string_equal(answer.session, "0123456789-abcdefghij_xyz");
    assert_int_equal(poll_once(carry, "/poll?session=short", NULL).status, 400);
}

static void test_gap_is_an_item_and_a_header(void **state)
{
    struct carry *carry = *state;
    const struct hark_channel_options brief = {.history_count = 2};
    struct answer first = settled(carry);
    hark_session_close(carry->session, 1000, HARK_SLICE_NONE);
    carry_steps(carry, 2);
    assert_int_equal(hark_hub_configure(carry->hub, HARK_LIT("a"), &brief), 0);
    for (int i = 0; i < 6; i++) {
        const struct hark_msg_draft draft = {.channel = HARK_LIT("a"), .payload = HARK_LIT("x")};
        assert_int_equal(hark_hub_publish(carry->hub, &draft, &brief, NULL, NULL), 0);
    }
    carry_steps(carry, 2);
    char target[700];
    char *cursor = strchr(first.etag, '~') + 1;
    cursor[strlen(cursor) - 1] = '\0';
    (void)snprintf(target, sizeof(target), "/poll?cursor=%s", cursor);
    struct answer gap = poll_once(carry, target, NULL);
    assert_non_null(strstr(gap.head, "Hark-Event: hark.gap\r\n"));
    assert_non_null(strstr(gap.head, "Hark-Gap: {\"channel\":\"a\",\"from\":\""));
    assert_int_equal(strncmp(gap.body, "{\"channel\":\"a\",\"from\":\"", 23), 0);
    struct answer next = poll_once(carry, "/poll", gap.etag);
    assert_string_equal(next.body, "x");
    assert_null(strstr(next.head, "Hark-Gap"));
}

static void test_swap_to_a_stream(void **state)
{
    struct carry *carry = *state;
    struct answer first = settled(carry);
    struct hark_session *session = carry->session;
    size_t requests = carry->http.requests;
    int parked = ask(carry, "/poll", first.etag);
    await(&carry->http, &carry->http.requests, requests + 1);
    char fields[700];
    (void)snprintf(fields, sizeof(fields), "Hark-Session: %s\r\nIf-None-Match: %s\r\n",
                   first.session, first.etag);
    int fd = client_open(&carry->http);
    carry_request(carry, fd, "GET", "/sse", fields, NULL);
    assert_non_null(strstr(carry_head(carry, fd), "text/event-stream"));
    assert_int_equal(read_answer(carry, parked).status, 204);
    assert_int_equal(hark_session_kind(session), HARK_TRANSPORT_SSE);
    assert_int_equal(hark_session_count(&carry->env), 1);
    carry->policy.grace_ms = WAIT_MS;
    struct answer back = {.status = 0};
    requests = carry->http.requests;
    int again = ask(carry, "/poll", first.etag); // and back, while the stream is open
    await(&carry->http, &carry->http.requests, requests + 1);
    carry_publish(carry, "a", "x");
    back = read_answer(carry, again);
    assert_string_equal(back.body, "x");
    assert_int_equal(hark_session_kind(session), HARK_TRANSPORT_LONGPOLL);
    close(fd);
}

static void test_without_memory(void **state)
{
    struct carry *carry = *state;
    for (size_t n = 0; n < 60; n++) {
        carry->greeting = "hello";
        hark_mem_fail_after(SIZE_MAX);
        int fd = ask(carry, "/poll", NULL);
        hark_mem_fail_after(n);
        carry_steps(carry, 3);
        hark_mem_fail_after(SIZE_MAX);
        char bytes[4096];
        while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
        }
        close(fd);
        carry_steps(carry, 3);
        if (carry->session != NULL) {
            hark_session_close(carry->session, 1000, HARK_SLICE_NONE);
            carry_steps(carry, 2);
        }
        assert_int_equal(hark_session_count(&carry->env), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CARRY(test_one_message_as_it_is),
        CARRY(test_released_by_acknowledgement_only),
        CARRY(test_tags_that_proxies_changed),
        CARRY(test_cursor_by_query),
        CARRY(test_batches),
        CARRY(test_time_out_is_empty_with_the_same_tag),
        CARRY(test_newer_poll_wins),
        CARRY(test_cut_poll_goes_on),
        CARRY(test_grace_between_polls),
        CARRY(test_posts),
        CARRY(test_posts_wait_for_their_turn),
        CARRY(test_posts_and_the_end),
        CARRY(test_ends),
        CARRY(test_end_while_nobody_asks_is_told_to_the_next_poll),
        CARRY(test_delete),
        CARRY(test_chosen_id),
        CARRY(test_gap_is_an_item_and_a_header),
        CARRY(test_swap_to_a_stream),
        CARRY(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
