/* Convolution backward-weights: for each tap a product of x, transposed in place, and dy, over the pixels of a group of
 * images (qgm_conv_group). Where qgm_conv_merges, the taps of a kernel row make one taller product instead; their
 * chains then pause in memory between columns that lack some of them. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "tile.h"
#include <string.h>

enum { NV = TILE_NV, NR = VF * NV };

void QGM_ISA(qgm_conv_backward_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw,
                                        void *scratch);

static inline int least(int a, int b) { return a < b ? a : b; }
static inline int most(int a, int b) { return a > b ? a : b; }

/* Outputs low .. high - 1 see tap k inside an axis of `extent` pixels. */
struct range {
    int low, high;
};
static struct range outputs_of(const struct qgm_conv *c, int k, int extent, int outputs)
{
    int low = most(0, (c->pad - k + c->stride - 1) / c->stride);
    int last = extent - 1 + c->pad - k;
    int high = last < 0 ? 0 : least(outputs, last / c->stride + 1);
    return (struct range){ low, most(low, high) };
}

/* What the products of one group share. dy has rows of ldb floats, whole vectors. */
struct group {
    const struct qgm_conv *c;
    const float *x, *dy;
    float *dw, *partial; /* partial: chains at rest, kh, kw ci, ldb */
    int images;
    ptrdiff_t ldb;
};

/* rows x cols of a product over outputs ys x xs of `images` images. at: x and dy of the first pixel. */
static void product(const struct group *g, struct range ys, struct range xs, int images, const float *a, const float *b,
                    struct tile t, int rows, float *out, ptrdiff_t ldc)
{
    const struct qgm_conv *c = g->c;
    t.step = (ptrdiff_t)c->stride * c->ci, t.ldb = g->ldb;
    t.k = xs.high - xs.low, t.segments = ys.high - ys.low, t.repeats = images;
    t.a_next = (ptrdiff_t)c->stride * c->w * c->ci, t.b_next = qgm_conv_ow(c) * g->ldb;
    t.a_repeat = (ptrdiff_t)c->h * c->w * c->ci, t.b_repeat = qgm_conv_oh(c) * t.b_next;
    t.ldc = ldc;
    for (int j = 0; j < c->co; j += NR) {
        t.cols = least(NR, c->co - j), t.b = b + j;
        int nv = (t.cols + VF - 1) / VF, share = tile_share(rows, tile_rows(nv));
        for (int i = 0, take; i < rows; i += take) {
            take = least(share, rows - i);
            t.a = a + i, t.c = out + i * ldc + j;
            QGM_ISA(qgm_tile)(BY_COLUMN, take, nv, &t);
        }
    }
}

static const float *pixel_of(const struct group *g, int oy, int ox, int ky, int kx)
{
    const struct qgm_conv *c = g->c;
    return g->x + ((ptrdiff_t)(oy * c->stride + ky - c->pad) * c->w + ox * c->stride + kx - c->pad) * (ptrdiff_t)c->ci;
}
static const float *gradient_of(const struct group *g, int oy, int ox)
{
    return g->dy + ((ptrdiff_t)oy * qgm_conv_ow(g->c) + ox) * g->ldb;
}

static void each_tap(const struct group *g)
{
    const struct qgm_conv *c = g->c;
    for (int ky = 0; ky < c->kh; ky++)
        for (int kx = 0; kx < c->kw; kx++) {
            struct range ys = outputs_of(c, ky, c->h, qgm_conv_oh(c)), xs = outputs_of(c, kx, c->w, qgm_conv_ow(c));
            if (ys.low == ys.high || xs.low == xs.high) continue;
            product(g, ys, xs, g->images, pixel_of(g, ys.low, xs.low, ky, kx), gradient_of(g, ys.low, xs.low),
                    (struct tile){ .start = FROM_ZERO, .add_c = true }, c->ci,
                    g->dw + (ptrdiff_t)(ky * c->kw + kx) * c->ci * c->co, c->co);
        }
}

/* The taps low .. high - 1 of a kernel row that output ox sees. */
static struct range taps_at(const struct qgm_conv *c, int ox)
{
    int start = ox * c->stride - c->pad, low = least(c->kw, most(0, -start));
    return (struct range){ low, most(low, least(c->kw, c->w - start)) };
}

/* Stretches of output columns that see the same kernel columns, one after the other. */
static void each_kernel_row(const struct group *g)
{
    const struct qgm_conv *c = g->c;
    ptrdiff_t rows = (ptrdiff_t)c->kh * c->kw * c->ci;
    memset(g->partial, 0, (size_t)(rows * g->ldb) * sizeof *g->partial);
    for (struct range xs = { 0, 0 }; xs.high < qgm_conv_ow(c);) {
        struct range taps = taps_at(c, xs.high), next = taps;
        for (xs.low = xs.high; next.low == taps.low && next.high == taps.high && xs.high < qgm_conv_ow(c);)
            next = taps_at(c, ++xs.high);
        for (int ky = 0; ky < c->kh && taps.low < taps.high; ky++) {
            struct range ys = outputs_of(c, ky, c->h, qgm_conv_oh(c));
            product(g, ys, xs, g->images, pixel_of(g, ys.low, xs.low, ky, taps.low), gradient_of(g, ys.low, xs.low),
                    (struct tile){ .start = FROM_C }, (taps.high - taps.low) * c->ci,
                    g->partial + ((ptrdiff_t)ky * c->kw + taps.low) * c->ci * g->ldb, g->ldb);
        }
    }
    for (ptrdiff_t r = 0; r < rows; r++)
        for (int j = 0; j < c->co; j += VF) {
            float *to = g->dw + r * c->co + j;
            int cols = c->co - j;
            tile_store_(to, vf_add(tile_load_(to, cols), vf_load(g->partial + r * g->ldb + j)), cols);
        }
}

/* dy with rows of whole vectors, zeros behind co. */
static const float *widen(const struct qgm_conv *c, const float *dy, ptrdiff_t pixels, ptrdiff_t ldb, float *to)
{
    for (ptrdiff_t p = 0; p < pixels; p++)
        for (int j = 0; j < c->co; j += VF) vf_store(to + p * ldb + j, tile_load_(dy + p * c->co + j, c->co - j));
    return to;
}

void QGM_ISA(qgm_conv_backward_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw,
                                        void *scratch)
{
    int step = qgm_conv_group(c);
    ptrdiff_t image = (ptrdiff_t)c->h * c->w * c->ci, pixels = (ptrdiff_t)qgm_conv_oh(c) * qgm_conv_ow(c);
    ptrdiff_t ldb = (c->co + VF - 1) / VF * VF, taps = (ptrdiff_t)c->kh * c->kw * c->ci;
    bool merge = qgm_conv_merges(c);
    float *wide = (float *)scratch + (merge ? taps * ldb : 0);
    for (int n = 0; n < c->n; n += step) {
        struct group g = { c, x + n * image, dy + n * pixels * c->co, dw, scratch, least(step, c->n - n), ldb };
        if (ldb != c->co) g.dy = widen(c, g.dy, g.images * pixels, ldb, wide);
        if (merge)
            each_kernel_row(&g);
        else
            each_tap(&g);
    }
}
