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

/* A row's vectors in groups of CHAINS, one to a chain: their additions need not wait for each other. */
enum { CHAINS = 4 };
/* Elements of whole groups at the head of a row; the vectors after them go to chains 0, 1 ... . */
static inline int grouped(int c) { return c / (CHAINS * VF) * (CHAINS * VF); }
VF_INLINE float joined(const vf chain[CHAINS])
{
    return vf_sum(vf_add(vf_add(chain[0], chain[1]), vf_add(chain[2], chain[3])));
}
VF_INLINE void clear(vf chain[CHAINS])
{
    UNROLL
    for (int k = 0; k < CHAINS; k++) chain[k] = vf_zero();
}

static float row_sum(const float *x, int c)
{
    vf sum[CHAINS];
    int j = 0;
    clear(sum);
    for (; j < grouped(c); j += CHAINS * VF) UNROLL
    for (int k = 0; k < CHAINS; k++) sum[k] = vf_add(sum[k], vf_load(x + j + k * VF));
    for (int k = 0; j < c; j += VF, k++) sum[k] = vf_add(sum[k], vf_get(x + j, lanes(c - j)));
    return joined(sum);
}

VF_INLINE vf squared(const float *x, vf mean, int n, vf sum)
{
    vf d = vf_sub(vf_get(x, n), mean);
    if (n < VF) d = head(d, n);
    return vf_fma(d, d, sum);
}

static float row_squares(const float *x, int c, vf mean)
{
    vf sum[CHAINS];
    int j = 0;
    clear(sum);
    for (; j < grouped(c); j += CHAINS * VF) UNROLL
    for (int k = 0; k < CHAINS; k++) sum[k] = squared(x + j + k * VF, mean, VF, sum[k]);
    for (int k = 0; j < c; j += VF, k++) sum[k] = squared(x + j, mean, lanes(c - j), sum[k]);
    return joined(sum);
}

VF_INLINE void normalise(const struct qgm_layernorm *t, const float *x, float *y, int j, int n, vf mean, vf rstd)
{
    vf unit = vf_mul(vf_sub(vf_get(x + j, n), mean), rstd);
    vf_put(y + j, vf_fma(unit, vf_get(t->gamma + j, n), vf_get(t->beta + j, n)), n);
}

void QGM_ISA(qgm_layernorm_forward)(const struct qgm_layernorm *t, const float *x, float *y, float *stats)
{
    size_t c = (size_t)t->c, end = t->rows * c;
    for (size_t i = 0, r = 0; r < t->rows; r++, i += c) {
        float mean = row_sum(x + i, t->c) / (float)t->c;
        float square = row_squares(x + i, t->c, vf_set1(mean));
        float rstd = (float)(1 / root((double)square / t->c + t->epsilon));
        int j = 0;
        for (; j + VF <= t->c; j += VF) {
            vf_ahead(x, i + (size_t)j, end);
            normalise(t, x + i, y + i, j, VF, vf_set1(mean), vf_set1(rstd));
        }
        if (j < t->c) normalise(t, x + i, y + i, j, t->c - j, vf_set1(mean), vf_set1(rstd));
        if (!stats) continue;
        stats[2 * r] = mean;
        stats[2 * r + 1] = rstd;
    }
}

/* A row of layernorm_backward: g = gamma dy, u = (x - mean) rstd: dx = rstd (g - mean(g) - u mean(g u)). */
struct slope {
    const float *x, *dy, *gamma;
    float *dx, *dgamma, *dbeta;
    vf mean, rstd;
};

VF_INLINE void add_slopes(const struct slope *s, int j, int n, vf *plain, vf *product)
{
    vf d = vf_get(s->dy + j, n), unit = vf_mul(vf_sub(vf_get(s->x + j, n), s->mean), s->rstd);
    vf g = vf_mul(d, vf_get(s->gamma + j, n));
    *plain = vf_add(*plain, g);
    *product = vf_fma(g, unit, *product);
    vf_put(s->dgamma + j, vf_fma(d, unit, vf_get(s->dgamma + j, n)), n);
    vf_put(s->dbeta + j, vf_add(d, vf_get(s->dbeta + j, n)), n);
}

VF_INLINE void apply_slopes(const struct slope *s, int j, int n, vf a, vf b)
{
    vf unit = vf_mul(vf_sub(vf_get(s->x + j, n), s->mean), s->rstd);
    vf g = vf_mul(vf_get(s->dy + j, n), vf_get(s->gamma + j, n));
    vf_put(s->dx + j, vf_mul(s->rstd, vf_fnma(unit, b, vf_sub(g, a))), n);
}

static void row_slopes(const struct slope *s, int c)
{
    vf plain[CHAINS], product[CHAINS];
    int j = 0;
    clear(plain);
    clear(product);
    for (; j < grouped(c); j += CHAINS * VF) UNROLL
    for (int k = 0; k < CHAINS; k++) add_slopes(s, j + k * VF, VF, &plain[k], &product[k]);
    for (int k = 0; j < c; j += VF, k++) add_slopes(s, j, lanes(c - j), &plain[k], &product[k]);
    vf a = vf_set1(joined(plain) / (float)c), b = vf_set1(joined(product) / (float)c);
    for (j = 0; j + VF <= c; j += VF) apply_slopes(s, j, VF, a, b);
    if (j < c) apply_slopes(s, j, c - j, a, b);
}

void QGM_ISA(qgm_layernorm_backward)(const struct qgm_layernorm *t, const float *x, const float *stats, const float *dy,
                                     float *dx, float *dgamma, float *dbeta)
{
    struct slope s = { .x = x, .dy = dy, .gamma = t->gamma, .dx = dx, .dgamma = dgamma, .dbeta = dbeta };
    for (size_t r = 0; r < t->rows; r++, s.x += t->c, s.dy += t->c, s.dx += t->c) {
        s.mean = vf_set1(stats[2 * r]);
        s.rstd = vf_set1(stats[2 * r + 1]);
        row_slopes(&s, t->c);
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
        for (j = 0; j < live; j += VF) {
            int n = lanes(live - j);
            vf_put(x + i + j, vf_mul(vf_get(x + i + j, n), inverse), n);
        }
    }
}

void QGM_ISA(qgm_softmax_rows_backward)(const float *y, float *dy, int rows, int cols, float scale)
{
    size_t end = (size_t)rows * (size_t)cols;
    vf factor = vf_set1(scale);
    for (size_t i = 0; i < end; i += (size_t)cols) {
        vf sum = vf_zero();
        int j = 0;
        for (; j + VF <= cols; j += VF) {
            vf_ahead(y, i + (size_t)j, end);
            vf_ahead(dy, i + (size_t)j, end);
            sum = vf_fma(vf_load(y + i + j), vf_load(dy + i + j), sum);
        }
        if (j < cols) sum = vf_fma(vf_load_n(y + i + j, cols - j), vf_load_n(dy + i + j, cols - j), sum);
        vf total = vf_set1(vf_sum(sum));
        for (j = 0; j < cols; j += VF) {
            int n = lanes(cols - j);
            vf d = vf_mul(vf_get(y + i + j, n), vf_sub(vf_get(dy + i + j, n), total));
            vf_put(dy + i + j, vf_mul(d, factor), n);
        }
    }
}
