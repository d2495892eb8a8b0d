/* Any bytes as a cache of images, its sums made right: written anew, or every example lies inside.
 * SPDX-License-Identifier: MIT */
#include "../../data/pack.c"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct header h;
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    if (size >= sizeof h) {
        memcpy(&h, copy, sizeof h);
        memcpy(h.magic, magic, sizeof magic);
        h.key = 1;
        h.bytes = size;
        if (h.skipped_at <= size) h.skipped_sum = XXH3_64bits(copy + h.skipped_at, size - h.skipped_at);
        if (h.pixels_at >= sizeof h && h.pixels_at <= size) {
            h.index_sum = 0;
            h.index_sum = XXH3_64bits_withSeed(copy + sizeof h, h.pixels_at - sizeof h, XXH3_64bits(&h, sizeof h));
        }
        memcpy(copy, &h, sizeof h);
    }
    struct qgm_dataset d = { 0 };
    struct qgm_error err;
    if (map(&d, input_path(copy, size), 1, &err) > 0) {
        uint64_t sum = 0;
        for (long i = 0; i < d.train.n; i++) {
            struct qgm_stored whole = { .at = (uint64_t)i * (uint64_t)(d.train.h * d.train.w * 3),
                                        .h = (uint32_t)d.train.h,
                                        .w = (uint32_t)d.train.w },
                              s = d.train.stored ? d.train.stored[i] : whole;
            sum += d.train.pixels[s.at] + d.train.pixels[s.at + (uint64_t)s.h * s.w * 3 - 1];
            sum += strlen(d.class_names[d.train.labels[i]]);
            qgm_pack_compare(&d, &d.train.labels[i]);
        }
        for (long i = 0; i < d.test.n; i++) qgm_pack_compare(&d, &d.test.labels[i]);
        for (const char *const *name = d.skipped_names; name && *name; name++) sum += strlen(*name);
        if (qgm_dataset_damaged(&d) && qgm_dataset_fail_damaged(&d, qgm_dataset_damaged(&d), &err) < 0)
            sum += strlen(err.text);
        long all = d.test.n * d.test.h * d.test.w * 3;
        sum += d.test.pixels[0] + d.test.pixels[all - 1] + (uint64_t)d.test.labels[d.test.n - 1];
        volatile uint64_t kept = sum;
        (void)kept;
    }
    qgm_pack_close(&d);
    free(copy);
    return 0;
}
