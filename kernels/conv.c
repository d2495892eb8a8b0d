/* Convolution forward and backward-data: direct, in register tiles, without copies of the image.
 *
 * Both are sweeps: outputs on a grid, each the chain over the taps of a window of the input that slides `step` pixels
 * an output. backward_data of stride s is s x s sweeps, one for each (row, column) parity of dx, whose taps are every
 * s-th of the kernel's, turned round. A tile's rows are outputs with the same taps inside the image: along a row, a
 * column, or the batch, whichever fills the tile. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "tile.h"
#include "winograd.h"
#include <string.h>

/* ENOUGH rows hide the latency of fma; longer tiles gain little. FEW pixels do not pay for packing. BLOCK floats stay
 * in the second-level cache. */
enum { NV = TILE_NV, NR = VF * NV, ENOUGH = 8, FEW = 32, BLOCK = 1 << 17, SMALL = 1 << 14 };

void QGM_ISA(qgm_conv_forward)(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                               float *y, void *scratch);
void QGM_ISA(qgm_conv_backward_data)(const struct qgm_conv *c, const float *dy, const float *w, float *dx,
                                     void *scratch);
void QGM_ISA(qgm_winograd)(const struct qgm_conv *c, const float *in, const float *w, bool turned, const float *bias,
                           bool relu, float *out, void *scratch);

static inline int least(int a, int b) { return a < b ? a : b; }
static inline int most(int a, int b) { return a > b ? a : b; }

/* One axis of a sweep: output o reads inputs first + o step + t for taps t, those in 0 .. extent - 1. */
struct axis {
    int outputs, step, first, taps, extent;
    ptrdiff_t out; /* floats from one output to the next */
};
/* Outputs from .. to - 1 have the taps low .. high - 1. */
struct span {
    int from, to, low, high;
};
struct sweep {
    struct axis y, x;
    int images, channels, cols; /* of the input; of the output */
    const float *in, *weights;  /* weights: taps y, taps x, channels, then ldb columns; or panels of NR columns */
    float *out;
    ptrdiff_t in_image, out_image, ldb; /* ldb 0: panels */
    const float *bias;
    bool relu;
};

static void taps_at(const struct axis *axis, int o, int *low, int *high)
{
    int start = axis->first + o * axis->step;
    *low = least(axis->taps, most(0, -start));
    *high = most(*low, least(axis->taps, axis->extent - start));
}

/* The outputs from o on that have the same taps. */
static struct span span_at(const struct axis *axis, int o)
{
    struct span s = { .from = o, .to = o + 1 };
    taps_at(axis, o, &s.low, &s.high);
    for (int low, high; s.to < axis->outputs; s.to++) {
        taps_at(axis, s.to, &low, &high);
        if (low != s.low || high != s.high) break;
    }
    return s;
}

/* A direction the rows of a tile may run in: how far, and the distances between its rows. */
struct direction {
    int length;
    ptrdiff_t in, out;
};

/* All outputs of ys x xs x images against one panel of columns. t has b, cols and what depends on them. */
static void sweep_region(const struct sweep *s, struct span ys, struct span xs, int nv, int column, struct tile t)
{
    ptrdiff_t pixel = s->channels, line = s->x.extent * pixel;
    struct direction d[3] = { { xs.to - xs.from, s->x.step * pixel, s->x.out },
                              { ys.to - ys.from, s->y.step * line, s->y.out },
                              { s->images, s->in_image, s->out_image } };
    int best = 0;
    for (int i = 1; i < 3; i++)
        if (least(ENOUGH, d[i].length) > least(ENOUGH, d[best].length)) best = i;
    struct direction along = d[best], *other = d + (best == 0), *last = d + (best == 2 ? 1 : 2);
    t.k = (xs.high - xs.low) * s->channels, t.segments = ys.high - ys.low;
    t.b += ((ptrdiff_t)ys.low * s->x.taps + xs.low) * pixel * t.ldb;
    t.a_next = line, t.b_next = s->x.taps * pixel * t.ldb;
    t.row = along.in, t.ldc = along.out;
    const float *in = s->in + (s->y.first + ys.from * s->y.step + ys.low) * line +
                      (s->x.first + xs.from * s->x.step + xs.low) * pixel;
    float *out = s->out + ys.from * s->y.out + xs.from * s->x.out + column;
    int share = tile_share(along.length, tile_rows(nv));
    struct qgm_cut cut = qgm_cut(t.k, QGM_CHAIN);
    for (int l = 0; l < last->length; l++)
        for (int o = 0; o < other->length; o++)
            for (int i = 0, rows; i < along.length; i += rows) {
                rows = least(share, along.length - i);
                t.a = in + l * last->in + o * other->in + i * along.in;
                t.c = out + l * last->out + o * other->out + i * along.out;
                tile_cut(BY_ROW, rows, nv, &t, cut);
            }
}

