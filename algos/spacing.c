/* See spacing.h. SPDX-License-Identifier: MIT */
#include "spacing.h"
#include "base.h"
#include <stdbool.h>

/* `count` things a stride apart lie at least `gap` bytes from the first, on a circle of `period` bytes. Strides that
 * are shorter than the period need no care: there is too little of everything. */
struct rule {
    size_t period, gap, count;
};

static bool keeps(size_t stride, const struct rule *r)
{
    if (stride + r->gap <= r->period) return true;
    for (size_t i = 1; i < r->count; i++) {
        size_t at = i * stride % r->period;
        if (at < r->gap || at > r->period - r->gap) return false;
    }
    return true;
}

/* Loads wait for earlier stores that agree with them in the lowest 12 bits, whatever the others say. A row is stored
 * some lines behind the loads of the others, so it has to be farther from them than stores wait to be written: with
 * gaps of 320 bytes steps took a tenth to a fifth longer than with 512. Many rows have to do with less. */
enum { PAGE = 4096 };

size_t qgm_row_stride(size_t padded, size_t rows, size_t real)
{
    for (size_t gap = 512;; gap -= QGM_ALIGN) {
        const struct rule page = { PAGE, gap, rows };
        for (size_t bytes = padded * real, most = bytes + PAGE; bytes < most; bytes += QGM_ALIGN)
            if (keeps(bytes, &page)) return bytes / real;
    }
}

/* A block of the rows of 16 clients stays in the second-level cache until telemetry has seen it, if it spreads over the
 * sets, which repeat every 64 or 128 KB. Telemetry goes from client to client in its inner loop: where they are a
 * multiple of 64 MB apart, or within 8 MB of one, a Zen 4 takes that for a short stride and fetches lines that nobody
 * asked for (found by trying strides; telemetry then costs two to three times as much). */
size_t qgm_client_stride(size_t row, size_t rows, size_t real)
{
    const struct rule page = { PAGE, 256, 2 }, sets = { 128 << 10, PAGE, 16 }, prefetched = { 64 << 20, 8 << 20, 2 };
    size_t bytes = row * rows * real;
    while (!keeps(bytes, &page) || !keeps(bytes, &prefetched) || !keeps(bytes, &sets)) bytes += QGM_ALIGN;
    return bytes / real;
}
