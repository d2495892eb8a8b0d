/* vf in portable C: sixteen scalars. This is the specification the vector builds must equal bit for bit. With
 * QGM_DOUBLE the lanes are doubles: the reference engine. See simd.h for the contract. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

typedef struct {
    real v[VF];
} vf;
typedef struct {
    unsigned char v[VF];
} vm;

#ifdef QGM_CHECKS /* under sanitizers every lane is many instructions: one copy of them is enough */
#define VF_LANES static __attribute__((noinline, unused))
#else
#define VF_LANES static inline __attribute__((always_inline, unused))
#endif
#define VF_EACH_(type, expression)                                                                                     \
    type out_;                                                                                                         \
    for (int i = 0; i < VF; i++) out_.v[i] = (expression);                                                             \
    return out_

#ifdef QGM_DOUBLE
#define VF_FMA_  fma
#define VF_SQRT_ sqrt
#define VF_RINT_ rint
#define VF_ABS_  fabs
#else
#define VF_FMA_  fmaf /* correctly rounded wherever it comes from: instruction or C library */
#define VF_SQRT_ sqrtf
#define VF_RINT_ rintf
#define VF_ABS_  fabsf
#endif

VF_LANES vf vf_load(const real *p) { VF_EACH_(vf, p[i]); }
VF_LANES void vf_store(real *p, vf a)
{
    for (int i = 0; i < VF; i++) p[i] = a.v[i];
}
VF_LANES vf vf_load_n(const real *p, int n) { VF_EACH_(vf, i < n ? p[i] : 0); }
VF_LANES void vf_store_n(real *p, vf a, int n)
{
    for (int i = 0; i < n; i++) p[i] = a.v[i];
}
VF_LANES vf vf_set1(real a) { VF_EACH_(vf, a); }
VF_LANES vf vf_add(vf a, vf b) { VF_EACH_(vf, a.v[i] + b.v[i]); }
VF_LANES vf vf_sub(vf a, vf b) { VF_EACH_(vf, a.v[i] - b.v[i]); }
VF_LANES vf vf_mul(vf a, vf b) { VF_EACH_(vf, a.v[i] * b.v[i]); }
VF_LANES vf vf_div(vf a, vf b) { VF_EACH_(vf, a.v[i] / b.v[i]); }
VF_LANES vf vf_sqrt(vf a) { VF_EACH_(vf, VF_SQRT_(a.v[i])); }
VF_LANES vf vf_fma(vf a, vf b, vf c) { VF_EACH_(vf, VF_FMA_(a.v[i], b.v[i], c.v[i])); }
VF_LANES vf vf_fnma(vf a, vf b, vf c) { VF_EACH_(vf, VF_FMA_(-a.v[i], b.v[i], c.v[i])); }
VF_LANES vf vf_max(vf a, vf b) { VF_EACH_(vf, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
VF_LANES vf vf_min(vf a, vf b) { VF_EACH_(vf, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
VF_LANES vf vf_abs(vf a) { VF_EACH_(vf, VF_ABS_(a.v[i])); }
VF_LANES vf vf_neg(vf a) { VF_EACH_(vf, -a.v[i]); }
VF_LANES vm vf_gt(vf a, vf b) { VF_EACH_(vm, a.v[i] > b.v[i]); }
VF_LANES vm vf_ge(vf a, vf b) { VF_EACH_(vm, a.v[i] >= b.v[i]); }
VF_LANES vf vf_select(vm m, vf a, vf b) { VF_EACH_(vf, m.v[i] ? a.v[i] : b.v[i]); }
VF_LANES int vf_count(vm m)
{
    int n = 0;
    for (int i = 0; i < VF; i++) n += m.v[i];
    return n;
}
VF_LANES int vf_pack_unless(real *p, vf a, vm m)
{
    int n = 0;
    for (int i = 0; i < VF; i++) p[n] = a.v[i], n += !m.v[i];
    return n;
}
VF_LANES vf vf_round(vf a) { VF_EACH_(vf, VF_RINT_(a.v[i])); }

VF_LANES real vf_sum(vf a)
{
    for (int half = VF / 2; half; half /= 2)
        for (int i = 0; i < half; i++) a.v[i] += a.v[i + half];
    return a.v[0];
}

VF_LANES real vf_most(vf a)
{
    for (int half = VF / 2; half; half /= 2)
        for (int i = 0; i < half; i++) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
    return a.v[0];
}
VF_LANES vm vf_bytes_are(const uint8_t *p, int b, int n) { VF_EACH_(vm, i < n && p[i] == b); }
VF_LANES void vf_store_bytes(uint8_t *p, vf a, int n)
{
    for (int i = 0; i < n; i++) p[i] = (uint8_t)a.v[i];
}

VF_LANES void vf_transpose(vf r[16])
{
    for (int i = 0; i < VF; i++)
        for (int j = 0; j < i; j++) {
            real swap = r[i].v[j];
            r[i].v[j] = r[j].v[i];
            r[j].v[i] = swap;
        }
}

#ifndef QGM_DOUBLE
VF_LANES uint32_t vf_bits_(float a)
{
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    return u;
}
VF_LANES float vf_from_bits_(uint32_t u)
{
    float a;
    memcpy(&a, &u, sizeof a);
    return a;
}
VF_LANES vf vf_copysign(vf a, vf b)
{
    VF_EACH_(vf, vf_from_bits_((vf_bits_(a.v[i]) & 0x7fffffffu) | (vf_bits_(b.v[i]) & 0x80000000u)));
}
typedef struct {
    unsigned char v[VF];
} vx;
VF_LANES vx vf_index(vf a) { VF_EACH_(vx, vf_bits_(a.v[i]) & 15); }
VF_LANES vf vf_lookup(const float *table, vx index) { VF_EACH_(vf, table[index.v[i]]); }
VF_LANES vf vf_exp2i(vf k) { VF_EACH_(vf, vf_from_bits_((uint32_t)((int)k.v[i] + 127) << 23)); }
VF_LANES vf vf_exponent(vf a) { VF_EACH_(vf, (float)((int)(vf_bits_(a.v[i]) >> 23) - 127)); }
VF_LANES vf vf_mantissa(vf a) { VF_EACH_(vf, vf_from_bits_((vf_bits_(a.v[i]) & 0x007fffffu) | 0x3f800000u)); }
#endif
