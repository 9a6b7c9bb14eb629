// SPDX-License-Identifier: MIT
//
// Makes, copies and releases messages, and keeps their cache of wire forms. Who gives a message its
// place in a channel is the broker; who encodes it is the session layer.
#include "hub/msg.h"

#include <string.h>

#include "hark.h"

#include "base/mem.h"
#include "base/utf8.h"

static int check(const struct hark_msg_draft *draft);
static bool has_control(struct hark_slice text);
static int build(const struct hark_msg_draft *draft, struct hark_msg **ret);
static struct hark_slice store(char **at, struct hark_slice text);

bool hark_msg_is_channel(struct hark_slice name)
{
    return name.len > 0 && name.len <= HARK_MSG_CHANNEL_MAX && !has_control(name) &&
           hark_utf8_is_valid(name);
}

int hark_msg_new(const struct hark_msg_draft *draft, struct hark_msg **ret)
{
    int status = check(draft);
    return status == 0 ? build(draft, ret) : status;
}

int hark_msg_derive(const struct hark_msg *msg,
                    struct hark_slice event,
                    struct hark_slice payload,
                    uint32_t flags,
                    struct hark_msg **ret)
{
    struct hark_msg_draft draft = {
        .channel = msg->channel,
        .event = event,
        .key = msg->key,
        .payload = payload,
        .flags = flags,
        .except = msg->except,
    };
    // A direct message has no channel to check; the copy stays what the original is.
    draft.flags |= msg->flags & HARK_MSG_DIRECT;
    struct hark_msg *made = NULL;
    int status = hark_msg_new(&draft, &made);
    if (status != 0) {
        return status;
    }
    made->channel_id = msg->channel_id;
    made->position = msg->position;
    made->time_ms = msg->time_ms;
    *ret = made;
    return 0;
}

struct hark_msg *hark_msg_ref(struct hark_msg *msg)
{
    (void)atomic_fetch_add_explicit(&msg->refs, 1, memory_order_relaxed); // old count not needed
    return msg;
}

void hark_msg_unref(struct hark_msg *msg)
{
    if (msg == NULL || atomic_fetch_sub_explicit(&msg->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (int slot = 0; slot < HARK_WIRE_COUNT; slot++) {
        hark_bytes_unref(atomic_load_explicit(&msg->wire[slot], memory_order_relaxed));
    }
    hark_mem_free(msg);
}

size_t hark_msg_size(const struct hark_msg *msg)
{
    return sizeof(*msg) + msg->channel.len + msg->event.len + msg->key.len + msg->payload.len;
}

struct hark_bytes *
hark_msg_wire_store(struct hark_msg *msg, enum hark_msg_wire slot, struct hark_bytes *made)
{
    struct hark_bytes *held = NULL;
    if (atomic_compare_exchange_strong_explicit(&msg->wire[slot], &held, made, memory_order_acq_rel,
                                                memory_order_acquire)) {
        return made;
    }
    hark_bytes_unref(made); // another worker was first; its form has the same bytes
    return held;
}

static int check(const struct hark_msg_draft *draft)
{
    bool is_bare = (draft->flags & HARK_MSG_DIRECT) != 0 && draft->channel.len == 0;
    if (!is_bare && !hark_msg_is_channel(draft->channel)) {
        return HARK_EINVAL;
    }
    if (draft->event.len > HARK_MSG_EVENT_MAX || draft->key.len > HARK_MSG_KEY_MAX ||
        draft->once.len > HARK_MSG_ONCE_MAX || draft->payload.len > HARK_MSG_PAYLOAD_MAX) {
        return HARK_ETOOBIG;
    }
    // CR, LF or NUL in an event name would forge lines of an event stream.
    if (has_control(draft->event) || !hark_utf8_is_valid(draft->event)) {
        return HARK_EINVAL;
    }
    return 0;
}

static bool has_control(struct hark_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < 0x20 || byte == 0x7F) {
            return true;
        }
    }
    return false;
}

static int build(const struct hark_msg_draft *draft, struct hark_msg **ret)
{
    // No overflow: check() bounded each part.
    size_t text = draft->channel.len + draft->event.len + draft->key.len + draft->payload.len;
    struct hark_msg *msg = hark_mem_alloc(sizeof(*msg) + text);
    if (msg == NULL) {
        return HARK_ENOMEM;
    }
    memset(msg, 0, sizeof(*msg));
    atomic_init(&msg->refs, 1);
    for (int slot = 0; slot < HARK_WIRE_COUNT; slot++) {
        atomic_init(&msg->wire[slot], NULL);
    }
    msg->flags = draft->flags;
    msg->except = draft->except;
    char *at = msg->text;
    msg->channel = store(&at, draft->channel);
    msg->event = store(&at, draft->event);
    msg->key = store(&at, draft->key);
    msg->payload = store(&at, draft->payload);
    *ret = msg;
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
