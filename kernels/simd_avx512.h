/* vf on AVX-512 F, DQ, BW, VL: one register. See simd.h for the contract. SPDX-License-Identifier: MIT */
#include <immintrin.h>

typedef __m512 vf;
typedef __mmask16 vm;

VF_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
VF_INLINE void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
VF_INLINE void vf_stream(float *p, vf a) { _mm512_stream_ps(p, a); }
VF_INLINE void vf_stream_end(void) { _mm_sfence(); }
VF_INLINE vf vf_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
VF_INLINE void vf_store_n(float *p, vf a, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a); }
VF_INLINE vf vf_set1(float a) { return _mm512_set1_ps(a); }
VF_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VF_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VF_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VF_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VF_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
VF_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
VF_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VF_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
VF_INLINE vf vf_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
VF_INLINE vf vf_neg(vf a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }
VF_INLINE vm vf_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
VF_INLINE vm vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
VF_INLINE vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
VF_INLINE int vf_count(vm m) { return _mm_popcnt_u32(m); }
VF_INLINE int vf_pack_unless(float *p, vf a, vm m)
{
    __mmask16 kept = _knot_mask16(m);
    _mm512_storeu_ps(p, _mm512_maskz_compress_ps(kept, a)); /* compressing into memory takes far longer on Zen 4 */
    return vf_count(kept);
}
VF_INLINE vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

VF_INLINE float vf_sum(vf a)
{
    __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

VF_INLINE float vf_most(vf a)
{
    __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_max_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

/* A sign bit from b, the others from a: bits of the table where the third operand, the mask, is set choose b. */
VF_INLINE vf vf_copysign(vf a, vf b)
{
    __m512i sign = _mm512_set1_epi32((int)0x80000000u);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b), sign, 0xd8));
}

typedef __m512i vx;
VF_INLINE vx vf_index(vf a) { return _mm512_castps_si512(a); }
VF_INLINE vf vf_lookup(const float *table, vx index) { return _mm512_permutexvar_ps(index, _mm512_load_ps(table)); }
VF_INLINE vm vf_bytes_are(const uint8_t *p, int b, int n)
{
    __mmask16 first = (__mmask16)((1u << n) - 1);
    return _mm_mask_cmpeq_epi8_mask(first, _mm_maskz_loadu_epi8(first, p), _mm_set1_epi8((char)b));
}
VF_INLINE void vf_store_bytes(uint8_t *p, vf a, int n)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, (__mmask16)((1u << n) - 1), _mm512_cvtps_epi32(a));
}

VF_INLINE vf vf_ldexp(vf a, vf k) { return _mm512_scalef_ps(a, k); }
VF_INLINE vf vf_exponent(vf a)
{
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(_mm512_castps_si512(a), 23), _mm512_set1_epi32(127)));
}
VF_INLINE vf vf_mantissa(vf a)
{
    __m512i m = _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x007fffff));
    return _mm512_castsi512_ps(_mm512_or_si512(m, _mm512_set1_epi32(0x3f800000)));
}

VF_INLINE __m512 vf_low_(__m512 a, __m512 b) /* pairs of a and b, from the low half of each quarter */
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
VF_INLINE __m512 vf_high_(__m512 a, __m512 b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
VF_INLINE void vf_transpose(vf r[16])
{
    vf q[16]; /* q[4 i + j], quarter l: column 4 l + j of rows 4 i .. 4 i + 3 */
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        vf a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        vf c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        q[i] = vf_low_(a, c), q[i + 1] = vf_high_(a, c), q[i + 2] = vf_low_(b, d), q[i + 3] = vf_high_(b, d);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        vf even = _mm512_shuffle_f32x4(q[j], q[4 + j], 0x88), odd = _mm512_shuffle_f32x4(q[j], q[4 + j], 0xdd);
        vf even2 = _mm512_shuffle_f32x4(q[8 + j], q[12 + j], 0x88),
           odd2 = _mm512_shuffle_f32x4(q[8 + j], q[12 + j], 0xdd);
        r[j] = _mm512_shuffle_f32x4(even, even2, 0x88), r[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xdd);
        r[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88), r[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
}
