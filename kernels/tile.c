/* The register tiles: one function for each shape and size. SPDX-License-Identifier: MIT */
#include "tile.h"

/* PACE: terms between two prefetched rows of c, some 350 cycles. */
enum { TILE_MOST = 16, TILE_WIDEST = 3, TILE_PACE = 24 };

/* Four terms a turn: wide cores issue as much as they can decode, and the counter and the pointers are part of it. */
#if !defined(QGM_TARGET_AVX512) && !defined(QGM_TARGET_AVX2)
#define TILE_TURN
#elif defined(__clang__)
#define TILE_TURN _Pragma("clang loop unroll_count(4)")
#else
#define TILE_TURN _Pragma("GCC unroll 4")
#endif

VF_INLINE int tile_least_(int a, int b) { return a < b ? a : b; }

/* The inner loop. BY_ROW keeps a pointer to every fourth row and reaches the others by multiples of the distance: the
 * empty asm stops the compiler from folding them into more addresses than there are registers. */
VF_INLINE void tile_chain_(enum tile_shape shape, int rows, int nv, const struct tile *t, const float *a,
                           const float *b, int k, vf acc[TILE_MOST][TILE_WIDEST])
{
    ptrdiff_t row = t->row, step = t->step, ldb = t->ldb;
    const float *quad[TILE_MOST / 4];
    UNROLL
    for (int i = 0; i < rows; i += 4) quad[i / 4] = a + i * row;
    TILE_TURN
    for (int p = k; p > 0; p--) {
        vf bj[TILE_WIDEST];
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

VF_INLINE void tile_prefetch_(int rows, int nv, const float *c, ptrdiff_t ldc)
{
    UNROLL
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < nv; j++) __builtin_prefetch(c + i * ldc + VF * j, 1);
}

/* A segment, and the next c on its way. A wide tile asks for it row by row: its many lines together would fill the
 * buffers of lines under way, and b would wait behind them for memory. A narrow one (nv is a constant) has few. */
VF_INLINE void tile_segment_(enum tile_shape shape, int rows, int nv, const struct tile *t, const float *a,
                             const float *b, vf acc[TILE_MOST][TILE_WIDEST])
{
    const float *soon = t->soon, *end = soon ? soon + rows * t->ldc : NULL;
    if (nv == 1) {
        if (soon) tile_prefetch_(rows, nv, soon, t->ldc);
        tile_chain_(shape, rows, nv, t, a, b, t->k, acc);
        return;
    }
    int pace = soon ? TILE_PACE : t->k;
    for (int left = t->k; left > 0; left -= pace) {
        if (soon != end) {
            tile_prefetch_(1, nv, soon, t->ldc);
            soon += t->ldc;
        }
        tile_chain_(shape, rows, nv, t, a, b, tile_least_(pace, left), acc);
        a += pace * (shape == BY_ROW ? 1 : t->step);
        b += pace * t->ldb;
    }
}

/* Whole vectors and at most c to add is what tiles inside a product have, and is worth straight code; all else takes
 * the same steps in small loops, through memory. */
VF_INLINE bool tile_whole_(int nv, const struct tile *t) { return t->cols == VF * nv; }

VF_INLINE void tile_begin_(int rows, int nv, const struct tile *t, vf acc[TILE_MOST][TILE_WIDEST])
{
    if (t->start == FROM_C && tile_whole_(nv, t)) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] = vf_load(t->c + i * t->ldc + VF * j);
        }
        return;
    }
    UNROLL
    for (int j = 0; j < nv; j++) {
        int cols = t->cols - VF * j;
        vf first = t->start == FROM_BIAS ? tile_load_(t->bias + VF * j, cols) : vf_zero();
        UNROLL
        for (int i = 0; i < rows; i++) acc[i][j] = first;
    }
    if (t->start == FROM_C) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < nv; j++)
                acc[i][j] = vf_load_n(t->c + i * t->ldc + VF * j, tile_least_(VF, t->cols - VF * j));
        }
    }
}

static void tile_finish_(int rows, int nv, const struct tile *t, const float *sums)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < nv; j++, sums += VF) {
            int cols = t->cols - VF * j;
            float *c = t->c + i * t->ldc + VF * j;
            vf out = vf_load(sums);
            if (t->add_c) out = vf_add(tile_load_(c, cols), out);
            if (t->add_bias) out = vf_add(out, tile_load_(t->bias + VF * j, cols));
            if (t->relu) out = vf_max(out, vf_zero());
            tile_store_(c, out, cols);
        }
}

