/* A part of a data set, the same for everybody. SPDX-License-Identifier: MIT */
#include "random.h"
#include "reader.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

uint32_t *qgm_subset(long n, long most, long *count)
{
    uint32_t *order = malloc((size_t)n * sizeof *order);
    char *kept = calloc((size_t)n, 1);
    *count = most && most < n ? most : n;
    if (order && kept) {
        for (uint32_t i = 0; i < n; i++) order[i] = i;
        struct qgm_random r = qgm_random(0, QGM_RANDOM_PARTITION, UINT32_MAX, 0);
        qgm_random_shuffle(&r, order, (uint32_t)n);
        for (long i = 0; i < *count; i++) kept[order[i]] = 1;
        for (uint32_t i = 0, k = 0; i < n; i++)
            if (kept[i]) order[k++] = i;
    } else {
        free(order);
        order = NULL;
    }
    free(kept);
    return order;
}

int qgm_read_sizes(const char *spec, struct qgm_sizes *most, struct qgm_error *err)
{
    struct qgm_option option[] = { { "train", 0, INT_MAX, 0, NULL }, { "test", 0, INT_MAX, 0, NULL } };
    QGM_TRY(qgm_read_options(spec, option, QGM_COUNT(option), err));
    *most = (struct qgm_sizes){ .train = option[0].value, .test = option[1].value };
    return 0;
}

/* Images in memory, all of one shape; moved down in place, as the kept are ascending. */
static int thin(struct qgm_examples *e, long most, struct qgm_error *err)
{
    long kept;
    if (!most || most >= e->n) return 0;
    uint32_t *index = qgm_subset(e->n, most, &kept);
    if (!index) return qgm_fail(err, QGM_SYSTEM, "out of memory for a part of the data");
    size_t image = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    uint8_t *pixels = (uint8_t *)e->pixels;
    int32_t *labels = (int32_t *)e->labels;
    for (long i = 0; i < kept; i++) {
        memmove(pixels + (size_t)i * image, pixels + index[i] * image, image);
        labels[i] = labels[index[i]];
    }
    free(index);
    e->n = kept;
    return 0;
}

int qgm_thin(struct qgm_dataset *d, const struct qgm_sizes *most, struct qgm_error *err)
{
    QGM_TRY(thin(&d->train, most->train, err));
    return thin(&d->test, most->test, err);
}
