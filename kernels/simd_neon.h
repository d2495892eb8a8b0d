/* vf on AArch64 NEON: four registers, lanes 4i..4i+3 in v[i]. See simd.h for the contract. SPDX-License-Identifier: MIT
 */
#include <arm_neon.h>

typedef struct {
    float32x4_t v[4];
} vf;
typedef struct {
    uint32x4_t v[4];
} vm;

#define VF_EACH_(type, expression)                                                                                     \
    type out_;                                                                                                         \
    UNROLL                                                                                                             \
    for (int i = 0; i < 4; i++) out_.v[i] = (expression);                                                              \
    return out_

VF_INLINE vf vf_load(const float *p) { VF_EACH_(vf, vld1q_f32(p + 4 * i)); }
VF_INLINE void vf_store(float *p, vf a)
{
    UNROLL
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
}
VF_INLINE vf vf_load_n(const float *p, int n)
{
    float tail[16] = { 0 };
    for (int i = 0; i < n; i++) tail[i] = p[i];
    return vf_load(tail);
}
VF_INLINE void vf_store_n(float *p, vf a, int n)
{
    float tail[16];
    vf_store(tail, a);
    for (int i = 0; i < n; i++) p[i] = tail[i];
}
VF_INLINE vf vf_set1(float a) { VF_EACH_(vf, vdupq_n_f32(a)); }
VF_INLINE vf vf_add(vf a, vf b) { VF_EACH_(vf, vaddq_f32(a.v[i], b.v[i])); }
VF_INLINE vf vf_sub(vf a, vf b) { VF_EACH_(vf, vsubq_f32(a.v[i], b.v[i])); }
VF_INLINE vf vf_mul(vf a, vf b) { VF_EACH_(vf, vmulq_f32(a.v[i], b.v[i])); }
VF_INLINE vf vf_div(vf a, vf b) { VF_EACH_(vf, vdivq_f32(a.v[i], b.v[i])); }
VF_INLINE vf vf_sqrt(vf a) { VF_EACH_(vf, vsqrtq_f32(a.v[i])); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { VF_EACH_(vf, vfmaq_f32(c.v[i], a.v[i], b.v[i])); }
VF_INLINE vf vf_fnma(vf a, vf b, vf c) { VF_EACH_(vf, vfmsq_f32(c.v[i], a.v[i], b.v[i])); }
/* vmaxq_f32 returns NaN where we promise b, and +0 where we promise b's zero: compare and select instead. */
VF_INLINE vf vf_max(vf a, vf b) { VF_EACH_(vf, vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i])); }
VF_INLINE vf vf_min(vf a, vf b) { VF_EACH_(vf, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i])); }
VF_INLINE vf vf_abs(vf a) { VF_EACH_(vf, vabsq_f32(a.v[i])); }
VF_INLINE vf vf_neg(vf a) { VF_EACH_(vf, vnegq_f32(a.v[i])); }
VF_INLINE vm vf_gt(vf a, vf b) { VF_EACH_(vm, vcgtq_f32(a.v[i], b.v[i])); }
VF_INLINE vm vf_ge(vf a, vf b) { VF_EACH_(vm, vcgeq_f32(a.v[i], b.v[i])); }
VF_INLINE vf vf_select(vm m, vf a, vf b) { VF_EACH_(vf, vbslq_f32(m.v[i], a.v[i], b.v[i])); }
VF_INLINE int vf_count(vm m)
{
    uint32x4_t ones = vaddq_u32(vaddq_u32(m.v[0], m.v[1]), vaddq_u32(m.v[2], m.v[3])); /* each set lane adds -1 */
    return -vaddvq_s32(vreinterpretq_s32_u32(ones));
}
VF_INLINE int vf_pack_unless(float *p, vf a, vm m)
{
    static const uint8_t places[16][16] = {
    /* which of four floats are kept */
#define VF_FLOAT_(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3
        { 0 },
        { VF_FLOAT_(0) },
        { VF_FLOAT_(1) },
        { VF_FLOAT_(0), VF_FLOAT_(1) },
        { VF_FLOAT_(2) },
        { VF_FLOAT_(0), VF_FLOAT_(2) },
        { VF_FLOAT_(1), VF_FLOAT_(2) },
        { VF_FLOAT_(0), VF_FLOAT_(1), VF_FLOAT_(2) },
        { VF_FLOAT_(3) },
        { VF_FLOAT_(0), VF_FLOAT_(3) },
        { VF_FLOAT_(1), VF_FLOAT_(3) },
        { VF_FLOAT_(0), VF_FLOAT_(1), VF_FLOAT_(3) },
        { VF_FLOAT_(2), VF_FLOAT_(3) },
        { VF_FLOAT_(0), VF_FLOAT_(2), VF_FLOAT_(3) },
        { VF_FLOAT_(1), VF_FLOAT_(2), VF_FLOAT_(3) },
        { VF_FLOAT_(0), VF_FLOAT_(1), VF_FLOAT_(2), VF_FLOAT_(3) },
#undef VF_FLOAT_
    };
    static const uint8_t counts[16] = { 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4 };
    static const uint32_t bits[4] = { 1, 2, 4, 8 };
    int n = 0;
    UNROLL
    for (int i = 0; i < 4; i++) {
        uint32_t kept = vaddvq_u32(vbicq_u32(vld1q_u32(bits), m.v[i]));
        vst1q_u8((uint8_t *)(p + n), vqtbl1q_u8(vreinterpretq_u8_f32(a.v[i]), vld1q_u8(places[kept])));
        n += counts[kept];
    }
    return n;
}
VF_INLINE vf vf_round(vf a) { VF_EACH_(vf, vrndnq_f32(a.v[i])); }

