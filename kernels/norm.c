/* Norms over rows: moments, application and their gradients, fused with the residual addition and the ReLU that follow
 * them in a network, so that each pass reads and writes every value once. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "mathv.h"

void QGM_ISA(qgm_norm_moments)(const float *origin, const float *x, size_t rows, int c, double *sums);
void QGM_ISA(qgm_norm_forward)(const struct qgm_norm *t, const float *x, const float *residual, float *y);
void QGM_ISA(qgm_norm_sums)(const struct qgm_norm *t, const float *x, const float *y, float *dy, float *dx,
                            double *sums);
void QGM_ISA(qgm_norm_backward)(const struct qgm_norm *t, const float *x, const float *g, float *dx);

/* Part of the results. Short float chains into double sums: the error does not grow with the batch, and four chains
 * hide the latency of an addition. */
enum { CHUNK = 128, CHAINS = 4 };
/* Not part of them: rows that are applied at a time, column by column, while they are in L1. */
enum { STRIP = 16 };

/* Where the values of a call lie. FAR: no second-level cache keeps them, and a walk down a column, which skips the
 * lines of the others, is a pattern no prefetcher follows: as each value is read, the one a chunk further on is asked
 * for. PAST: besides, results go past the caches, without reading what lay there. */
enum { CLOSE, FAR, PAST };
enum { FAR_VALUES = 1 << 20 };

static int distance(size_t values) { return values >= FAR_VALUES ? FAR : CLOSE; }
static int distance_to(const struct qgm_norm *t, const float *to)
{
    size_t values = t->rows * (size_t)t->c;
    return t->c % VF == 0 && vf_can_stream(to, values) ? PAST : distance(values);
}

/* Read p[i], or write it; `next`: how far away the next chunk is. */
VF_INLINE vf get(const float *p, size_t i, int n, int where, ptrdiff_t next)
{
    if (where != CLOSE) __builtin_prefetch(p + (ptrdiff_t)i + next, 0, 2);
    return vf_get(p + i, n);
}
VF_INLINE void put(float *p, size_t i, vf a, int n, int where, ptrdiff_t next)
{
    if (where == PAST) {
        vf_stream(p + i, a);
        return;
    }
    if (where == FAR) __builtin_prefetch(p + (ptrdiff_t)i + next, 1, 2);
    vf_put(p + i, a, n);
}
VF_INLINE ptrdiff_t following(int c) { return (ptrdiff_t)CHUNK * c; }
VF_INLINE ptrdiff_t preceding(int c) { return -(ptrdiff_t)CHUNK * c; }

VF_INLINE vf positive(vf y, vf dy) { return vf_select(vf_gt(y, vf_zero()), dy, vf_zero()); }

/* The four chains of one column of vectors, added to the double sums. */
VF_INLINE void add_chains(const vf *chain, double *sum, int n)
{
    float lanes[VF];
    vf_store(lanes, vf_add(vf_add(chain[0], chain[1]), vf_add(chain[2], chain[3])));
    for (int l = 0; l < n; l++) sum[l] += (double)lanes[l];
}

VF_INLINE void moments(const float *x, size_t rows, int c, vf origin, int n, int where, double *sums)
{
    vf sum[CHAINS], square[CHAINS];
    UNROLL
    for (int k = 0; k < CHAINS; k++) sum[k] = square[k] = vf_zero();
    size_t r = 0;
    for (; r + CHAINS <= rows; r += CHAINS) UNROLL
    for (int k = 0; k < CHAINS; k++) {
        vf d = vf_sub(get(x, (r + (size_t)k) * (size_t)c, n, where, following(c)), origin);
        sum[k] = vf_add(sum[k], d);
        square[k] = vf_fma(d, d, square[k]);
    }
    for (int k = 0; r < rows; r++, k++) {
        vf d = vf_sub(vf_get(x + r * (size_t)c, n), origin);
        sum[k] = vf_add(sum[k], d);
        square[k] = vf_fma(d, d, square[k]);
    }
    add_chains(sum, sums, n);
    add_chains(square, sums + c, n);
}

VF_INLINE void moments_columns(const float *origin, const float *x, size_t rows, int c, int where, double *sums)
{
    int j = 0;
    for (; j + VF <= c; j += VF) moments(x + j, rows, c, vf_load(origin + j), VF, where, sums + j);
    if (j < c) moments(x + j, rows, c, vf_load_n(origin + j, c - j), c - j, where, sums + j);
}

