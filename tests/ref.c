/* Naive references: a float chain as the contract orders it, beside the sum in double. SPDX-License-Identifier: MIT */
#include "ref.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct check_value start(float a) { return (struct check_value){ a, (double)a, fabs((double)a) }; }

static void add_product(struct check_value *v, float a, float b)
{
    v->chain = fmaf(a, b, v->chain);
    v->exact += (double)a * (double)b;
    v->size += fabs((double)a * (double)b);
}

static void add(struct check_value *v, struct check_value a)
{
    v->chain += a.chain;
    v->exact += a.exact;
    v->size += a.size;
}

/* A sum in chains of at most `most` terms, by kernels.h: of terms in rows, whole rows together or parts of one. */
struct sum {
    struct check_value v; /* its chain: of what is under way */
    float before;         /* the chains that ended */
    bool cut;
    int terms, most, done; /* of a row; terms of the chain under way */
};
static struct sum begin_sum(float a, int terms, int most) { return (struct sum){ start(a), 0, false, terms, most, 0 }; }

static void rest(struct sum *s)
{
    s->before = s->cut ? s->before + s->v.chain : s->v.chain;
    s->cut = true, s->v.chain = 0, s->done = 0;
}

/* Before term t of a row. */
static void before_term(struct sum *s, int t)
{
    int parts = (s->terms + s->most - 1) / s->most, part = (s->terms + parts - 1) / parts;
    bool full = parts == 1 ? t == 0 && s->done + s->terms > s->most : t % part == 0;
    if (s->done > 0 && full) rest(s);
    s->done++;
}

static struct check_value end_sum(struct sum *s)
{
    if (s->cut) s->v.chain = s->before + s->v.chain;
    return s->v;
}

static void rectify(struct check_value *v)
{
    v->chain = v->chain > 0 ? v->chain : 0;
    v->exact = v->exact > 0 ? v->exact : 0;
}

void ref_gemm(const struct qgm_gemm *g, const float *c0, struct check_value *out)
{
    for (int i = 0; i < g->m; i++)
        for (int j = 0; j < g->n; j++, out++) {
            bool continues = g->beta == 1;
            float first = continues ? c0[(size_t)i * g->ldc + j] : g->bias ? g->bias[j] : 0;
            struct sum sum = begin_sum(first, g->k, QGM_CHAIN);
            for (int p = 0; p < g->k; p++) {
                before_term(&sum, p);
                add_product(&sum.v, g->a[g->ta ? (size_t)p * g->lda + i : (size_t)i * g->lda + p],
                            g->b[g->tb ? (size_t)j * g->ldb + p : (size_t)p * g->ldb + j]);
            }
            *out = end_sum(&sum);
            if (continues && g->bias) add(out, start(g->bias[j]));
            if (g->relu) rectify(out);
        }
}

/* The input pixel under tap (ky, kx) of output (oy, ox) of image n, or NULL in the padding. */
static const float *under(const struct qgm_conv *c, const float *x, int n, int oy, int ox, int ky, int kx)
{
    int iy = oy * c->stride + ky - c->pad, ix = ox * c->stride + kx - c->pad;
    if (iy < 0 || iy >= c->h || ix < 0 || ix >= c->w) return NULL;
    return x + (((size_t)n * c->h + iy) * c->w + ix) * c->ci;
}

static float weight(const struct qgm_conv *c, const float *w, int ky, int kx, int i, int o)
{
    return w[((size_t)(ky * c->kw + kx) * c->ci + i) * c->co + o];
}

/* Columns of the kernel that lie in the image for output ox. */
static int inside(const struct qgm_conv *c, int ox)
{
    int count = 0;
    for (int kx = 0; kx < c->kw; kx++) {
        int ix = ox * c->stride + kx - c->pad;
        count += ix >= 0 && ix < c->w;
    }
    return count;
}

/* Winograd's F(4 x 4, 3 x 3) as kernels/winograd.h orders it. Each number beside its matrix entry's absolute value
 * times the absolute values it comes from: what rounding errors scale with. */
