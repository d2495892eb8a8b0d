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

/* v in the first n lanes, 0 in the others. */
VF_INLINE vf head(vf v, int n)
{
    static const float lane[VF] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    return vf_select(vf_gt(vf_set1((float)n), vf_load(lane)), v, vf_zero());
}

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

/* The normal distribution function. */
VF_INLINE vf normal_cdf(vf x)
{
    vf half = vf_set1(0.5f);
    return vf_fma(half, vf_erf(vf_mul(x, vf_set1(0x1.6a09e6p-1f))), half); /* x / sqrt 2 */
}

VF_INLINE vf gelu(vf x) { return vf_mul(x, normal_cdf(x)); }

/* cdf + x pdf */
VF_INLINE vf gelu_slope(vf x)
{
    vf pdf = vf_mul(vf_exp(vf_mul(vf_mul(x, x), vf_set1(-0.5f))), vf_set1(0x1.988454p-2f)); /* 1 / sqrt(2 pi) */
    return vf_fma(x, pdf, normal_cdf(x));
}

void QGM_ISA(qgm_gelu_forward)(const float *x, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(y + i, gelu(vf_load(x + i)));
    int rest = (int)(n - i);
    if (rest) vf_store_n(y + i, gelu(vf_load_n(x + i, rest)), rest);
}

void QGM_ISA(qgm_gelu_backward)(const float *x, const float *dy, float *dx, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(dx + i, vf_mul(vf_load(dy + i), gelu_slope(vf_load(x + i))));
    int rest = (int)(n - i);
    if (rest) vf_store_n(dx + i, vf_mul(vf_load_n(dy + i, rest), gelu_slope(vf_load_n(x + i, rest))), rest);
}

static float largest(const float *x, int n)
{
    float best = x[0];
    for (int j = 1; j < n; j++) best = x[j] > best ? x[j] : best;
    return best;
}

void QGM_ISA(qgm_softmax_rows)(float *x, int rows, int cols, int live, float scale)
{
    for (int r = 0; r < rows; r++, x += cols) {
        vf most = vf_set1(largest(x, live)), factor = vf_set1(scale), sum = vf_zero();
        for (int j = 0; j < cols; j += VF) {
            int n = lanes(cols - j), in = live - j < 0 ? 0 : lanes(live - j);
            vf e = head(vf_exp(vf_mul(vf_sub(vf_load_n(x + j, n), most), factor)), in);
            sum = vf_add(sum, e);
            vf_store_n(x + j, e, n);
        }
        vf inverse = vf_set1(1 / vf_sum(sum));
        for (int j = 0; j < cols; j += VF) {
            int n = lanes(cols - j);
            vf_store_n(x + j, vf_mul(vf_load_n(x + j, n), inverse), n);
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
