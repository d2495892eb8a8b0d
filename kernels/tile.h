/* The register tile under every product and convolution: rows x (16 nv) outputs, each a chain of fma kept in registers.
 *
 *     c[i][j] = start + sum over segments s and p < k of  a[i row + p step + s a_next]  b[s b_next + p ldb + j]
 *
 * One segment is a matrix product; several are the kernel rows of a convolution, whose taps (kx, channel) are
 * contiguous in the image, so that neither an image nor its columns are ever copied. A chain may be stored and taken up
 * again (start LOAD) without changing a bit, which is what makes blocking free.
 *
 * Two shapes of a: BY_ROW (step 1, any distance between rows: images, untransposed a) and BY_COLUMN (rows adjacent, any
 * step: packed panels, transposed a). Each (shape, nv, rows) is one function with everything unrolled; the numbers of
 * rows per ISA fill its registers and no more (tests/loops.sh reads the inner loops). SPDX-License-Identifier: MIT */
#ifndef QGM_TILE_H
#define QGM_TILE_H
#include "simd.h"
#include <stdbool.h>

enum tile_shape { BY_ROW, BY_COLUMN };
enum tile_start { FROM_ZERO, FROM_BIAS, FROM_C };
struct tile {
    const float *a, *b, *bias; /* bias: 16 nv floats may be read only up to cols */
    float *c;
    ptrdiff_t row, step, a_next, ldb, b_next, ldc;
    int k, segments, cols; /* cols: of c, in (16 (nv - 1), 16 nv]; b always has 16 nv */
    enum tile_start start;
    bool add_c, add_bias, relu; /* after the chain: c + chain; + bias; max(0, .) */
};

/* Rows by nv = 1, 2. */
#if defined(QGM_TARGET_AVX512)
#define TILE_ROWS_1 16
#define TILE_ROWS_2 14
#elif defined(QGM_TARGET_AVX2)
#define TILE_ROWS_1 6
#define TILE_ROWS_2 3
#elif defined(QGM_TARGET_NEON)
#define TILE_ROWS_1 5
#define TILE_ROWS_2 2
#else
#define TILE_ROWS_1 2
#define TILE_ROWS_2 1
#endif
enum { TILE_MOST = 16 };

VF_INLINE vf tile_load_(const float *p, int cols) { return cols >= VF ? vf_load(p) : vf_load_n(p, cols); }
VF_INLINE void tile_store_(float *p, vf a, int cols)
{
    if (cols >= VF)
        vf_store(p, a);
    else
        vf_store_n(p, a, cols);
}

/* The inner loop. BY_ROW keeps a pointer to every fourth row and reaches the others by multiples of the distance: the
 * empty asm stops the compiler from folding them into more addresses than there are registers. */
VF_INLINE void tile_chain_(enum tile_shape shape, int rows, int nv, const struct tile *t, const float *a,
                           const float *b, vf acc[TILE_MOST][2])
{
    ptrdiff_t row = t->row, step = t->step, ldb = t->ldb;
    const float *quad[TILE_MOST / 4];
    UNROLL
    for (int i = 0; i < rows; i += 4) quad[i / 4] = a + i * row;
    for (int p = t->k; p > 0; p--) {
        vf bj[2];
        UNROLL
        for (int j = 0; j < nv; j++) bj[j] = vf_load(b + VF * j);
        UNROLL
        for (int i = 0; i < rows; i++) {
            vf ai = vf_set1(shape == BY_ROW ? quad[i / 4][i % 4 * row] : a[i]);
            UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] = vf_fma(ai, bj[j], acc[i][j]);
        }
        b += ldb;
        if (shape == BY_COLUMN) a += step;
        UNROLL
        for (int i = 0; shape == BY_ROW && i < rows; i += 4) {
            quad[i / 4]++;
            __asm__("" : "+r"(quad[i / 4]));
        }
    }
}

VF_INLINE void tile_begin_(int rows, int nv, const struct tile *t, vf acc[TILE_MOST][2])
{
    UNROLL
    for (int j = 0; j < nv; j++) {
        int cols = t->cols - VF * j;
        vf first = t->start == FROM_BIAS ? tile_load_(t->bias + VF * j, cols) : vf_zero();
        UNROLL
        for (int i = 0; i < rows; i++) acc[i][j] = first;
        if (t->start == FROM_C) {
            UNROLL
            for (int i = 0; i < rows; i++) acc[i][j] = tile_load_(t->c + i * t->ldc + VF * j, cols);
        }
    }
}

