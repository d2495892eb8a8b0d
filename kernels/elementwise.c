/* Rows and elements: bias, sums over rows, ReLU, addition. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "simd.h"

void QGM_ISA(qgm_add_bias)(float *y, const float *bias, size_t rows, int cols);
void QGM_ISA(qgm_sum_rows)(const float *dy, size_t rows, int cols, float *db);
void QGM_ISA(qgm_relu_forward)(const float *x, float *y, size_t n);
void QGM_ISA(qgm_relu_backward)(const float *y, const float *dy, float *dx, size_t n);
void QGM_ISA(qgm_add)(const float *a, const float *b, float *y, size_t n);

enum { CHUNK = 256 }; /* rows: part of the result of sum_rows */

void QGM_ISA(qgm_add_bias)(float *y, const float *bias, size_t rows, int cols)
{
    for (size_t r = 0; r < rows; r++, y += cols)
        for (int c = 0; c < cols; c += VF) {
            int n = cols - c < VF ? cols - c : VF;
            vf_store_n(y + c, vf_add(vf_load_n(y + c, n), vf_load_n(bias + c, n)), n);
        }
}

void QGM_ISA(qgm_sum_rows)(const float *dy, size_t rows, int cols, float *db)
{
    for (size_t chunk = 0; chunk < rows; chunk += CHUNK) {
        size_t end = rows - chunk < CHUNK ? rows : chunk + CHUNK;
        for (int c = 0; c < cols; c += VF) {
            int n = cols - c < VF ? cols - c : VF;
            vf sum = vf_zero();
            for (size_t r = chunk; r < end; r++) sum = vf_add(sum, vf_load_n(dy + r * cols + c, n));
            vf_store_n(db + c, vf_add(vf_load_n(db + c, n), sum), n);
        }
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