static void sweep(const struct sweep *s)
{
    if (s->images == 0) return;
    ptrdiff_t rows = (ptrdiff_t)s->y.taps * s->x.taps * s->channels;
    for (int j = 0; j < s->cols; j += NR) {
        int cols = least(NR, s->cols - j), nv = (cols + VF - 1) / VF;
        struct tile t = { .repeats = 1,
                          .b = s->weights + (s->ldb ? j : j * rows),
                          .ldb = s->ldb ? s->ldb : nv * VF,
                          .cols = cols,
                          .bias = s->bias ? s->bias + j : NULL,
                          .start = s->bias ? FROM_BIAS : FROM_ZERO,
                          .relu = s->relu };
        for (struct span ys = { 0 }; ys.to < s->y.outputs;) {
            ys = span_at(&s->y, ys.to);
            for (struct span xs = { 0 }; xs.to < s->x.outputs;) {
                xs = span_at(&s->x, xs.to);
                sweep_region(s, ys, xs, nv, j, t);
            }
        }
    }
}

/* Panels of NR columns (the last one of whole vectors, filled up with zeros), each `rows` rows of its width. */
static void pack_columns(const float *from, ptrdiff_t rows, int cols, float *to)
{
    for (int j = 0; j < cols; j += NR) {
        int width = least(NR, (cols - j + VF - 1) / VF * VF);
        for (ptrdiff_t r = 0; r < rows; r++, to += width)
            for (int l = 0; l < width; l += VF) vf_store(to + l, tile_load_(from + r * cols + j + l, cols - j - l));
    }
}

void QGM_ISA(qgm_conv_forward)(const struct qgm_conv *c, const float *x, const float *w, const float *bias, bool relu,
                               float *y, void *scratch)
{
    if (qgm_conv_winograd(c)) {
        QGM_ISA(qgm_winograd)(c, x, w, false, bias, relu, y, scratch);
        return;
    }
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    /* Packed weights pay when they would lie apart (more than one panel) and many pixels read them. */
    bool direct = c->co % VF == 0 && (c->co <= NR || (ptrdiff_t)c->n * oh * ow <= FEW);
    if (!direct) pack_columns(w, (ptrdiff_t)c->kh * c->kw * c->ci, c->co, scratch);
    sweep(&(struct sweep){ .y = { oh, c->stride, -c->pad, c->kh, c->h, (ptrdiff_t)ow * c->co },
                           .x = { ow, c->stride, -c->pad, c->kw, c->w, c->co },
                           .images = c->n,
                           .channels = c->ci,
                           .cols = c->co,
                           .in = x,
                           .weights = direct ? w : scratch,
                           .out = y,
                           .in_image = (ptrdiff_t)c->h * c->w * c->ci,
                           .out_image = (ptrdiff_t)oh * ow * c->co,
                           .ldb = direct ? c->co : 0,
                           .bias = bias,
                           .relu = relu });
}

/* The pixels of dx, on one axis, that taps residue, residue + stride, ... reach: dx pixel p belongs to the residue
 * (p + pad) mod stride, and its tap number t, counted from the last, comes from dy pixel (p + pad - residue) / stride -
 * (taps - 1) + t. *pixel is the first of them. */
