/* exp, log, tanh, sigmoid, erf on the logical vector: at most 2 ulp (tests/functions.c), the same bits on every ISA, no
 * call to libm. Polynomials are Chebyshev fits on the reduced interval, rounded to float. NaN gives NaN; overflow gives
 * infinity; results below the normal range are rounded once, to subnormals. SPDX-License-Identifier: MIT */
#ifndef QGM_MATHV_H
#define QGM_MATHV_H
#include "simd.h"

#define VF_LN2_HIGH  0x1.62e400p-1f /* ln 2 = high + low; k * high is exact for |k| < 2^10 */
#define VF_LN2_LOW   0x1.7f7d1cp-20f
#define VF_LOG2_E    0x1.715476p+0f
#define VF_INFINITY_ (__builtin_inff())

/* Horner's rule from the highest power down. */
VF_INLINE vf vf_polynomial_(vf x, const float *c, int n)
{
    vf sum = vf_set1(c[0]);
    UNROLL
    for (int i = 1; i < n; i++) sum = vf_fma(sum, x, vf_set1(c[i]));
    return sum;
}

/* -104 <= x <= 89: x = k ln 2 + r; e^r = 1 + r + r^2 P(r). */
VF_INLINE vf vf_exp_bounded_(vf x)
{
    static const float c[] = { 0x1.a1256cp-13f, 0x1.6d43b0p-10f, 0x1.1110e0p-7f,
                               0x1.5554e8p-5f,  0x1.555556p-3f,  0x1.000000p-1f };
    vf k = vf_round(vf_mul(x, vf_set1(VF_LOG2_E)));
    vf r = vf_fnma(k, vf_set1(VF_LN2_LOW), vf_fnma(k, vf_set1(VF_LN2_HIGH), x));
    vf p = vf_fma(vf_mul(r, r), vf_polynomial_(r, c, 6), r);
    return vf_ldexp(vf_add(p, vf_set1(1)), k);
}

/* The operands of min and max stand so that NaN passes through. */
VF_INLINE vf vf_exp(vf x) { return vf_exp_bounded_(vf_max(vf_set1(-104), vf_min(vf_set1(89), x))); }

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1: log m = f - f^2/2 + f^3 P(f). */
VF_INLINE vf vf_log(vf x)
{
    static const float c[] = { 0x1.1d8ea6p-4f,  -0x1.d635bcp-4f, 0x1.dea282p-4f,  -0x1.fcf4c6p-4f, 0x1.23d21ap-3f,
                               -0x1.555b4ap-3f, 0x1.999d5ap-3f,  -0x1.fffffcp-3f, 0x1.555554p-2f };
    vm subnormal = vf_gt(vf_set1(0x1p-126f), x);
    vf y = vf_select(subnormal, vf_mul(x, vf_set1(0x1p23f)), x);
    vf k = vf_sub(vf_exponent(y), vf_select(subnormal, vf_set1(23), vf_zero())), m = vf_mantissa(y);
    vm upper = vf_gt(m, vf_set1(0x1.6a09e6p+0f));
    m = vf_select(upper, vf_mul(m, vf_set1(0.5f)), m);
    k = vf_select(upper, vf_add(k, vf_set1(1)), k);
    vf f = vf_sub(m, vf_set1(1)), z = vf_mul(f, f);
    vf tail = vf_fma(vf_mul(f, z), vf_polynomial_(f, c, 9), vf_mul(k, vf_set1(VF_LN2_LOW)));
    vf log = vf_fma(k, vf_set1(VF_LN2_HIGH), vf_add(f, vf_fnma(vf_set1(0.5f), z, tail)));
    log = vf_select(vf_gt(vf_set1(VF_INFINITY_), x), log, x);          /* infinity and NaN are their own logarithms */
    log = vf_select(vf_gt(x, vf_zero()), log, vf_set1(-VF_INFINITY_)); /* zero; the others follow */
    vf nan = vf_sub(vf_set1(VF_INFINITY_), vf_set1(VF_INFINITY_));
    return vf_select(vf_ge(x, vf_zero()), log, nan);
}

/* An odd function that is x + O(x^2) or close to it, up to x = top, by 16 polynomials of the given degree: P_k(t) where
 * x = k step + t, |t| <= step / 2, so that sixteen lanes take their coefficients from a register each. magic = 3 2^22
 * step rounds to multiples of the step, and its last bits are k. Beyond 15 steps the last polynomial goes on. The first
 * one adds to x instead of a constant. NaN passes through. Rows of c go from the highest power down. */
