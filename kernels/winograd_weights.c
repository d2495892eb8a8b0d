/* Backward-weights by winograd.h: transform inputs and gradients tile by tile, 36 products over the tiles, transform
 * their sums back. SPDX-License-Identifier: MIT */
#include "winograd_tiles.h"
#include <string.h>

enum { NV = TILE_NV, NR = VF * NV, POINTS = WINOGRAD_POINTS };

void QGM_ISA(qgm_winograd_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw, void *scratch);

/* The transpose of how products become outputs. */
VF_INLINE void gradients(const vf y[4], vf m[6])
{
    m[0] = y[0];
    vf even = times(P2, y[2], y[0]), odd = times(P2 * P1, y[3], vf_mul(vf_set1(P1), y[1]));
    m[1] = vf_add(even, odd), m[2] = vf_sub(even, odd);
    even = times(Q2, y[2], y[0]), odd = times(Q2 * Q1, y[3], vf_mul(vf_set1(Q1), y[1]));
    m[3] = vf_add(even, odd), m[4] = vf_sub(even, odd);
    m[5] = y[3];
}

/* The transpose of how weights are transformed. */
VF_INLINE void taps(const vf u[6], vf g[3])
{
    vf sum = vf_add(u[1], u[2]), sum2 = vf_add(u[3], u[4]), gap = vf_sub(u[1], u[2]), gap2 = vf_sub(u[3], u[4]);
    g[0] = times(1 / (P2 * Q2), u[0], times(R, sum, vf_mul(vf_set1(S), sum2)));
    g[1] = times(R * P1, gap, vf_mul(vf_set1(S * Q1), gap2));
    g[2] = times(R * P2, sum, times(S * Q2, sum2, u[5]));
}

/* 16 channels of a tile's 16 gradients, from channel j; cols is a constant VF where there are as many. */
VF_INLINE void transform_pixels_back(const float *const at[16], int j, int cols, float *m, ptrdiff_t point)
{
    vf t[4][6];
    UNROLL
    for (int x = 0; x < 4; x++) {
        vf y[4];
        UNROLL
        for (int i = 0; i < 4; i++) y[i] = tile_load_(at[4 * i + x] + j, cols);
        gradients(y, t[x]);
    }
    UNROLL
    for (int y = 0; y < 6; y++) {
        vf row[4] = { t[0][y], t[1][y], t[2][y], t[3][y] }, out[6];
        gradients(row, out);
        UNROLL
        for (int x = 0; x < 6; x++) vf_store(m + (6 * y + x) * point, out[x]);
    }
}

/* m[point][tile][channel] of a block of tiles; what hangs over the edge of an image is zero. */
static void transform_gradients(const struct qgm_conv *c, const struct winograd *p, const float *dy, const float *zeros,
                                int first, int tiles, float *m)
{
    int oh = qgm_conv_oh(c), ow = qgm_conv_ow(c);
    for (int i = 0; i < tiles; i++, m += p->ldm) {
        struct place o = place_of(p, first + i);
        const float *at[16];
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 4; x++)
                at[4 * y + x] = o.y + y < oh && o.x + x < ow
                                    ? dy + (((ptrdiff_t)o.n * oh + o.y + y) * ow + o.x + x) * c->co
                                    : zeros;
        int j = 0;
        for (; j + VF <= c->co; j += VF) transform_pixels_back(at, j, VF, m + j, p->m);
        if (j < c->co) transform_pixels_back(at, j, c->co - j, m + j, p->m);
    }
}

/* u[point] = or, if not the first block of tiles, += v[point]^T m[point]. */
static void multiply(const struct qgm_conv *c, const struct winograd *p, const float *v, const float *m, int tiles,
                     bool first, float *u)
{
    struct tile t = { .k = tiles, .segments = 1, .repeats = 1, .step = p->ldv, .ldb = p->ldm, .ldc = p->group };
    t.start = FROM_ZERO, t.add_c = !first;
    for (int point = 0; point < POINTS; point++, v += p->v, m += p->m, u += p->u)
        for (int j = 0; j < p->group; j += NR) {
            int nv = least(NR, p->group - j) / VF, share = tile_share(c->ci, tile_rows(nv));
            t.b = m + j, t.cols = nv * VF;
            for (int i = 0; i < c->ci; i += share) {
                t.a = v + i, t.c = u + (ptrdiff_t)i * p->group + j;
                QGM_ISA(qgm_tile)(BY_COLUMN, least(share, c->ci - i), nv, &t);
            }
        }
}

/* dw += the taps of the sums; 16 columns of one input channel. */
VF_INLINE void transform_sums(const float *u, ptrdiff_t point, float *dw, ptrdiff_t tap, int cols)
{
    vf t[6][3];
    UNROLL
    for (int x = 0; x < 6; x++) {
        vf column[6];
        UNROLL
        for (int y = 0; y < 6; y++) column[y] = vf_load(u + (6 * y + x) * point);
        taps(column, t[x]);
    }
    UNROLL
    for (int y = 0; y < 3; y++) {
        vf row[6] = { t[0][y], t[1][y], t[2][y], t[3][y], t[4][y], t[5][y] }, g[3];
        taps(row, g);
        UNROLL
        for (int x = 0; x < 3; x++) {
            float *to = dw + (3 * y + x) * tap;
            tile_store_(to, vf_add(tile_load_(to, cols), g[x]), cols);
        }
    }
}

void QGM_ISA(qgm_winograd_weights)(const struct qgm_conv *c, const float *x, const float *dy, float *dw, void *scratch)
{
    struct winograd p = winograd_weights_of(c);
    float *v = scratch, *m = v + POINTS * p.v, *u = m + POINTS * p.m, *zeros = u + POINTS * p.u;
    ptrdiff_t most = p.ldv > p.ldm ? p.ldv : p.ldm;
    memset(zeros, 0, (size_t)most * sizeof *zeros);
    for (int i = 0; i < p.tiles; i += p.block) {
        int tiles = least(p.block, p.tiles - i);
        transform_inputs(c, &p, x, zeros, i, tiles, v);
        transform_gradients(c, &p, dy, zeros, i, tiles, m);
        multiply(c, &p, v, m, tiles, i == 0, u);
    }
    for (int i = 0; i < c->ci; i++)
        for (int j = 0; j < c->co; j += VF)
            transform_sums(u + (ptrdiff_t)i * p.group + j, p.u, dw + (ptrdiff_t)i * c->co + j, (ptrdiff_t)c->ci * c->co,
                           c->co - j);
}
