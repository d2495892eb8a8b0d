/* Any bytes as an image file, at a small and a large size: refused, or a picture of the size that was asked for.
 * SPDX-License-Identifier: MIT */
#include "input.h"
#include "resample.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *path = input_path(bytes, size);
    for (int side = 16; side <= 224; side += 208)
        for (int keep = QGM_KEEP_SHAPE; keep <= QGM_KEEP_MIDDLE; keep++) {
            struct qgm_picture p;
            struct qgm_error err = { 0 };
            if (qgm_read_jpeg(path, side, (enum qgm_keep)keep, &p, &err) < 0) {
                if (p.pixels || !*err.text) abort();
                continue;
            }
            int shorter = p.h < p.w ? p.h : p.w;
            if (keep == QGM_KEEP_MIDDLE ? p.h != side || p.w != side : shorter < 1 || shorter > qgm_larger_side(side))
                abort();
            volatile uint8_t last = p.pixels[(size_t)p.h * (size_t)p.w * 3 - 1]; /* the sanitizer looks */
            (void)last;
            free(p.pixels);
        }
    return 0;
}
