// SPDX-License-Identifier: MIT
//
// Wire forms. A form is a body, the same for everybody, behind a prefix that holds the position; a
// transport without positions (a raw WebSocket) has bodies only.
#include "session/form.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "hark.h"

#define KEEP_BYTES ((size_t)256 << 10)

static int derive(struct hark_view *view,
                  struct hark_session *session,
                  const struct hark_pass *pass,
                  struct hark_form_list *ret_list);
static void keep_derived(struct hark_view *view, uint64_t pass, struct hark_form_list *list);
static int join(struct hark_session_env *env,
                const struct hark_transport_ops *ops,
                const struct hark_form_list *list,
                struct hark_chunk **ret_chunk);
static int whole(struct hark_session_env *env,
                 const struct hark_transport_ops *ops,
                 struct hark_msg *msg,
                 struct hark_bytes **ret_bytes);
static bool stands(const struct hark_transport_ops *ops, const struct hark_msg *msg);
static int body_of(struct hark_session_env *env,
                   const struct hark_transport_ops *ops,
                   struct hark_msg *msg,
                   bool is_kept,
                   struct hark_slice *ret_body);
static int
append_body(const struct hark_transport_ops *ops, const struct hark_msg *msg, struct hark_buf *buf);
static size_t own_id(const struct hark_transport_ops *ops, const struct hark_msg *msg, char *out);

int hark_form_list(struct hark_view *view,
                   struct hark_session *session,
                   const struct hark_pass *pass,
                   struct hark_form_list *ret_list)
{
    if (view->mode == HARK_VIEW_PLAIN) {
        *ret_list = (struct hark_form_list){.msgs = pass->msgs, .count = pass->count};
        return 0;
    }
    bool is_kept = view->mode == HARK_VIEW_SHARED && pass->id != 0;
    if (!is_kept || view->derived.pass != pass->id) {
        struct hark_form_list list;
        int status = derive(view, session, pass, &list);
        if (status != 0) {
            return status;
        }
        if (!is_kept) {
            *ret_list = list;
            return 0;
        }
        keep_derived(view, pass->id, &list);
    }
    *ret_list = (struct hark_form_list){.msgs = view->derived.msgs, .count = view->derived.count};
    return 0;
}

void hark_form_list_release(struct hark_form_list *list)
{
    if (list->own == NULL) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        hark_msg_unref(list->own[i]);
    }
    hark_mem_free(list->own);
    list->own = NULL;
}

int hark_form_joined_make(struct hark_session_env *env,
                          const struct hark_transport_ops *ops,
                          struct hark_view *view,
                          struct hark_session *session,
                          const struct hark_pass *pass,
                          struct hark_chunk **ret_chunk)
{
    struct hark_form_list list;
    int status = hark_form_list(view, session, pass, &list);
    if (status != 0) {
        return status;
    }
    struct hark_chunk *chunk = NULL;
    if (list.count > 0) {
        status = join(env, ops, &list, &chunk);
    }
    uint32_t count = (uint32_t)list.count;
    hark_form_list_release(&list);
    if (status != 0) {
        return status;
    }
    struct hark_view_joined *joined = &view->joined[ops->slot];
    hark_chunk_unref(joined->chunk);
    *joined = (struct hark_view_joined){.pass = pass->id, .chunk = chunk, .count = count};
    *ret_chunk = chunk;
    return 0;
}

int hark_form_append(struct hark_session_env *env,
                     const struct hark_transport_ops *ops,
                     struct hark_msg *msg,
                     const struct hark_places *places,
                     struct hark_buf *buf)
{
    bool is_shared = places == NULL || !stands(ops, msg);
    const struct hark_bytes *made = is_shared ? hark_msg_wire(msg, ops->slot) : NULL;
    if (made != NULL) {
        return hark_buf_append_slice(buf, hark_bytes_slice(made));
    }
    if (ops->prefix == NULL) {
        return append_body(ops, msg, buf);
    }
    struct hark_slice body = HARK_SLICE_NONE;
    size_t before = hark_buf_len(buf);
    int status = body_of(env, ops, msg, !is_shared, &body);
    if (status == 0) {
        status = hark_form_prefix(ops, msg, places, body.len, buf);
    }
    if (status == 0) {
        status = hark_buf_append_slice(buf, body);
    }
    if (status != 0) {
        hark_buf_truncate(buf, before);
    }
    hark_form_reuse(&env->body);
    return status;
}

int hark_form_body(struct hark_session_env *env,
                   const struct hark_transport_ops *ops,
                   struct hark_view *view,
                   uint64_t pass,
                   struct hark_msg *msg,
                   struct hark_chunk **ret_chunk)
{
    struct hark_view_joined *joined = &view->joined[ops->body_slot];
    if (joined->pass == pass) {
        *ret_chunk = joined->chunk;
        return 0;
    }
    struct hark_slice body = HARK_SLICE_NONE;
    int status = body_of(env, ops, msg, true, &body);
    hark_form_reuse(&env->body);
    if (status != 0) {
        return status;
    }
    struct hark_bytes *bytes = hark_msg_wire(msg, ops->body_slot); // NULL: no memory to keep it
    struct hark_chunk *chunk = hark_chunk_new(bytes == NULL ? NULL : hark_bytes_ref(bytes));
    if (chunk == NULL) {
        return HARK_ENOMEM;
    }
    hark_chunk_unref(joined->chunk);
    *joined = (struct hark_view_joined){.pass = pass, .chunk = chunk, .count = 1};
    *ret_chunk = chunk;
    return 0;
}

