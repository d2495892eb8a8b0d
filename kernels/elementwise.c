/* Rows and elements: bias, sums over rows, ReLU, addition. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "simd.h"

void QGM_ISA(qgm_add_bias)(float *y, const float *bias, size_t rows, int cols);
void QGM_ISA(qgm_sum_rows)(const float *dy, size_t rows, int cols, float *db);
void QGM_ISA(qgm_relu_forward)(const float *x, float *y, size_t n);
void QGM_ISA(qgm_relu_backward)(const float *y, const float *dy, float *dx, size_t n);
void QGM_ISA(qgm_add)(const float *a, const float *b, float *y, size_t n);

/* Of sum_rows. CHUNK: rows, part of the result. */
enum { CHUNK = 256, WIDE = 16, ROWS_AHEAD = 8 };

void QGM_ISA(qgm_add_bias)(float *y, const float *bias, size_t rows, int cols)
{
    for (size_t r = 0; r < rows; r++, y += cols) {
        int c = 0;
        for (; c + VF <= cols; c += VF) vf_store(y + c, vf_add(vf_load(y + c), vf_load(bias + c)));
        if (c < cols) vf_store_n(y + c, vf_add(vf_load_n(y + c, cols - c), vf_load_n(bias + c, cols - c)), cols - c);
    }
}

/* `wide` vectors of columns of n elements each: rows are read in pieces that memory likes. */
VF_INLINE void sum_columns(const float *dy, size_t rows, int cols, int wide, int n, float *db)
{
    vf sum[WIDE];
    UNROLL
    for (int k = 0; k < wide; k++) sum[k] = vf_zero();
    for (size_t r = 0; r < rows; r++, dy += cols) {
        UNROLL
        for (int k = 0; k < wide; k++) {
            __builtin_prefetch(dy + ROWS_AHEAD * (size_t)cols + k * VF, 0, 2);
            sum[k] = vf_add(sum[k], vf_get(dy + k * VF, n));
        }
    }
    UNROLL
    for (int k = 0; k < wide; k++) vf_put(db + k * VF, vf_add(vf_get(db + k * VF, n), sum[k]), n);
}

void QGM_ISA(qgm_sum_rows)(const float *dy, size_t rows, int cols, float *db)
{
    for (size_t chunk = 0; chunk < rows; chunk += CHUNK, dy += CHUNK * (size_t)cols) {
        size_t count = rows - chunk < CHUNK ? rows - chunk : CHUNK;
        int c = 0;
        for (; c + WIDE * VF <= cols; c += WIDE * VF) sum_columns(dy + c, count, cols, WIDE, VF, db + c);
        for (; c + VF <= cols; c += VF) sum_columns(dy + c, count, cols, 1, VF, db + c);
        if (c < cols) sum_columns(dy + c, count, cols, 1, cols - c, db + c);
    }
}

void QGM_ISA(qgm_relu_forward)(const float *x, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(y + i, vf_max(vf_load(x + i), vf_zero()));
    if (i < n) vf_store_n(y + i, vf_max(vf_load_n(x + i, (int)(n - i)), vf_zero()), (int)(n - i));
}

static inline vf pass(vf y, vf dy) { return vf_select(vf_gt(y, vf_zero()), dy, vf_zero()); }

void QGM_ISA(qgm_relu_backward)(const float *y, const float *dy, float *dx, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(dx + i, pass(vf_load(y + i), vf_load(dy + i)));
    int rest = (int)(n - i);
    if (rest) vf_store_n(dx + i, pass(vf_load_n(y + i, rest), vf_load_n(dy + i, rest)), rest);
}

void QGM_ISA(qgm_add)(const float *a, const float *b, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(y + i, vf_add(vf_load(a + i), vf_load(b + i)));
    int rest = (int)(n - i);
    if (rest) vf_store_n(y + i, vf_add(vf_load_n(a + i, rest), vf_load_n(b + i, rest)), rest);
}
