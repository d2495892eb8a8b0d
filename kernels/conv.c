/* Convolution, the three passes. Taps in the padding are skipped, so a chain holds real pixels only.
 * SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "simd.h"
#include <assert.h>

static inline int least(int a, int b) { return a < b ? a : b; }

void QGM_ISA(qgm_conv_forward)(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                               float *y, void *scratch);
void QGM_ISA(qgm_conv_backward_data)(const struct qgm_conv *c, const float *dy, const float *w, float *dx,
                                     void *scratch);
void QGM_ISA(qgm_conv_backward_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw,
                                        void *scratch);

/* One output pixel, channels o .. o + cols - 1. */
static void forward_pixel(const struct qgm_conv *c, const float *image, const float *w, int oy, int ox, int o, int cols,
                          vf sum, bool relu, float *y)
{
    for (int ky = 0; ky < c->kh; ky++) {
        int iy = oy * c->stride + ky - c->pad;
        if (iy < 0 || iy >= c->h) continue;
        for (int kx = 0; kx < c->kw; kx++) {
            int ix = ox * c->stride + kx - c->pad;
            if (ix < 0 || ix >= c->w) continue;
            const float *pixel = image + ((size_t)iy * c->w + ix) * c->ci;
            const float *tap = w + (size_t)(ky * c->kw + kx) * c->ci * c->co + o;
            for (int i = 0; i < c->ci; i++)
                sum = vf_fma(vf_set1(pixel[i]), vf_load_n(tap + (size_t)i * c->co, cols), sum);
        }
    }
    vf_store_n(y, relu ? vf_max(sum, vf_zero()) : sum, cols);
}

void QGM_ISA(qgm_conv_forward)(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                               float *y, void *scratch)
{
    (void)scratch;
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    for (int n = 0; n < c->n; n++)
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++, y += c->co)
                for (int o = 0; o < c->co; o += VF) {
                    int cols = least(VF, c->co - o);
                    vf start = bias ? vf_load_n(bias + o, cols) : vf_zero();
                    forward_pixel(c, x + (size_t)n * c->h * c->w * c->ci, w, oy, ox, o, cols, start, relu, y + o);
                }
}

/* The weights with ci innermost, padded with zeros to whole vectors: turned[ky][kx][co][pad16(ci)]. */
static void turn_weights(const struct qgm_conv *c, const float *w, float *turned)
{
    size_t row = qgm_pad16((size_t)c->ci);
    for (int k = 0; k < c->kh * c->kw; k++)
        for (int o = 0; o < c->co; o++)
            for (size_t i = 0; i < row; i++)
                turned[((size_t)k * c->co + o) * row + i] =
                    i < (size_t)c->ci ? w[((size_t)k * c->ci + i) * c->co + o] : 0;
}

/* The output row or column that tap k of input position i belongs to, or -1. */
static int output_of(int i, int k, const struct qgm_conv *c, int outputs)
{
    int at = i + c->pad - k;
    return at < 0 || at % c->stride || at / c->stride >= outputs ? -1 : at / c->stride;
}

static void backward_pixel(const struct qgm_conv *c, const float *dy, const float *turned, int iy, int ix, int i,
                           float *dx)
{
    int ow = qgm_conv_ow(c);
    size_t row = qgm_pad16((size_t)c->ci);
    vf sum = vf_zero();
    for (int ky = 0; ky < c->kh; ky++) {
        int oy = output_of(iy, ky, c, qgm_conv_oh(c));
        if (oy < 0) continue;
        for (int kx = 0; kx < c->kw; kx++) {
            int ox = output_of(ix, kx, c, ow);
            if (ox < 0) continue;
            const float *pixel = dy + ((size_t)oy * ow + ox) * c->co;
            const float *tap = turned + (size_t)(ky * c->kw + kx) * c->co * row + i;
            for (int o = 0; o < c->co; o++) sum = vf_fma(vf_set1(pixel[o]), vf_load(tap + o * row), sum);
        }
    }
    vf_store_n(dx + i, sum, least(VF, c->ci - i));
}

void QGM_ISA(qgm_conv_backward_data)(const struct qgm_conv *c, const float *dy, const float *w, float *dx,
                                     void *scratch)
{
    float *turned = scratch;
    turn_weights(c, w, turned);
    size_t image = (size_t)qgm_conv_oh(c) * qgm_conv_ow(c) * c->co;
    for (int n = 0; n < c->n; n++)
        for (int iy = 0; iy < c->h; iy++)
            for (int ix = 0; ix < c->w; ix++, dx += c->ci)
                for (int i = 0; i < c->ci; i += VF) backward_pixel(c, dy + n * image, turned, iy, ix, i, dx);
}

/* The sum over one image for tap (ky, kx), input channel i and `cols` output channels. */
static vf weight_sum(const struct qgm_conv *c, const float *x, const float *dy, int ky, int kx, int cols)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    vf sum = vf_zero();
    for (int oy = 0; oy < oh; oy++) {
        int iy = oy * c->stride + ky - c->pad;
        if (iy < 0 || iy >= c->h) continue;
        for (int ox = 0; ox < ow; ox++) {
            int ix = ox * c->stride + kx - c->pad;
            if (ix < 0 || ix >= c->w) continue;
            vf a = vf_set1(x[((size_t)iy * c->w + ix) * c->ci]);
            sum = vf_fma(a, vf_load_n(dy + ((size_t)oy * ow + ox) * c->co, cols), sum);
        }
    }
    return sum;
}

void QGM_ISA(qgm_conv_backward_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw,
                                        void *scratch)
{
    (void)scratch;
    size_t image = (size_t)c->h * c->w * c->ci, out = (size_t)qgm_conv_oh(c) * qgm_conv_ow(c) * c->co;
    for (int n = 0; n < c->n; n++, x += image, dy += out) {
        float *to = dw;
        for (int ky = 0; ky < c->kh; ky++)
            for (int kx = 0; kx < c->kw; kx++)
                for (int i = 0; i < c->ci; i++, to += c->co)
                    for (int o = 0; o < c->co; o += VF) {
                        int cols = least(VF, c->co - o);
                        vf sum = weight_sum(c, x + i, dy + o, ky, kx, cols);
                        vf_store_n(to + o, vf_add(vf_load_n(to + o, cols), sum), cols);
                    }
    }
}
