/* Convolution by winograd.h: transform weights and inputs, 36 matrix products, transform the products back. A block of
 * tiles at a time, so that what is transformed is still in cache when it is used. SPDX-License-Identifier: MIT */
#include "winograd_tiles.h"
#include <string.h>

enum { NV = TILE_NV, NR = VF * NV, POINTS = WINOGRAD_POINTS, COLUMNS = WINOGRAD_COLUMNS };
void QGM_ISA(qgm_winograd)(const struct qgm_conv *c, const float *in, const float *w, bool turned, const float *bias,
                           bool relu, float *out, void *scratch);

struct call {
    struct qgm_conv c;
    struct winograd p;
    const float *in, *w, *bias;
    float *out, *u, *v, *m, *zeros; /* zeros: a pixel of the padding */
    bool turned, relu;
};

VF_INLINE void weights(const vf g[3], vf u[6])
{
    u[0] = vf_mul(vf_set1(1 / (P2 * Q2)), g[0]);
    vf even = times(R * P2, g[2], vf_mul(vf_set1(R), g[0]));
    u[1] = times(R * P1, g[1], even), u[2] = times(-R * P1, g[1], even);
    even = times(S * Q2, g[2], vf_mul(vf_set1(S), g[0]));
    u[3] = times(S * Q1, g[1], even), u[4] = times(-S * Q1, g[1], even);
    u[5] = g[2];
}

VF_INLINE void outputs(const vf m[6], vf y[4])
{
    vf sum = vf_add(m[1], m[2]), sum2 = vf_add(m[3], m[4]), gap = vf_sub(m[1], m[2]), gap2 = vf_sub(m[3], m[4]);
    y[0] = vf_add(vf_add(m[0], sum), sum2);
    y[1] = times(P1, gap, vf_mul(vf_set1(Q1), gap2));
    y[2] = times(P2, sum, vf_mul(vf_set1(Q2), sum2));
    y[3] = times(P2 * P1, gap, times(Q2 * Q1, gap2, m[5]));
}

/* Nine taps, `tap` floats apart, of one input channel and 16 columns. Called with a constant VF where there are as
 * many: without a test a load. */
VF_INLINE void transform_weights(const float *from, ptrdiff_t tap, int cols, float *u, ptrdiff_t point)
{
    vf t[3][6];
    UNROLL
    for (int x = 0; x < 3; x++) {
        vf g[3];
        UNROLL
        for (int y = 0; y < 3; y++) g[y] = tile_load_(from + (3 * y + x) * tap, cols);
        weights(g, t[x]);
    }
    UNROLL
    for (int y = 0; y < 6; y++) {
        vf g[3] = { t[0][y], t[1][y], t[2][y] }, out[6];
        weights(g, out);
        UNROLL
        for (int x = 0; x < 6; x++) vf_store(u + (6 * y + x) * point, out[x]);
    }
}

/* Columns from .. to - 1, as panels of NR columns a point. */
static void transform_group(const struct call *s, int from, int to)
{
    const struct qgm_conv *c = &s->c;
    ptrdiff_t tap = (ptrdiff_t)c->ci * c->co;
    for (int k = from; k < to; k += VF) {
        int panel = (k - from) / NR * NR, width = least(NR, (to - from - panel + VF - 1) / VF * VF), cols = to - k;
        float *u = s->u + (ptrdiff_t)panel * c->ci + (k - from - panel);
        const float *w = s->w + k;
        for (int i = 0; i < c->ci && !s->turned && cols >= VF; i++)
            transform_weights(w + (ptrdiff_t)i * c->co, tap, VF, u + (ptrdiff_t)i * width, s->p.u);
        for (int i = 0; i < c->ci && !s->turned && cols < VF; i++)
            transform_weights(w + (ptrdiff_t)i * c->co, tap, cols, u + (ptrdiff_t)i * width, s->p.u);
        for (int i = 0; i < c->ci && s->turned; i += VF) {
            _Alignas(QGM_ALIGN) float turned[9][VF * VF];
            for (int t = 0; t < 9; t++)
                tile_transpose(s->w + (8 - t) * tap + (ptrdiff_t)k * c->ci + i, c->ci, least(VF, cols),
                               least(VF, c->ci - i), turned[t], VF);
            for (int j = 0; j < VF && i + j < c->ci; j++)
                transform_weights(turned[0] + j * VF, VF * VF, VF, u + (ptrdiff_t)(i + j) * width, s->p.u);
        }
    }
}

