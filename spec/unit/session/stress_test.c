// SPDX-License-Identifier: MIT
//
// Sessions under random acts of clients, publishers, networks and the allocator, against a model of
// what each client has been told. It holds that a client sees each channel's offsets in order, none
// twice, with no hole but a told gap or a message of its own; that positions on the wire are where
// it stands; and that what waits for it is bounded.
#include "session/rig.h"
#include "session/state.h"

#define CLIENTS   5
#define CHANNELS  4
#define OFFSETS   4096
#define RUNS      60
#define ACTS      3000
#define QUEUE_MAX 3000
#define BATCH_MAX 100000 // what an empty outbox must take: a batch of history, and notices

static const struct hark_channel_options OPTIONS[CHANNELS] = {
    {.history_count = 40, .slow = HARK_SLOW_CLOSE},
    {.history_count = 0, .slow = HARK_SLOW_OLDEST},
    {.history_count = 6, .slow = HARK_SLOW_LATEST},
    {.history_count = 1000, .slow = HARK_SLOW_CLOSE},
};

// Where a client stands in a channel, as far as it knows.
struct stand {
    bool is_joined;
    uint64_t last;
    uint64_t gap_to; // what lies up to here may be missing
};

struct client {
    struct hark_session *session; // NULL: none
    uint64_t serial;
    struct rig_transport *transport;
    struct stand stands[CHANNELS];
    struct stand kept[CHANNELS]; // a moment that it can fall back to: the rest was lost on the way
    struct hark_place sequence;
    bool has_sequence;
};

struct world {
    struct rig *rig;
    uint32_t seed;
    uint64_t epochs[CHANNELS];
    uint64_t tops[CHANNELS];
    uint64_t excepted[CHANNELS][OFFSETS]; // serial that must not get that offset
    struct client clients[CLIENTS];
    struct rig_transport *old[1024]; // transports that are done with
    size_t old_count;
};

static uint32_t pick(struct world *world, uint32_t below)
{
    world->seed = world->seed * 1664525 + 1013904223;
    return (world->seed >> 10) % below;
}

static void retire(struct world *world, struct client *client)
{
    if (client->transport != NULL) {
        assert_true(world->old_count < HARK_ARRAY_LEN(world->old));
        world->old[world->old_count++] = client->transport;
        client->transport = NULL;
    }
}

// --- what a client reads ---

// All between what it had and `offset` must be its own or told as lost.
static void check_hole(const struct world *world,
                       const struct client *client,
                       unsigned channel,
                       uint64_t offset)
{
    const struct stand *stand = &client->stands[channel];
    for (uint64_t i = stand->last + 1; i < offset; i++) {
        if (i > stand->gap_to && world->excepted[channel][i] != client->serial) {
            fail_msg("channel %c: %llu is missing before %llu", 'a' + (int)channel,
                     (unsigned long long)i, (unsigned long long)offset);
        }
    }
}

static void read_id(const struct world *world,
                    struct client *client,
                    const char *id,
                    unsigned channel,
                    uint64_t offset)
{
    while (*id != '>' && *id != '\0') {
        unsigned at = (unsigned)(*id - 'a');
        char *rest = NULL;
        uint64_t says = strtoull(id + 1, &rest, 10);
        assert_true(at < CHANNELS);
        struct stand *stand = &client->stands[at];
        if (at == channel) {
            assert_int_equal(says, offset);
        } else if (stand->is_joined) {
            assert_true(says >= stand->last || says >= stand->gap_to ||
                        stand->gap_to > stand->last);
            check_hole(world, client, at, says + 1);
        }
        id = *rest == '.' ? rest + 1 : rest;
    }
}

static void
read_message(struct world *world, struct client *client, const char *payload, const char *id)
{
    unsigned channel = (unsigned)(payload[0] - 'a');
    uint64_t offset = strtoull(payload + 1, NULL, 10);
    assert_true(channel < CHANNELS && offset < OFFSETS);
    struct stand *stand = &client->stands[channel];
    assert_true(stand->is_joined);
    if (offset <= stand->last) {
        fail_msg("channel %c: %llu behind %llu", payload[0], (unsigned long long)offset,
                 (unsigned long long)stand->last);
    }
    assert_int_not_equal(world->excepted[channel][offset], client->serial);
    check_hole(world, client, channel, offset);
    if (id != NULL) {
        read_id(world, client, id, channel, offset);
    }
    stand->last = offset;
}

