/* A generated data set: every class a smooth random pattern, every image its class's pattern, shifted, scaled and
 * noisy. Small, learnable, the same bits on every machine (no libm); for tests and for users without data.
 * SPDX-License-Identifier: MIT */
#include "random.h"
#include "reader.h"
#include <stdlib.h>

enum { WAVES = 4, MOST_SHIFT = 4 };

struct recipe {
    long classes, size, channels, seed;
};

/* A class's pattern on a torus of size x size: sums of triangle waves, a channel after the other. */
static void make_pattern(const struct recipe *s, uint32_t class, float *pattern)
{
    struct qgm_random r = qgm_random((uint64_t)s->seed, QGM_RANDOM_TEST, class, 1);
    uint32_t size = (uint32_t)s->size;
    for (long c = 0; c < s->channels; c++, pattern += size * size) {
        for (uint32_t p = 0; p < size * size; p++) pattern[p] = 128;
        for (int w = 0; w < WAVES; w++) {
            uint32_t fx = qgm_random_below(&r, 4), fy = qgm_random_below(&r, 4), phase = qgm_random_below(&r, size);
            float height = 20 + 20 * qgm_random_float(&r), quarter = (float)(size / 4);
            for (uint32_t p = 0; p < size * size; p++) {
                uint32_t t = (fx * (p % size) + fy * (p / size) + phase) % size;
                pattern[p] += height * ((t < size / 2 ? (float)t : (float)(size - t)) / quarter - 1);
            }
        }
    }
}

static void make_image(const struct recipe *s, const float *pattern, struct qgm_random *r, uint8_t *image)
{
    uint32_t size = (uint32_t)s->size, channels = (uint32_t)s->channels;
    uint32_t dx = qgm_random_below(r, MOST_SHIFT + 1), dy = qgm_random_below(r, MOST_SHIFT + 1);
    float scale = 0.6f + 0.8f * qgm_random_float(r);
    for (uint32_t p = 0; p < size * size; p++)
        for (uint32_t c = 0; c < channels; c++) {
            uint32_t from = (c * size + (p / size + dy) % size) * size + (p % size + dx) % size;
            float v = 128 + scale * (pattern[from] - 128) + 60 * (qgm_random_float(r) - 0.5f);
            *image++ = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
}

static int make_split(struct qgm_examples *to, const struct recipe *s, const float *patterns, long n, uint32_t split,
                      struct qgm_error *err)
{
    size_t bytes = (size_t)(s->size * s->size * s->channels);
    uint8_t *pixels = malloc((size_t)n * bytes);
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    *to = (struct qgm_examples){ .n = n,
                                 .h = (int)s->size,
                                 .w = (int)s->size,
                                 .c = (int)s->channels,
                                 .classes = (int)s->classes,
                                 .pixels = pixels,
                                 .labels = labels };
    if (!pixels || !labels) return qgm_fail(err, QGM_SYSTEM, "synthetic: out of memory for %ld images", n);
    for (long i = 0; i < n; i++) {
        struct qgm_random r = qgm_random((uint64_t)s->seed << 1 | split, QGM_RANDOM_TEST, (uint32_t)i, 2);
        labels[i] = (int32_t)(i % s->classes);
        make_image(s, patterns + (size_t)labels[i] * bytes, &r, pixels + (size_t)i * bytes);
    }
    return 0;
}

int qgm_open_synthetic(struct qgm_dataset *d, const char *spec, const char *dir, struct qgm_error *err)
{
    (void)dir; /* a generated data set has no files */
    enum { N, TEST, CLASSES, SIZE, CHANNELS, SEED };
    struct qgm_option o[] = {
        { "n", 1, 10000000, 4000, NULL }, { "test", 1, 10000000, 1000, NULL }, { "classes", 2, 1000, 10, NULL },
        { "size", 4, 256, 16, NULL },     { "channels", 1, 4, 1, NULL },       { "seed", 0, 1000000000, 0, NULL },
    };
    QGM_TRY(qgm_read_options(spec, o, (int)QGM_COUNT(o), err));
    struct recipe s = { o[CLASSES].value, o[SIZE].value, o[CHANNELS].value, o[SEED].value };
    *d = (struct qgm_dataset){ .name = "synthetic" };
    for (int c = 0; c < s.channels; c++) d->mean[c] = 0.5f, d->std[c] = 0.25f;
    size_t floats = (size_t)(s.size * s.size * s.channels);
    float *patterns = malloc((size_t)s.classes * floats * sizeof *patterns);
    if (!patterns) return qgm_fail(err, QGM_SYSTEM, "synthetic: out of memory for %ld patterns", s.classes);
    for (long c = 0; c < s.classes; c++) make_pattern(&s, (uint32_t)c, patterns + (size_t)c * floats);
    int result = make_split(&d->train, &s, patterns, o[N].value, 0, err);
    if (result == 0) result = make_split(&d->test, &s, patterns, o[TEST].value, 1, err);
    free(patterns);
    return result;
}