void QGM_ISA(qgm_norm_moments)(const float *origin, const float *x, size_t rows, int c, double *sums)
{
    for (size_t first = 0; first < rows; first += CHUNK) {
        size_t count = rows - first < CHUNK ? rows - first : CHUNK;
        const float *at = x + first * (size_t)c;
        if (distance(rows * (size_t)c) == CLOSE)
            moments_columns(origin, at, count, c, CLOSE, sums);
        else
            moments_columns(origin, at, count, c, FAR, sums);
    }
}

VF_INLINE void forward(const struct qgm_norm *t, int j, const float *x, const float *residual, float *y, int n,
                       bool swish, bool add, bool relu, int where)
{
    ptrdiff_t next = preceding(t->c);
    vf mean = vf_get(t->mean + j, n), scale = vf_get(t->scale + j, n), shift = vf_get(t->shift + j, n);
    for (size_t i = (size_t)j, end = i + t->rows * (size_t)t->c; i < end; i += (size_t)t->c) {
        vf v = get(x, i, n, where, next), f = swish ? vf_mul(v, vf_sigmoid(v)) : vf_sub(v, mean);
        vf z = vf_fma(f, scale, shift);
        if (add) z = vf_add(z, get(residual, i, n, where, next));
        if (relu) z = vf_max(z, vf_zero());
        put(y, i, z, n, where, next);
    }
}

VF_INLINE void forward_columns(const struct qgm_norm *t, const float *x, const float *residual, float *y, bool swish,
                               bool add, bool relu, int where)
{
    int j = 0;
    for (; j + VF <= t->c; j += VF) forward(t, j, x, residual, y, VF, swish, add, relu, where);
    if (j < t->c) forward(t, j, x, residual, y, t->c - j, swish, add, relu, where == CLOSE ? CLOSE : FAR);
}

/* Some rows at a time, that stay in L1 while their columns are walked. */
static struct qgm_norm rows_of(const struct qgm_norm *t, size_t first, size_t count)
{
    struct qgm_norm part = *t;
    part.rows = t->rows - first < count ? t->rows - first : count;
    return part;
}

/* What is applied is applied from the last strip to the first: the sums were taken from the first to the last, and have
 * left the last in the cache. */
static size_t strips_of(const struct qgm_norm *t) { return (t->rows + STRIP - 1) / STRIP; }

VF_INLINE void forward_chunk(const struct qgm_norm *t, const float *x, const float *residual, float *y, int where)
{
    switch (4 * t->swish + 2 * (residual != NULL) + t->relu) {
    case 0:
        forward_columns(t, x, residual, y, false, false, false, where);
        break;
    case 1:
        forward_columns(t, x, residual, y, false, false, true, where);
        break;
    case 2:
        forward_columns(t, x, residual, y, false, true, false, where);
        break;
    case 3:
        forward_columns(t, x, residual, y, false, true, true, where);
        break;
    case 4:
        forward_columns(t, x, residual, y, true, false, false, where);
        break;
    case 5:
        forward_columns(t, x, residual, y, true, false, true, where);
        break;
    case 6:
        forward_columns(t, x, residual, y, true, true, false, where);
        break;
    case 7:
        forward_columns(t, x, residual, y, true, true, true, where);
        break;
    }
}

void QGM_ISA(qgm_norm_forward)(const struct qgm_norm *t, const float *x, const float *residual, float *y)
{
    int where = distance_to(t, y);
    for (size_t left = strips_of(t); left--;) {
        struct qgm_norm part = rows_of(t, left * STRIP, STRIP);
        size_t at = left * STRIP * (size_t)t->c;
        const float *res = residual ? residual + at : NULL;
        if (where == CLOSE) forward_chunk(&part, x + at, res, y + at, CLOSE);
        if (where == FAR) forward_chunk(&part, x + at, res, y + at, FAR);
        if (where == PAST) forward_chunk(&part, x + at, res, y + at, PAST);
    }
    if (where == PAST) vf_stream_end();
}

/* f = x s and f' = s + x s (1 - s), s = sigmoid(x): one exponential for both. */
VF_INLINE void sums_step(const struct qgm_norm *t, const float *x, const float *y, float *dy, float *dx, size_t i,
                         vf mean, int n, bool swish, int where, vf *sum, vf *product)
{
    ptrdiff_t next = following(t->c);
    vf v = get(x, i, n, where, next), dz = get(dy, i, n, where, next), f;
    if (t->relu) {
        dz = positive(get(y, i, n, where, next), dz);
        vf_put(dy + i, dz, n);
    }
    if (swish) {
        vf s = vf_sigmoid(v);
        f = vf_mul(v, s);
        put(dx, i, vf_mul(dz, vf_fma(f, vf_sub(vf_set1(1), s), s)), n, where, next);
    } else {
        f = vf_sub(v, mean);
    }
    *sum = vf_add(*sum, dz);
    *product = vf_fma(dz, f, *product);
}