static void read_gap(struct client *client, const char *json)
{
    const char *name = strstr(json, "\"channel\":\"");
    const char *to = strstr(json, "\"to\":\"");
    assert_non_null(name);
    assert_non_null(to);
    unsigned channel = (unsigned)(name[11] - 'a');
    const char *colon = strchr(to + 6, ':');
    assert_non_null(colon);
    assert_true(channel < CHANNELS);
    client->stands[channel].gap_to = strtoull(colon + 1, NULL, 10);
}

static void read_token(struct world *world, struct client *client, char *token)
{
    char *id = NULL;
    if (*token == '<') {
        id = token + 1;
        token = strchr(token, '>') + 1;
    }
    if (strncmp(token, "hark.gap=", 9) == 0) {
        read_gap(client, token + 9);
    } else if (token[0] >= 'a' && token[0] < 'a' + CHANNELS && token[1] >= '0' && token[1] <= '9') {
        read_message(world, client, token, id);
    } // else a direct message, a head, a greeting
}

static void read_all(struct world *world, struct client *client)
{
    struct rig_log *log = &client->transport->log;
    for (char *token = strtok(log->text, " "); token != NULL; token = strtok(NULL, " ")) {
        read_token(world, client, token);
    }
    log->len = 0;
    log->text[0] = '\0';
}

// A poll's answer: the first messages, which the client may or may not have received.
static void read_poll(struct world *world, struct client *client)
{
    size_t count = hark_backlog_count(client->session);
    count = count > 0 ? pick(world, (uint32_t)count + 1) : 0;
    struct hark_place sequence = hark_backlog_sequence(client->session);
    bool is_lost = pick(world, 3) == 0;
    for (size_t i = 0; i < count && !is_lost; i++) {
        const struct hark_msg *msg = hark_backlog_at(client->session, i);
        char token[512];
        (void)snprintf(token, sizeof(token), "%.*s%s%.*s", (int)msg->event.len,
                       msg->event.ptr == NULL ? "" : msg->event.ptr, msg->event.len > 0 ? "=" : "",
                       (int)msg->payload.len, msg->payload.ptr);
        read_token(world, client, token);
    }
    if (!is_lost) {
        sequence.position.offset += count;
        client->sequence = sequence;
        client->has_sequence = sequence.position.epoch != 0;
    }
    const struct hark_places none = {.list = NULL};
    hark_backlog_acknowledge(client->session, &none,
                             client->has_sequence ? &client->sequence : NULL);
    hark_backlog_pump(client->session);
}

// --- acts ---

static struct hark_places
cursor_of(const struct world *world, const struct client *client, struct hark_place *room)
{
    struct hark_places cursor;
    hark_places_init_fixed(&cursor, room, CHANNELS);
    for (unsigned i = 0; i < CHANNELS; i++) {
        char name = (char)('a' + i);
        const struct stand *stand = &client->stands[i];
        if (stand->is_joined) {
            const struct hark_position at = {world->epochs[i], stand->last};
            assert_int_equal(hark_places_set(&cursor, hark_hash_stable(hark_slice(&name, 1)), at),
                             0);
        }
    }
    return cursor;
}

static void join(struct world *world, struct client *client, unsigned channel)
{
    const char name[] = {(char)('a' + channel), '\0'};
    int status = 99;
    const struct hark_start live = {.rewind = 0};
    struct stand *stand = &client->stands[channel];
    bool was_joined = stand->is_joined;
    stand->is_joined = true;
    if (!was_joined) { // a newcomer begins where the log is now
        stand->last = world->tops[channel];
        stand->gap_to = 0;
    }
    int at_once = hark_session_join(client->session, rig_slice(name), &OPTIONS[channel], &live,
                                    NULL, rig_on_joined, &status);
    if (at_once != 0 || status != 0) {
        stand->is_joined = false;
    }
}

static const struct hark_transport_ops *any_ops(struct world *world)
{
    static const struct hark_transport_ops *const all[] = {&rig_raw_ops, &rig_sse_ops, &rig_sse_ops,
                                                           &rig_poll_ops};
    return all[pick(world, 4)];
}

static void attach(struct client *client, struct rig_transport *transport)
{
    bool is_raw = transport->base.ops->begin == NULL && transport->base.ops->is_streaming;
    client->transport = transport;
    client->has_sequence = false;
    hark_link_attach(client->session, &transport->base, is_raw ? transport : NULL, 0);
}