VF_INLINE float vf_sum(vf a)
{
    float32x4_t c = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
    float32x2_t d = vadd_f32(vget_low_f32(c), vget_high_f32(c));
    return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}

VF_INLINE float vf_most(vf a)
{
    float32x4_t b = vbslq_f32(vcgtq_f32(a.v[0], a.v[2]), a.v[0], a.v[2]);
    float32x4_t c = vbslq_f32(vcgtq_f32(a.v[1], a.v[3]), a.v[1], a.v[3]), d = vbslq_f32(vcgtq_f32(b, c), b, c);
    float32x2_t low = vget_low_f32(d), high = vget_high_f32(d), e = vbsl_f32(vcgt_f32(low, high), low, high);
    float first = vget_lane_f32(e, 0), second = vget_lane_f32(e, 1);
    return first > second ? first : second;
}

VF_INLINE vf vf_copysign(vf a, vf b) { VF_EACH_(vf, vbslq_f32(vdupq_n_u32(0x80000000u), b.v[i], a.v[i])); }

typedef struct {
    uint8x16_t v[4]; /* places of the bytes in the table */
} vx;
VF_INLINE vx vf_index(vf a)
{
    VF_EACH_(vx, vreinterpretq_u8_u32(vmlaq_u32(vdupq_n_u32(0x03020100),
                                                vandq_u32(vreinterpretq_u32_f32(a.v[i]), vdupq_n_u32(15)),
                                                vdupq_n_u32(0x04040404))));
}
VF_INLINE vf vf_lookup(const float *table, vx index)
{
    uint8x16x4_t bytes = vld1q_u8_x4((const uint8_t *)table);
    VF_EACH_(vf, vreinterpretq_f32_u8(vqtbl4q_u8(bytes, index.v[i])));
}
VF_INLINE vm vf_bytes_are(const uint8_t *p, int b, int n)
{
    uint8_t part[16] = { 0 };
    if (n < 16)
        for (int i = 0; i < n; i++) part[i] = p[i];
    static const uint8_t lane[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    uint8x16_t same = vceqq_u8(vld1q_u8(n < 16 ? part : p), vdupq_n_u8((uint8_t)b));
    int8x16_t m = vreinterpretq_s8_u8(vandq_u8(same, vcltq_u8(vld1q_u8(lane), vdupq_n_u8((uint8_t)n))));
    int16x8_t low = vmovl_s8(vget_low_s8(m)), high = vmovl_s8(vget_high_s8(m));
    return (vm){
        { vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(low))), vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(low))),
          vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(high))), vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(high))) }
    };
}
VF_INLINE void vf_store_bytes(uint8_t *p, vf a, int n)
{
    uint16x8_t low = vcombine_u16(vmovn_u32(vcvtq_u32_f32(a.v[0])), vmovn_u32(vcvtq_u32_f32(a.v[1])));
    uint16x8_t high = vcombine_u16(vmovn_u32(vcvtq_u32_f32(a.v[2])), vmovn_u32(vcvtq_u32_f32(a.v[3])));
    uint8x16_t bytes = vcombine_u8(vmovn_u16(low), vmovn_u16(high));
    if (n == 16) {
        vst1q_u8(p, bytes);
        return;
    }
    uint8_t part[16];
    vst1q_u8(part, bytes);
    for (int i = 0; i < n; i++) p[i] = part[i];
}

VF_INLINE vf vf_exp2i(vf k)
{
    VF_EACH_(vf, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(k.v[i]), vdupq_n_s32(127)), 23)));
}
VF_INLINE vf vf_exponent(vf a)
{
    VF_EACH_(vf, vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a.v[i]), 23)),
                                         vdupq_n_s32(127))));
}
VF_INLINE vf vf_mantissa(vf a)
{
    VF_EACH_(vf, vreinterpretq_f32_u32(vorrq_u32(vandq_u32(vreinterpretq_u32_f32(a.v[i]), vdupq_n_u32(0x007fffff)),
                                                 vdupq_n_u32(0x3f800000))));
}

VF_INLINE void vf_transpose(vf r[16])
{
    vf out[16];
    UNROLL
    for (int i = 0; i < 4; i++) UNROLL
    for (int j = 0; j < 4; j++) { /* the 4 x 4 block of rows 4 i, columns 4 j */
        float32x4_t a = r[4 * i].v[j], b = r[4 * i + 1].v[j], c = r[4 * i + 2].v[j], d = r[4 * i + 3].v[j];
        float64x2_t ab = vreinterpretq_f64_f32(vtrn1q_f32(a, b)), cd = vreinterpretq_f64_f32(vtrn1q_f32(c, d));
        float64x2_t ab2 = vreinterpretq_f64_f32(vtrn2q_f32(a, b)), cd2 = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
        out[4 * j].v[i] = vreinterpretq_f32_f64(vtrn1q_f64(ab, cd));
        out[4 * j + 1].v[i] = vreinterpretq_f32_f64(vtrn1q_f64(ab2, cd2));
        out[4 * j + 2].v[i] = vreinterpretq_f32_f64(vtrn2q_f64(ab, cd));
        out[4 * j + 3].v[i] = vreinterpretq_f32_f64(vtrn2q_f64(ab2, cd2));
    }
    UNROLL
    for (int i = 0; i < 16; i++) r[i] = out[i];
}