VF_INLINE void tile_end_(int rows, int nv, const struct tile *t, vf acc[TILE_MOST][TILE_WIDEST])
{
    if (tile_whole_(nv, t) && !t->add_bias && !t->relu) {
        if (t->add_c) {
            UNROLL
            for (int i = 0; i < rows; i++) {
                UNROLL
                for (int j = 0; j < nv; j++) acc[i][j] = vf_add(vf_load(t->c + i * t->ldc + VF * j), acc[i][j]);
            }
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < nv; j++) vf_store(t->c + i * t->ldc + VF * j, acc[i][j]);
        }
        return;
    }
    _Alignas(64) float sums[TILE_MOST * TILE_WIDEST * VF];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < nv; j++) vf_store(sums + (i * nv + j) * VF, acc[i][j]);
    }
    tile_finish_(rows, nv, t, sums);
}

VF_INLINE void tile_body_(enum tile_shape shape, int rows, int nv, const struct tile *t)
{
    vf acc[TILE_MOST][TILE_WIDEST];
    tile_begin_(rows, nv, t, acc);
    for (int r = 0; r < t->repeats; r++) {
        const float *a = t->a + r * t->a_repeat, *b = t->b + r * t->b_repeat;
        for (int s = 0; s < t->segments; s++, a += t->a_next, b += t->b_next)
            tile_segment_(shape, rows, nv, t, a, b, acc);
    }
    tile_end_(rows, nv, t, acc);
}

#define TILE_FUNCTION_(rows, nv)                                                                                       \
    __attribute__((aligned(64))) static void QGM_PASTE(tile_row_##nv, rows)(const struct tile *t)                      \
    {                                                                                                                  \
        tile_body_(BY_ROW, rows, nv, t);                                                                               \
    }                                                                                                                  \
    __attribute__((aligned(64))) static void QGM_PASTE(tile_column_##nv, rows)(const struct tile *t)                   \
    {                                                                                                                  \
        tile_body_(BY_COLUMN, rows, nv, t);                                                                            \
    }
#define TILE_ENTRY_(rows, nv) { QGM_PASTE(tile_row_##nv, rows), QGM_PASTE(tile_column_##nv, rows) },

#define TILE_UP_TO_0_(DO, nv)
#define TILE_UP_TO_1_(DO, nv)  DO(1, nv)
#define TILE_UP_TO_2_(DO, nv)  TILE_UP_TO_1_(DO, nv) DO(2, nv)
#define TILE_UP_TO_3_(DO, nv)  TILE_UP_TO_2_(DO, nv) DO(3, nv)
#define TILE_UP_TO_4_(DO, nv)  TILE_UP_TO_3_(DO, nv) DO(4, nv)
#define TILE_UP_TO_5_(DO, nv)  TILE_UP_TO_4_(DO, nv) DO(5, nv)
#define TILE_UP_TO_6_(DO, nv)  TILE_UP_TO_5_(DO, nv) DO(6, nv)
#define TILE_UP_TO_8_(DO, nv)  TILE_UP_TO_6_(DO, nv) DO(7, nv) DO(8, nv)
#define TILE_UP_TO_9_(DO, nv)  TILE_UP_TO_8_(DO, nv) DO(9, nv)
#define TILE_UP_TO_14_(DO, nv) TILE_UP_TO_9_(DO, nv) DO(10, nv) DO(11, nv) DO(12, nv) DO(13, nv) DO(14, nv)
#define TILE_UP_TO_16_(DO, nv) TILE_UP_TO_14_(DO, nv) DO(15, nv) DO(16, nv)
#define TILE_NAME__(n)         TILE_UP_TO_##n##_
#define TILE_NAME_(n)          TILE_NAME__(n)
#define TILE_EACH_1(DO)        TILE_NAME_(TILE_ROWS_1)(DO, 1)
#define TILE_EACH_2(DO)        TILE_NAME_(TILE_ROWS_2)(DO, 2)
#define TILE_EACH_3(DO)        TILE_NAME_(TILE_ROWS_3)(DO, 3)

typedef void tile_function(const struct tile *t);
TILE_EACH_1(TILE_FUNCTION_)
TILE_EACH_2(TILE_FUNCTION_)
TILE_EACH_3(TILE_FUNCTION_)
static tile_function *const tiles_1[][2] = { { 0 }, TILE_EACH_1(TILE_ENTRY_) };
static tile_function *const tiles_2[][2] = { { 0 }, TILE_EACH_2(TILE_ENTRY_) };
static tile_function *const tiles_3[][2] = { { 0 }, TILE_EACH_3(TILE_ENTRY_) };

void QGM_ISA(qgm_tile)(enum tile_shape shape, int rows, int nv, const struct tile *t)
{
    (nv == 1 ? tiles_1 : nv == 2 ? tiles_2 : tiles_3)[rows][shape](t);
}