struct number {
    float value;
    double size;
};
static struct number scaled(float a, struct number b) { return (struct number){ a * b.value, fabs(a * b.size) }; }
static struct number plus(struct number a, struct number b)
{
    return (struct number){ a.value + b.value, a.size + b.size };
}
static struct number fused(float a, struct number b, struct number c) /* a b + c */
{
    return (struct number){ fmaf(a, b.value, c.value), fabs(a * b.size) + c.size };
}

static const float p1 = 0.625f, p2 = 0.390625f, p3 = 0.244140625f, q1 = 1.5f, q2 = 2.25f, q3 = 3.375f;

/* d, g and m hold elements `step` apart; so do the results. */
static void axis_inputs(struct number *d, int step)
{
    struct number d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    struct number even = fused(-q2, d2, d4), odd = fused(-q2, d1, d3);
    d[0] = fused(p2 * q2, d0, fused(-(p2 + q2), d2, d4));
    d[step] = fused(p1, odd, even), d[2 * step] = fused(-p1, odd, even);
    even = fused(-p2, d2, d4), odd = fused(-p2, d1, d3);
    d[3 * step] = fused(q1, odd, even), d[4 * step] = fused(-q1, odd, even);
    d[5 * step] = fused(p2 * q2, d1, fused(-(p2 + q2), d3, d5));
}
static void axis_weights(struct number *g, int step)
{
    float r = 1 / (2 * p2 * (p2 - q2)), s = 1 / (2 * q2 * (q2 - p2));
    struct number g0 = g[0], g1 = g[step], g2 = g[2 * step];
    g[0] = scaled(1 / (p2 * q2), g0);
    struct number even = fused(r * p2, g2, scaled(r, g0));
    g[step] = fused(r * p1, g1, even), g[2 * step] = fused(-r * p1, g1, even);
    even = fused(s * q2, g2, scaled(s, g0));
    g[3 * step] = fused(s * q1, g1, even), g[4 * step] = fused(-s * q1, g1, even);
    g[5 * step] = g2;
}
static void axis_outputs(struct number *m, int step)
{
    struct number minus1 = scaled(-1, m[2 * step]), minus2 = scaled(-1, m[4 * step]);
    struct number sum = plus(m[step], m[2 * step]), gap = plus(m[step], minus1);
    struct number sum2 = plus(m[3 * step], m[4 * step]), gap2 = plus(m[3 * step], minus2), last = m[5 * step];
    m[0] = plus(plus(m[0], sum), sum2);
    m[step] = fused(p1, gap, scaled(q1, gap2));
    m[2 * step] = fused(p2, sum, scaled(q2, sum2));
    m[3 * step] = fused(p3, gap, fused(q3, gap2, last));
}
static void axis_gradients(struct number *y, int step)
{
    struct number y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
    struct number even = fused(p2, y2, y0), odd = fused(p3, y3, scaled(p1, y1));
    y[step] = plus(even, odd), y[2 * step] = plus(even, scaled(-1, odd));
    even = fused(q2, y2, y0), odd = fused(q3, y3, scaled(q1, y1));
    y[3 * step] = plus(even, odd), y[4 * step] = plus(even, scaled(-1, odd));
    y[5 * step] = y3;
}
static void axis_taps(struct number *u, int step)
{
    float r = 1 / (2 * p2 * (p2 - q2)), s = 1 / (2 * q2 * (q2 - p2));
    struct number minus2 = scaled(-1, u[2 * step]), minus4 = scaled(-1, u[4 * step]), last = u[5 * step];
    struct number sum = plus(u[step], u[2 * step]), gap = plus(u[step], minus2);
    struct number sum2 = plus(u[3 * step], u[4 * step]), gap2 = plus(u[3 * step], minus4);
    u[0] = fused(1 / (p2 * q2), u[0], fused(r, sum, scaled(s, sum2)));
    u[step] = fused(r * p1, gap, scaled(s * q1, gap2));
    u[2 * step] = fused(r * p2, sum, fused(s * q2, sum2, last));
}
/* Vertical first. a is 6 x 6 where it is filled. */
static void both_axes(void (*axis)(struct number *, int), struct number a[36], int filled)
{
    for (int x = 0; x < filled; x++) axis(a + x, 6);
    for (int y = 0; y < 6; y++) axis(a + 6 * y, 1);
}

