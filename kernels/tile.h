/* The register tile under every product and convolution: rows x (16 nv) outputs, each a chain of fma kept in registers.
 *
 *     c[i][j] = start + sum over segments s and p < k of  a[i row + p step + s a_next]  b[s b_next + p ldb + j]
 *
 * One segment is a matrix product; several are the kernel rows of a convolution, whose taps (kx, channel) are
 * contiguous in the image, so that neither an image nor its columns are ever copied; repeats do all segments again for
 * the next image. A chain may be stored and taken up again (start FROM_C) without changing a bit, which is what makes
 * blocking free.
 *
 * Two shapes of a: BY_ROW (step 1, any distance between rows: images, untransposed a) and BY_COLUMN (rows adjacent, any
 * step: packed panels, transposed a). Each (shape, nv, rows) is one unrolled function of tile.c; the numbers of rows
 * per ISA fill its registers and no more (tests/loops.sh reads the inner loops). SPDX-License-Identifier: MIT */
#ifndef QGM_TILE_H
#define QGM_TILE_H
#include "kernels.h"
#include "simd.h"
#include <stdbool.h>

enum tile_shape { BY_ROW, BY_COLUMN };
enum tile_start { FROM_ZERO, FROM_BIAS, FROM_C };
struct tile {
    const float *a, *b, *bias, *soon; /* soon: the c of the tile after this one, to prefetch, or NULL; bias: 16 nv
                                         floats may be read only up to cols */
    float *c;
    ptrdiff_t row, step, a_next, a_repeat, ldb, b_next, b_repeat, ldc;
    int k, segments, repeats, cols; /* cols: of c, in (16 (nv - 1), 16 nv]; b always has 16 nv */
    enum tile_start start;
    bool add_c, add_bias, relu; /* after the chain: c + chain; + bias; max(0, .) */
};

/* Rows by nv = 1 .. 3; TILE_NV is the nv of whole panels, TILE_GEMM_NV that of a product's, whose columns are more: the
 * wider a tile, the fewer loads and instructions go with an fma, which tells where another thread has half of the
 * core's issue slots (14 rows of 2: 1.88 instructions an fma, 9 of 3: 1.69). Sanitized builds take the portable ones:
 * instrumenting the large unrolled tiles costs the compiler a minute and 800 MB, and checks nothing that the small ones
 * of the same source do not. */
#if defined(QGM_TARGET_AVX512)
#define TILE_NV      2
#define TILE_GEMM_NV 3
#else
#define TILE_NV      1
#define TILE_GEMM_NV 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TILE_ROWS_1 2
#define TILE_ROWS_2 1
#define TILE_ROWS_3 1
#elif defined(QGM_TARGET_AVX512)
#define TILE_ROWS_1 16
#define TILE_ROWS_2 14
#define TILE_ROWS_3 9
#elif defined(QGM_TARGET_AVX2)
#define TILE_ROWS_1 6
#define TILE_ROWS_2 0
#define TILE_ROWS_3 0
#elif defined(QGM_TARGET_NEON)
#define TILE_ROWS_1 5
#define TILE_ROWS_2 0
#define TILE_ROWS_3 0
#else
#define TILE_ROWS_1 2
#define TILE_ROWS_2 0
#define TILE_ROWS_3 0
#endif

VF_INLINE vf tile_load_(const float *p, int cols) { return cols >= VF ? vf_load(p) : vf_load_n(p, cols); }
VF_INLINE void tile_store_(float *p, vf a, int cols)
{
    if (cols >= VF)
        vf_store(p, a);
    else
        vf_store_n(p, a, cols);
}

/* to[c][r] = from[r][c] for rows x cols, zeros in to[c][rows .. width - 1]; to has rows of width floats. */
static inline void tile_transpose(const float *from, ptrdiff_t stride, int rows, int cols, float *to, int width)
{
    for (int c = 0; c < cols; c += VF)
        for (int r = 0; r < width; r += VF) {
            vf v[VF];
            for (int i = 0; i < VF; i++)
                v[i] = r + i < rows ? tile_load_(from + (r + i) * stride + c, cols - c) : vf_zero();
            vf_transpose(v);
            for (int i = 0; i < VF && c + i < cols; i++)
                tile_store_(to + (ptrdiff_t)(c + i) * width + r, v[i], width - r);
        }
}

/* rows <= tile_rows(nv), 0 does nothing. */
void QGM_ISA(qgm_tile)(enum tile_shape shape, int rows, int nv, const struct tile *t);
static inline int tile_rows(int nv) { return nv == 1 ? TILE_ROWS_1 : nv == 2 ? TILE_ROWS_2 : TILE_ROWS_3; }

/* The same, its sums cut as kernels.h says; repeats 1. A chain of no terms, all of whose taps lie in the padding, still
 * writes what it starts from. */
static inline void tile_cut(enum tile_shape shape, int rows, int nv, const struct tile *t, struct qgm_cut cut)
{
    bool empty = t->segments == 0 || t->k == 0;
    if (empty || (t->segments <= cut.join && t->k <= cut.length)) {
        QGM_ISA(qgm_tile)(shape, rows, nv, t);
        return;
    }
    struct tile piece = *t;
    for (int s = 0; s < t->segments; s += cut.join)
        for (int p = 0; p < t->k; p += cut.length) {
            piece.segments = s + cut.join < t->segments ? cut.join : t->segments - s;
            piece.k = p + cut.length < t->k ? cut.length : t->k - p;
            piece.a = t->a + s * t->a_next + p * (shape == BY_ROW ? 1 : t->step);
            piece.b = t->b + s * t->b_next + p * t->ldb;
            piece.relu = t->relu && s + cut.join >= t->segments && p + cut.length >= t->k;
            QGM_ISA(qgm_tile)(shape, rows, nv, &piece);
            piece.start = FROM_ZERO, piece.add_c = true;
        }
}

/* How many of `rows` to take next, so that the tiles come out even: 16 rows in tiles of at most 14 are 8 and 8. */
static inline int tile_share(int rows, int most)
{
    int tiles = (rows + most - 1) / most;
    return (rows + tiles - 1) / tiles;
}

#endif
