// SPDX-License-Identifier: MIT
//
// Signals as loop callbacks, by uv_signal_t, which carries them out of the handler through a pipe.
#include "io/signal.h"

#include <uv.h>

#include "base/mem.h"
#include "hark.h"
#include "io/loop_inner.h"

struct hark_signal {
    uv_signal_t handle;
    hark_signal_fn *fn;
    void *ctx;
};

static void on_signal(uv_signal_t *handle, int number);
static void on_closed(uv_handle_t *handle);

int hark_signal_open(
    struct hark_loop *loop, int number, hark_signal_fn *fn, void *ctx, struct hark_signal **ret)
{
    struct hark_signal *signal = hark_mem_zalloc(sizeof(*signal));
    if (signal == NULL) {
        return HARK_ENOMEM;
    }
    signal->fn = fn;
    signal->ctx = ctx;
    int status = uv_signal_init(hark_loop_uv(loop), &signal->handle);
    if (status != 0) {
        hark_mem_free(signal);
        return hark_loop_status(status);
    }
    status = uv_signal_start(&signal->handle, on_signal, number);
    if (status != 0) {
        hark_signal_close(signal);
        return hark_loop_status(status);
    }
    *ret = signal;
    return 0;
}

void hark_signal_close(struct hark_signal *signal)
{
    if (signal != NULL) {
        uv_close((uv_handle_t *)&signal->handle, on_closed); // stops it: no callback after this
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct hark_signal *signal = HARK_CONTAINER_OF(handle, struct hark_signal, handle);
    signal->fn(signal->ctx, number);
}

static void on_closed(uv_handle_t *handle)
{
    hark_mem_free(HARK_CONTAINER_OF(handle, struct hark_signal, handle));
}