/* The weights of one pair of channels. */
static void winograd_weights(const struct qgm_conv *c, const float *w, int k, int o, struct number u[36])
{
    memset(u, 0, 36 * sizeof *u);
    for (int t = 0; t < 9; t++) {
        float g = weight(c, w, t / 3, t % 3, k, o);
        u[t / 3 * 6 + t % 3] = (struct number){ g, fabs((double)g) };
    }
    both_axes(axis_weights, u, 3);
}

/* One channel of the inputs of the tile whose first output is (oy, ox). False where one of them is not finite. */
static bool winograd_inputs(const struct qgm_conv *c, const float *x, int n, int oy, int ox, int k, struct number d[36])
{
    bool finite = true;
    for (int i = 0; i < 36; i++) {
        const float *pixel = under(c, x, n, oy, ox, i / 6, i % 6);
        float value = pixel ? pixel[k] : 0;
        d[i] = (struct number){ value, fabs((double)value) };
        finite = finite && isfinite(value);
    }
    both_axes(axis_inputs, d, 6);
    return finite;
}

/* One channel of the outputs. y is the tile's first. */
static void winograd_outputs(const struct qgm_conv *c, const struct number *d, const struct number *u, float bias,
                             bool relu, bool finite, int oy, int ox, struct check_value *y)
{
    struct number m[36] = { 0 };
    for (int i = 0; i < 36; i++) {
        struct sum sum = begin_sum(0, c->ci, 64);
        for (int k = 0; k < c->ci; k++) {
            before_term(&sum, k);
            sum.v.chain = fmaf(d[36 * k + i].value, u[36 * k + i].value, sum.v.chain);
            m[i].size += d[36 * k + i].size * u[36 * k + i].size;
        }
        m[i].value = end_sum(&sum).chain;
    }
    both_axes(axis_outputs, m, 6);
    for (int i = 0; i < 16; i++) {
        if (oy + i / 4 >= qgm_conv_oh(c) || ox + i % 4 >= qgm_conv_ow(c)) continue;
        struct check_value *v = y + ((size_t)(i / 4) * qgm_conv_ow(c) + i % 4) * c->co;
        v->chain = m[i / 4 * 6 + i % 4].value + bias, v->size = m[i / 4 * 6 + i % 4].size + fabs((double)bias);
        if (!finite && isnan(v->chain)) v->exact = NAN;
        if (relu) v->chain = v->chain > 0 ? v->chain : 0;
    }
}

/* y holds the exact sums: put the chains of Winograd's form beside them. */
static void ref_winograd(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                         struct check_value *y)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    size_t each = (size_t)c->ci * 36;
    struct number *u = malloc((size_t)c->co * each * sizeof *u), *d = malloc(each * sizeof *d);
    for (int o = 0; o < c->co; o++)
        for (int k = 0; k < c->ci; k++) winograd_weights(c, w, k, o, u + (size_t)o * each + (size_t)36 * k);
    for (int n = 0; n < c->n; n++)
        for (int oy = 0; oy < oh; oy += 4)
            for (int ox = 0; ox < ow; ox += 4) {
                bool finite = true;
                for (int k = 0; k < c->ci; k++) finite &= winograd_inputs(c, x, n, oy, ox, k, d + (size_t)36 * k);
                struct check_value *first = y + (((size_t)n * oh + oy) * ow + ox) * c->co;
                for (int o = 0; o < c->co; o++)
                    winograd_outputs(c, d, u + (size_t)o * each, bias ? bias[o] : 0, relu, finite, oy, ox, first + o);
            }
    free(u), free(d);
}

