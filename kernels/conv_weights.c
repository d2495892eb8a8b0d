/* Convolution backward-weights: for each tap a product of x, transposed in place, and dy, over the pixels of a group of
 * images (qgm_conv_group). Where qgm_conv_merges, the taps of a kernel row make one taller product instead; their
 * chains then pause in memory between columns that lack some of them. Where qgm_conv_gathers, the pixels of both
 * operands are copied next to each other first. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "tile.h"
#include <string.h>

/* BLOCK: floats of dy that stay in the second-level cache. sizes.c knows that MANY = 256 and PANELS * NR = 128. */
enum { NV = TILE_NV, NR = VF * NV, BLOCK = 1 << 16, PANELS = 8 / NV };

void QGM_ISA(qgm_winograd_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw, void *scratch);
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
    if (t.k == 1) t.k = t.segments, t.segments = 1, t.step = t.a_next, t.ldb = t.b_next; /* a column: one long chain */
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

/* Columns low .. high - 1, every `step`-th, of all lines of an image batch; channels from .. to - 1 in pieces of
 * `width` one behind the other, each as long as all pixels of it. Channels past `all` are zeros. */
static void gather(const float *from, ptrdiff_t lines, ptrdiff_t line, struct range columns, int step, int all,
                   int channels, int width, float *to)
{
    ptrdiff_t piece = lines * (columns.high - columns.low) * width;
    for (ptrdiff_t l = 0; l < lines; l++, from += line)
        for (int x = columns.low; x < columns.high; x++, to += width)
            for (int i = 0; i < channels; i += width)
                for (int v = 0; v < width; v += VF)
                    tile_store_(to + i / width * piece + v,
                                tile_load_(from + (ptrdiff_t)x * step * all + i + v, most(0, channels - i - v)),
                                width - v);
}

/* The products of one kernel column and some panels of dy. */
static void column_of_taps(const struct group *g, int kx, int cols, int j, int panels, const float *x, const float *dy)
{
    const struct qgm_conv *c = g->c;
    int oh = qgm_conv_oh(c), share = tile_share(c->ci, tile_rows(NV));
    struct tile t = { .repeats = g->images, .step = share, .ldb = NR, .ldc = c->co, .start = FROM_ZERO, .add_c = true };
    t.a_next = (ptrdiff_t)c->stride * cols * share, t.b_next = (ptrdiff_t)cols * NR;
    t.a_repeat = (ptrdiff_t)c->h * cols * share, t.b_repeat = oh * t.b_next;
    for (int ky = 0; ky < c->kh; ky++) {
        struct range ys = outputs_of(c, ky, c->h, oh);
        if (ys.low == ys.high) continue;
        t.k = cols, t.segments = ys.high - ys.low;
        if (c->stride == 1) t.k *= t.segments, t.segments = 1;
        for (int i = 0; i < c->ci; i += share)
            for (int p = j; p < least(c->co, j + panels * NR); p += NR) {
                t.a = x + i * (g->images * (ptrdiff_t)c->h * cols) +
                      (ys.low * c->stride + ky - c->pad) * (ptrdiff_t)cols * share;
                t.b = dy + (p - j) * (g->images * (ptrdiff_t)oh * cols) + ys.low * t.b_next;
                t.c = g->dw + ((ptrdiff_t)(ky * c->kw + kx) * c->ci + i) * c->co + p;
                t.cols = least(NR, c->co - p);
                QGM_ISA(qgm_tile)(BY_COLUMN, least(share, c->ci - i), (t.cols + VF - 1) / VF, &t);
            }
    }
}

/* Pixels of many channels lie a page or two apart, and a tile would touch a page or two a term. What one kernel column
 * pairs is copied instead: all of x in tiles of rows, dy a few panels at a time. */
static void each_kernel_column(const struct group *g, float *room)
{
    const struct qgm_conv *c = g->c;
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c), share = tile_share(c->ci, tile_rows(NV));
    for (int kx = 0; kx < c->kw; kx++) {
        struct range xs = outputs_of(c, kx, c->w, ow);
        int cols = xs.high - xs.low, first = xs.low * c->stride + kx - c->pad;
        if (cols == 0) continue;
        float *dy = room + g->images * (ptrdiff_t)c->h * cols * ((c->ci + share - 1) / share * share);
        gather(g->x + (ptrdiff_t)first * c->ci, g->images * (ptrdiff_t)c->h, (ptrdiff_t)c->w * c->ci,
               (struct range){ 0, cols }, c->stride, c->ci, c->ci, share, room);
        for (int j = 0; j < c->co; j += PANELS * NR) {
            gather(g->dy + j, g->images * (ptrdiff_t)oh, ow * g->ldb, xs, 1, (int)g->ldb, least(PANELS * NR, c->co - j),
                   NR, dy);
            column_of_taps(g, kx, cols, j, PANELS, room, dy);
        }
    }
}

/* The taps low .. high - 1 of a kernel row that output ox sees. */
static struct range taps_at(const struct qgm_conv *c, int ox)
{
    int start = ox * c->stride - c->pad, low = least(c->kw, most(0, -start));
    return (struct range){ low, most(low, least(c->kw, c->w - start)) };
}

/* All kernel rows over the outputs xs of rows from .. to - 1, going on with their chains. */
static void kernel_rows(const struct group *g, struct range taps, struct range xs, int from, int to)
{
    const struct qgm_conv *c = g->c;
    for (int ky = 0; ky < c->kh && taps.low < taps.high; ky++) {
        struct range ys = outputs_of(c, ky, c->h, qgm_conv_oh(c));
        ys.low = most(ys.low, from), ys.high = least(ys.high, to);
        if (ys.low >= ys.high) continue;
        product(g, ys, xs, g->images, pixel_of(g, ys.low, xs.low, ky, taps.low), gradient_of(g, ys.low, xs.low),
                (struct tile){ .start = FROM_C }, (taps.high - taps.low) * c->ci,
                g->partial + ((ptrdiff_t)ky * c->kw + taps.low) * c->ci * g->ldb, g->ldb);
    }
}

/* Stretches of output columns that see the same kernel columns, one after the other. A large image goes through a few
 * rows at a time, whose dy stays in cache from one kernel row to the next. */
static void each_kernel_row(const struct group *g)
{
    const struct qgm_conv *c = g->c;
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    ptrdiff_t rows = (ptrdiff_t)c->kh * c->kw * c->ci;
    memset(g->partial, 0, (size_t)(rows * g->ldb) * sizeof *g->partial);
    for (struct range xs = { 0, 0 }; xs.high < ow;) {
        struct range taps = taps_at(c, xs.high), next = taps;
        for (xs.low = xs.high; next.low == taps.low && next.high == taps.high && xs.high < ow;)
            next = taps_at(c, ++xs.high);
        int block = g->images > 1 || xs.high - xs.low == 1 ? oh : most(1, BLOCK / (int)(ow * g->ldb));
        for (int y = 0; y < oh; y += block) kernel_rows(g, taps, xs, y, least(oh, y + block));
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
    if (qgm_conv_winograd_weights(c)) {
        QGM_ISA(qgm_winograd_weights)(c, x, dy, dw, scratch);
        return;
    }
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
        else if (qgm_conv_gathers(c))
            each_kernel_column(&g, wide + (ldb != c->co ? g.images * pixels * ldb : 0));
        else
            each_tap(&g);
    }
}
