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

/* x = k ln 2 + r; e^r = 1 + r + r^2 P(r). The operands of min and max stand so that NaN passes through. */
VF_INLINE vf vf_exp(vf x)
{
    static const float c[] = { 0x1.a1256cp-13f, 0x1.6d43b0p-10f, 0x1.1110e0p-7f,
                               0x1.5554e8p-5f,  0x1.555556p-3f,  0x1.000000p-1f };
    x = vf_max(vf_set1(-104), vf_min(vf_set1(89), x));
    vf k = vf_round(vf_mul(x, vf_set1(VF_LOG2_E)));
    vf r = vf_fnma(k, vf_set1(VF_LN2_LOW), vf_fnma(k, vf_set1(VF_LN2_HIGH), x));
    vf p = vf_fma(vf_mul(r, r), vf_polynomial_(r, c, 6), r);
    k = vf_max(k, vf_set1(-151)); /* a NaN becomes a number: converting it would differ between machines */
    return vf_ldexp(vf_add(p, vf_set1(1)), k);
}

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

/* Small |x|: x + x^3 P(x^2). Else 1 - 2 / (e^2|x| + 1), which cancels nothing there. The sign is put back at the end.
 */
VF_INLINE vf vf_tanh(vf x)
{
    static const float c[] = { 0x1.f1a4f4p-10f, -0x1.038210p-7f, 0x1.620ac0p-6f,
                               -0x1.b9d552p-5f, 0x1.11103ap-3f,  -0x1.555554p-2f };
    vf z = vf_mul(x, x), small = vf_fma(vf_mul(z, x), vf_polynomial_(z, c, 6), x), a = vf_abs(x);
    vf one = vf_set1(1);
    vf large = vf_sub(one, vf_div(vf_set1(2), vf_add(vf_exp(vf_add(a, a)), one)));
    large = vf_select(vf_gt(vf_zero(), x), vf_neg(large), large);
    return vf_select(vf_gt(a, vf_set1(0.75f)), large, small); /* NaN takes the polynomial */
}

/* 1 / (1 + e^-x), written with e = e^-|x|, which cannot overflow: (x < 0 ? e : 1) / (1 + e). The rounding error of
 * 1 + e, known exactly since e <= 1, goes into the residual that corrects the quotient. */
VF_INLINE vf vf_sigmoid(vf x)
{
    vf e = vf_exp(vf_neg(vf_abs(x))), one = vf_set1(1), d = vf_add(one, e), lost = vf_sub(e, vf_sub(d, one));
    vf top = vf_select(vf_gt(vf_zero(), x), e, one), inverse = vf_div(one, d), q = vf_mul(top, inverse);
    return vf_fma(vf_fnma(q, lost, vf_fnma(q, d, top)), inverse, q);
}

/* |x| <= 0.92: x + x P(x^2). Else 1 - e^-Q(|x|), Q being a fit of -log erfc; past 4 the result rounds to 1. */
VF_INLINE vf vf_erf(vf x)
{
    static const float c[] = { 0x1.5c1a76p-14f, -0x1.aa0caap-11f, 0x1.54c30cp-8f, -0x1.b80e28p-6f,
                               0x1.ce2e06p-4f,  -0x1.812742p-2f,  0x1.06eba8p-3f };
    static const float q[] = { -0x1.b93140p-20f, 0x1.835e50p-15f, -0x1.3963c6p-11f, 0x1.382f88p-8f,  -0x1.b10bbap-6f,
                               0x1.c2f26ep-4f,   0x1.437d32p-1f,  0x1.215740p+0f,   -0x1.5001dep-12f };
    vf small = vf_fma(x, vf_polynomial_(vf_mul(x, x), c, 7), x), a = vf_min(vf_set1(4), vf_abs(x));
    vf large = vf_sub(vf_set1(1), vf_exp(vf_neg(vf_polynomial_(a, q, 9))));
    large = vf_select(vf_gt(vf_zero(), x), vf_neg(large), large);
    return vf_select(vf_gt(a, vf_set1(0.92f)), large, small); /* NaN takes the polynomial */
}

#endif