int hark_form_prefix(const struct hark_transport_ops *ops,
                     const struct hark_msg *msg,
                     const struct hark_places *places,
                     size_t body_len,
                     struct hark_buf *buf)
{
    char id[HARK_TRANSPORT_ID_MAX];
    size_t id_len = 0;
    if (stands(ops, msg) && places == NULL) {
        id_len = own_id(ops, msg, id);
    } else if (stands(ops, msg) && places->count > 0) {
        id_len = ops->cursor(places, id);
    }
    return ops->prefix(buf, hark_slice(id, id_len), body_len);
}

void hark_form_reuse(struct hark_buf *buf)
{
    if (buf->cap > KEEP_BYTES) {
        hark_buf_deinit(buf);
    } else {
        hark_buf_clear(buf);
    }
}

static int derive(struct hark_view *view,
                  struct hark_session *session,
                  const struct hark_pass *pass,
                  struct hark_form_list *ret_list)
{
    struct hark_msg **own = hark_mem_array(pass->count, sizeof(*own));
    if (own == NULL) {
        return HARK_ENOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < pass->count; i++) {
        struct hark_msg *msg = NULL;
        if (view->transform(view, session, pass->msgs[i], &msg) == 0 && msg != NULL) {
            own[count++] = msg;
        }
    }
    *ret_list = (struct hark_form_list){.msgs = own, .count = count, .own = own};
    return 0;
}

static void keep_derived(struct hark_view *view, uint64_t pass, struct hark_form_list *list)
{
    for (size_t i = 0; i < view->derived.count; i++) {
        hark_msg_unref(view->derived.msgs[i]);
    }
    hark_mem_free(view->derived.msgs);
    view->derived =
        (struct hark_view_derived){.pass = pass, .msgs = list->own, .count = list->count};
}

static int join(struct hark_session_env *env,
                const struct hark_transport_ops *ops,
                const struct hark_form_list *list,
                struct hark_chunk **ret_chunk)
{
    struct hark_chunk *chunk = NULL;
    int status = 0;
    if (list->count == 1) {
        struct hark_bytes *bytes = NULL;
        status = whole(env, ops, list->msgs[0], &bytes);
        chunk = status == 0 ? hark_chunk_new(hark_bytes_ref(bytes)) : NULL;
    } else {
        struct hark_buf *block = &env->block;
        for (size_t i = 0; i < list->count && status == 0; i++) {
            status = hark_form_append(env, ops, list->msgs[i], NULL, block);
        }
        chunk = status == 0 ? hark_chunk_copy(hark_buf_slice(block)) : NULL;
        hark_form_reuse(block);
    }
    if (status != 0) {
        return status;
    }
    *ret_chunk = chunk;
    return chunk == NULL ? HARK_ENOMEM : 0;
}

// The cached form of one message, made if this worker is the first to need it. Borrowed from msg.
static int whole(struct hark_session_env *env,
                 const struct hark_transport_ops *ops,
                 struct hark_msg *msg,
                 struct hark_bytes **ret_bytes)
{
    struct hark_bytes *made = hark_msg_wire(msg, ops->slot);
    if (made == NULL) {
        int status = hark_form_append(env, ops, msg, NULL, &env->block);
        struct hark_bytes *bytes =
            status == 0 ? hark_bytes_copy(hark_buf_slice(&env->block)) : NULL;
        hark_form_reuse(&env->block);
        if (bytes == NULL) {
            return status == 0 ? HARK_ENOMEM : status;
        }
        made = hark_msg_wire_store(msg, ops->slot, bytes);
    }
    *ret_bytes = made;
    return 0;
}

// Outside the log a message stands nowhere; it leaves the client where it is.
static bool stands(const struct hark_transport_ops *ops, const struct hark_msg *msg)
{
    return ops->has_ids && (msg->flags & HARK_MSG_OUTSIDE) == 0;
}

// The body alone: borrowed from the message's cache (filled when it is worth it), else from
// env->body.
static int body_of(struct hark_session_env *env,
                   const struct hark_transport_ops *ops,
                   struct hark_msg *msg,
                   bool is_kept,
                   struct hark_slice *ret_body)
{
    struct hark_bytes *made = hark_msg_wire(msg, ops->body_slot);
    if (made != NULL) {
        *ret_body = hark_bytes_slice(made);
        return 0;
    }
    int status = append_body(ops, msg, &env->body);
    if (status != 0) {
        return status;
    }
    *ret_body = hark_buf_slice(&env->body);
    if (!is_kept || (msg->flags & HARK_MSG_DIRECT) != 0) {
        return 0;
    }
    struct hark_bytes *bytes = hark_bytes_copy(*ret_body);
    if (bytes != NULL) {
        *ret_body = hark_bytes_slice(hark_msg_wire_store(msg, ops->body_slot, bytes));
    }
    return 0;
}

static int
append_body(const struct hark_transport_ops *ops, const struct hark_msg *msg, struct hark_buf *buf)
{
    size_t before = hark_buf_len(buf);
    int status = ops->body(buf, msg);
    if (status != 0) {
        hark_buf_truncate(buf, before);
    }
    return status;
}

static size_t own_id(const struct hark_transport_ops *ops, const struct hark_msg *msg, char *out)
{
    struct hark_place place = {.channel = msg->channel_id, .position = msg->position};
    const struct hark_places places = {.list = &place, .count = 1, .cap = 1, .is_fixed = true};
    return ops->cursor(&places, out);
}
