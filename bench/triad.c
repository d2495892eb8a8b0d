/* A loop over single floats, as a compiler makes it of the triad by default, keeps so few lines under way that a core
 * reaches half of what memory gives: so these are vectors, as wide as there are. SPDX-License-Identifier: MIT */
#include "triad.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Floats that a thread takes at a time; and between one vector and the next, so that their addresses do not agree
 * modulo a page, where loads would wait for stores. */
enum { PART = 4096, APART = 272 };
#define SCALE 3.0f

typedef void part(float *a, const float *b, const float *c); /* PART floats */
typedef float vector __attribute__((vector_size(64)));

static void through(float *a, const float *b, const float *c)
{
    for (int k = 0; k < PART; k += 16)
        *(vector *)(void *)(a + k) =
            *(const vector *)(const void *)(b + k) + SCALE * *(const vector *)(const void *)(c + k);
}

#if defined(__x86_64__)
#define LOOP(name, isa, width, set1, load, store, fma)                                                                 \
    __attribute__((target(isa))) static void name(float *a, const float *b, const float *c)                            \
    {                                                                                                                  \
        for (int k = 0; k < PART; k += (width)) store(a + k, fma(set1(SCALE), load(c + k), load(b + k)));              \
    }
LOOP(through_avx512, "avx512f", 16, _mm512_set1_ps, _mm512_load_ps, _mm512_store_ps, _mm512_fmadd_ps)
LOOP(past_avx512, "avx512f", 16, _mm512_set1_ps, _mm512_load_ps, _mm512_stream_ps, _mm512_fmadd_ps)
LOOP(through_avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_load_ps, _mm256_store_ps, _mm256_fmadd_ps)
LOOP(past_avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_load_ps, _mm256_stream_ps, _mm256_fmadd_ps)

static part *best(bool past)
{
    if (__builtin_cpu_supports("avx512f")) return past ? past_avx512 : through_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return past ? past_avx2 : through_avx2;
    return through;
}
static void settle(void) { _mm_sfence(); } /* what was stored past the caches is there */
#else
static part *best(bool past)
{
    (void)past;
    return through;
}
static void settle(void) {}
#endif

static void run(const struct qgm_triad *t, int threads, part *p)
{
    (void)threads;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < t->floats; i += PART) p(t->a + i, t->b + i, t->c + i);
        settle();
    }
}

int qgm_triad_open(struct qgm_triad *t, size_t floats, int threads, struct qgm_error *err)
{
    if (qgm_arena_open(&t->arena, 3 * qgm_piece(floats + APART, sizeof(float)), err) < 0)
        return qgm_fail_in(err, "the triad");
    (void)threads;
    t->a = qgm_take(&t->arena, floats + APART, sizeof(float));
    t->b = qgm_take(&t->arena, floats + APART, sizeof(float));
    t->c = qgm_take(&t->arena, floats + APART, sizeof(float));
    t->floats = floats;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < floats; i += PART)
        for (size_t k = i; k < i + PART; k++) {
            t->a[k] = 0;
            t->b[k] = 1;
            t->c[k] = 2;
        }
    return 0;
}

void qgm_triad_close(struct qgm_triad *t) { qgm_arena_close(&t->arena); }

double qgm_triad_rate(const struct qgm_triad *t, int threads, bool past_too, double (*seconds)(void))
{
    double least = 0;
    for (int past = 0; past <= past_too; past++) {
        double begin = seconds();
        run(t, threads, best(past));
        double spent = seconds() - begin;
        if (!past || spent < least) least = spent;
    }
    return 12.0 * (double)t->floats / least;
}
