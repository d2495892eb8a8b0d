/* What a transformer encoder needs beside matrix products: layer norm, GELU, softmax over rows of scores.
 * SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "mathv.h"

void QGM_ISA(qgm_layernorm_forward)(const struct qgm_layernorm *t, const float *x, float *y, float *stats);
void QGM_ISA(qgm_layernorm_backward)(const struct qgm_layernorm *t, const float *x, const float *stats, const float *dy,
                                     float *dx, float *dgamma, float *dbeta);
void QGM_ISA(qgm_gelu_forward)(const float *x, float *y, size_t n);
void QGM_ISA(qgm_gelu_backward)(const float *x, const float *dy, float *dx, size_t n);
void QGM_ISA(qgm_softmax_rows)(float *x, int rows, int cols, int live, float scale);
void QGM_ISA(qgm_softmax_rows_backward)(const float *y, float *dy, int rows, int cols, float scale);

static inline int lanes(int left) { return left < VF ? left : VF; }

VF_INLINE vm first(int n)
{
    static const float lane[VF] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    return vf_gt(vf_set1((float)n), vf_load(lane));
}
/* v in the first n lanes, 0 in the others. */
VF_INLINE vf head(vf v, int n) { return vf_select(first(n), v, vf_zero()); }

static inline double root(double x) { return __builtin_sqrt(x); }

void QGM_ISA(qgm_layernorm_forward)(const struct qgm_layernorm *t, const float *x, float *y, float *stats)
{
    for (size_t r = 0; r < t->rows; r++, x += t->c, y += t->c) {
        vf sum = vf_zero(), square = vf_zero();
        for (int j = 0; j < t->c; j += VF) sum = vf_add(sum, vf_load_n(x + j, lanes(t->c - j)));
        float mean = vf_sum(sum) / (float)t->c;
        for (int j = 0; j < t->c; j += VF) {
            int n = lanes(t->c - j);
            vf d = head(vf_sub(vf_load_n(x + j, n), vf_set1(mean)), n);
            square = vf_fma(d, d, square);
        }
        float rstd = (float)(1 / root((double)vf_sum(square) / t->c + t->epsilon));
        for (int j = 0; j < t->c; j += VF) {
            int n = lanes(t->c - j);
            vf unit = vf_mul(vf_sub(vf_load_n(x + j, n), vf_set1(mean)), vf_set1(rstd));
            vf_store_n(y + j, vf_fma(unit, vf_load_n(t->gamma + j, n), vf_load_n(t->beta + j, n)), n);
        }
        if (!stats) continue;
        stats[2 * r] = mean;
        stats[2 * r + 1] = rstd;
    }
}

/* g = gamma dy, u = (x - mean) rstd: dx = rstd (g - mean(g) - u mean(g u)). */
void QGM_ISA(qgm_layernorm_backward)(const struct qgm_layernorm *t, const float *x, const float *stats, const float *dy,
                                     float *dx, float *dgamma, float *dbeta)
{
    for (size_t r = 0; r < t->rows; r++, x += t->c, dy += t->c, dx += t->c) {
        vf mean = vf_set1(stats[2 * r]), rstd = vf_set1(stats[2 * r + 1]), plain = vf_zero(), product = vf_zero();
        for (int j = 0; j < t->c; j += VF) {
            int n = lanes(t->c - j);
            vf d = vf_load_n(dy + j, n), unit = vf_mul(vf_sub(vf_load_n(x + j, n), mean), rstd);
            vf g = vf_mul(d, vf_load_n(t->gamma + j, n));
            plain = vf_add(plain, g);
            product = vf_fma(g, unit, product);
            vf_store_n(dgamma + j, vf_fma(d, unit, vf_load_n(dgamma + j, n)), n);
            vf_store_n(dbeta + j, vf_add(d, vf_load_n(dbeta + j, n)), n);
        }
        vf a = vf_set1(vf_sum(plain) / (float)t->c), b = vf_set1(vf_sum(product) / (float)t->c);
        for (int j = 0; j < t->c; j += VF) {
            int n = lanes(t->c - j);
            vf unit = vf_mul(vf_sub(vf_load_n(x + j, n), mean), rstd);
            vf g = vf_mul(vf_load_n(dy + j, n), vf_load_n(t->gamma + j, n));
            vf_store_n(dx + j, vf_mul(rstd, vf_fnma(unit, b, vf_sub(g, a))), n);
        }
    }
}

