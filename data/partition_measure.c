/* How heterogeneous a partition is, and what tells data sets and partitions apart. SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "dmath.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void measure_client(const long *own, const long *all, int classes, long size, long total, int clients,
                           struct qgm_heterogeneity *out)
{
    double l1 = 0, entropy = 0, largest = 0;
    for (int c = 0; c < classes; c++) {
        double q = size ? (double)own[c] / (double)size : 0;
        l1 += fabs(q - (double)all[c] / (double)total);
        if (q > 0) entropy -= q * qgm_log(q);
        if (q > largest) largest = q;
    }
    out->tv_mean += l1 / 2 / clients;
    out->emd_mean += l1 / clients;
    out->entropy_mean += entropy / clients;
    out->largest_class_mean += largest / clients;
    if (l1 / 2 > out->tv_max) out->tv_max = l1 / 2;
    if (entropy < out->entropy_min) out->entropy_min = entropy;
    if (size < out->size_min) out->size_min = size;
    if (size > out->size_max) out->size_max = size;
}

/* A hash of what is in `start` and then, seeded with it, of `index`. */
static uint64_t fingerprint(const struct qgm_partition *p)
{
    uint64_t first = XXH3_64bits(p->start, ((size_t)p->clients + 1) * sizeof *p->start);
    return XXH3_64bits_withSeed(p->index, p->start[p->clients] * sizeof *p->index, first);
}

uint64_t qgm_examples_fingerprint(const struct qgm_examples *e)
{
    size_t n = (size_t)e->n;
    uint64_t hash = XXH3_64bits(e->labels, n * sizeof *e->labels);
    if (e->start) {
        hash = XXH3_64bits_withSeed(e->start, (n + 1) * sizeof *e->start, hash);
        return XXH3_64bits_withSeed(e->token, e->start[n] * sizeof *e->token, hash);
    }
    if (e->stored) return XXH3_64bits_withSeed(e->stored, n * sizeof *e->stored, hash);
    return XXH3_64bits_withSeed(e->pixels, n * (size_t)e->h * (size_t)e->w * (size_t)e->c, hash);
}

void qgm_partition_measure(const struct qgm_partition *p, const int32_t *labels, int classes,
                           struct qgm_heterogeneity *out, long *counts)
{
    *out = (struct qgm_heterogeneity){ .size_min = LONG_MAX, .entropy_min = INFINITY, .fingerprint = fingerprint(p) };
    long *all = calloc(2 * (size_t)classes, sizeof *all);
    if (!all) { /* not worth an error path in every caller */
        out->tv_mean = out->tv_max = out->entropy_mean = out->emd_mean = out->largest_class_mean = NAN;
        return;
    }
    long total = p->start[p->clients], *scratch = all + classes;
    for (long k = 0; k < total; k++) all[labels[p->index[k]]]++;
    for (int i = 0; i < p->clients; i++) {
        long *own = counts ? counts + (size_t)i * (size_t)classes : scratch;
        memset(own, 0, (size_t)classes * sizeof *own);
        for (uint32_t k = p->start[i]; k < p->start[i + 1]; k++) own[labels[p->index[k]]]++;
        measure_client(own, all, classes, (long)p->start[i + 1] - p->start[i], total, p->clients, out);
    }
    free(all);
}