void ref_conv_forward(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                      struct check_value *y)
{
    struct check_value *first = y;
    for (int n = 0; n < c->n; n++)
        for (int oy = 0; oy < qgm_conv_oh(c); oy++)
            for (int ox = 0; ox < qgm_conv_ow(c); ox++)
                for (int o = 0; o < c->co; o++, y++) {
                    struct sum sum = begin_sum(bias ? bias[o] : 0, inside(c, ox) * c->ci, QGM_CHAIN);
                    for (int ky = 0; ky < c->kh; ky++)
                        for (int kx = 0, term = 0; kx < c->kw; kx++) {
                            const float *pixel = under(c, x, n, oy, ox, ky, kx);
                            for (int i = 0; pixel && i < c->ci; i++) {
                                before_term(&sum, term++);
                                add_product(&sum.v, pixel[i], weight(c, w, ky, kx, i, o));
                            }
                        }
                    *y = end_sum(&sum);
                    if (relu) rectify(y);
                }
    if (qgm_conv_winograd(c)) ref_winograd(c, x, w, bias, relu, first);
}

/* On one axis, the output whose tap k is input i, or -1. */
static int output(const struct qgm_conv *c, int i, int k, int outputs)
{
    int t = i + c->pad - k;
    return t >= 0 && t % c->stride == 0 && t / c->stride < outputs ? t / c->stride : -1;
}

void ref_conv_backward_data(const struct qgm_conv *c, const float *dy, const float *w, struct check_value *dx)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    struct check_value *first = dx;
    for (int n = 0; n < c->n; n++)
        for (int iy = 0; iy < c->h; iy++)
            for (int ix = 0; ix < c->w; ix++)
                for (int i = 0; i < c->ci; i++, dx++) {
                    int columns = 0;
                    for (int kx = 0; kx < c->kw; kx++) columns += output(c, ix, kx, ow) >= 0;
                    struct sum sum = begin_sum(0, columns * c->co, QGM_CHAIN);
                    for (int ky = c->kh - 1; ky >= 0; ky--) /* oy and ox ascend */
                        for (int kx = c->kw - 1, term = 0; kx >= 0; kx--) {
                            int oy = output(c, iy, ky, oh), ox = output(c, ix, kx, ow);
                            if (oy < 0 || ox < 0) continue;
                            const float *pixel = dy + (((size_t)n * oh + oy) * ow + ox) * c->co;
                            for (int o = 0; o < c->co; o++) {
                                before_term(&sum, term++);
                                add_product(&sum.v, pixel[o], weight(c, w, ky, kx, i, o));
                            }
                        }
                    *dx = end_sum(&sum);
                }
    if (!qgm_conv_winograd(c)) return;
    /* dx is dy convolved with the weights turned round, channels exchanged. */
    struct qgm_conv turned = { c->n, oh, ow, c->co, c->ci, 3, 3, 1, 2 - c->pad };
    float *v = malloc((size_t)9 * c->ci * c->co * sizeof *v);
    for (int t = 0; t < 9; t++)
        for (int i = 0; i < c->ci; i++)
            for (int o = 0; o < c->co; o++)
                v[((size_t)t * c->co + o) * c->ci + i] = weight(c, w, 2 - t / 3, 2 - t % 3, i, o);
    ref_winograd(&turned, dy, v, NULL, false, first);
    free(v);
}

/* The first output column behind ox that sees other kernel columns than ox does. */
static int stretch(const struct qgm_conv *c, int ox)
{
    for (int end = ox + 1; end < qgm_conv_ow(c); end++)
        for (int kx = 0; kx < c->kw; kx++) {
            int a = ox * c->stride + kx - c->pad, b = end * c->stride + kx - c->pad;
            if ((a >= 0 && a < c->w) != (b >= 0 && b < c->w)) return end;
        }
    return qgm_conv_ow(c);
}

/* One channel of the gradients of the tile whose first output is (oy, ox). False where one of them is not finite. */
static bool winograd_gradients(const struct qgm_conv *c, const float *dy, int n, int oy, int ox, int o,
                               struct number m[36])
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    bool finite = true;
    memset(m, 0, 36 * sizeof *m);
    for (int i = 0; i < 16; i++) {
        int y = oy + i / 4, x = ox + i % 4;
        if (y >= oh || x >= ow) continue;
        float value = dy[(((size_t)n * oh + y) * ow + x) * c->co + o];
        m[i / 4 * 6 + i % 4] = (struct number){ value, fabs((double)value) };
        finite = finite && isfinite(value);
    }
    both_axes(axis_gradients, m, 4);
    return finite;
}