static void come(struct world *world, struct client *client)
{
    struct hark_place room[CHANNELS];
    const struct hark_places cursor = cursor_of(world, client, room);
    const struct hark_session_options options = {
        .policy = &world->rig->policy, .view = &world->rig->view, .cursor = &cursor};
    struct hark_session *session = NULL;
    if (hark_session_new(&world->rig->env, &options, &session) != 0) {
        return;
    }
    client->session = session;
    client->serial = hark_session_serial(session);
    attach(client, rig_transport_new(world->rig, any_ops(world)));
    world->rig->opens_later = true;
    hark_session_start(session);
    for (unsigned i = 0; i < CHANNELS && client->session != NULL && hark_session_is_open(session);
         i++) {
        if (client->stands[i].is_joined || pick(world, 2) == 0) {
            join(world, client, i);
        }
    }
    hark_session_opened(session);
    memcpy(client->kept, client->stands, sizeof(client->kept));
}

// The connection breaks; of what was written, all behind the kept moment never arrived.
static void cut(struct world *world, struct client *client)
{
    struct rig_transport *transport = client->transport;
    bool has_ids = transport->base.ops->has_ids && transport->base.ops->is_streaming;
    read_all(world, client);
    if (has_ids && pick(world, 2) == 0) {
        memcpy(client->stands, client->kept, sizeof(client->stands));
    }
    transport->is_closed = true;
    hark_link_gone(&transport->base, 1006, HARK_LIT("cut"), false);
    retire(world, client);
}

static void come_back(struct world *world, struct client *client)
{
    struct hark_place room[CHANNELS];
    const struct hark_places cursor = cursor_of(world, client, room);
    hark_link_resume(client->session, &cursor, NULL);
    attach(client, rig_transport_new(world->rig, any_ops(world)));
}

static void publish(struct world *world)
{
    unsigned channel = pick(world, CHANNELS);
    uint64_t offset = world->tops[channel] + 1;
    if (offset >= OFFSETS) {
        return;
    }
    const char name[] = {(char)('a' + channel), '\0'};
    char text[64];
    char key[8];
    (void)snprintf(text, sizeof(text), "%c%llu", name[0], (unsigned long long)offset);
    (void)snprintf(key, sizeof(key), "k%u", pick(world, 3));
    const struct client *mine = &world->clients[pick(world, CLIENTS)];
    uint64_t except = pick(world, 5) == 0 && mine->session != NULL ? mine->serial : 0;
    const struct hark_msg_draft draft = {.channel = rig_slice(name),
                                         .payload = rig_slice(text),
                                         .key = rig_slice(key),
                                         .except = except};
    if (hark_hub_publish(world->rig->hub, &draft, &OPTIONS[channel], NULL, NULL) == 0) {
        world->tops[channel] = offset;
        world->excepted[channel][offset] = except;
    }
}

static void act_on_stream(struct world *world, struct client *client, uint32_t act)
{
    struct rig_transport *transport = client->transport;
    if (act < 3) {
        transport->is_congested = !transport->is_congested;
        if (!transport->is_congested) {
            hark_backlog_pump(client->session);
        }
    } else if (act < 5) {
        read_all(world, client);
        memcpy(client->kept, client->stands, sizeof(client->kept));
    } else if (act == 5) {
        cut(world, client);
    }
}

static void act(struct world *world)
{
    struct client *client = &world->clients[pick(world, CLIENTS)];
    uint32_t what = pick(world, 16);
    if (client->session == NULL) {
        come(world, client);
    } else if (client->transport == NULL) {
        if (what < 6) {
            come_back(world, client);
        }
    } else if (what < 6 && !client->transport->base.ops->is_streaming) {
        read_poll(world, client);
    } else if (what < 6) {
        act_on_stream(world, client, what);
    } else if (what == 6) {
        (void)rig_direct(client->session, "direct");
    } else if (what == 7 && hark_backlog_count(client->session) == 0) {
        unsigned channel = pick(world, CHANNELS);
        const char name[] = {(char)('a' + channel), '\0'};
        if (client->transport->base.ops->is_streaming) {
            read_all(world, client);
        }
        if (hark_session_leave(client->session, rig_slice(name))) {
            client->stands[channel].is_joined = false;
        } else {
            join(world, client, channel);
        }
        memcpy(client->kept, client->stands, sizeof(client->kept));
    } else if (what == 8 && pick(world, 8) == 0) {
        hark_session_close(client->session, 1000, HARK_LIT("enough"));
    } else {
        publish(world);
    }
}