VF_INLINE void tile_end_(int rows, int nv, const struct tile *t, vf acc[TILE_MOST][2])
{
    UNROLL
    for (int j = 0; j < nv; j++) {
        int cols = t->cols - VF * j;
        UNROLL
        for (int i = 0; i < rows; i++) {
            float *c = t->c + i * t->ldc + VF * j;
            vf out = acc[i][j];
            if (t->add_c) out = vf_add(tile_load_(c, cols), out);
            if (t->add_bias) out = vf_add(out, tile_load_(t->bias + VF * j, cols));
            if (t->relu) out = vf_max(out, vf_zero());
            tile_store_(c, out, cols);
        }
    }
}

VF_INLINE void tile_body_(enum tile_shape shape, int rows, int nv, const struct tile *t)
{
    vf acc[TILE_MOST][2];
    tile_begin_(rows, nv, t, acc);
    const float *a = t->a, *b = t->b;
    for (int s = 0; s < t->segments; s++, a += t->a_next, b += t->b_next) tile_chain_(shape, rows, nv, t, a, b, acc);
    tile_end_(rows, nv, t, acc);
}

#define TILE_FUNCTION_(rows, nv)                                                                                       \
    static void QGM_PASTE(tile_row_##nv, rows)(const struct tile *t) { tile_body_(BY_ROW, rows, nv, t); }              \
    static void QGM_PASTE(tile_column_##nv, rows)(const struct tile *t) { tile_body_(BY_COLUMN, rows, nv, t); }
#define TILE_ENTRY_(rows, nv) { QGM_PASTE(tile_row_##nv, rows), QGM_PASTE(tile_column_##nv, rows) },

#define TILE_UP_TO_1_(DO, nv)  DO(1, nv)
#define TILE_UP_TO_2_(DO, nv)  TILE_UP_TO_1_(DO, nv) DO(2, nv)
#define TILE_UP_TO_3_(DO, nv)  TILE_UP_TO_2_(DO, nv) DO(3, nv)
#define TILE_UP_TO_4_(DO, nv)  TILE_UP_TO_3_(DO, nv) DO(4, nv)
#define TILE_UP_TO_5_(DO, nv)  TILE_UP_TO_4_(DO, nv) DO(5, nv)
#define TILE_UP_TO_6_(DO, nv)  TILE_UP_TO_5_(DO, nv) DO(6, nv)
#define TILE_UP_TO_8_(DO, nv)  TILE_UP_TO_6_(DO, nv) DO(7, nv) DO(8, nv)
#define TILE_UP_TO_14_(DO, nv) TILE_UP_TO_8_(DO, nv) DO(9, nv) DO(10, nv) DO(11, nv) DO(12, nv) DO(13, nv) DO(14, nv)
#define TILE_UP_TO_16_(DO, nv) TILE_UP_TO_14_(DO, nv) DO(15, nv) DO(16, nv)
#define TILE_UP_TO__(n)        TILE_UP_TO_##n##_
#define TILE_UP_TO_(n)         TILE_UP_TO__(n)

TILE_UP_TO_(TILE_ROWS_1)
(TILE_FUNCTION_, 1) TILE_UP_TO_(TILE_ROWS_2)(TILE_FUNCTION_, 2) typedef void tile_function(const struct tile *t);
static tile_function *const tiles_1[][2] = { TILE_UP_TO_(TILE_ROWS_1)(TILE_ENTRY_, 1) };
static tile_function *const tiles_2[][2] = { TILE_UP_TO_(TILE_ROWS_2)(TILE_ENTRY_, 2) };

static inline int tile_rows(int nv) { return nv == 1 ? TILE_ROWS_1 : TILE_ROWS_2; }
static __attribute__((noinline)) void tile_run(enum tile_shape shape, int rows, int nv, const struct tile *t)
{
    (nv == 1 ? tiles_1 : tiles_2)[rows - 1][shape](t);
}

/* How many of `rows` to take next, so that the tiles come out even: 16 rows in tiles of at most 14 are 8 and 8. */
static inline int tile_share(int rows, int most)
{
    int tiles = (rows + most - 1) / most;
    return (rows + tiles - 1) / tiles;
}

#endif