/* The 36 sums over tiles of one pair of channels, in chains of 64. */
static void winograd_sums(const struct number *d, const struct number *m, int tiles, struct number u[36])
{
    for (int i = 0; i < 36; i++)
        for (int first = 0; first < tiles; first += 64) {
            struct number chain = { 0 };
            for (int t = first; t < first + 64 && t < tiles; t++) {
                const struct number *a = d + (size_t)36 * t + i, *b = m + (size_t)36 * t + i;
                chain = (struct number){ fmaf(a->value, b->value, chain.value), chain.size + a->size * b->size };
            }
            u[i] = first ? plus(u[i], chain) : chain;
        }
}

/* dw holds the exact sums: put the chains of Winograd's form beside them. */
static void ref_winograd_weights(const struct qgm_conv *c, const float *x, const float *dy, const float *dw0,
                                 struct check_value *dw)
{
    int ys = (qgm_conv_oh(c) + 3) / 4, xs = (qgm_conv_ow(c) + 3) / 4, tiles = c->n * ys * xs;
    size_t each = (size_t)tiles * 36;
    struct number *d = malloc((size_t)c->ci * each * sizeof *d), *m = malloc((size_t)c->co * each * sizeof *m);
    bool *finite_d = calloc((size_t)c->ci + (size_t)c->co, sizeof *finite_d), *finite_m = finite_d + c->ci;
    for (int i = 0; i < c->ci + c->co; i++) finite_d[i] = true;
    for (int t = 0; t < tiles; t++) {
        int n = t / (ys * xs), oy = t / xs % ys * 4, ox = t % xs * 4;
        size_t at = (size_t)36 * t;
        for (int i = 0; i < c->ci; i++) finite_d[i] &= winograd_inputs(c, x, n, oy, ox, i, d + i * each + at);
        for (int o = 0; o < c->co; o++) finite_m[o] &= winograd_gradients(c, dy, n, oy, ox, o, m + o * each + at);
    }
    for (int i = 0; i < c->ci; i++)
        for (int o = 0; o < c->co; o++) {
            struct number u[36];
            winograd_sums(d + i * each, m + o * each, tiles, u);
            both_axes(axis_taps, u, 6);
            for (int t = 0; t < 9; t++) {
                size_t at = ((size_t)t * c->ci + i) * c->co + o;
                struct number g = u[t / 3 * 6 + t % 3];
                dw[at].chain = dw0[at] + g.value, dw[at].size = g.size + fabs((double)dw0[at]);
                if (!(finite_d[i] && finite_m[o]) && isnan(dw[at].chain)) dw[at].exact = NAN;
            }
        }
    free(d), free(m), free(finite_d);
}

void ref_conv_backward_weights(const struct qgm_conv *c, const float *x, const float *dy, const float *dw0,
                               struct check_value *dw)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    const float *before = dw0;
    struct check_value *first = dw;
    for (int ky = 0; ky < c->kh; ky++)
        for (int kx = 0; kx < c->kw; kx++)
            for (int i = 0; i < c->ci; i++)
                for (int o = 0; o < c->co; o++, dw++) {
                    *dw = start(*before++);
                    for (int n = 0; n < c->n; n += qgm_conv_group(c)) {
                        struct check_value sum = start(0);
                        int last = n + qgm_conv_group(c) < c->n ? n + qgm_conv_group(c) : c->n;
                        for (int ox = 0, end; ox < ow; ox = end) {
                            end = qgm_conv_merges(c) ? stretch(c, ox) : ow;
                            for (int m = n; m < last; m++)
                                for (int oy = 0; oy < oh; oy++)
                                    for (int at = ox; at < end; at++) {
                                        const float *pixel = under(c, x, m, oy, at, ky, kx);
                                        size_t p = ((size_t)m * oh + oy) * ow + at;
                                        if (pixel) add_product(&sum, pixel[i], dy[p * c->co + o]);
                                    }
                        }
                        add(dw, sum);
                    }
                }
    if (qgm_conv_winograd_weights(c)) ref_winograd_weights(c, x, dy, dw0, first);
}
