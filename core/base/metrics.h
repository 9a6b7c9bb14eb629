// SPDX-License-Identifier: MIT
//
// The workers' counters as Prometheus text (exposition format 0.0.4), summed over workers.
#ifndef HARK_BASE_METRICS_H
#define HARK_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/stats.h"

// Each counter or gauge of base/stats.h, summed: name as in HARK_STATS_MAP. Any thread.
typedef void
hark_metrics_fn(void *ctx, const char *name, const char *type, const char *help, uint64_t value);
void hark_metrics_each(const struct hark_stats *const *workers,
                       size_t count,
                       hark_metrics_fn *fn,
                       void *ctx);

// Appends `hark_NAME` lines with HELP and TYPE; counters end in _total. 0, ETOOBIG, ENOMEM.
HARK_MUSTCHECK int
hark_metrics_render(struct hark_buf *buf, const struct hark_stats *const *workers, size_t count);

#endif