// Sessions that have ended meanwhile: too slow, out of memory, closed.
static void look(struct world *world)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &world->clients[i];
        if (client->session == NULL) {
            continue;
        }
        struct hark_session *session = hark_session_find_serial(&world->rig->env, client->serial);
        if (session != NULL && hark_session_is_open(session)) {
            const struct hark_outbox *box = session->outbox;
            assert_true(box == NULL || box->bytes < QUEUE_MAX + BATCH_MAX);
            continue;
        }
        if (client->transport != NULL && client->transport->base.ops->is_streaming) {
            read_all(world, client);
        }
        retire(world, client);
        client->session = NULL;
    }
}

static void run(struct rig *rig, uint32_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->rig = rig;
    world->seed = seed;
    rig->policy.queue_bytes = QUEUE_MAX;
    rig->policy.grace_ms = seed % 2 == 0 ? 500 : 0;
    for (unsigned i = 0; i < CHANNELS; i++) { // an anchor that keeps the channels' epochs
        const char name[] = {(char)('a' + i), '\0'};
        struct hark_session *anchor = rig_session(rig, NULL);
        rig_join(anchor, name, &OPTIONS[i]);
        world->epochs[i] = hark_session_find(anchor, rig_slice(name))->position.epoch;
        struct rig_transport *sink = rig_transport_new(rig, &rig_raw_ops);
        hark_link_attach(anchor, &sink->base, sink, 0);
        world->old[world->old_count++] = sink;
    }
    for (int i = 0; i < ACTS && world->old_count < 900; i++) {
        bool starves = seed % 3 == 0 && pick(world, 12) == 0;
        if (starves) {
            hark_mem_fail_after(pick(world, 12));
        }
        act(world);
        if (pick(world, 3) > 0) {
            hark_wheel_advance(rig->wheel, rig->now_ms);
            (void)hark_mailbox_drain(rig->mailbox, SIZE_MAX);
            (void)hark_hub_flush(rig->hub, UINT64_MAX);
            hark_defer_run(&rig->defer);
        }
        hark_mem_fail_after(SIZE_MAX);
        rig->now_ms += pick(world, 10) == 0 ? pick(world, 200) : 1;
        look(world);
        if (pick(world, 50) == 0) {
            hark_hub_sweep(rig->hub);
        }
    }
    // In the end all drains, and everybody is up to date.
    for (int i = 0; i < 60; i++) {
        for (size_t k = 0; k < CLIENTS; k++) {
            struct client *client = &world->clients[k];
            if (client->session != NULL && client->transport == NULL) {
                come_back(world, client);
            }
            if (client->session != NULL && client->transport->base.ops->is_streaming) {
                client->transport->is_congested = false;
                hark_backlog_pump(client->session);
                read_all(world, client);
            } else if (client->session != NULL) {
                read_poll(world, client);
            }
        }
        hark_hub_sweep(rig->hub);
        rig_pass_time(rig, 16);
        look(world);
    }
    for (size_t k = 0; k < CLIENTS; k++) {
        const struct client *client = &world->clients[k];
        for (unsigned i = 0; i < CHANNELS && client->session != NULL; i++) {
            if (client->stands[i].is_joined && client->transport->base.ops->is_streaming) {
                check_hole(world, client, i, world->tops[i] + 1);
            }
        }
    }
    hark_session_env_deinit(&rig->env);
    hark_defer_run(&rig->defer);
    assert_int_equal(hark_session_env_init(&rig->env), 0);
    for (size_t k = 0; k < CLIENTS; k++) {
        retire(world, &world->clients[k]);
    }
    while (world->old_count > 0) {
        rig_transport_free(world->old[--world->old_count]);
    }
    free(world);
}

static void test_random_acts(void **state)
{
    (void)state;
    const char *one = getenv("HARK_SEED");
    uint32_t first = one == NULL ? 1 : (uint32_t)strtoul(one, NULL, 10);
    uint32_t count = one == NULL ? RUNS : 1;
    for (uint32_t seed = first; seed < first + count; seed++) {
        static struct rig rig;
        rig_up(&rig);
        print_message("seed %u\n", seed);
        run(&rig, seed);
        rig_down(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_acts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