struct vf_pieces {
    float step, top;
    int degree;
};
VF_INLINE vf vf_odd_(vf x, const float (*c)[VF], struct vf_pieces s)
{
    vf magic = vf_set1(0x1.8p23f * s.step), a = vf_min(vf_set1(s.top), vf_abs(x)), m = vf_add(a, magic);
    if (s.top >= 15.5f * s.step) m = vf_min(vf_set1((0x1.8p23f + 15) * s.step), m);
    vf t = vf_sub(a, vf_sub(m, magic));
    vx k = vf_index(m);
    vf p = vf_lookup(c[0], k);
    UNROLL
    for (int i = 1; i < s.degree; i++) p = vf_fma(p, t, vf_lookup(c[i], k));
    vf first = vf_select(vf_ge(vf_set1(s.step / 2), a), a, vf_lookup(c[s.degree], k)); /* a tie rounds to even, 0 */
    return vf_copysign(vf_fma(p, t, first), x);
}

VF_INLINE vf vf_tanh(vf x)
{
    static const _Alignas(64) float c[][VF] = {
        { -0x1.6bc6bp-5f, 0x1.b9bf84p-6f, 0x1.73993p-9f, -0x1.022be6p-8f, -0x1.61bd0cp-11f, 0x1.3c8a44p-14f,
          0x1.6ee7dep-14f, 0x1.595e64p-15f, 0x1.1351a4p-16f, 0x1.a0c7eap-18f, 0x1.35d178p-19f, 0x1.c99f0ap-21f,
          0x1.512a0ep-22f, 0x1.f0652ep-24f, 0x1.6d4bap-25f, 0x1.0a14fep-28f },
        { -0x1.1a5336p-8f, -0x1.946b16p-5f, 0x1.27f9a4p-6f, 0x1.d901ap-8f, -0x1.b80b7ap-14f, -0x1.76a418p-11f,
          -0x1.88763p-12f, -0x1.42aecap-13f, -0x1.edad14p-15f, -0x1.705ffap-16f, -0x1.106ef6p-17f, -0x1.91a60ap-19f,
          -0x1.27b8c6p-20f, -0x1.b3455cp-22f, -0x1.4048d8p-23f, -0x1.26aee4p-25f },
        { 0x1.12bc38p-3f, -0x1.bcf89ep-6f, -0x1.7b79fep-5f, -0x1.5cc074p-9f, 0x1.396522p-8f, 0x1.7687d8p-9f,
          0x1.3f9458p-10f, 0x1.ef2d1p-12f, 0x1.732ed8p-13f, 0x1.12f798p-14f, 0x1.95a1a6p-16f, 0x1.2ab89ep-17f,
          0x1.b7b8d6p-19f, 0x1.4391dp-20f, 0x1.dc28fep-22f, 0x1.36eb86p-23f },
        { -0x1.3ae9f6p-14f, 0x1.512c88p-3f, 0x1.c6957cp-6f, -0x1.991914p-6f, -0x1.2529bep-6f, -0x1.07b6fcp-7f,
          -0x1.a038p-9f, -0x1.3a15e8p-10f, -0x1.d27a46p-12f, -0x1.5861dcp-13f, -0x1.fb65bcp-15f, -0x1.757e56p-16f,
          -0x1.12d8fap-17f, -0x1.9477dap-19f, -0x1.29990ep-20f, -0x1.ae061ap-22f },
        { -0x1.55547ep-2f, -0x1.81da5p-4f, 0x1.a85d56p-4f, 0x1.67b1fap-4f, 0x1.58f4fap-5f, 0x1.16df42p-6f,
          0x1.a8acbp-8f, 0x1.3c686ap-9f, 0x1.d3c0e6p-11f, 0x1.58bd02p-12f, 0x1.fb9af2p-14f, 0x1.758f92p-15f,
          0x1.12dfb8p-16f, 0x1.947e92p-18f, 0x1.299d2p-19f, 0x1.b5ee1p-21f },
        { -0x1.b5a8b6p-25f, -0x1.74272p-2f, -0x1.4786dep-2f, -0x1.4efbd2p-3f, -0x1.16f9ccp-4f, -0x1.addae2p-6f,
          -0x1.41b10cp-7f, -0x1.dc593cp-9f, -0x1.5f4956p-10f, -0x1.02ae74p-11f, -0x1.7cc5ecp-13f, -0x1.18307cp-14f,
          -0x1.9c523p-16f, -0x1.2f5fa4p-17f, -0x1.be6c14p-19f, -0x1.48a07p-20f },
        { 0x1.1e91fap-33f, 0x1.92a948p-1f, 0x1.ae0dcp-2f, 0x1.721652p-3f, 0x1.2162c2p-4f, 0x1.b3afe2p-6f,
          0x1.434a52p-7f, 0x1.dd37d2p-9f, 0x1.5f85aep-10f, 0x1.02bec8p-11f, 0x1.7ccec2p-13f, 0x1.1832dcp-14f,
          0x1.9c5378p-16f, 0x1.2f5ffap-17f, 0x1.be6c4p-19f, 0x1.48792p-20f },
        { 0, 0x1.d9353ep-2f, 0x1.85efacp-1f, 0x1.cf6f98p-1f, 0x1.ed9506p-1f, 0x1.f92582p-1f, 0x1.fd77d2p-1f,
          0x1.ff112cp-1f, 0x1.ffa818p-1f, 0x1.ffdfa8p-1f, 0x1.fff41ap-1f, 0x1.fffbap-1f, 0x1.fffe64p-1f, 0x1.ffff68p-1f,
          0x1.ffffc8p-1f, 0x1.ffffecp-1f },
    };
    return vf_odd_(x, c, (struct vf_pieces){ 0.5f, 9.25f, 7 });
}

