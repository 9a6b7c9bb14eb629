// SPDX-License-Identifier: MIT
//
// A singly linked list with its counts, allocated with its first item.
#include "script/queue.h"

#include <string.h>

#include "base/mem.h"
#include "hark.h"
#include "script/conn.h"

struct hark_queue {
    struct hark_queued *first;
    struct hark_queued *last;
    uint32_t count;
    uint32_t messages;
};

int hark_queue_push(struct hark_conn *conn, const struct hark_run_input *input)
{
    if (conn->queue != NULL && conn->queue->count >= HARK_QUEUE_MAX &&
        input->kind != HARK_SLOT_CLOSE) {
        return HARK_EFULL;
    }
    struct hark_queued *item = hark_mem_alloc(sizeof(*item) + input->data.len);
    if (item == NULL) {
        return HARK_ENOMEM;
    }
    if (conn->queue == NULL) {
        conn->queue = hark_mem_zalloc(sizeof(*conn->queue));
        if (conn->queue == NULL) {
            hark_mem_free(item);
            return HARK_ENOMEM;
        }
    }
    item->next = NULL;
    item->input = *input;
    if (input->data.len > 0) {
        memcpy(item->text, input->data.ptr, input->data.len);
    }
    item->input.data = hark_slice(item->text, input->data.len);
    struct hark_queue *queue = conn->queue;
    if (queue->last == NULL) {
        queue->first = item;
    } else {
        queue->last->next = item;
    }
    queue->last = item;
    queue->count++;
    queue->messages += input->kind == HARK_SLOT_MESSAGE ? 1 : 0;
    return 0;
}

struct hark_queued *hark_queue_pop(struct hark_conn *conn)
{
    struct hark_queue *queue = conn->queue;
    if (queue == NULL) {
        return NULL;
    }
    struct hark_queued *item = queue->first;
    queue->first = item->next;
    queue->count--;
    queue->messages -= item->input.kind == HARK_SLOT_MESSAGE ? 1 : 0;
    if (queue->first == NULL) {
        hark_mem_free(queue);
        conn->queue = NULL;
    }
    return item;
}

bool hark_queue_has_message(const struct hark_conn *conn)
{
    return conn->queue != NULL && conn->queue->messages > 0;
}
