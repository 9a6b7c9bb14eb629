// SPDX-License-Identifier: MIT
//
// Reads the workers' counters with relaxed loads; a sum taken while they count is as good as any.
#include "base/metrics.h"

#include <inttypes.h>
#include <string.h>

struct rendering {
    struct hark_buf *buf;
    int status;
};

static void render(void *ctx, const char *name, const char *type, const char *help, uint64_t value);

void hark_metrics_each(const struct hark_stats *const *workers,
                       size_t count,
                       hark_metrics_fn *fn,
                       void *ctx)
{
#define X(name, type, help)                           \
    {                                                 \
        uint64_t sum = 0;                             \
        for (size_t i = 0; i < count; i++) {          \
            sum += hark_stats_get(&workers[i]->name); \
        }                                             \
        fn(ctx, #name, #type, help, sum);             \
    }
    HARK_STATS_MAP(X)
#undef X
}

int hark_metrics_render(struct hark_buf *buf, const struct hark_stats *const *workers, size_t count)
{
    struct rendering rendering = {buf, 0};
    hark_metrics_each(workers, count, render, &rendering);
    return rendering.status;
}

static void render(void *ctx, const char *name, const char *type, const char *help, uint64_t value)
{
    struct rendering *rendering = ctx;
    const char *suffix = strcmp(type, "counter") == 0 ? "_total" : "";
    if (rendering->status == 0) {
        rendering->status = hark_buf_printf(
            rendering->buf, "# HELP hark_%s%s %s.\n# TYPE hark_%s%s %s\nhark_%s%s %" PRIu64 "\n",
            name, suffix, help, name, suffix, type, name, suffix, value);
    }
}
