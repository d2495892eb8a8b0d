/* Block operations of the algorithms: weighted sums, axpy, dots. SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "simd.h"
#include <assert.h>

void QGM_ISA(qgm_mix)(float *out, const float *const *in, const float *w, int n, size_t len);
void QGM_ISA(qgm_axpy)(float a, const float *x, float *y, size_t n);
double QGM_ISA(qgm_dot)(const float *a, const float *b, size_t n);
double QGM_ISA(qgm_distance2)(const float *a, const float *b, size_t n);

enum { BLOCK = 1024 }; /* elements: part of the result of dot and distance2 */

/* Forced inline, so that the usual numbers of neighbours become constants and their loop unrolls. */
VF_INLINE void mix_body(float *out, const float *const *in, const float *w, int n, size_t len)
{
    size_t i = 0;
    for (; i + VF <= len; i += VF) {
        vf sum = vf_mul(vf_set1(w[0]), vf_load(in[0] + i));
        for (int j = 1; j < n; j++) sum = vf_fma(vf_set1(w[j]), vf_load(in[j] + i), sum);
        vf_store(out + i, sum);
    }
    int rest = (int)(len - i);
    if (!rest) return;
    vf sum = vf_mul(vf_set1(w[0]), vf_load_n(in[0] + i, rest));
    for (int j = 1; j < n; j++) sum = vf_fma(vf_set1(w[j]), vf_load_n(in[j] + i, rest), sum);
    vf_store_n(out + i, sum, rest);
}

void QGM_ISA(qgm_mix)(float *out, const float *const *in, const float *w, int n, size_t len)
{
    assert(n >= 1);
    switch (n) {
    case 1:
        mix_body(out, in, w, 1, len);
        break;
    case 2:
        mix_body(out, in, w, 2, len);
        break;
    case 3:
        mix_body(out, in, w, 3, len);
        break; /* a ring */
    case 5:
        mix_body(out, in, w, 5, len);
        break; /* a torus */
    default:
        mix_body(out, in, w, n, len);
    }
}

void QGM_ISA(qgm_axpy)(float a, const float *x, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(y + i, vf_fma(vf_set1(a), vf_load(x + i), vf_load(y + i)));
    int rest = (int)(n - i);
    if (rest) vf_store_n(y + i, vf_fma(vf_set1(a), vf_load_n(x + i, rest), vf_load_n(y + i, rest)), rest);
}

VF_INLINE vf term(vf a, vf b, vf sum, bool distance)
{
    if (!distance) return vf_fma(a, b, sum);
    vf d = vf_sub(a, b);
    return vf_fma(d, d, sum);
}

VF_INLINE double reduce(const float *a, const float *b, size_t n, bool distance)
{
    double total = 0;
    for (size_t block = 0; block < n; block += BLOCK) {
        size_t end = n - block < BLOCK ? n : block + BLOCK, i = block;
        vf sum = vf_zero();
        for (; i + VF <= end; i += VF) sum = term(vf_load(a + i), vf_load(b + i), sum, distance);
        int rest = (int)(end - i);
        if (rest) sum = term(vf_load_n(a + i, rest), vf_load_n(b + i, rest), sum, distance);
        total += (double)vf_sum(sum);
    }
    return total;
}

double QGM_ISA(qgm_dot)(const float *a, const float *b, size_t n) { return reduce(a, b, n, false); }
double QGM_ISA(qgm_distance2)(const float *a, const float *b, size_t n) { return reduce(a, b, n, true); }
