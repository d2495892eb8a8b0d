/* A generated data set: every class a smooth random pattern, every image its class's pattern, shifted, scaled and
 * noisy. Small, learnable, the same on every machine; for tests and for users without data. SPDX-License-Identifier:
 * MIT */
#include "random.h"
#include "reader.h"
#include <stdlib.h>

enum { SIDE = 16, CLASSES = 10, TRAIN = 4000, TEST = 1000, WAVES = 4 };

/* A class's pattern on a torus of SIDE x SIDE: sums of triangle waves, so that no libm is needed. */
static void make_pattern(int class, float *pattern)
{
    struct qgm_random r = qgm_random(0, QGM_RANDOM_TEST, (uint32_t) class, 1);
    for (int p = 0; p < SIDE * SIDE; p++) pattern[p] = 128;
    for (int w = 0; w < WAVES; w++) {
        uint32_t fx = qgm_random_below(&r, 4), fy = qgm_random_below(&r, 4), phase = qgm_random_below(&r, SIDE);
        float height = 20 + 20 * qgm_random_float(&r);
        for (int p = 0; p < SIDE * SIDE; p++) {
            uint32_t t = (fx * (uint32_t)(p % SIDE) + fy * (uint32_t)(p / SIDE) + phase) % SIDE;
            pattern[p] += height * ((t < SIDE / 2 ? (float)t : (float)(SIDE - t)) / (SIDE / 4) - 1);
        }
    }
}

static int make_split(struct qgm_images *to, long n, uint32_t split, const float (*patterns)[SIDE * SIDE],
                      struct qgm_error *err)
{
    uint8_t *pixels = malloc((size_t)n * SIDE * SIDE);
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    *to = (struct qgm_images){
        .n = n, .h = SIDE, .w = SIDE, .c = 1, .classes = CLASSES, .pixels = pixels, .labels = labels
    };
    if (!pixels || !labels) return qgm_fail(err, QGM_SYSTEM, "synthetic: out of memory");
    for (long i = 0; i < n; i++) {
        struct qgm_random r = qgm_random(split, QGM_RANDOM_TEST, (uint32_t)i, 2);
        labels[i] = (int32_t)(i % CLASSES);
        uint32_t dx = qgm_random_below(&r, 5), dy = qgm_random_below(&r, 5);
        float scale = 0.6f + 0.8f * qgm_random_float(&r);
        for (uint32_t p = 0; p < SIDE * SIDE; p++) {
            uint32_t from = (p / SIDE + dy) % SIDE * SIDE + (p % SIDE + dx) % SIDE;
            float v = 128 + scale * (patterns[labels[i]][from] - 128) + 60 * (qgm_random_float(&r) - 0.5f);
            pixels[(size_t)i * SIDE * SIDE + p] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
    return 0;
}

int qgm_open_synthetic(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    (void)spec, (void)dir;
    static float patterns[CLASSES][SIDE * SIDE];
    d->name = "synthetic";
    d->mean[0] = 0.5f;
    d->std[0] = 0.25f;
    for (int c = 0; c < CLASSES; c++) make_pattern(c, patterns[c]);
    QGM_TRY(make_split(&d->train, TRAIN, 0, (const float(*)[SIDE * SIDE]) patterns, err));
    return make_split(&d->test, TEST, 1, (const float(*)[SIDE * SIDE]) patterns, err);
}
