/* vf on AVX2 with FMA: two registers, lanes 0..7 and 8..15. See simd.h for the contract. SPDX-License-Identifier: MIT
 */
#include <immintrin.h>

typedef struct {
    __m256 lo, hi;
} vf;
typedef struct {
    __m256 lo, hi;
} vm;

VF_INLINE __m256i vf_first_(int n) /* all ones in the first n of 8 lanes */
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VF_INLINE vf vf_load(const float *p) { return (vf){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) }; }
VF_INLINE void vf_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
VF_INLINE void vf_stream(float *p, vf a)
{
    _mm256_stream_ps(p, a.lo);
    _mm256_stream_ps(p + 8, a.hi);
}
VF_INLINE void vf_stream_end(void) { _mm_sfence(); }
VF_INLINE vf vf_load_n(const float *p, int n)
{
    return (vf){ _mm256_maskload_ps(p, vf_first_(n)), _mm256_maskload_ps(p + 8, vf_first_(n - 8)) };
}
VF_INLINE void vf_store_n(float *p, vf a, int n)
{
    _mm256_maskstore_ps(p, vf_first_(n), a.lo);
    _mm256_maskstore_ps(p + 8, vf_first_(n - 8), a.hi);
}
VF_INLINE vf vf_set1(float a) { return (vf){ _mm256_set1_ps(a), _mm256_set1_ps(a) }; }
VF_INLINE vf vf_add(vf a, vf b) { return (vf){ _mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi) }; }
VF_INLINE vf vf_sub(vf a, vf b) { return (vf){ _mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi) }; }
VF_INLINE vf vf_mul(vf a, vf b) { return (vf){ _mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi) }; }
VF_INLINE vf vf_div(vf a, vf b) { return (vf){ _mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi) }; }
VF_INLINE vf vf_sqrt(vf a) { return (vf){ _mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi) }; }
VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return (vf){ _mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi) };
}
VF_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return (vf){ _mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi) };
}
VF_INLINE vf vf_max(vf a, vf b) { return (vf){ _mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi) }; }
VF_INLINE vf vf_min(vf a, vf b) { return (vf){ _mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi) }; }
VF_INLINE vf vf_abs(vf a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (vf){ _mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi) };
}
VF_INLINE vf vf_neg(vf a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (vf){ _mm256_xor_ps(sign, a.lo), _mm256_xor_ps(sign, a.hi) };
}
VF_INLINE vm vf_gt(vf a, vf b)
{
    return (vm){ _mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ) };
}
VF_INLINE vm vf_ge(vf a, vf b)
{
    return (vm){ _mm256_cmp_ps(a.lo, b.lo, _CMP_GE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_GE_OQ) };
}
VF_INLINE vf vf_select(vm m, vf a, vf b)
{
    return (vf){ _mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi) };
}
VF_INLINE int vf_count(vm m)
{
    return _mm_popcnt_u32((unsigned)(_mm256_movemask_ps(m.lo) << 8 | _mm256_movemask_ps(m.hi)));
}
/* Which lanes are set in each byte, the lowest first, a byte each. */
#define VF_LANE_(m, i) (uint64_t)((m) >> (i)&1) * (i) << 8 * __builtin_popcount((m) & ((1 << (i)) - 1))
#define VF_LANES_(m)                                                                                                   \
    (VF_LANE_(m, 1) | VF_LANE_(m, 2) | VF_LANE_(m, 3) | VF_LANE_(m, 4) | VF_LANE_(m, 5) | VF_LANE_(m, 6) |             \
     VF_LANE_(m, 7))
#define VF_LANES4_(m)  VF_LANES_(m), VF_LANES_((m) + 1), VF_LANES_((m) + 2), VF_LANES_((m) + 3)
#define VF_LANES16_(m) VF_LANES4_(m), VF_LANES4_((m) + 4), VF_LANES4_((m) + 8), VF_LANES4_((m) + 12)
#define VF_LANES64_(m) VF_LANES16_(m), VF_LANES16_((m) + 16), VF_LANES16_((m) + 32), VF_LANES16_((m) + 48)
static const uint64_t vf_lanes_[256]
    __attribute__((unused)) = { VF_LANES64_(0), VF_LANES64_(64), VF_LANES64_(128), VF_LANES64_(192) };
VF_INLINE int vf_pack_(float *p, __m256 a, int m)
{
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(vf_lanes_ + m)));
    _mm256_storeu_ps(p, _mm256_permutevar8x32_ps(a, lanes));
    return _mm_popcnt_u32((unsigned)m);
}
VF_INLINE int vf_pack_unless(float *p, vf a, vm m)
{
    int n = vf_pack_(p, a.lo, _mm256_movemask_ps(m.lo) ^ 255);
    return n + vf_pack_(p + n, a.hi, _mm256_movemask_ps(m.hi) ^ 255);
}
VF_INLINE vf vf_round(vf a)
{
    return (vf){ _mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                 _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC) };
}

