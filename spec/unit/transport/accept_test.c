// SPDX-License-Identifier: MIT
//
// What requests offer and which session they belong to.
#include "transport/accept.h"

#include "transport/carry_fixture.h"
#include "transport/exchange_impl.h"

#define UPGRADE                                                 \
    {HARK_LIT("Upgrade"), HARK_LIT("websocket")},               \
    {                                                           \
        HARK_LIT("Connection"), HARK_LIT("keep-alive, Upgrade") \
    }

static unsigned offers(const struct hark_header *headers, size_t count, const char *method)
{
    const struct hark_request request = {
        .method = hark_slice_text(method), .minor = 1, .headers = headers, .header_count = count};
    const struct hark_exchange exchange = {.request = &request};
    return hark_accept_offers(&exchange);
}

static void test_offers(void **state)
{
    (void)state;

    static const struct {
        const char *accept;
        bool sse;
    } cases[] = {
        {"text/event-stream", true},
        {"TEXT/Event-Stream", true},
        {"text/html, text/event-stream;q=0.5", true},
        {"text/event-stream; charset=utf-8; q=0.001", true},
        {"text/event-stream;q=0", false},
        {"text/event-stream ; q=0.000", false},
        {"*/*", false},
        {"text/*", false},
        {"text/event-streams", false},
        {"", false},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        const struct hark_header header = {HARK_LIT("Accept"), hark_slice_text(cases[i].accept)};
        unsigned want = HARK_TRANSPORT_LONGPOLL | (cases[i].sse ? HARK_TRANSPORT_SSE : 0U);
        assert_int_equal(offers(&header, 1, "GET"), want);
    }
    const struct hark_header two[] = {{HARK_LIT("Accept"), HARK_LIT("text/html")},
                                      {HARK_LIT("accept"), HARK_LIT("text/event-stream")}};
    assert_true((offers(two, 2, "GET") & HARK_TRANSPORT_SSE) != 0);
    const struct hark_header upgrade[] = {UPGRADE};
    assert_true((offers(upgrade, 2, "GET") & HARK_TRANSPORT_WEBSOCKET) != 0);
    assert_false((offers(upgrade, 1, "GET") & HARK_TRANSPORT_WEBSOCKET) !=
                 0); // stripped by a proxy
    assert_false((offers(upgrade, 2, "POST") & HARK_TRANSPORT_WEBSOCKET) != 0);
}

static void
expect_id(const char *method, const char *query, const struct hark_header *header, const char *want)
{
    const struct hark_request request = {
        .method = hark_slice_text(method),
        .query = hark_slice_text(query),
        .headers = header,
        .header_count = header == NULL ? 0 : 1,
    };
    const struct hark_exchange exchange = {.request = &request};
    struct hark_slice id = HARK_SLICE_NONE;
    assert_int_equal(hark_accept_session_id(&exchange, &id), want != NULL);
    if (want != NULL) {
        assert_true(hark_slice_is(id, hark_slice_text(want)));
    }
}

static void test_session_id(void **state)
{
    (void)state;
    const struct hark_header header = {HARK_LIT("Hark-Session"), HARK_LIT("from-header")};
    const struct hark_header tag = {HARK_LIT("If-None-Match"), HARK_LIT("W/\"from-tag~AQ\"")};
    const struct hark_header other = {HARK_LIT("If-None-Match"), HARK_LIT("\"x\"")};
    expect_id("GET", "", NULL, NULL);
    expect_id("GET", "a=1&session=from-query&b", NULL, "from-query");
    expect_id("GET", "session=from-query", &header, "from-header");
    expect_id("GET", "", &tag, "from-tag");
    expect_id("GET", "session=from-query", &tag, "from-query");
    expect_id("POST", "", &tag, NULL); // a condition of another kind
    expect_id("GET", "", &other, NULL);
}

static void test_taken_and_bad_ids(void **state)
{
    struct carry *carry = *state;
    struct hark_session *session = NULL;
    const struct hark_slice id = HARK_LIT("0123456789-abcdefghij_xyz");
    const struct hark_session_options options = {
        .id = id, .policy = &carry->policy, .view = &carry->view};
    assert_int_equal(hark_session_new(&carry->env, &options, &session), 0);
    hark_session_start(session);

    static const struct {
        const char *target;
        const char *status;
    } cases[] = {
        {"/poll?session=short", "HTTP/1.1 400 "},
        {"/poll?session=0123456789-abcdefghij_xyz%20", "HTTP/1.1 400 "},
    };

    for (size_t i = 0; i < HARK_ARRAY_LEN(cases); i++) {
        int fd = client_open(&carry->http);
        carry_request(carry, fd, "GET", cases[i].target, "", NULL);
        const char *head = carry_head(carry, fd);
        assert_int_equal(strncmp(head, cases[i].status, strlen(cases[i].status)), 0);
        assert_string_equal(carry_body(carry, fd, head), "{\"error\":\"session_invalid\"}");
        close(fd);
    }
    hark_session_close(session, 1000, HARK_SLICE_NONE);
    carry_steps(carry, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_session_id),
        CARRY(test_taken_and_bad_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