/* The last polynomial is lifted by up to 2^-25 so that it ends at 1. */
VF_INLINE vf vf_erf(vf x)
{
    static const _Alignas(64) float c[][VF] = {
        { 0x1.c73bc6p-4f, 0x1.4659aap-4f, 0x1.e82d32p-8f, -0x1.b0a364p-5f, -0x1.19edaap-4f, -0x1.81ced4p-5f,
          -0x1.eac212p-7f, 0x1.a8da2p-8f, 0x1.aa4ec4p-7f, 0x1.5cb6p-7f, 0x1.91bbap-8f, 0x1.6b30aap-9f, 0x1.0ce208p-10f,
          0x1.4d3aa8p-12f, 0x1.5e2afp-14f, 0x1.3aa7e4p-16f },
        { 0x1.00691cp-12f, 0x1.021e9p-3f, 0x1.748dbep-3f, 0x1.3351a8p-3f, 0x1.1bd098p-4f, -0x1.7318f2p-8f,
          -0x1.69a6b6p-5f, -0x1.885478p-5f, -0x1.1a1468p-5f, -0x1.39c54cp-6f, -0x1.1caf06p-7f, -0x1.b024cp-9f,
          -0x1.1654eap-10f, -0x1.330062p-12f, -0x1.23bb22p-14f, -0x1.dfbefcp-17f },
        { -0x1.812a72p-2f, -0x1.3c96bp-2f, -0x1.2bf594p-3f, 0x1.b6ddc8p-6f, 0x1.1b6034p-3f, 0x1.571cbep-3f,
          0x1.1c2a5ap-3f, 0x1.7149a2p-4f, 0x1.8b0bdcp-5f, 0x1.63efc6p-6f, 0x1.119d02p-7f, 0x1.69cc4ep-9f,
          0x1.9db016p-11f, 0x1.9a97f6p-13f, 0x1.62bba6p-15f, 0x1.0b571ep-17f },
        { 0x1.a79d88p-23f, -0x1.0f5ba2p-2f, -0x1.c1eep-2f, -0x1.edc46ep-2f, -0x1.a9121ap-2f, -0x1.2ecp-2f,
          -0x1.6d5bfap-3f, -0x1.7a4bd6p-4f, -0x1.529bc4p-5f, -0x1.0749b8p-6f, -0x1.64dd6ep-8f, -0x1.a695cep-10f,
          -0x1.b5f20cp-12f, -0x1.8dbcacp-14f, -0x1.3cdff4p-16f, -0x1.bb478cp-19f },
        { 0x1.06eba8p-3f, 0x1.0f5d16p+0f, 0x1.c1efcap-1f, 0x1.492e42p-1f, 0x1.a911fp-2f, 0x1.e4653p-3f, 0x1.e72372p-4f,
          0x1.b0553p-5f, 0x1.529b9ep-6f, 0x1.d4143ap-8f, 0x1.1d8318p-9f, 0x1.3360dp-11f, 0x1.2408fp-13f, 0x1.e9b6p-16f,
          0x1.6a599p-18f, 0x1.15690ep-20f },
        { 0, 0x1.1af54ep-2f, 0x1.0a7ef6p-1f, 0x1.6c1c98p-1f, 0x1.af767ap-1f, 0x1.d8865ep-1f, 0x1.eea556p-1f,
          0x1.f92d08p-1f, 0x1.fd9ae2p-1f, 0x1.ff4048p-1f, 0x1.ffcaa8p-1f, 0x1.fff2dp-1f, 0x1.fffd1ap-1f, 0x1.ffff7p-1f,
          0x1.ffffe8p-1f, 0x1.fffffcp-1f },
    };
    return vf_odd_(x, c, (struct vf_pieces){ 0.25f, 0x1.effffep+1f, 5 });
}

/* erf(x / sqrt 2) + x sqrt(2 / pi) e^(-x^2 / 2), which is 2 (x Phi(x))' - 1 for the normal distribution function Phi:
 * half of it within 2.1 2^-24. */