/* x Phi(x), Phi being the normal distribution function: (1 + erf(x / sqrt 2)) / 2. */
VF_INLINE vf gelu(vf x)
{
    vf half = vf_set1(0.5f);
    return vf_mul(x, vf_fma(half, vf_erf(vf_mul(x, vf_set1(0x1.6a09e6p-1f))), half));
}

VF_INLINE vf gelu_times(vf x, vf dy)
{
    vf half = vf_set1(0.5f);
    return vf_mul(dy, vf_fma(half, vf_gelu_slope_(x), half));
}

void QGM_ISA(qgm_gelu_forward)(const float *x, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) {
        vf_ahead(x, i, n);
        vf_ahead(y, i, n);
        vf_store(y + i, gelu(vf_load(x + i)));
    }
    int rest = (int)(n - i);
    if (rest) vf_store_n(y + i, gelu(vf_load_n(x + i, rest)), rest);
}

void QGM_ISA(qgm_gelu_backward)(const float *x, const float *dy, float *dx, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) {
        vf_ahead(x, i, n);
        vf_ahead(dy, i, n);
        vf_ahead(dx, i, n);
        vf_store(dx + i, gelu_times(vf_load(x + i), vf_load(dy + i)));
    }
    int rest = (int)(n - i);
    if (rest) vf_store_n(dx + i, gelu_times(vf_load_n(x + i, rest), vf_load_n(dy + i, rest)), rest);
}

/* Of the numbers among them. A NaN may hide here: it comes back in the sum. */
VF_INLINE float largest(const float *x, int n)
{
    vf best = vf_set1(-VF_INFINITY_);
    int j = 0;
    for (; j + VF <= n; j += VF) best = vf_max(vf_load(x + j), best);
    if (j < n) best = vf_max(vf_select(first(n - j), vf_load_n(x + j, n - j), best), best);
    return vf_most(best);
}

void QGM_ISA(qgm_softmax_rows)(float *x, int rows, int cols, int live, float scale)
{
    size_t end = (size_t)rows * (size_t)cols;
    for (size_t i = 0; i < end; i += (size_t)cols) {
        vf most = vf_set1(largest(x + i, live)), factor = vf_set1(scale), sum = vf_zero();
        int j = 0;
        for (; j + VF <= live; j += VF) {
            vf_ahead(x, i + (size_t)j, end);
            vf e = vf_exp(vf_mul(vf_sub(vf_load(x + i + j), most), factor));
            sum = vf_add(sum, e);
            vf_store(x + i + j, e);
        }
        if (j < live) {
            int n = live - j;
            vf e = head(vf_exp(vf_mul(vf_sub(vf_load_n(x + i + j, n), most), factor)), n);
            sum = vf_add(sum, e);
            vf_store_n(x + i + j, e, n);
        }
        for (j = live; j < cols; j++) x[i + j] = 0;
        vf inverse = vf_set1(1 / vf_sum(sum));
        for (j = 0; j < cols; j += VF) {
            int n = lanes(cols - j);
            vf_put(x + i + j, vf_mul(vf_get(x + i + j, n), inverse), n);
        }
    }
}

void QGM_ISA(qgm_softmax_rows_backward)(const float *y, float *dy, int rows, int cols, float scale)
{
    for (int r = 0; r < rows; r++, y += cols, dy += cols) {
        vf sum = vf_zero();
        for (int j = 0; j < cols; j += VF) {
            int n = lanes(cols - j);
            sum = vf_fma(vf_load_n(y + j, n), vf_load_n(dy + j, n), sum);
        }
        vf total = vf_set1(vf_sum(sum)), factor = vf_set1(scale);
        for (int j = 0; j < cols; j += VF) {
            int n = lanes(cols - j);
            vf d = vf_mul(vf_load_n(y + j, n), vf_sub(vf_load_n(dy + j, n), total));
            vf_store_n(dy + j, vf_mul(d, factor), n);
        }
    }
}