VF_INLINE void sums_column(const struct qgm_norm *t, int j, const float *x, const float *y, float *dy, float *dx, int n,
                           bool swish, int where, double *sums)
{
    vf sum[CHAINS], product[CHAINS], mean = vf_get(t->mean + j, n);
    UNROLL
    for (int k = 0; k < CHAINS; k++) sum[k] = product[k] = vf_zero();
    size_t r = 0, c = (size_t)t->c, i = (size_t)j;
    for (; r + CHAINS <= t->rows; r += CHAINS, i += CHAINS * c) UNROLL
    for (int k = 0; k < CHAINS; k++)
        sums_step(t, x, y, dy, dx, i + (size_t)k * c, mean, n, swish, where, &sum[k], &product[k]);
    for (int k = 0; r < t->rows; r++, k++, i += c)
        sums_step(t, x, y, dy, dx, i, mean, n, swish, where, &sum[k], &product[k]);
    add_chains(sum, sums + j, n);
    add_chains(product, sums + t->c + j, n);
}

VF_INLINE void sums_columns(const struct qgm_norm *t, const float *x, const float *y, float *dy, float *dx, bool swish,
                            int where, double *sums)
{
    int j = 0;
    for (; j + VF <= t->c; j += VF) sums_column(t, j, x, y, dy, dx, VF, swish, where, sums);
    if (j < t->c) sums_column(t, j, x, y, dy, dx, t->c - j, swish, where, sums);
}

void QGM_ISA(qgm_norm_sums)(const struct qgm_norm *t, const float *x, const float *y, float *dy, float *dx,
                            double *sums)
{
    for (size_t first = 0; first < t->rows; first += CHUNK) {
        struct qgm_norm part = rows_of(t, first, CHUNK);
        size_t at = first * (size_t)t->c;
        const float *out = t->relu ? y + at : NULL;
        bool near = distance(t->rows * (size_t)t->c) == CLOSE;
        if (t->swish && near) sums_columns(&part, x + at, out, dy + at, dx + at, true, CLOSE, sums);
        if (t->swish && !near) sums_columns(&part, x + at, out, dy + at, dx + at, true, FAR, sums);
        if (!t->swish && near) sums_columns(&part, x + at, out, dy + at, NULL, false, CLOSE, sums);
        if (!t->swish && !near) sums_columns(&part, x + at, out, dy + at, NULL, false, FAR, sums);
    }
}

VF_INLINE void backward(const struct qgm_norm *t, int j, const float *x, const float *g, float *dx, int n, int where)
{
    ptrdiff_t next = preceding(t->c);
    vf mean = vf_get(t->mean + j, n), scale = vf_get(t->scale + j, n), slope = vf_get(t->slope + j, n);
    vf offset = vf_get(t->offset + j, n);
    for (size_t i = (size_t)j, end = i + t->rows * (size_t)t->c; i < end; i += (size_t)t->c) {
        vf v = vf_sub(get(x, i, n, where, next), mean);
        vf d = vf_fma(slope, v, vf_fma(scale, get(g, i, n, where, next), offset));
        put(dx, i, d, n, where, next);
    }
}

void QGM_ISA(qgm_norm_backward)(const struct qgm_norm *t, const float *x, const float *g, float *dx)
{
    int where = distance_to(t, dx);
    for (size_t left = strips_of(t); left--;) {
        size_t first = left * STRIP;
        struct qgm_norm part = rows_of(t, first, STRIP);
        size_t at = first * (size_t)t->c;
        int j = 0;
        for (; where == PAST && j < t->c; j += VF) backward(&part, j, x + at, g + at, dx + at, VF, PAST);
        for (; where == FAR && j + VF <= t->c; j += VF) backward(&part, j, x + at, g + at, dx + at, VF, FAR);
        for (; j + VF <= t->c; j += VF) backward(&part, j, x + at, g + at, dx + at, VF, CLOSE);
        if (j < t->c) backward(&part, j, x + at, g + at, dx + at, t->c - j, CLOSE);
    }
    if (where == PAST) vf_stream_end();
}
