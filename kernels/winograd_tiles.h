/* What the forms of Winograd's convolution share: tiles of the input, transformed. See winograd.h.
 * SPDX-License-Identifier: MIT */
#ifndef QGM_WINOGRAD_TILES_H
#define QGM_WINOGRAD_TILES_H
#include "tile.h"
#include "winograd.h"

#define P1 WINOGRAD_P
#define Q1 WINOGRAD_Q
#define P2 (P1 * P1)
#define Q2 (Q1 * Q1)
#define R  (1 / (2 * P2 * (P2 - Q2)))
#define S  (1 / (2 * Q2 * (Q2 - P2)))

static inline int least(int a, int b) { return a < b ? a : b; }

VF_INLINE vf times(float a, vf b, vf c) { return vf_fma(vf_set1(a), b, c); }

VF_INLINE void inputs(const vf d[6], vf v[6])
{
    vf even = times(-Q2, d[2], d[4]), odd = times(-Q2, d[1], d[3]);
    v[0] = times(P2 * Q2, d[0], times(-(P2 + Q2), d[2], d[4]));
    v[1] = times(P1, odd, even), v[2] = times(-P1, odd, even);
    even = times(-P2, d[2], d[4]), odd = times(-P2, d[1], d[3]);
    v[3] = times(Q1, odd, even), v[4] = times(-Q1, odd, even);
    v[5] = times(P2 * Q2, d[1], times(-(P2 + Q2), d[3], d[5]));
}

struct place {
    int n, y, x; /* of a tile: image, and the first output */
};
static struct place place_of(const struct winograd *p, int tile)
{
    int image = p->tiles_y * p->tiles_x, at = tile % image;
    return (struct place){ tile / image, at / p->tiles_x * 4, at % p->tiles_x * 4 };
}

/* 16 channels of a tile's 36 pixels, from channel i; cols is a constant as above. */
VF_INLINE void transform_pixels(const float *const at[WINOGRAD_POINTS], int i, int cols, float *v, ptrdiff_t point)
{
    vf t[6][6];
    UNROLL
    for (int x = 0; x < 6; x++) {
        vf d[6];
        UNROLL
        for (int y = 0; y < 6; y++) d[y] = tile_load_(at[6 * y + x] + i, cols);
        inputs(d, t[x]);
    }
    UNROLL
    for (int y = 0; y < 6; y++) {
        vf d[6] = { t[0][y], t[1][y], t[2][y], t[3][y], t[4][y], t[5][y] }, out[6];
        inputs(d, out);
        UNROLL
        for (int x = 0; x < 6; x++) vf_store(v + (6 * y + x) * point, out[x]);
    }
}

static inline void transform_tile(const float *const at[WINOGRAD_POINTS], int channels, float *v, ptrdiff_t point)
{
    int i = 0;
    for (; i + VF <= channels; i += VF) transform_pixels(at, i, VF, v + i, point);
    if (i < channels) transform_pixels(at, i, channels - i, v + i, point);
}

/* Tiles first .. first + tiles - 1 of the input, padding included: v[point][tile][channel]. zeros: a pixel of them. */
static inline void transform_inputs(const struct qgm_conv *c, const struct winograd *p, const float *in,
                                    const float *zeros, int first, int tiles, float *v)
{
    for (int i = 0; i < tiles; i++) {
        struct place o = place_of(p, first + i);
        const float *at[WINOGRAD_POINTS];
        for (int y = 0; y < 6; y++)
            for (int x = 0; x < 6; x++) {
                int iy = o.y - c->pad + y, ix = o.x - c->pad + x;
                bool inside = iy >= 0 && iy < c->h && ix >= 0 && ix < c->w;
                at[6 * y + x] = inside ? in + (((ptrdiff_t)o.n * c->h + iy) * c->w + ix) * c->ci : zeros;
            }
        transform_tile(at, c->ci, v + i * p->ldv, p->v);
    }
}

#endif
