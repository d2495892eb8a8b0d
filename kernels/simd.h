/* The logical vector of 16 floats. Kernels are written once over `vf` and compiled once per ISA (cmake/isa.cmake): one
 * register on AVX-512, two on AVX2, four on NEON, sixteen scalars in the portable build. Every operation is exactly
 * rounded or exactly specified, and every reduction has one fixed tree, so all ISAs give the same bits.
 *
 *   vf_load, vf_store        16 floats, any alignment
 *   vf_load_n, vf_store_n    the first n of 16 (0 <= n <= 16); the other lanes load as 0; memory past n is not touched
 *   vf_set1, vf_zero
 *   vf_add sub mul div sqrt  lane by lane, correctly rounded
 *   vf_fma(a,b,c)            a*b + c   rounded once
 *   vf_fnma(a,b,c)           c - a*b   rounded once
 *   vf_max(a,b)              a > b ? a : b     (so b where a lane of either is NaN)
 *   vf_min(a,b)              a < b ? a : b
 *   vf_abs, vf_neg
 *   vf_gt(a,b), vf_ge(a,b)   masks; false where a lane is NaN
 *   vf_select(mask, a, b)    mask ? a : b
 *   vf_count(m)              how many lanes of a mask are set
 *   vf_pack_unless(p, a, m)  the lanes where m is false, one behind another, and anything up to 16; how many they are
 *   vf_copysign(a,b)         |a| with the sign of b
 *   vf_sum                   ((lane i + lane i+8), then i+4, i+2, i+1): one float
 *   vf_most                  the largest lane by the same tree of vf_max; a NaN may or may not come through
 *   vf_transpose             of 16 vectors: lane j of vector i becomes lane i of vector j
 *   vf_round                 to the nearest whole number, ties to even, |x| < 2^22
 *   vf_ldexp(a, k)           a 2^k rounded once, for whole k in [-151, 128] and |a| in [1/2, 2]; k is NaN only with a
 *   vf_exponent, vf_mantissa x = m 2^e with m in [1, 2), for normal x > 0
 *   vf_index(a)              the low four bits of each lane's representation
 *   vf_lookup(table, index)  table[index], of 16 floats aligned to QGM_ALIGN
 *   vf_bytes_are(p, b, n)    mask of the first n bytes that equal b; false in the others
 *   vf_store_bytes(p, a, n)  the first n lanes, whole numbers in 0..255, as bytes
 *   vf_stream(p, a)          vf_store past the caches, p aligned to QGM_ALIGN; vf_stream_end() after the last of them
 *   vf_can_stream(p, n)      p is aligned, and so much is to be written that no cache would keep it
 *   vf_ahead(p, i, n)        start to fetch what lies VF_AHEAD past p[i], if that is before p[n]
 *
 * In the double-precision reference build (QGM_DOUBLE) `real` is double and the lanes are doubles, so that the
 * algorithms can be run in double from the same source; elsewhere `real` is float.
 * Only files compiled per ISA include this header; everything in it is static inline. SPDX-License-Identifier: MIT */
#ifndef QGM_SIMD_H
#define QGM_SIMD_H
#include "base.h"
#include "isa.h"
#include <stddef.h>
#include <stdint.h>

enum { VF = 16 }; /* lanes of a logical vector */

#if !defined(QGM_TARGET_AVX512) && !defined(QGM_TARGET_AVX2) && !defined(QGM_TARGET_NEON)
/* Sixteen scalars an operation: what to inline and unroll is better left to the compiler, whose time it would take. */
#define VF_INLINE static inline __attribute__((unused))
#define UNROLL
#else
#define VF_INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#endif

#if defined(QGM_DOUBLE)
typedef double real;
#else
typedef float real;
#endif

#if defined(QGM_TARGET_AVX512)
#include "simd_avx512.h"
#elif defined(QGM_TARGET_AVX2)
#include "simd_avx2.h"
#elif defined(QGM_TARGET_NEON)
#include "simd_neon.h"
#else
#include "simd_scalar.h"
#endif

VF_INLINE vf vf_zero(void) { return vf_set1(0); }

/* The first n <= 16 lanes; without a mask where n is a constant VF. */
VF_INLINE vf vf_get(const real *p, int n) { return n == VF ? vf_load(p) : vf_load_n(p, n); }
VF_INLINE void vf_put(real *p, vf v, int n)
{
    if (n == VF)
        vf_store(p, v);
    else
        vf_store_n(p, v, n);
}

enum { VF_UNCACHED = 1 << 23 }; /* 32 MiB of floats: more than the second level caches of any core in sight */
VF_INLINE bool vf_can_stream(const real *p, size_t n) { return (uintptr_t)p % QGM_ALIGN == 0 && n >= VF_UNCACHED; }

#if !defined(QGM_TARGET_AVX512) && !defined(QGM_TARGET_AVX2)
VF_INLINE void vf_stream(real *p, vf a) { vf_store(p, a); } /* no such store: cores detect the pattern themselves */
VF_INLINE void vf_stream_end(void) {}
#endif

/* Arithmetic fills the window in which a core looks for loads to start early, so that few lines are on their way from
 * memory at a time. 4 KiB ahead is some 60 lines: a latency of 300 ns at 12 bytes a ns. Into the second level: on Zen 4
 * up to 1.2 times as fast as into the first, never slower. */
enum { VF_AHEAD = 1024 };
VF_INLINE void vf_ahead(const real *p, size_t i, size_t n)
{
    __builtin_prefetch(p + (i + VF_AHEAD < n ? i + VF_AHEAD : i), 0, 2);
}

#if !defined(QGM_TARGET_AVX512) && !defined(QGM_DOUBLE)
/* In two halves, so that k may leave the range of normal exponents: only the second product rounds. A NaN becomes a
 * number first: converting it would differ between machines. */
VF_INLINE vf vf_ldexp(vf a, vf k)
{
    k = vf_max(k, vf_set1(-151));
    vf half = vf_round(vf_mul(k, vf_set1(0.5f)));
    return vf_mul(vf_mul(a, vf_exp2i(half)), vf_exp2i(vf_sub(k, half)));
}
#endif

#endif
