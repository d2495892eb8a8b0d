/* Winograd's minimal filtering F(4 x 4, 3 x 3) for 3 x 3 convolutions of stride 1: 36 products in place of 144 for 16
 * outputs. Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
 *
 * One axis: six inputs d, three weights g, four outputs y = A^T ((G g) . (B^T d)), the polynomials being interpolated
 * at 0, +-P, +-Q and infinity. With P = 5/8 and Q = 3/2 (exact, as are their squares and cubes) the rounding error is
 * half that of the usual 1 and 2. Each line below is evaluated as written, fma where a product is added:
 *
 *   inputs    v0 = P^2 Q^2 d0 + (-(P^2 + Q^2) d2 + d4)         v5 = P^2 Q^2 d1 + (-(P^2 + Q^2) d3 + d5)
 *             v1, v2 = +-P (-Q^2 d1 + d3) + (-Q^2 d2 + d4)     v3, v4 = +-Q (-P^2 d1 + d3) + (-P^2 d2 + d4)
 *   weights   u0 = g0 / (P^2 Q^2)                              u5 = g2
 *             u1, u2 = +-R P g1 + (R P^2 g2 + R g0)            u3, u4 = +-S Q g1 + (S Q^2 g2 + S g0)
 *             R = 1 / (2 P^2 (P^2 - Q^2))                      S = 1 / (2 Q^2 (Q^2 - P^2))
 *   outputs   y0 = (m0 + (m1 + m2)) + (m3 + m4)                y1 = P (m1 - m2) + Q (m3 - m4)
 *             y2 = P^2 (m1 + m2) + Q^2 (m3 + m4)               y3 = P^3 (m1 - m2) + (Q^3 (m3 - m4) + m5)
 *
 * Two axes: the vertical one first, then the horizontal one. Between the transforms each of the 36 products is a chain
 * of fma over the input channels, ascending from 0 and cut (qgm_cut) to WINOGRAD_CHAIN terms: cuts cost 4 % of the time
 * of 512 channels and save a tenth of the error of ResNet-18's gradients. SPDX-License-Identifier: MIT */
#ifndef QGM_WINOGRAD_H
#define QGM_WINOGRAD_H
#include "kernels.h"

#define WINOGRAD_P 0.625f
#define WINOGRAD_Q 1.5f

/* How the work is cut: by shape alone, the same on every instruction set. Tiles of 4 x 4 outputs go through in blocks,
 * so that transformed inputs and products stay in the second-level cache beside the weights; where the weights do not
 * fit there, blocks are larger, to read them less often. Few tiles read such weights only once: they are transformed a
 * group of columns at a time instead, and never travel to memory. */
enum { WINOGRAD_POINTS = 36, WINOGRAD_COLUMNS = 64, WINOGRAD_CHAIN = 64, WINOGRAD_FEW = 128 };
struct winograd {
    int tiles_y, tiles_x, tiles, block, group; /* group: columns */
    ptrdiff_t ldv, ldm;                        /* floats from one row to the next: transformed inputs, products */
    ptrdiff_t v, u, m;                         /* from one point to the next: inputs, weights, products */
};

/* c is what is computed: for backward_data the convolution that gives dx from dy. */
static inline struct winograd winograd_of(const struct qgm_conv *c)
{
    struct winograd p = { .tiles_y = (qgm_conv_oh(c) + 3) / 4, .tiles_x = (qgm_conv_ow(c) + 3) / 4 };
    p.tiles = c->n * p.tiles_y * p.tiles_x;
    int columns = (c->co + 15) / 16 * 16;
    bool light = c->ci * c->co <= 1 << 14, few = p.tiles <= WINOGRAD_FEW && !light;
    p.block = few ? p.tiles : light ? 28 : 112;
    if (p.block > p.tiles) p.block = p.tiles;
    p.group = few && columns > WINOGRAD_COLUMNS ? WINOGRAD_COLUMNS : columns;
    p.ldm = columns < WINOGRAD_COLUMNS ? columns : WINOGRAD_COLUMNS;
    /* Distances of a power of two would fall on a few cache sets. */
    p.ldv = (c->ci + 15) / 16 * 16 + 16;
    p.v = p.block * p.ldv + 16, p.u = (ptrdiff_t)c->ci * p.group + 16, p.m = p.block * p.ldm + 16;
    return p;
}

/* The same for backward_weights: dw = G^T (sum over tiles of (B^T x B) . (A dy A^T)) G, a product of inputs and
 * transformed gradients for each point, over the tiles. u: the sums. A block's chains start from 0; the first block's
 * are the sums, those of later ones are added to them. Evaluated as written:
 *
 *   gradients  m0 = y0                                            m5 = y3
 *              m1, m2 = (P^2 y2 + y0) +- (P^3 y3 + P y1)          m3, m4 = (Q^2 y2 + y0) +- (Q^3 y3 + Q y1)
 *   taps       g0 = u0 / (P^2 Q^2) + (R (u1 + u2) + S (u3 + u4))  g1 = R P (u1 - u2) + S Q (u3 - u4)
 *              g2 = R P^2 (u1 + u2) + (S Q^2 (u3 + u4) + u5) */
static inline struct winograd winograd_weights_of(const struct qgm_conv *c)
{
    struct winograd p = { .tiles_y = (qgm_conv_oh(c) + 3) / 4, .tiles_x = (qgm_conv_ow(c) + 3) / 4 };
    p.tiles = c->n * p.tiles_y * p.tiles_x;
    p.group = (c->co + 15) / 16 * 16;
    p.block = WINOGRAD_CHAIN;
    if (p.block > p.tiles) p.block = p.tiles;
    p.ldv = (c->ci + 15) / 16 * 16 + 16, p.ldm = p.group + 16;
    p.v = p.block * p.ldv + 16, p.u = (ptrdiff_t)c->ci * p.group + 16, p.m = p.block * p.ldm + 16;
    return p;
}

/* The convolution that backward_data is: dx = dy convolved with the weights turned round. */
static inline struct qgm_conv winograd_turned(const struct qgm_conv *c)
{
    return (struct qgm_conv){ c->n, qgm_conv_oh(c), qgm_conv_ow(c), c->co, c->ci, 3, 3, 1, 2 - c->pad };
}

#endif