static struct axis turned_axis(const struct qgm_conv *c, int residue, int kernel, int extent, int outputs,
                               ptrdiff_t out, int *pixel)
{
    int taps = residue < kernel ? (kernel - residue + c->stride - 1) / c->stride : 0;
    int start = ((residue - c->pad) % c->stride + c->stride) % c->stride;
    *pixel = start;
    return (struct axis){ .outputs = start < extent ? (extent - start + c->stride - 1) / c->stride : 0,
                          .step = 1,
                          .first = (start + c->pad - residue) / c->stride - (taps - 1),
                          .taps = taps,
                          .extent = outputs,
                          .out = out * c->stride };
}

/* The taps of one residue pair, last first, as panels of NR input channels. */
static void pack_turned(const struct qgm_conv *c, const float *w, int ry, int rx, int ty, int tx, float *to)
{
    for (int j = 0; j < c->ci; j += NR) {
        int width = least(NR, (c->ci - j + VF - 1) / VF * VF);
        for (int y = ty - 1; y >= 0; y--)
            for (int x = tx - 1; x >= 0; x--, to += (ptrdiff_t)c->co * width) {
                int tap = (ry + y * c->stride) * c->kw + rx + x * c->stride;
                const float *from = w + ((ptrdiff_t)tap * c->ci + j) * c->co;
                tile_transpose(from, c->co, least(NR, c->ci - j), c->co, to, width);
            }
    }
}

/* The sweep of one pair of residues over `images` images; *packed is where its weights are, and then the next ones. */
static void sweep_residue(const struct qgm_conv *c, int ry, int rx, int images, const float *dy, const float *w,
                          float *dx, float **packed, bool pack)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c), top, left;
    struct sweep s = { .y = turned_axis(c, ry, c->kh, c->h, oh, (ptrdiff_t)c->w * c->ci, &top),
                       .x = turned_axis(c, rx, c->kw, c->w, ow, c->ci, &left),
                       .images = images,
                       .channels = c->co,
                       .cols = c->ci,
                       .in = dy,
                       .weights = *packed,
                       .in_image = (ptrdiff_t)oh * ow * c->co,
                       .out_image = (ptrdiff_t)c->h * c->w * c->ci };
    s.out = dx + ((ptrdiff_t)top * c->w + left) * c->ci;
    if (pack) pack_turned(c, w, ry, rx, s.y.taps, s.x.taps, *packed);
    *packed += (ptrdiff_t)s.y.taps * s.x.taps * c->co * ((c->ci + VF - 1) / VF * VF);
    sweep(&s);
}

void QGM_ISA(qgm_conv_backward_data)(const struct qgm_conv *c, const float *dy, const float *w, float *dx,
                                     void *scratch)
{
    if (qgm_conv_winograd(c)) {
        struct qgm_conv turned = winograd_turned(c);
        QGM_ISA(qgm_winograd)(&turned, dy, w, true, NULL, false, dx, scratch);
        return;
    }
    ptrdiff_t in = (ptrdiff_t)c->h * c->w * c->ci, out = (ptrdiff_t)qgm_conv_oh(c) * qgm_conv_ow(c) * c->co;
    /* Residues share cache lines of dx: a few images at a time, so that they are still in cache. */
    bool gaps = c->kh < c->stride || c->kw < c->stride;
    int images = c->stride == 1 ? c->n : least(c->n, most(1, (int)((gaps ? SMALL : BLOCK) / (in + 1))));
    for (int n = 0; n < c->n; n += images) {
        int share = least(images, c->n - n);
        float *packed = scratch;
        /* Pixels that no tap reaches are many where the kernel is smaller than the stride: not worth a sweep each. */
        if (gaps) memset(dx + n * in, 0, sizeof *dx * (size_t)share * (size_t)in);
        for (int ry = 0; ry < c->stride && ry < c->kh; ry++)
            for (int rx = 0; rx < c->stride && rx < c->kw; rx++)
                sweep_residue(c, ry, rx, share, dy + n * out, w, dx + n * in, &packed, n == 0);
    }
}