VF_INLINE vf vf_gelu_slope_(vf x)
{
    static const _Alignas(64) float c[][VF] = {
        { -0x1.c8ee1ap-7f, -0x1.6d47a4p-5f, -0x1.1d45acp-6f, 0x1.4ff428p-6f, 0x1.fc6b96p-7f, -0x1.e91a6cp-10f,
          -0x1.4ad244p-8f, -0x1.895732p-10f, 0x1.10b146p-12f, 0x1.378234p-12f, 0x1.95d634p-14f, 0x1.3496c4p-16f,
          0x1.38949ap-19f, 0x1.bcd8cep-23f, 0x1.c96c8cp-27f, 0x1.59bec8p-31f },
        { 0x1.fa1ep-4f, 0x1.297feep-5f, -0x1.230796p-4f, -0x1.dbb42ap-5f, 0x1.3a61aep-8f, 0x1.79d87ep-6f,
          0x1.338c08p-7f, -0x1.1c1cdap-11f, -0x1.cep-10f, -0x1.84d4bcp-11f, -0x1.6ea698p-13f, -0x1.c88b2cp-16f,
          -0x1.8eab7ep-19f, -0x1.f75f64p-23f, -0x1.d3dd26p-27f, -0x1.43eb1cp-31f },
        { -0x1.063dbap-11f, 0x1.cbfcdap-3f, 0x1.4a5dd8p-3f, -0x1.bf669ap-6f, -0x1.70915ep-4f, -0x1.5daac8p-5f,
          -0x1.9902a6p-20f, 0x1.15dd78p-7f, 0x1.1e8986p-8f, 0x1.429b88p-10f, 0x1.ddffb8p-13f, 0x1.f0e9bep-16f,
          0x1.75f478p-19f, 0x1.9ee778p-23f, 0x1.57525cp-27f, 0x1.ab2bb2p-32f },
        { -0x1.105464p-1f, -0x1.15e36ep-2f, 0x1.4a45c2p-3f, 0x1.27a102p-2f, 0x1.26e6acp-3f, 0x1.07f346p-8f,
          -0x1.0a4306p-5f, -0x1.45a0ep-6f, -0x1.b0b95p-8f, -0x1.7c46bp-10f, -0x1.d78e6ep-13f, -0x1.a9719ep-16f,
          -0x1.1c3296p-19f, -0x1.1c4104p-23f, -0x1.ace96ap-28f, -0x1.eacd8ep-33f },
        { -0x1.4f7d68p-21f, -0x1.51fb8ep-1f, -0x1.73aac2p-1f, -0x1.5c24b6p-2f, -0x1.57b8a2p-26f, 0x1.93da28p-4f,
          0x1.104af6p-4f, 0x1.9cdb0ap-6f, 0x1.a4fe48p-8f, 0x1.326592p-10f, 0x1.4760aep-13f, 0x1.04de3cp-16f,
          0x1.392778p-20f, 0x1.1d1358p-24f, 0x1.8b7feap-29f, 0x1.a39a42p-34f },
        { 0x1.3108a6p-1f, 0x1.3b7356p+0f, 0x1.ef8e72p-2f, -0x1.094064p-4f, -0x1.ba4b58p-3f, -0x1.3122p-3f,
          -0x1.fc4798p-5f, -0x1.251bfap-6f, -0x1.eb2894p-9f, -0x1.31dfbcp-11f, -0x1.1ed95ep-14f, -0x1.985e8ap-18f,
          -0x1.bbab7ap-22f, -0x1.714382p-26f, -0x1.d8371cp-31f, -0x1.d0eadep-36f },
        { 0, 0x1.7850a4p-1f, 0x1.2aa854p+0f, 0x1.4143a4p+0f, 0x1.2ba38p+0f, 0x1.1341c2p+0f, 0x1.061dbep+0f,
          0x1.0171dap+0f, 0x1.004204p+0f, 0x1.0008fcp+0f, 0x1.0000fp+0f, 0x1.000014p+0f, 0x1.000002p+0f, 0x1p+0f,
          0x1p+0f, 0x1p+0f },
    };
    return vf_odd_(x, c, (struct vf_pieces){ 0.5f, 0x1.effffep+2f, 6 });
}

/* 1 / (1 + e^-x), written with e = e^-|x|, which cannot overflow: (x < 0 ? e : 1) / (1 + e). The rounding error of
 * 1 + e, known exactly since e <= 1, goes into the residual that corrects the quotient. */
VF_INLINE vf vf_sigmoid(vf x)
{
    vf e = vf_exp_bounded_(vf_max(vf_set1(-104), vf_neg(vf_abs(x)))), one = vf_set1(1), d = vf_add(one, e),
       lost = vf_sub(e, vf_sub(d, one));
    vf top = vf_select(vf_gt(vf_zero(), x), e, one), inverse = vf_div(one, d), q = vf_mul(top, inverse);
    return vf_fma(vf_fnma(q, lost, vf_fnma(q, d, top)), inverse, q);
}

#endif
