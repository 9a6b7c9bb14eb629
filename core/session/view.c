// SPDX-License-Identifier: MIT
//
// Life of a view; session/form.c fills its cache.
#include "session/view.h"

#include "base/mem.h"

void hark_view_init(struct hark_view *view)
{
    *view = (struct hark_view){.mode = HARK_VIEW_PLAIN};
}

void hark_view_deinit(struct hark_view *view)
{
    for (size_t i = 0; i < HARK_WIRE_COUNT; i++) {
        hark_chunk_unref(view->joined[i].chunk);
    }
    for (size_t i = 0; i < view->derived.count; i++) {
        hark_msg_unref(view->derived.msgs[i]);
    }
    hark_mem_free(view->derived.msgs);
    hark_view_init(view);
}
