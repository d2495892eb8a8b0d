/* Roofs: the best of a few short runs, since every disturbance only slows down. SPDX-License-Identifier: MIT */
#include "roof.h"
#include "triad.h"
#include <string.h>
#include <time.h>

enum { TRIES = 9, ROUNDS = 100000, TRIAD_FLOATS = 32 << 20 };
static volatile float sink;

double qgm_cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `count` independent chains: as many as latency times issue width, and more where registers allow it. */
#define CHAINS(vector, count, set1, fma, add)                                                                          \
    vector a[count], b = set1(1.0001f), c = set1(0.5f);                                                                \
    _Pragma("GCC unroll 32") for (int i = 0; i < (count); i++) a[i] = set1((float)i);                                  \
    for (int r = 0; r < ROUNDS; r++)                                                                                   \
        _Pragma("GCC unroll 32") for (int i = 0; i < (count); i++) a[i] = fma(a[i], b, c);                             \
    _Pragma("GCC unroll 32") for (int i = 1; i < (count); i++) a[0] = add(a[0], a[i])

#if defined(__x86_64__)
#include <immintrin.h>
__attribute__((target("avx512f"))) static double run_avx512(void)
{
    CHAINS(__m512, 24, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps);
    sink = _mm512_cvtss_f32(a[0]);
    return 2.0 * 16 * 24 * ROUNDS;
}
__attribute__((target("avx2,fma"))) static double run_avx2(void)
{
    CHAINS(__m256, 12, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps);
    sink = _mm256_cvtss_f32(a[0]);
    return 2.0 * 8 * 12 * ROUNDS;
}
#elif defined(__aarch64__)
#include <arm_neon.h>
static float32x4_t fma_neon(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
static double run_neon(void)
{
    CHAINS(float32x4_t, 24, vdupq_n_f32, fma_neon, vaddq_f32);
    sink = vgetq_lane_f32(a[0], 0);
    return 2.0 * 4 * 24 * ROUNDS;
}
#endif

static const struct {
    const char *isa;
    double (*run)(void);
} peaks[] = {
#if defined(__x86_64__)
    { "avx512", run_avx512 },
    { "avx2", run_avx2 },
#elif defined(__aarch64__)
    { "neon", run_neon },
#endif
    { NULL, NULL },
};

double qgm_roof_flops(const char *isa)
{
    double best = 0;
    for (size_t p = 0; peaks[p].isa; p++)
        for (int i = 0; strcmp(peaks[p].isa, isa) == 0 && i < TRIES; i++) {
            double start = qgm_cpu_seconds(), flops = peaks[p].run(), rate = flops / (qgm_cpu_seconds() - start);
            best = rate > best ? rate : best;
        }
    return best;
}

double qgm_roof_bandwidth(void)
{
    struct qgm_triad triad = { 0 };
    struct qgm_error err;
    double best = 0;
    if (qgm_triad_open(&triad, TRIAD_FLOATS, 1, &err) < 0) return 0;
    for (int i = 0; i < TRIES; i++) {
        double rate = qgm_triad_rate(&triad, 1, false, qgm_cpu_seconds);
        best = rate > best ? rate : best;
    }
    qgm_triad_close(&triad);
    return best;
}
