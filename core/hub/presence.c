// SPDX-License-Identifier: MIT
//
// Seats and the difference to what was told. A seat goes when nobody sits on it and the subscribers
// know that.
#include "hub/presence.h"

#include <string.h>

#include "hark.h"

#include "base/buf.h"
#include "base/codec.h"
#include "base/mem.h"

// Quoting makes of a byte at most six; three names, and the punctuation.
#define NEWS_MAX (6 * (HARK_MSG_CHANNEL_MAX + HARK_MEMBER_ID_MAX) + HARK_MEMBER_INFO_MAX + 64)

static struct hark_slice store(char **at, struct hark_slice text);
static struct hark_seat *seat_new(struct hark_presence *presence, struct hark_slice id);
static int set_info(struct hark_seat *seat, struct hark_slice info);
static bool is_seen(const struct hark_presence *presence, const struct hark_seat *seat);
static void settle(struct hark_presence *presence, struct hark_seat *seat);
static void seat_free(struct hark_presence *presence, struct hark_seat *seat);
static int
write_news(struct hark_buf *buf, struct hark_slice channel, const struct hark_seat *seat);

void hark_presence_init(struct hark_presence *presence, bool is_on)
{
    presence->seats = NULL;
    presence->is_on = is_on;
    hark_list_init(&presence->changed);
}

void hark_presence_deinit(struct hark_presence *presence)
{
    struct hark_seat *seat = NULL;
    struct hark_seat *after = NULL;
    HASH_ITER(hh, presence->seats, seat, after)
    {
        seat_free(presence, seat);
    }
}

void hark_presence_switch(struct hark_presence *presence, bool is_on)
{
    presence->is_on = is_on;
    struct hark_seat *seat = NULL;
    struct hark_seat *after = NULL;
    HASH_ITER(hh, presence->seats, seat, after)
    {
        settle(presence, seat);
    }
}

int hark_presence_enter(struct hark_presence *presence,
                        const struct hark_member *member,
                        uint64_t serial,
                        struct hark_seat **ret)
{
    struct hark_seat *seat = NULL;
    HASH_FIND(hh, presence->seats, member->id.ptr, member->id.len, seat);
    bool is_new = seat == NULL;
    if (is_new) {
        seat = seat_new(presence, member->id);
    }
    if (seat == NULL) {
        return HARK_ENOMEM;
    }
    int status = set_info(seat, member->info);
    if (status != 0) {
        if (is_new) {
            seat_free(presence, seat);
        }
        return status;
    }
    if (seat->count == 0) {
        seat->serial = serial;
    }
    seat->count++;
    settle(presence, seat);
    *ret = seat;
    return 0;
}

void hark_presence_leave(struct hark_presence *presence, struct hark_seat *seat)
{
    seat->count--;
    settle(presence, seat);
}

int hark_presence_news(const struct hark_presence *presence,
                       struct hark_slice channel,
                       struct hark_msg **ret)
{
    if (!hark_presence_has_news(presence)) {
        return HARK_ENOENT;
    }
    const struct hark_seat *seat =
        HARK_CONTAINER_OF(presence->changed.next, struct hark_seat, changed);
    struct hark_buf buf;
    hark_buf_init(&buf, NEWS_MAX);
    int status = write_news(&buf, channel, seat);
    if (status == 0) {
        const struct hark_msg_draft draft = {
            .channel = channel,
            .event = seat->is_told ? HARK_LIT("hark.leave") : HARK_LIT("hark.join"),
            .payload = hark_buf_slice(&buf),
            .flags = HARK_MSG_OUTSIDE | HARK_MSG_NOTICE | HARK_MSG_JSON,
            .except = seat->is_told ? 0 : seat->serial,
        };
        status = hark_msg_new(&draft, ret);
    }
    hark_buf_deinit(&buf);
    return status;
}

void hark_presence_told(struct hark_presence *presence)
{
    struct hark_seat *seat = HARK_CONTAINER_OF(presence->changed.next, struct hark_seat, changed);
    seat->is_told = !seat->is_told;
    settle(presence, seat);
}