/* The products of columns from .. from + cols - 1 of the group, all points, for a block of tiles. */
static void multiply(const struct call *s, int group, int from, int cols, int tiles)
{
    struct qgm_cut cut = qgm_cut(s->c.ci, WINOGRAD_CHAIN);
    for (int point = 0; point < POINTS; point++) {
        struct tile t = { .k = s->c.ci, .segments = 1, .repeats = 1, .row = s->p.ldv, .ldc = s->p.ldm };
        const float *v = s->v + point * s->p.v, *u = s->u + point * s->p.u;
        float *m = s->m + point * s->p.m;
        for (int j = 0; j < cols; j += NR) {
            int width = least(NR, group - from - j);
            t.b = u + (ptrdiff_t)(from + j) * s->c.ci, t.ldb = t.cols = width;
            int nv = width / VF, share = tile_share(tiles, tile_rows(nv));
            for (int i = 0, rows; i < tiles; i += rows) {
                rows = least(share, tiles - i);
                t.a = v + i * s->p.ldv, t.c = m + i * s->p.ldm + j;
                tile_cut(BY_ROW, rows, nv, &t, cut);
            }
        }
    }
}

/* 16 columns of a tile: the products of its 36 points to its outputs, of which ys x xs lie in the image. */
static void transform_products(const float *m, ptrdiff_t point, vf bias, bool relu, float *y, ptrdiff_t line,
                               ptrdiff_t pixel, int ys, int xs, int cols)
{
    vf t[6][4];
    UNROLL
    for (int x = 0; x < 6; x++) {
        vf column[6];
        UNROLL
        for (int i = 0; i < 6; i++) column[i] = vf_load(m + (6 * i + x) * point);
        outputs(column, t[x]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        vf row[6] = { t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i] }, out[4];
        outputs(row, out);
        UNROLL
        for (int x = 0; x < 4; x++) {
            vf sum = vf_add(out[x], bias);
            if (relu) sum = vf_max(sum, vf_zero());
            if (i < ys && x < xs) tile_store_(y + i * line + x * pixel, sum, cols);
        }
    }
}

static void transform_outputs(const struct call *s, int first, int tiles, int column, int cols)
{
    int oh = qgm_conv_oh(&s->c), ow = qgm_conv_ow(&s->c), pixel = s->c.co;
    for (int i = 0; i < tiles; i++) {
        struct place o = place_of(&s->p, first + i);
        float *y = s->out + (((ptrdiff_t)o.n * oh + o.y) * ow + o.x) * pixel + column;
        for (int j = 0; j < cols; j += VF)
            transform_products(s->m + i * s->p.ldm + j, s->p.m,
                               s->bias ? tile_load_(s->bias + column + j, cols - j) : vf_zero(), s->relu, y + j,
                               (ptrdiff_t)ow * pixel, pixel, oh - o.y, ow - o.x, cols - j);
    }
}

void QGM_ISA(qgm_winograd)(const struct qgm_conv *c, const float *in, const float *w, bool turned, const float *bias,
                           bool relu, float *out, void *scratch)
{
    struct winograd p = winograd_of(c);
    struct call s = { *c, p, in, w, bias, .out = out, .u = scratch, .turned = turned, .relu = relu };
    s.v = s.u + POINTS * p.u, s.m = s.v + POINTS * p.v, s.zeros = s.m + POINTS * p.m;
    memset(s.zeros, 0, (size_t)p.ldv * sizeof *s.zeros);
    for (int k = 0; k < c->co; k += p.group) {
        int group = least(p.group, c->co - k), whole = (group + VF - 1) / VF * VF;
        transform_group(&s, k, k + group);
        for (int i = 0; i < p.tiles; i += p.block) {
            int tiles = least(p.block, p.tiles - i);
            if (k == 0 || p.block < p.tiles) transform_inputs(c, &p, in, s.zeros, i, tiles, s.v);
            for (int j = 0; j < group; j += COLUMNS) {
                multiply(&s, whole, j, least(COLUMNS, whole - j), tiles);
                transform_outputs(&s, i, tiles, k + j, least(COLUMNS, group - j));
            }
        }
    }
}
