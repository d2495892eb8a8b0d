/* Naive references: a float chain as the contract orders it, beside the sum in double. SPDX-License-Identifier: MIT */
#include "ref.h"
#include <math.h>

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
            *out = start(continues ? c0[(size_t)i * g->ldc + j] : g->bias ? g->bias[j] : 0);
            for (int p = 0; p < g->k; p++)
                add_product(out, g->a[g->ta ? (size_t)p * g->lda + i : (size_t)i * g->lda + p],
                            g->b[g->tb ? (size_t)j * g->ldb + p : (size_t)p * g->ldb + j]);
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

void ref_conv_forward(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                      struct check_value *y)
{
    for (int n = 0; n < c->n; n++)
        for (int oy = 0; oy < qgm_conv_oh(c); oy++)
            for (int ox = 0; ox < qgm_conv_ow(c); ox++)
                for (int o = 0; o < c->co; o++, y++) {
                    *y = start(bias ? bias[o] : 0);
                    for (int ky = 0; ky < c->kh; ky++)
                        for (int kx = 0; kx < c->kw; kx++) {
                            const float *pixel = under(c, x, n, oy, ox, ky, kx);
                            for (int i = 0; pixel && i < c->ci; i++)
                                add_product(y, pixel[i], weight(c, w, ky, kx, i, o));
                        }
                    if (relu) rectify(y);
                }
}

void ref_conv_backward_data(const struct qgm_conv *c, const float *dy, const float *w, struct check_value *dx)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    for (int n = 0; n < c->n; n++)
        for (int iy = 0; iy < c->h; iy++)
            for (int ix = 0; ix < c->w; ix++)
                for (int i = 0; i < c->ci; i++, dx++) {
                    *dx = start(0);
                    for (int ky = c->kh - 1; ky >= 0; ky--) /* oy and ox ascend */
                        for (int kx = c->kw - 1; kx >= 0; kx--) {
                            int ty = iy + c->pad - ky, tx = ix + c->pad - kx, oy = ty / c->stride, ox = tx / c->stride;
                            if (ty < 0 || tx < 0 || ty % c->stride || tx % c->stride || oy >= oh || ox >= ow) continue;
                            const float *pixel = dy + (((size_t)n * oh + oy) * ow + ox) * c->co;
                            for (int o = 0; o < c->co; o++) add_product(dx, pixel[o], weight(c, w, ky, kx, i, o));
                        }
                }
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

void ref_conv_backward_weights(const struct qgm_conv *c, const float *x, const float *dy, const float *dw0,
                               struct check_value *dw)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    for (int ky = 0; ky < c->kh; ky++)
        for (int kx = 0; kx < c->kw; kx++)
            for (int i = 0; i < c->ci; i++)
                for (int o = 0; o < c->co; o++, dw++) {
                    *dw = start(*dw0++);
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
}