VF_INLINE float vf_sum(vf a)
{
    __m256 b = _mm256_add_ps(a.lo, a.hi);
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

VF_INLINE float vf_most(vf a)
{
    __m256 b = _mm256_max_ps(a.lo, a.hi);
    __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_max_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

VF_INLINE vf vf_copysign(vf a, vf b)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (vf){ _mm256_or_ps(_mm256_andnot_ps(sign, a.lo), _mm256_and_ps(sign, b.lo)),
                 _mm256_or_ps(_mm256_andnot_ps(sign, a.hi), _mm256_and_ps(sign, b.hi)) };
}

typedef struct {
    __m256i lo, hi;
} vx;
VF_INLINE vx vf_index(vf a) { return (vx){ _mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi) }; }
VF_INLINE __m256 vf_lookup_(const float *table, __m256i index) /* bit 3 chooses the half, bits 0 to 2 the float */
{
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_load_ps(table), index),
                            _mm256_permutevar8x32_ps(_mm256_load_ps(table + 8), index),
                            _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
VF_INLINE vf vf_lookup(const float *table, vx index)
{
    return (vf){ vf_lookup_(table, index.lo), vf_lookup_(table, index.hi) };
}
VF_INLINE vm vf_bytes_are(const uint8_t *p, int b, int n)
{
    uint8_t part[16] = { 0 };
    if (n < 16)
        for (int i = 0; i < n; i++) part[i] = p[i];
    __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(n < 16 ? part : p)), _mm_set1_epi8((char)b));
    vm m = { _mm256_castsi256_ps(_mm256_cvtepi8_epi32(same)),
             _mm256_castsi256_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(same, same))) };
    if (n == 16) return m;
    return (vm){ _mm256_and_ps(m.lo, _mm256_castsi256_ps(vf_first_(n))),
                 _mm256_and_ps(m.hi, _mm256_castsi256_ps(vf_first_(n - 8))) };
}
VF_INLINE void vf_store_bytes(uint8_t *p, vf a, int n)
{
    __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
    words = _mm256_permute4x64_epi64(words, 0xd8); /* packing works within halves */
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (n == 16) {
        _mm_storeu_si128((__m128i *)p, bytes);
        return;
    }
    uint8_t part[16];
    _mm_storeu_si128((__m128i *)part, bytes);
    for (int i = 0; i < n; i++) p[i] = part[i];
}

VF_INLINE __m256 vf_exp2i_(__m256 k)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23));
}
VF_INLINE vf vf_exp2i(vf k) { return (vf){ vf_exp2i_(k.lo), vf_exp2i_(k.hi) }; }
VF_INLINE __m256 vf_exponent_(__m256 a)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(a), 23), _mm256_set1_epi32(127)));
}
VF_INLINE vf vf_exponent(vf a) { return (vf){ vf_exponent_(a.lo), vf_exponent_(a.hi) }; }
VF_INLINE __m256 vf_mantissa_(__m256 a)
{
    __m256 m = _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff)));
    return _mm256_or_ps(m, _mm256_castsi256_ps(_mm256_set1_epi32(0x3f800000)));
}
VF_INLINE vf vf_mantissa(vf a) { return (vf){ vf_mantissa_(a.lo), vf_mantissa_(a.hi) }; }

VF_INLINE void vf_transpose8_(const __m256 r[8], __m256 out[8])
{
    __m256 q[8]; /* q[4 i + j], half l: column 4 l + j of rows 4 i .. 4 i + 3 */
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[i], r[i + 1]));
        __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(r[i], r[i + 1]));
        __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[i + 2], r[i + 3]));
        __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(r[i + 2], r[i + 3]));
        q[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)), q[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
        q[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)), q[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        out[j] = _mm256_permute2f128_ps(q[j], q[4 + j], 0x20);
        out[4 + j] = _mm256_permute2f128_ps(q[j], q[4 + j], 0x31);
    }
}
VF_INLINE void vf_transpose(vf r[16])
{
    __m256 in[4][8], out[4][8]; /* quarters of 8 x 8: the two off the diagonal change places */
    UNROLL
    for (int i = 0; i < 8; i++) in[0][i] = r[i].lo, in[1][i] = r[i].hi, in[2][i] = r[8 + i].lo, in[3][i] = r[8 + i].hi;
    UNROLL
    for (int b = 0; b < 4; b++) vf_transpose8_(in[b], out[b]);
    UNROLL
    for (int i = 0; i < 8; i++) r[i] = (vf){ out[0][i], out[2][i] }, r[8 + i] = (vf){ out[1][i], out[3][i] };
}
