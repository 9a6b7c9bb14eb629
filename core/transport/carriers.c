// SPDX-License-Identifier: MIT
//
// The worker's part of WebSocket and SSE.
#include "transport/carriers.h"

#include "base/mem.h"
#include "io/loop.h"
#include "proto/sse.h"
#include "proto/ws_frame.h"

#define READERS_KEPT 32

static void on_late(struct hark_timer *timer);
static void carriers_free(struct hark_carriers *carriers);

struct hark_carriers *hark_carriers_of(struct hark_server *server)
{
    if (server->carriers != NULL) {
        return server->carriers;
    }
    struct hark_carriers *carriers = hark_mem_zalloc(sizeof(*carriers));
    if (carriers == NULL) {
        return NULL;
    }
    char ping[HARK_WS_CLOSE_MAX];
    size_t ping_len = hark_ws_frame_control(ping, HARK_WS_PING, HARK_SLICE_NONE);
    hark_list_init(&carriers->leaving);
    carriers->server = server;
    carriers->readers = hark_ws_reader_pool_new(READERS_KEPT);
    carriers->ping = hark_chunk_copy(hark_slice(ping, ping_len));
    carriers->comment = hark_chunk_copy(HARK_LIT(HARK_SSE_COMMENT));
    if (carriers->readers == NULL || carriers->ping == NULL || carriers->comment == NULL) {
        carriers_free(carriers);
        return NULL;
    }
    server->carriers = carriers;
    return carriers;
}

bool hark_carriers_are_leaving(const struct hark_server *server)
{
    return server->carriers != NULL && !hark_list_is_empty(&server->carriers->leaving);
}

void hark_carriers_stop(struct hark_server *server)
{
    struct hark_carriers *carriers = server->carriers;
    if (carriers == NULL) {
        return;
    }
    while (!hark_list_is_empty(&carriers->leaving)) {
        struct hark_leaving *leaving =
            HARK_CONTAINER_OF(carriers->leaving.next, struct hark_leaving, node);
        hark_list_remove(&leaving->node);
        hark_stream_close(leaving->stream, false);
    }
    server->carriers = NULL;
    carriers_free(carriers);
}

struct hark_leaving *
hark_carriers_leave(struct hark_carriers *carriers, struct hark_stream *stream, uint64_t timeout_ms)
{
    struct hark_leaving *leaving = hark_mem_zalloc(sizeof(*leaving));
    if (leaving == NULL) {
        hark_stream_close(stream, false);
        return NULL;
    }
    leaving->stream = stream;
    leaving->carriers = carriers;
    leaving->loop = carriers->server->loop;
    hark_list_push(&carriers->leaving, &leaving->node);
    hark_timer_init(&leaving->timer, on_late);
    hark_wheel_arm(hark_loop_wheel(leaving->loop), &leaving->timer,
                   hark_loop_now_ms(leaving->loop) + timeout_ms);
    return leaving;
}

void hark_carriers_left(struct hark_leaving *leaving)
{
    if (leaving != NULL) {
        hark_wheel_cancel(hark_loop_wheel(leaving->loop), &leaving->timer);
        hark_list_remove(&leaving->node);
        hark_mem_free(leaving);
    }
}

static void on_late(struct hark_timer *timer)
{
    struct hark_leaving *leaving = HARK_CONTAINER_OF(timer, struct hark_leaving, timer);
    hark_stream_close(leaving->stream, true);
}

static void carriers_free(struct hark_carriers *carriers)
{
    hark_ws_reader_pool_free(carriers->readers);
    hark_chunk_unref(carriers->ping);
    hark_chunk_unref(carriers->comment);
    hark_mem_free(carriers);
}
