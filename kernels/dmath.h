/* exp and log in double from + - * / alone, so that they give the same bits with every compiler, libc and ISA (libm's
 * differ in the last bit between machines with and without fma). For set-up work: initialisation, partitions. Within
 * 2 ulp for normal arguments. SPDX-License-Identifier: MIT */
#ifndef QGM_DMATH_H
#define QGM_DMATH_H
#include <stdint.h>
#include <string.h>

#define QGM_LN2_HIGH 6.93147180369123816490e-01 /* ln 2 in two parts: k * high is exact for |k| < 2^20 */
#define QGM_LN2_LOW  1.90821492927058770002e-10

/* Natural logarithm of x > 0 (normal numbers). x = 2^k m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s),
 * s = (m-1)/(m+1), |s| < 0.1716: eleven odd terms reach 2^-56. */
static inline double qgm_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int k = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m >= 1.4142135623730951) {
        m *= 0.5;
        k++;
    }
    double s = (m - 1) / (m + 1), z = s * s, sum = 0;
    for (int odd = 21; odd >= 3; odd -= 2) sum = (sum + 1.0 / odd) * z;
    return k * QGM_LN2_HIGH + (2 * s + (2 * s * sum + k * QGM_LN2_LOW));
}

/* e^x; 0 below -708, saturates above 709. x = k ln 2 + r, |r| <= 0.35, Taylor to r^13. */
static inline double qgm_exp(double x)
{
    if (x < -708) return 0;
    if (x > 709) x = 709;
    double rounded = x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5);
    int k = (int)rounded;
    double r = (x - k * QGM_LN2_HIGH) - k * QGM_LN2_LOW, sum = 1;
    for (int n = 13; n >= 1; n--) sum = 1 + sum * r / n;
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

#endif