int hark_presence_copy(const struct hark_presence *presence,
                       struct hark_member **ret,
                       size_t *ret_count)
{
    size_t count = 0;
    size_t bytes = 0;
    for (const struct hark_seat *seat = presence->seats; seat != NULL; seat = seat->hh.next) {
        if (is_seen(presence, seat)) {
            count++;
            bytes += seat->id.len + seat->info.len;
        }
    }
    struct hark_member *members = NULL;
    if (count > 0) {
        // No overflow: both are sums over objects that lie in memory.
        members = hark_mem_alloc(count * sizeof(*members) + bytes);
        if (members == NULL) {
            return HARK_ENOMEM;
        }
    }
    struct hark_member *at = members;
    char *text = (char *)(members + count);
    for (const struct hark_seat *seat = presence->seats; seat != NULL; seat = seat->hh.next) {
        if (is_seen(presence, seat)) {
            at->id = store(&text, seat->id);
            at->info = store(&text, seat->info);
            at++;
        }
    }
    *ret = members;
    *ret_count = count;
    return 0;
}

static struct hark_slice store(char **at, struct hark_slice text)
{
    struct hark_slice stored = hark_slice(*at, text.len);
    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
        *at += text.len;
    }
    return stored;
}

static struct hark_seat *seat_new(struct hark_presence *presence, struct hark_slice id)
{
    struct hark_seat *seat = hark_mem_zalloc(sizeof(*seat) + id.len);
    if (seat == NULL) {
        return NULL;
    }
    memcpy(seat->text, id.ptr, id.len);
    seat->id = hark_slice(seat->text, id.len);
    hark_list_init(&seat->changed);
    HASH_ADD_KEYPTR(hh, presence->seats, seat->id.ptr, seat->id.len, seat);
    if (seat->hh.tbl == NULL) {
        hark_mem_free(seat);
        return NULL;
    }
    return seat;
}

static int set_info(struct hark_seat *seat, struct hark_slice info)
{
    if (hark_slice_is(seat->info, info)) {
        return 0;
    }
    char *copy = info.len == 0 ? NULL : hark_mem_dup(info.ptr, info.len);
    if (info.len > 0 && copy == NULL) {
        return HARK_ENOMEM;
    }
    hark_mem_free(seat->info_text);
    seat->info_text = copy;
    seat->info = hark_slice(copy, info.len);
    return 0;
}

static bool is_seen(const struct hark_presence *presence, const struct hark_seat *seat)
{
    return presence->is_on && seat->count > 0;
}

static void settle(struct hark_presence *presence, struct hark_seat *seat)
{
    if (is_seen(presence, seat) == seat->is_told) {
        hark_list_remove(&seat->changed);
        if (seat->count == 0) {
            seat_free(presence, seat);
        }
    } else if (hark_list_is_empty(&seat->changed)) {
        hark_list_push(&presence->changed, &seat->changed);
    }
}

static void seat_free(struct hark_presence *presence, struct hark_seat *seat)
{
    HASH_DEL(presence->seats, seat);
    hark_list_remove(&seat->changed);
    hark_mem_free(seat->info_text);
    hark_mem_free(seat);
}

static int write_news(struct hark_buf *buf, struct hark_slice channel, const struct hark_seat *seat)
{
    int status = hark_buf_append_slice(buf, HARK_LIT("{\"channel\":"));
    status = status != 0 ? status : hark_codec_quote(buf, channel);
    status = status != 0 ? status : hark_buf_append_slice(buf, HARK_LIT(",\"id\":"));
    status = status != 0 ? status : hark_codec_quote(buf, seat->id);
    status = status != 0 ? status : hark_buf_append_slice(buf, HARK_LIT(",\"info\":"));
    status = status != 0
                 ? status
                 : hark_buf_append_slice(buf, seat->info.len > 0 ? seat->info : HARK_LIT("null"));
    return status != 0 ? status : hark_buf_append_char(buf, '}');
}
